"""``scripts/faults [--long] [SCENARIO…]``: breaks a truck in every way, and audits the cloud."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from router.records.errors import Code
from tests.faults import truck
from tests.faults.every import SCENARIOS, SMALL_TRUCK, SMALL_TRUCK_MIB
from tests.faults.reconcile import Auditor, Held
from tests.faults.refusing import HOUR_S
from tests.faults.scanning import Scanner
from tests.faults.scenarios import DEFAULT, LONG, SHORT, Amounts, Run
from tests.support.waiting import until
from tools.audit import study_alias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from tests.faults.reconcile import Tally
    from tests.support.orthancs import Orthanc

REST_S = 420.0
#: Nothing has moved for so long: what is left waits for its time.
_STILL_S = 60.0
_MOST_HOURS = 4
#: Bodies of an image that a destination may be sent before its final answer is believed.
_WASTED = 1


@dataclass
class OfTruck:
    """What is known of one truck after its last whole reconciliation."""

    scenarios: int
    destinations: int
    cuts: int
    kills: int
    failures: int
    recoveries: Sequence[float]
    #: Of everything that this truck was ever handed.
    tally: Tally


class Report:
    """Adds up what the scenarios found; right after each of them."""

    def __init__(self) -> None:
        self.trucks: list[OfTruck] = []

    def _sum(self, name: str) -> int:
        return sum(int(getattr(one, name)) for one in self.trucks)

    def _tallied(self, name: str) -> int:
        return sum(int(getattr(one.tally, name)) for one in self.trucks)

    @property
    def scenarios(self) -> int:
        return self._sum("scenarios")

    @property
    def cuts(self) -> int:
        return self._sum("cuts")

    @property
    def kills(self) -> int:
        return self._sum("kills")

    @property
    def acknowledged(self) -> int:
        return self._tallied("acknowledged")

    @property
    def wasted_bodies_max(self) -> int:
        return max((one.tally.wasted_bodies_max for one in self.trucks), default=0)

    @property
    def clean(self) -> bool:
        wrong = ("lost", "duplicates", "held_wrongly", "identified", "uncaptured")
        return (
            not self._sum("failures")
            and not any(self._tallied(name) for name in wrong)
            and self.wasted_bodies_max <= _WASTED
        )

    def line(self) -> str:
        recoveries = [seconds for one in self.trucks for seconds in one.recoveries]
        found = " ".join(
            f"{name}={self._tallied(name)}"
            for name in ("acknowledged", "delivered", "lost", "duplicates", "held_wrongly")
        )
        return (
            f"faults: scenarios={self.scenarios}"
            f" destinations={max((one.destinations for one in self.trucks), default=0)}"
            f" cuts={self.cuts} kills={self.kills} {found}"
            f" wasted_bodies_max={self.wasted_bodies_max}"
            f" recovery_p95_s={percentile(recoveries, 0.95):.1f}"
        )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def run_on(
    under_test: truck.Truck, chosen: Sequence[Callable[[Run], None]], amounts: Amounts,
    seed: int, report: Report,
) -> None:  # fmt: skip
    """Runs scenarios on one truck; each ends with a whole reconciliation."""
    scanner = Scanner(under_test.orthanc.dicom_port)
    auditor = Auditor(under_test.places)
    run = Run(under_test, scanner, amounts, random.Random(seed))
    failures = 0
    last: OfTruck | None = None
    for number, scenario in enumerate(chosen, 1):
        begun = time.monotonic()
        problem = ""
        try:
            scenario(run)
            under_test.heal()
            rested(under_test, scanner)
        # Of a container or a process that does not answer as it should, too: it counts as a failure.
        except (AssertionError, OSError) as error:
            failures += 1
            problem = f"  FAILED: {type(error).__name__}: {error}"
            under_test.heal()
        tally = auditor.tally(scanner.acknowledged, Held(under_test.router.held()))
        print(f"  {scenario.__name__:<28} {time.monotonic() - begun:5.0f} s  {tally.line()}{problem}",
              flush=True)  # fmt: skip
        kills = under_test.router.kills + under_test.orthanc_kills
        found = OfTruck(
            number, len(under_test.places), run.cuts, kills, failures, tuple(run.recoveries), tally
        )
        report.trucks = [*(one for one in report.trucks if one is not last), found]
        last = found


def rested(under_test: truck.Truck, scanner: Scanner) -> None:
    """Waits until every study of what was acknowledged is known and at rest.

    As long as studies come to rest one after the other, it waits: how long all of them take is the
    machine's affair. What a destination refused while it took others is tried again in an hour: when
    nothing moves any more, hours go by on the router's clock.
    """
    wanted = {
        study_alias(truck.KEY, image.patient.patient_id, image.study_uid)
        for image in scanner.acknowledged.values()
    }

    def under_way() -> int | None:
        """How many are known and not at rest; None: some are not known, or nobody answers."""
        studies = under_test.router.studies()
        if not studies or not wanted <= under_test.router.known():
            return None
        return sum(not study["at_rest"] for study in studies)

    left = sys.maxsize

    def fewer() -> bool:
        nonlocal left
        now = under_way()
        if now is None or (now and now >= left):
            return False
        left = now
        return True

    def at_rest() -> bool:
        """What is held because Orthanc has lost it for a moment is taken up again by itself."""
        lost = any(row["code"] == Code.SOURCE_MISSING for row in under_test.router.held())
        return not lost and under_way() == 0

    hours = 0
    while left:
        if hours < _MOST_HOURS and not _comes_true(fewer, _STILL_S):
            hours += 1
            under_test.router.set_clock(hours * HOUR_S)
        elif hours == _MOST_HOURS:
            until(fewer, REST_S, what="another study at rest")
    until(at_rest, REST_S, what="all studies at rest, and nothing missing on the truck")
    under_test.router.set_clock(0.0)


def _comes_true(condition: Callable[[], bool], seconds: float) -> bool:
    try:
        until(condition, seconds)
    except AssertionError:
        return False
    return True


@contextmanager
def cloud_and_folder() -> Iterator[tuple[Path, Orthanc]]:
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with truck.cloud_pacs(folder) as cloud:
            yield folder, cloud


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--long", action="store_true", help="at least 500 kills and 200 cuts")
    size.add_argument("--short", action="store_true", help="a minute or two")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("scenario", nargs="*", help="only these")
    asked = parser.parse_args()
    amounts = LONG if asked.long else SHORT if asked.short else DEFAULT
    known = {scenario.__name__ for scenario in (*SCENARIOS, *SMALL_TRUCK)}
    if unknown := set(asked.scenario) - known:
        parser.error(
            f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
        )
    wanted = set(asked.scenario) or known
    # Told to end, it still removes its containers, and says what it has found.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = Report()
    print(f"faults: seed {asked.seed}", flush=True)
    try:
        run_all(wanted, amounts, asked.seed, report)
    except BaseException as error:
        print(
            f"  ended early, what was under way is not counted ({type(error).__name__})", flush=True
        )
        raise
    finally:
        print(report.line(), flush=True)
    return 0 if report.clean else 1


def run_all(wanted: Collection[str], amounts: Amounts, seed: int, report: Report) -> None:
    """The scenarios of these names, each on its kind of truck, with each number of destinations."""
    for destinations in amounts.destinations:
        for chosen, storage_mib in ((SCENARIOS, 0), (SMALL_TRUCK, SMALL_TRUCK_MIB)):
            some = [scenario for scenario in chosen if scenario.__name__ in wanted]
            if not some:
                continue
            print(f" {destinations} destinations, {storage_mib or 'unlimited'} MiB", flush=True)
            few = amounts if destinations == max(amounts.destinations) else amounts.fewer()
            # A cloud of its own: what it holds in the end is of this truck alone.
            with (
                cloud_and_folder() as (folder, cloud),
                truck.started(
                    folder / "truck", cloud, storage_mib, destinations=destinations
                ) as one,
            ):
                run_on(one, some, few, seed, report)


if __name__ == "__main__":
    sys.exit(main())
