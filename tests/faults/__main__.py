"""``scripts/faults [--long] [SCENARIO…]``: breaks a truck in every way, and audits the cloud."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import truck
from tests.faults.reconcile import Auditor, Tally
from tests.faults.scanning import Scanner
from tests.faults.scenarios import (
    LONG,
    SCENARIOS,
    SHORT,
    SMALL_TRUCK,
    SMALL_TRUCK_MIB,
    Amounts,
    Run,
)
from tests.waiting import until
from tools.audit import study_alias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.orthancs import Orthanc

REST_S = 420.0


class Report:
    """Adds up what the scenarios found."""

    def __init__(self) -> None:
        self.scenarios = self.cuts = self.kills = 0
        self.acknowledged = self.delivered = self.lost = self.duplicates = 0
        self.held_wrongly = self.failures = 0
        self.recoveries: list[float] = []

    def add(self, tally: Tally) -> None:
        """The tally of one truck, of everything that it was ever handed."""
        self.acknowledged += tally.acknowledged
        self.delivered += tally.delivered
        self.lost += tally.lost
        self.duplicates += tally.duplicates
        self.held_wrongly += tally.held_wrongly
        self.failures += tally.identified + tally.uncaptured

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicates or self.held_wrongly or self.failures)

    def line(self) -> str:
        return (
            f"faults: scenarios={self.scenarios} cuts={self.cuts} kills={self.kills}"
            f" acknowledged={self.acknowledged} delivered={self.delivered} lost={self.lost}"
            f" duplicates={self.duplicates} held_wrongly={self.held_wrongly}"
            f" recovery_p95_s={percentile(self.recoveries, 0.95):.1f}"
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
    auditor = Auditor(under_test.cloud)
    run = Run(under_test, scanner, amounts, random.Random(seed))
    tally = None
    for scenario in chosen:
        begun = time.monotonic()
        problem = ""
        try:
            scenario(run)
            under_test.heal()
            rested(under_test, scanner)
        except AssertionError as error:
            report.failures += 1
            problem = f"  FAILED: {error}"
            under_test.heal()
        tally = auditor.tally(scanner.acknowledged, held(under_test))
        report.scenarios += 1
        print(f"  {scenario.__name__:<28} {time.monotonic() - begun:5.0f} s  {tally.line()}{problem}",
              flush=True)  # fmt: skip
    report.cuts += run.cuts
    report.kills += under_test.router.kills + under_test.orthanc_kills
    report.recoveries += run.recoveries
    if tally is not None:
        report.add(tally)


def rested(under_test: truck.Truck, scanner: Scanner) -> None:
    """Waits until every study of what was acknowledged is known and at rest."""
    wanted = {
        study_alias(truck.KEY, image.patient.patient_id, image.study_uid)
        for image in scanner.acknowledged.values()
    }

    def at_rest() -> bool:
        studies = {study["study"]: study for study in under_test.router.studies()}
        return wanted <= set(studies) and all(s["at_rest"] for s in studies.values())

    until(at_rest, REST_S, what="every study at rest")


def held(under_test: truck.Truck) -> dict[str, int]:
    """How many instances of each study are held."""
    return {study["study"]: study["held"] for study in under_test.router.studies()}


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
    amounts = LONG if asked.long else SHORT if asked.short else Amounts()
    known = {scenario.__name__ for scenario in (*SCENARIOS, *SMALL_TRUCK)}
    if unknown := set(asked.scenario) - known:
        parser.error(
            f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
        )
    wanted = set(asked.scenario) or known
    # Told to end, it still removes its containers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = Report()
    print(f"faults: seed {asked.seed}", flush=True)
    for chosen, storage_mib in ((SCENARIOS, 0), (SMALL_TRUCK, SMALL_TRUCK_MIB)):
        some = [scenario for scenario in chosen if scenario.__name__ in wanted]
        if not some:
            continue
        # A cloud of its own: what it holds in the end is of this truck alone.
        with (
            cloud_and_folder() as (folder, cloud),
            truck.started(folder / "truck", cloud, storage_mib) as one,
        ):
            run_on(one, some, amounts, asked.seed, report)
    print(report.line())
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
