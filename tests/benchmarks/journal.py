"""bench journal: what every step asks of the journal, with 1,000 and with 100,000 studies in it.

Each study is delivered but the last 200, which are on their way. The same questions are asked of
both journals in turn; the figure is the ratio of their medians, the slowest question counts.

Then what a scrape of all metrics costs with the large one, of which every image was looked at: its
processor time, of the 15 s until the next.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

from router.app import show_journal
from router.deid.pseudonyms import Key
from router.imaging import quality
from router.journal import Journal
from router.observe.metrics import Metrics
from router.operator import quality_report, status

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALL = 1_000
_IMAGES = 4
_OPEN = 200
_ASKED = 15
_CLOUD = "cloud"
_SCRAPE_S = 15.0
_SCRAPES = 10
#: So many studies arrived in the hours in which a view that is missing can still be taken.
_RECENT = 100
_SEEN = quality.Acquisition(
    modality="MG", view="CC", side="R", part="", implant_displaced=False, partial=False,
    for_processing=False, kind="2D", exposure="e" * 64, device="d" * 64, series_number=2,
    image_number=1, figures={"kvp_kv": 29.0, "exposure_mas": 80.0, "thickness_mm": 55.0},
    build=("Vendor", "Model", "1.0"), machine="m" * 64,
)  # fmt: skip


def filled(path: Path, studies: int) -> Journal:
    """A journal of so many studies of four images, written as the router would have left it."""
    journal = Journal(path)
    with journal._db.writing() as db:
        db.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?)"
            " INSERT INTO study (orthanc_id, alias, state, generation, key_id, profile_id,"
            " received_at, changed_at, due_at, priority)"
            " SELECT 's' || x, 'a' || x, iif(x > ? - ?, 'ANALYSED', 'DELIVERED'), 1, 'key',"
            " 'basic-1', x, x, x, 0 FROM n",
            (studies, studies, _OPEN),
        )
        db.execute(
            "WITH RECURSIVE k(y) AS (SELECT 1 UNION ALL SELECT y + 1 FROM k WHERE y < ?)"
            " INSERT INTO instance (orthanc_id, study, role, stage, origin, received_at, analysis,"
            " copy_id, study_uid, series_uid, sop_uid, sop_class, modality, transfer_syntax,"
            " instance_number, digest, md5, size, rank, original_digest, original_size, purged_at)"
            " SELECT s.orthanc_id || '-' || y, s.orthanc_id, 'SOURCE', 'ANONYMIZED', 'S',"
            " s.received_at, 'NOT_CHOSEN', 'c' || s.orthanc_id || '-' || y, s.orthanc_id || '.1',"
            " s.orthanc_id || '.2', s.orthanc_id || '.3.' || y, '1.2', 'CT', '1.2.840', y, 'd', 'm',"
            " 1000, 2, 'o', 2000, iif(s.state = 'DELIVERED' AND s.received_at < ?, 1.0, NULL)"
            " FROM study s, k",
            (_IMAGES, studies - 1000),
        )
        db.execute(
            "INSERT INTO receipt (instance, destination, state, digest, size, due_at, begun_at,"
            " sent_at, verified_at, verified_by, study, place, rank, series, ordinal)"
            " SELECT i.orthanc_id, ?, iif(s.state = 'DELIVERED', 'VERIFIED', 'WAITING'), 'd', 1000, 0, iif(s.state = 'DELIVERED', 1.0, NULL),"
            " iif(s.state = 'DELIVERED', 1.0, NULL), iif(s.state = 'DELIVERED', 1.0, NULL),"
            " iif(s.state = 'DELIVERED', 'DIGEST', NULL), i.study, s.received_at, 2, i.series_uid,"
            " i.instance_number FROM instance i JOIN study s ON s.orthanc_id = i.study",
            (_CLOUD,),
        )
    return journal


def look_at_all(journal: Journal) -> None:
    """Every image is a mammogram that was looked at."""
    seen = json.dumps(asdict(_SEEN))
    figures = json.dumps(dict.fromkeys(quality.EXPORTED, 2.0))
    with journal._db.writing() as db:
        db.execute(
            "INSERT INTO quality SELECT orthanc_id, study, received_at, NULL, 'MG', 'CC', 'd', ?, ?"
            " FROM instance",
            (seen, figures),
        )


def scrape_s(journal: Journal, studies: int) -> float:
    """Processor seconds of one scrape: the mean of some."""
    registry = CollectorRegistry()
    Metrics(registry).begin(_CLOUD)
    now = studies - _RECENT + quality_report.RECENT_S  # a second between two studies
    show_journal(
        registry,
        journal,
        [_CLOUD],
        quality.EXPECTED_VIEWS,
        lambda: now,
        Key("bench", b"k" * 32).digest,
    )
    text = generate_latest(registry).decode()
    missing = f"edge_router_qc_studies_view_missing {_RECENT + 1}.0"
    assert missing in text, "every recent study lacks three views"
    begun = time.process_time()
    for _ in range(_SCRAPES):
        generate_latest(registry)
    return (time.process_time() - begun) / _SCRAPES


def questions(journal: Journal, studies: int) -> dict[str, Callable[[], object]]:
    """What the loops and the API ask, again and again."""
    last = f"s{studies}"
    one = journal.outbox.to_send(_CLOUD, 1e12, 1)
    return {
        "due_study": lambda: journal.studies.due(1e12),
        "arrived": journal.studies.arrived,
        "arriving": journal.studies.arriving,
        "instances": lambda: journal.instances.of_study(last),
        "to_send": lambda: journal.outbox.to_send(_CLOUD, 1e12, 48),
        "to_verify": lambda: journal.outbox.to_verify(_CLOUD, 1e12, 256),
        "begin_sending": lambda: journal.receipts.begin_sending(one, 1.0),
        "settle": lambda: journal.studies.settle(last, 1.0),
        "unknown": lambda: journal.arrivals.unknown([f"s{studies}-{n}" for n in range(200)]),
        "cap_due_times": lambda: journal.studies.cap_due_times(1e12),
        "candidates": lambda: journal.purges.candidates(50),
        "purgeable_bytes": journal.purges.purgeable_bytes,
        "returned": lambda: journal.purges.returned([f"s{studies}-{n}" for n in range(200)]),
        "conflicts": journal.sightings.conflicts,
        "held": journal.holds.all,
        "oldest_undelivered": lambda: journal.outbox.oldest_undelivered(["cloud"]),
        "find_study": lambda: journal.studies.find(f"a{studies}"),
        "overview": lambda: status.overview(journal),
        "missing_views": lambda: quality_report.count_missing(
            journal, quality.EXPECTED_VIEWS, studies - _RECENT + quality_report.RECENT_S
        ),
    }


def _milliseconds(question: Callable[[], object]) -> float:
    begun = time.perf_counter()
    question()
    return (time.perf_counter() - begun) * 1000


def measure(studies: int, folder: Path) -> tuple[dict[str, tuple[float, float]], float, float]:
    """Medians in ms of each question, of the small journal and of the large one; then of the large
    one what a scrape costs, as a share of the processor; MiB of memory.
    """
    with (
        closing(filled(folder / "small.db", _SMALL)) as small,
        closing(filled(folder / "large.db", studies)) as large,
    ):
        for journal in (small, large):
            look_at_all(journal)
        asked = {name: ([], []) for name in questions(small, _SMALL)}  # type: dict[str, tuple[list[float], list[float]]]
        for _ in range(_ASKED):  # in turn: the machine's mood is the same for both
            for which, (journal, number) in enumerate(((small, _SMALL), (large, studies))):
                for name, question in questions(journal, number).items():
                    asked[name][which].append(_milliseconds(question))
        share = scrape_s(large, studies) / _SCRAPE_S
    medians = {name: (statistics.median(a), statistics.median(b)) for name, (a, b) in asked.items()}
    return medians, share, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        medians, share, rss_mib = measure(asked.studies, Path(folder))
    for name, (small, large) in medians.items():
        print(f"{name:20} {small:8.2f} ms {large:8.2f} ms  {large / small:5.2f}")
    worst = max(medians, key=lambda name: medians[name][1] / medians[name][0])
    ratio = medians[worst][1] / medians[worst][0]
    print(
        f"bench journal: studies={asked.studies} worst={worst} ratio={ratio:.2f}"
        f" slowest_ms={max(large for _, large in medians.values()):.1f}"
        f" scrapes={100 * share:.2f}% rss_mib={rss_mib:.0f}"
    )


if __name__ == "__main__":
    main()
