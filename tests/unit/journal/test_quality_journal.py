"""The journal's tables of quality: what is looked at next, what is usual, sums that never go back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from router.imaging import quality
from router.imaging.quality import Acquisition, Flag, Raised
from router.journal import Journal, Pin
from router.operator import quality_report
from router.records.errors import Code
from router.records.instance import Arrival
from tests.support import image_faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_000_000.0
PIN = Pin("alias", "key", "profile")
SEEN: Acquisition = replace(quality.acquisition(image_faults.clean("MG", "journal")), view="CC")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def arrive(journal: Journal, name: str, at: float = NOW) -> None:
    journal.arrivals.take_in([Arrival(name, "study", "SCANNER")], [], {"study": PIN}, None, at)


def look(
    journal: Journal,
    value: float = 1.0,
    *raised: Flag,
    at: float = NOW,
    seen: Acquisition = SEEN,
) -> str:
    """Enters the next unseen image with a figure and flags; its name."""
    unseen = journal.quality.unseen(at)
    assert unseen is not None
    flags = [Raised(flag, 1, 0) for flag in raised]
    journal.quality.enter(unseen, seen, {"contrast": value, "hidden": 1}, None, flags, at)
    return unseen.instance


def test_images_are_looked_at_once_in_order_of_arrival(journal: Journal) -> None:
    for number, name in enumerate("abc"):
        arrive(journal, name, NOW + number)
    assert [look(journal, at=NOW + 5) for _ in range(3)] == ["a", "b", "c"]
    assert journal.quality.unseen(NOW + 5) is None


def test_after_a_standstill_the_newest_come_first_and_the_oldest_not_at_all(
    journal: Journal,
) -> None:
    for name, age in (("yesterday", 90_000), ("morning", 9_000), ("noon", 5_000), ("now", 60)):
        arrive(journal, name, NOW - age)
    assert [look(journal) for _ in range(3)] == ["now", "morning", "noon"]
    assert journal.quality.unseen(NOW) is None


def test_what_cannot_be_looked_at_is_not_tried_again(journal: Journal) -> None:
    arrive(journal, "broken")
    unseen = journal.quality.unseen(NOW)
    assert unseen is not None
    journal.quality.enter_unreadable(unseen, Code.ANALYSIS_TIMEOUT, NOW)
    assert journal.quality.unseen(NOW) is None
    assert journal.quality.shown("study") == []
    assert journal.quality.totals(NOW) == []


def test_an_image_that_is_entered_twice_counts_once(journal: Journal) -> None:
    arrive(journal, "a")
    unseen = journal.quality.unseen(NOW)
    assert unseen is not None
    for _ in range(2):
        journal.quality.enter(
            unseen, SEEN, {"contrast": 3.0}, None, [Raised(Flag.BLANK, 1, 2)], NOW
        )
    (total,) = journal.quality.totals(NOW)
    assert (total.number, total.total, total.squares) == (1, 3.0, 9.0)
    assert journal.quality.count_flags() == {("MG-1", "BLANK", "MG"): 1}
    assert journal.quality.flags("study") == {"a": [Raised(Flag.BLANK, 1, 2)]}


def test_sums_are_per_modality_and_view_and_hold_only_what_is_exported(journal: Journal) -> None:
    for name in "abc":
        arrive(journal, name)
    look(journal, 2.0)
    look(journal, -4.0)
    look(journal, 5.0, seen=replace(SEEN, view="MLO"))
    rows = {
        (t.view, t.feature): (t.number, t.total, t.squares) for t in journal.quality.totals(NOW)
    }
    assert rows == {
        (SEEN.view, "contrast"): (2, -2.0, 20.0), ("MLO", "contrast"): (1, 5.0, 25.0),
    }  # fmt: skip


def test_a_baseline_is_of_unflagged_images_of_one_device_and_view(journal: Journal) -> None:
    for number in range(14):
        arrive(journal, f"image-{number:02}")
    for _ in range(10):
        look(journal, 100.0)
    look(journal, 5.0, Flag.LOW_CONTRAST)
    look(journal, 5.0, seen=replace(SEEN, device="other"))
    look(journal, 5.0, seen=replace(SEEN, view="MLO"))
    assert journal.quality.baseline(SEEN).usual["contrast"].median == 100.0
    assert journal.quality.baseline(replace(SEEN, device="other")).usual == {}


def test_an_exception_for_one_patient_is_kept(journal: Journal) -> None:
    assert journal.quality.expected("study") is None
    journal.quality.expect("study", ["R-CC"])
    journal.quality.expect("study", [])
    assert journal.quality.expected("study") == []


def test_a_view_is_missing_in_recent_studies_of_breasts_that_have_arrived(
    journal: Journal,
) -> None:
    def came(study: str, modality: str, at: float, *, arrived: bool = True) -> None:
        stable = [study] if arrived else []
        journal.arrivals.take_in([Arrival(study, study, "S")], stable, {study: PIN}, None, at)
        unseen = journal.quality.unseen(at)
        assert unseen is not None
        seen = replace(SEEN, modality=modality)
        journal.quality.enter(unseen, seen, {}, None, [], at)

    came("old", "MG", NOW - quality_report.RECENT_S - 1)
    came("chest", "CR", NOW)
    came("arriving", "MG", NOW, arrived=False)
    for number in range(3):
        came(f"screened {number}", "MG", NOW)
    came("tomosynthesis", "DBT", NOW)
    journal.quality.expect("screened 1", [])  # for this woman nothing more
    assert quality_report.count_missing(journal, quality.EXPECTED_VIEWS, NOW) == 3
