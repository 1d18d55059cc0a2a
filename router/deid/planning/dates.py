"""Dates moved by whole weeks (PS3.15 E.3.6, Modified Dates): weekdays and intervals stay.

Devices write dates in other ways than PS3.5, 6.2 asks for. A text that can mean one day alone is
moved like any other and written as its VR wants it; what can mean two (11.03.2026) is no date.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from router.dicom import date_values
from router.dicom.date_values import DAY, YEAR_AND_MONTH, Moment, at, is_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

# --- other writings: each begins a text, and a time of day may follow -----------------------------

_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_YEAR_FIRST = re.compile(r"(\d{4})(\s?[-/._ ]\s?)(\d{1,2})\2(\d{1,2})(?!\d)")
_YEAR_LAST = re.compile(r"(\d{1,2})(\s?[-/._ ]\s?)(\d{1,2})\2(\d{4})(?!\d)")
_MONTH = re.compile(r"(\d{4})[-/.](\d{1,2})(?!\d)")
#: The month as a word, so that the number beside it is the day.
_NAMED = (
    re.compile(r"(?P<d>\d{1,2})[-/. ]?\s?(?P<m>[A-Za-z]{3,9})[-/., ]{0,2}(?P<y>\d{4})(?!\d)"),
    re.compile(r"(?P<m>[A-Za-z]{3,9})[-/. ]{0,2}(?P<d>\d{1,2})[-/., ]{1,2}(?P<y>\d{4})(?!\d)"),
    re.compile(r"(?P<y>\d{4})[-/. ]?(?P<m>[A-Za-z]{3,9})[-/. ]{0,2}(?P<d>\d{1,2})(?!\d)"),
)
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_CLOCK = re.compile(
    r"(\d{1,2})(?:\s?[:.h-]\s?(\d{2})(?:\s?[:.m-]\s?(\d{2})(?:[.,](\d+))?)?)?\s*(?:([ap])\.?m\.?)?",
    re.IGNORECASE,
)
_DIGITS = re.compile(
    r"(\d{2})(\d{2})(?:(\d{2})(?:[.,](\d+))?)?\s*(?:([ap])\.?m\.?)?", re.IGNORECASE
)
_ZONE = re.compile(r"\s*(?:(Z)|([+-]\d{2}):?(\d{2}))$", re.IGNORECASE)
#: What may stand between a day and a time of day.
_BETWEEN = re.compile(r"\s*[T, ]\s*", re.IGNORECASE)

_NOON, _MORE_THAN_HOURS, _MORE_THAN_MINUTES, _MORE_THAN_SECONDS = 12, 24, 60, 61
_FRACTION = 6  # digits (PS3.5, 6.2, TM)


def shifted(value: str, days: int, vr: str = "DT") -> str | None:
    """The value of a date, moved; what is no date, or could be two, gives ``None``.

    ``vr``: DA or DT, as it is to be written; a DA has no time of day. In a DT the time of day,
    fractions and the offset from UTC stay. Of a date without a day or a month the middle of what is
    left open is moved, and as much is said as before. Of a range (PS3.4, C.2.2.2.5) both ends move.
    """
    text = value.strip(" \0\t\r\n")
    moments = _read(text)
    if moments is None:
        return None
    try:
        return "-".join("" if one is None else one.moved(days, vr) for one in moments)
    except OverflowError:
        return None


def day_of(value: str) -> date | None:
    """The one day that a text means."""
    moments = _read(value.strip(" \0\t\r\n"))
    if moments is None or len(moments) != 1 or moments[0] is None or moments[0].said != DAY:
        return None
    return moments[0].day


def _read(text: str) -> list[Moment | None] | None:
    """The moment that a text says, or the two ends of a range, one of them open."""
    whole = _moment(text)
    if whole is not None:
        return [whole]
    for mark in re.finditer(r"\s*[-/]\s*", text):
        before, after = text[: mark.start()], text[mark.end() :]
        ends = [_moment(end) if end else None for end in (before, after)]
        read = [end for end in ends if end is not None and end.said == DAY]
        if read and len(read) == bool(before) + bool(after):
            return ends
    return None


def _moment(text: str) -> Moment | None:
    return date_values.read(text) or next(_otherwise(text), None)


def _otherwise(text: str) -> Iterator[Moment]:
    """What a text in another writing can mean; of two orders of day and month only one may fit."""
    for moment, rest in _days(text):
        if not rest:
            yield moment
            continue
        between = _BETWEEN.match(rest)
        if between is None or moment.said != DAY:
            continue
        clock = rest[between.end() :]
        zone = _ZONE.search(clock)
        time = time_of_day(clock[: zone.start()] if zone else clock)
        if time is not None:
            offset = "" if zone is None else "+0000" if zone[1] else f"{zone[2]}{zone[3]}"
            yield moment._replace(time=time.replace(":", ""), zone=offset)


def _days(text: str) -> Iterator[tuple[Moment, str]]:
    """Days that a text begins with, and what follows."""
    for found in filter(None, (pattern.match(text) for pattern in (_COMPACT, _YEAR_FIRST))):
        year, month, day = found[1], found[found.re.groups - 1], found[found.re.groups]
        if (moment := at(year, month, day)) is not None:
            yield moment, text[found.end() :]
    if last := _YEAR_LAST.match(text):
        either = {at(last[4], last[3], last[1]), at(last[4], last[1], last[3])} - {None}
        if len(either) == 1 and (moment := either.pop()) is not None:
            yield moment, text[last.end() :]
    for named in filter(None, (pattern.match(text) for pattern in _NAMED)):
        if (month := _month(named["m"])) and (moment := at(named["y"], month, named["d"])):
            yield moment, text[named.end() :]
    open_day = _MONTH.fullmatch(text)
    if open_day and (moment := at(open_day[1], open_day[2], "15", YEAR_AND_MONTH)):
        yield moment, ""


def _month(word: str) -> str:
    """The number of an English month, whole or shortened (Sep, Sept); empty: it is none."""
    numbers = (n for n, name in enumerate(_MONTHS, 1) if name.startswith(word.lower()))
    return str(next(numbers, ""))


def time_of_day(value: str) -> str | None:
    """A time of day: as it is, or, in another writing (9:05 PM), as TM has it; ``None``: it is none.

    Fractions of a second beyond TM's six digits are cut off.
    """
    text = value.strip(" \0\t\r\n")
    if is_time(text):
        return value
    found = _DIGITS.fullmatch(text) or _CLOCK.fullmatch(text)
    if found is None:
        return None
    hour, minute, second, fraction, half = found.groups()
    hours = int(hour)
    if half:
        if not 1 <= hours <= _NOON:
            return None
        hours = hours % _NOON + (_NOON if half in "pP" else 0)
    elif minute is None:
        return None  # a number, whatever of
    if (
        hours >= _MORE_THAN_HOURS
        or int(minute or 0) >= _MORE_THAN_MINUTES
        or int(second or 0) >= _MORE_THAN_SECONDS
    ):
        return None
    told = f"{hours:02d}{minute or '00'}{second or ''}"
    return f"{told}.{fraction[:_FRACTION]}" if fraction else told
