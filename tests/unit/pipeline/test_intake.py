"""What follows when Orthanc's list of changes ends before the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from prometheus_client import CollectorRegistry

from router.deid.pseudonyms import Key
from router.journal import Cursor, Journal
from router.observe.metrics import Metrics
from router.pipeline.intake import Intake
from router.truck.orthanc import Changes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.pipeline.stored_content import StoredContent
    from router.truck.orthanc import TruckOrthanc


class Truck:
    """An Orthanc with a list of changes; a page without any says the last number ever given."""

    def __init__(self) -> None:
        self.last = 0
        self.given = 0
        self.asked: list[int] = []

    def system(self) -> dict[str, str]:
        return {"DatabaseServerIdentifier": "index"}

    def last_change(self) -> int:
        return self.last

    def changes(self, since: int, _limit: int) -> Changes:
        self.asked.append(since)
        return Changes([], [], self.given, done=True)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal.db")
    made.arrivals.take_in([], [], {}, Cursor("index", 204), 1.0)
    yield made
    made.close()


def intake(truck: Truck, journal: Journal) -> Intake:
    key = Key("key", b"k" * 32)
    return Intake(
        cast("TruckOrthanc", truck), journal, [key], "profile", Metrics(CollectorRegistry()),
        lambda: 2.0, cast("StoredContent", None),
    )  # fmt: skip


def test_changes_that_a_purge_took_away_are_looked_for_once(journal: Journal) -> None:
    truck = Truck()
    truck.last, truck.given = 150, 204  # those of what was purged are gone
    made = intake(truck, journal)
    for _ in range(3):
        made.follow_changes()
    assert truck.asked == [0, 204, 204]


def test_each_time_that_the_changes_go_back_they_are_read_again(journal: Journal) -> None:
    truck = Truck()
    truck.last, truck.given = 150, 204
    made = intake(truck, journal)
    made.follow_changes()
    truck.last = truck.given = 205  # an image came
    made.follow_changes()
    truck.last = 150  # and a power cut took it back
    made.follow_changes()
    assert truck.asked == [0, 204, 0]
