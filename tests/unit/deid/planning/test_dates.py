"""Dates as devices write them: what can mean one day is moved, what can mean two is not sent."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.deid.gate import moments
from router.deid.planning import dates
from router.dicom import date_values
from tests.support.deidentified import DAYS, copy_of, image, passed

#: Writings of a whole day, by strftime, that can mean no other.
WRITINGS = (
    "%Y%m%d", "%Y.%m.%d", "%Y-%m-%d", "%Y/%m/%d", "%Y %m %d", "%Y_%m_%d", "%Y - %m - %d",
    "%d-%b-%Y", "%d %B %Y", "%d%b%Y", "%b %d, %Y", "%B %d %Y", "%Y-%b-%d", "%d. %b %Y",
)  # fmt: skip
CLOCKS = ("%H%M%S", "%H:%M:%S", "%H.%M.%S", "%H%M%S.%f", "%H:%M:%S,%f", "%I:%M:%S %p", "%I:%M:%S%p",
          "%I:%M:%S p.m.")  # fmt: skip
days = st.dates(date(1900, 1, 1), date(2099, 12, 31))
weeks = st.integers(1, 520).map(lambda n: -7 * n)


def written(day: date, writing: str) -> str:
    return day.strftime(writing)


@settings(deadline=None)
@given(days, weeks, st.sampled_from(WRITINGS), st.sampled_from(["DA", "DT"]))
def test_a_day_is_moved_in_whatever_writing_and_the_gate_reads_the_same(
    day: date, by: int, writing: str, vr: str
) -> None:
    moved = f"{day + timedelta(days=by):%Y%m%d}".zfill(8)
    text = written(day, writing)
    assert dates.shifted(text, by, vr) == moved
    assert moments.is_moved(text, moved, by)
    beside = f"{day + timedelta(days=by + 1):%Y%m%d}".zfill(8)
    assert not moments.is_moved(text, beside, by)


@settings(deadline=None)
@given(days, weeks, st.sampled_from(["{d:02}.{m:02}.{y}", "{d}/{m}/{y}", "{m:02}-{d:02}-{y}"]))
def test_a_day_whose_order_is_not_known_is_moved_only_where_it_can_mean_no_other(
    day: date, by: int, writing: str
) -> None:
    text = writing.format(d=day.day, m=day.month, y=day.year)
    one_reading = day.day > 12 or day.day == day.month
    moved = f"{day + timedelta(days=by):%Y%m%d}".zfill(8)
    assert dates.shifted(text, by, "DA") == (moved if one_reading else None)
    assert moments.is_moved(text, moved, by) == one_reading
    assert day in moments.days_of(text)


@settings(deadline=None)
@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2099, 12, 31)),  # noqa: DTZ001
    weeks, st.sampled_from(WRITINGS), st.sampled_from(CLOCKS), st.sampled_from([" ", "T", ", "]),
    st.sampled_from(["", "Z", "+01:00", "-0530"]),
)  # fmt: skip
def test_a_moment_keeps_its_time_of_day_and_its_offset(
    moment: datetime, by: int, writing: str, clock: str, between: str, zone: str
) -> None:
    if clock.endswith("p.m."):
        assume(moment.hour >= 12)
    text = written(moment, writing) + between + moment.strftime(clock) + zone
    offset = {"": "", "Z": "+0000", "+01:00": "+0100", "-0530": "-0530"}[zone]
    fraction = f".{moment.microsecond:06d}" if "%f" in clock else ""
    told = f"{moment + timedelta(days=by):%Y%m%d}".zfill(8) + f"{moment:%H%M%S}{fraction}{offset}"
    assert dates.shifted(text, by, "DT") == told
    assert dates.shifted(text, by, "DA") == told[:8]
    assert moments.is_moved(text, told, by)
    later = f"{(moment + timedelta(days=by, seconds=1)):%Y%m%d%H%M%S}".zfill(14) + told[14:]
    assert not moments.is_moved(text, later, by)


@settings(deadline=None)
@given(st.times(), st.sampled_from(CLOCKS))
def test_a_time_of_day_stays_the_same_in_whatever_writing(moment: time, clock: str) -> None:
    if clock.endswith("p.m."):
        assume(moment.hour >= 12)
    text = moment.strftime(clock)
    told = dates.time_of_day(text)
    assert told is not None
    assert date_values.is_time(told)
    assert moments.is_same_time(text, told)
    fraction = f".{moment.microsecond:06d}" if "%f" in clock else ""
    assert told.replace(":", "") == f"{moment:%H%M%S}{fraction}"


@settings(deadline=None)
@given(days, days, weeks, st.sampled_from(WRITINGS[:4]), st.sampled_from([" - ", "-", "/"]))
def test_both_ends_of_a_range_move(
    one: date, other: date, by: int, writing: str, between: str
) -> None:
    text = written(one, writing) + between + written(other, writing)
    ends = [f"{day + timedelta(days=by):%Y%m%d}".zfill(8) for day in (one, other)]
    assert dates.shifted(text, by, "DA") == "-".join(ends)
    assert moments.is_moved(text, "-".join(ends), by)
    assert not moments.is_moved(text, f"{ends[0]}-{ends[0]}x", by)


@pytest.mark.parametrize(
    ("value", "vr", "moved"),
    [
        ("20260311101500", "DA", "20260304"),
        ("20260311-", "DA", "20260304-"),
        ("-20260311", "DA", "-20260304"),
        ("20260311101500-20260312101500", "DT", "20260304101500-20260305101500"),
        ("2026-03", "DA", "202603"),
        ("2026-3-1", "DA", "20260222"),
        ("25.03.2026", "DA", "20260318"),
        ("03/25/2026", "DA", "20260318"),
        ("11.03.2026", "DA", None),
        ("11.03.26", "DA", None),
        ("00000000", "DA", None),
        ("00/00/0000", "DA", None),
        ("2026-13-45", "DA", None),
        ("2026-02-30", "DA", None),
        ("2026-03-11 of Jan", "DA", None),
        ("2026-03-11 25:00", "DT", None),
        ("12.03.2026 Novakova", "DA", None),
        ("", "DA", None),
    ],
)
def test_a_date_that_is_none_or_could_be_two_is_not_moved(
    value: str, vr: str, moved: str | None
) -> None:
    assert dates.shifted(value, -7, vr) == moved


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("10:15:00", "10:15:00"), ("9:05 AM", "0905"), ("12:00 am", "0000"), ("12:30 p.m.", "1230"),
        ("101500.1234567", "101500.123456"), ("9:05", "0905"), ("246060", None), ("13:00 PM", None),
        ("noon", None), ("10:15 Novakova", None), ("9", None), ("", None),
    ],
)  # fmt: skip
def test_a_time_of_day_is_told_as_tm_has_it(value: str, told: str | None) -> None:
    assert dates.time_of_day(value) == told


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=24), weeks)
def test_whatever_stands_there_what_is_told_is_a_date(text: str, by: int) -> None:
    moved = dates.shifted(text, by, "DA")
    assert moved is None or set(moved) <= set("0123456789-")


@pytest.mark.parametrize(
    ("study_date", "born", "study_time"),
    [
        ("2026-03-11", "1965-04-11", "10:15:00"), ("2026/03/11", "1965/04/11", "9:05 AM"),
        ("11.03.2026", "11.04.1965", "101500.1234567"), ("00000000", "00/00/0000", "246060"),
        ("20260311101500", "11.4.65", "1015"), ("25-Mar-2026", "11-Apr-1965", "10.15"),
    ],
)  # fmt: skip
def test_the_original_is_nowhere_and_the_study_is_found_by_its_date(
    study_date: str, born: str, study_time: str
) -> None:
    dataset = image(
        StudyDate=study_date, SeriesDate=study_date, AcquisitionDate=study_date,
        PatientBirthDate=born, StudyTime=study_time, ContentDate="20260311",
    )  # fmt: skip
    copy = passed(dataset)
    assert copy.StudyDate == (dates.shifted(study_date, DAYS, "DA") or "")
    assert copy.StudyTime == (dates.time_of_day(study_time) or "")
    assert copy.get("AcquisitionDate", "") == copy.StudyDate
    assert copy.PatientBirthDate == ""


@pytest.mark.parametrize("writing", ["%Y-%m-%d", "%d.%m.%Y", "%d%b%Y", "%Y%m%d"])
@pytest.mark.parametrize("keyword", ["StudyDate", "PatientBirthDate"])
def test_a_date_in_another_writing_is_looked_for_in_every_writing(
    keyword: str, writing: str
) -> None:
    """What free text or a maker's field says of it is found, though the header wrote it otherwise."""
    day = date(1965, 4, 11)
    values = {keyword: f"{day:%d/%m/%Y}", "SoftwareVersions": f"V {day.strftime(writing)}"}
    assert copy_of(image(**values)) == "GATE_IDENTIFIER"


def test_nothing_of_this_depends_on_the_zone_of_the_machine() -> None:
    moment = datetime(2026, 3, 11, 10, 15, tzinfo=timezone.utc)
    assert dates.shifted(moment.isoformat(), -7, "DT") == "20260304101500+0000"
