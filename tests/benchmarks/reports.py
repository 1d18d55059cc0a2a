"""bench reports: what people have reported of such systems, tried on a real truck and cloud.

cases: those that count; right: where what should happen happened; wrong: where it did not. A line
for each case says what is not as it should be. Cases for which the work is still to be done run
too; they are told as later and do not count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cases import descriptions, headers, images, network, objects, people
from tests.cases.scene import Scene
from tests.support.stack import started

if TYPE_CHECKING:
    from tests.cases.case import Case
    from tests.support.stack import Stack

STABLE_AGE_S = 2
CASES = sorted(
    (
        *descriptions.CASES, *headers.CASES, *images.CASES, *network.CASES, *objects.CASES,
        *people.CASES,
    ),
    key=lambda case: case.name,
)  # fmt: skip


def tried(case: Case, stack: Stack) -> list[str]:
    """What is not as it should be."""
    scene = Scene(stack)
    try:
        case.run(scene)
    except Exception as error:  # noqa: BLE001  (one case that breaks off is wrong, not the others)
        return [*scene.wrong, f"broke off: {type(error).__name__}: {error}"]
    finally:
        settle_holds(scene)
    return scene.wrong


def settle_holds(scene: Scene) -> None:
    """What a case left held is given up, so that the next one begins with nothing held."""
    for row in scene.command("held")[1]["held"]:
        scene.command("discard", row["instance"], "--reason", "the next case", "--by", "bench")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench reports", description=__doc__)
    parser.add_argument("names", nargs="*", help="only cases whose names begin so")
    wanted = parser.parse_args()
    chosen = [c for c in CASES if not wanted.names or c.name.startswith(tuple(wanted.names))]
    counted: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name, started(Path(name), STABLE_AGE_S) as stack:
        for case in chosen:
            begun = time.monotonic()
            wrong = tried(case, stack)
            result = "wrong" if wrong else "right"
            counted["later" if case.later else result] += 1
            told = f"later ({case.later}), {result}" if case.later else result
            print(
                f"{told}: {case.name} ({time.monotonic() - begun:.0f} s): {case.expect}", flush=True
            )
            print(
                *(f"    {fault}" for fault in wrong),
                sep="\n",
                end="\n" if wrong else "",
                flush=True,
            )
    cases = counted["right"] + counted["wrong"]
    print(f"bench reports: cases={cases} right={counted['right']} wrong={counted['wrong']}")
    return int(bool(counted["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
