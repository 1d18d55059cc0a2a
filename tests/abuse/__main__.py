"""``scripts/abuse [--short] [--seed N]``: attacks a truck and a cloud, and says what it did to them."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.abuse.amounts import LONG, PARTS, SHORT
from tests.abuse.attack import attack


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/abuse", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few hundred cases")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=PARTS, help="attacks one of them")
    asked = parser.parse_args()
    parts = PARTS if asked.only is None else (asked.only,)
    with tempfile.TemporaryDirectory() as folder:
        report = attack(Path(folder), SHORT if asked.short else LONG, asked.seed, parts)
    for line in report.faults():
        print(f"abuse: FAULT {line}")
    print(report.line())
    return 1 if report.faults() else 0


if __name__ == "__main__":
    sys.exit(main())
