"""Two scanners of one modality are two: names for the fleet, and no more of them than it can bear."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from router.imaging import quality
from router.imaging.quality import EXPORTED, Flag
from router.journal import Journal
from router.journal.devices import MOST_OF_A_KIND
from router.journal.quality import MOST_FLAGS, MOST_VIEWS
from router.journal.schema import MIGRATIONS
from router.observe.figures import QualityFigures
from router.records.errors import Code
from tests.support import image_faults
from tests.support.seen_devices import NOW, of, see

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 86_400.0
#: The table of sums was made anew in this migration.
_TOLD_APART = next(n for n, sql in enumerate(MIGRATIONS) if "quality_flag_total" in sql)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def names(journal: Journal, now: float = NOW) -> dict[str, int]:
    return {device.name: device.images for device in journal.quality.devices(now)}


def test_a_machine_is_known_by_its_station_and_serial_number_whatever_is_changed_in_it() -> None:
    image = image_faults.clean("MG", "one")
    first = quality.acquisition(image).machine
    image.DetectorID = "A-NEW-ONE"
    image.SoftwareVersions = "9.9"
    image.ConvolutionKernel = "B30"
    assert quality.acquisition(image).machine == first
    image.DeviceSerialNumber = "ANOTHER"
    assert quality.acquisition(image).machine != first


def test_machines_are_numbered_as_they_come_and_a_tomosynthesis_is_the_mammographs(
    journal: Journal,
) -> None:
    see(journal, of("first"))
    see(journal, of("second"))
    see(journal, of("first", modality="DBT"))
    see(journal, of("third", modality="CT", view="none"))
    assert names(journal) == {"MG-1": 2, "CT-1": 1, "MG-2": 1}
    sums = {(t.device, t.modality): t.number for t in journal.quality.totals(NOW)}
    assert sums == {("MG-1", "MG"): 1, ("MG-1", "DBT"): 1, ("MG-2", "MG"): 1, ("CT-1", "CT"): 1}


def test_a_scanner_is_not_named_after_a_report_that_came_before_its_images(
    journal: Journal,
) -> None:
    report = of("scanner", modality="OTHER", view="none")
    see(journal, report, code=Code.NO_PIXELS)
    assert names(journal) == {}
    see(journal, of("scanner", modality="CT", view="none"))
    see(journal, report, code=Code.NO_PIXELS)
    assert names(journal) == {"CT-1": 1}


def test_a_scanner_is_not_named_after_a_saved_screen_that_came_before_its_images(
    journal: Journal,
) -> None:
    see(journal, of("a camera", modality="OTHER", view="none"))
    see(journal, of("scanner", modality="OTHER", view="none"))
    see(journal, of("scanner", modality="CT", view="none"))
    see(journal, of("scanner", modality="OTHER", view="none"))
    assert names(journal) == {"CT-1": 2, "OTHER-1": 1}


def test_every_machine_is_told_on_the_truck(journal: Journal) -> None:
    machines = [(modality, n) for modality in ("MG", "CT", "MR") for n in range(MOST_OF_A_KIND)]
    for modality, number in machines:
        see(journal, of(f"{modality} {number}", modality=modality))
    see(journal, of("new"), at=NOW + 30 * DAY_S)
    told = {device.name for device in journal.quality.all_devices()}
    assert told == {f"{modality}-{n + 1}" for modality, n in machines} | {"MG-other"}


def test_flags_are_counted_for_the_machine_that_raised_them(journal: Journal) -> None:
    see(journal, of("first"))
    for _ in range(2):
        see(journal, of("second"), Flag.LOST_LINES)
    assert journal.quality.count_flags() == {("MG-2", "LOST_LINES", "MG"): 2}


def test_a_header_that_says_something_else_each_time_makes_no_more_than_a_few_names(
    journal: Journal,
) -> None:
    for number in range(20):
        see(journal, of(f"serial {number}"))
    found = names(journal)
    assert found == {f"MG-{n}": 1 for n in range(1, MOST_OF_A_KIND + 1)} | {"MG-other": 16}


def test_a_name_is_given_again_when_its_bearer_is_forgotten(journal: Journal) -> None:
    for number in range(MOST_OF_A_KIND):
        see(journal, of(f"old {number}"), at=NOW)
    see(journal, of("old 2"), at=NOW + 50 * DAY_S)
    see(journal, of("new"), at=NOW + 50 * DAY_S)
    assert names(journal, NOW + 50 * DAY_S) == {"MG-3": 2, "MG-other": 1}
    see(journal, of("new"), at=NOW + 70 * DAY_S)
    see(journal, of("old 2"), at=NOW + 70 * DAY_S)
    assert names(journal, NOW + 70 * DAY_S) == {"MG-3": 3, "MG-1": 1}


def test_a_machine_that_made_no_image_for_a_week_is_not_shown(journal: Journal) -> None:
    see(journal, of("gone"), at=NOW)
    see(journal, of("here"), at=NOW + 6 * DAY_S)
    assert set(names(journal, NOW + 8 * DAY_S)) == {"MG-2"}
    assert {t.device for t in journal.quality.totals(NOW + 8 * DAY_S)} == {"MG-2"}


def test_every_machine_is_shown_by_its_most_frequent_view_before_any_by_its_second(
    journal: Journal,
) -> None:
    views = ("CC", "MLO", "ML", "LM", "XCCL")
    for place, view in enumerate(views):
        for _ in range(3 * len(views) - place):
            see(journal, of("busy", view=view))
    for machine in ("quiet", "quieter"):
        see(journal, of(machine, view="MLO"))
    shown = {(t.device, t.view) for t in journal.quality.totals(NOW)}
    assert len(shown) == MOST_VIEWS
    assert {("MG-2", "MLO"), ("MG-3", "MLO")} < shown
    assert {view for device, view in shown if device == "MG-1"} == set(views[: MOST_VIEWS - 2])


def test_whatever_the_headers_say_the_series_are_bounded(journal: Journal) -> None:
    for number in range(150):
        modality = ("MG", "DBT", "CT", "MR", "CR", "DX", "OTHER")[number % 7]
        flag = list(Flag)[number % len(Flag)]
        see(journal, of(f"m{number % 40}", modality=modality, view=f"V{number % 9}"), flag)
    registry = CollectorRegistry()
    registry.register(
        QualityFigures(
            lambda: journal.quality.totals(NOW), journal.quality.count_flags,
            lambda: journal.quality.devices(NOW), lambda: 0,
        )
    )  # fmt: skip
    lines = generate_latest(registry).decode().splitlines()
    series = [line for line in lines if not line.startswith("#")]
    of_features = [line for line in series if "qc_feature" in line]
    assert len(of_features) == MOST_VIEWS * len(EXPORTED) * 3
    assert sum("qc_flags" in line for line in series) == MOST_FLAGS


def test_a_journal_that_did_not_tell_devices_apart_keeps_its_sums(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        for sql in MIGRATIONS[:_TOLD_APART]:
            old.executescript(sql)
        old.execute("INSERT INTO quality_total VALUES ('DBT', 'CC', 'mean', 3, 30, 310)")
        for number in range(2):
            old.execute(
                "INSERT INTO quality VALUES (?, 'study', 5, NULL, 'DBT', 'CC', 'd', '', '{}')",
                (str(number),),
            )
            old.execute("INSERT INTO quality_flag VALUES (?, 'BLANK', 1, 1)", (str(number),))
        old.execute(f"PRAGMA user_version = {_TOLD_APART}")
    old.close()
    journal = Journal(path)
    assert journal.quality.count_flags() == {("MG-1", "BLANK", "DBT"): 2}
    see(journal, of("first", modality="DBT"))
    (mean,) = [t for t in journal.quality.totals(NOW) if t.feature == "mean"]
    assert (mean.device, mean.number, mean.total, mean.squares) == ("MG-1", 4, 32.0, 314.0)
    journal.close()
