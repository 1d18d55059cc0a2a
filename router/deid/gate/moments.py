"""When a text says that something was: read by the gate, in a way of its own.

A text is cut into runs of digits and of letters, and every day that the first of them can mean is
told. The plan reads by patterns of whole texts; what one of the two misreads, the other finds.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RUN = re.compile(r"[0-9]+|[A-Za-z]+")
_OFFSET = re.compile(r"(?:[zZ]|([+-])([0-9]{2}):?([0-9]{2}))$")
_SHORT_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WHOLE = 8  # digits of a day
_YEAR, _SHORT = 4, 2  # digits
_CENTURIES = (1900, 2000)
_FRACTION = 6  # digits
_NOON = 12


class _Clock(NamedTuple):
    """A time of day, as much as is said of it."""

    numbers: tuple[int, ...]
    fraction: str
    offset: str


def days_of(text: str, *, short_years: bool = False) -> frozenset[date]:
    """Every day that a text can mean, by the order of its numbers. ``short_years``: of two digits."""
    return frozenset(_days(_RUN.findall(text), short_years=short_years))


def _days(runs: Sequence[str], *, short_years: bool) -> Iterator[date]:
    if runs and runs[0].isdigit() and len(runs[0]) >= _WHOLE:
        whole = runs[0]
        yield from _day(whole[:4], whole[4:6], whole[6:8])
    if len(runs) < 3:  # noqa: PLR2004  (year, month, day)
        return
    first, second, third = runs[:3]
    if _is_year(first):
        yield from _day(first, second, third)
    elif _is_year(third):
        yield from _day(third, second, first)
        yield from _day(third, first, second)
    elif short_years and all(
        run.isdigit() and len(run) <= _SHORT for run in (first, second, third)
    ):
        for century in _CENTURIES:
            yield from _day(str(century + int(third)), second, first)
            yield from _day(str(century + int(third)), first, second)
            yield from _day(str(century + int(first)), second, third)


def _is_year(run: str) -> bool:
    return run.isdigit() and len(run) == _YEAR


def _day(year: str, month: str, day: str) -> Iterator[date]:
    if month.isalpha():
        short = month[:3].lower()
        month = str(_SHORT_MONTHS.index(short) + 1) if short in _SHORT_MONTHS else ""
    if not (month.isdigit() and day.isdigit() and len(month) <= _SHORT and len(day) <= _SHORT):
        return
    try:
        yield date(int(year), int(month), int(day))
    except ValueError:
        return


def is_moved(was: str, now: str, days: int) -> bool:
    """Whether a DA or DT is the day that another writing means, moved; its time of day is the same.

    A value without a time of day (DA) may have lost the one that stood there. Of a range both ends
    are looked at.
    """
    if "-" in now and not _OFFSET.search(now):
        return _is_moved_range(was, now, days)
    meant = days_of(was)
    if len(meant) != 1 or not now[:_WHOLE].isdigit():
        return False
    try:
        expected = next(iter(meant)) + timedelta(days=days)
    except OverflowError:
        return False
    if now[:_WHOLE] != f"{expected.year:04d}{expected.month:02d}{expected.day:02d}":
        return False
    return len(now) == _WHOLE or is_same_time(_behind_day(was), now[_WHOLE:])


def _is_moved_range(was: str, now: str, days: int) -> bool:
    before, _, after = now.partition("-")
    return any(
        bool(one) == bool(before)
        and bool(other) == bool(after)
        and (not before or is_moved(one, before, days))
        and (not after or is_moved(other, after, days))
        for place in range(len(was))
        if was[place] in "-/"
        for one, other in [(was[:place].strip(), was[place + 1 :].strip())]
    )


def _behind_day(text: str) -> str:
    runs = list(_RUN.finditer(text))
    if runs and runs[0][0].isdigit() and len(runs[0][0]) >= _WHOLE:
        return text[runs[0].start() + _WHOLE :]
    return text[runs[2].end() :] if len(runs) >= 3 else ""  # noqa: PLR2004


def clock(text: str) -> _Clock | None:
    """What a text says of the time of day; ``None``: something that is none."""
    offset = _OFFSET.search(text)
    told = ""
    if offset is not None:
        told = "+0000" if offset[1] is None else f"{offset[1]}{offset[2]}{offset[3]}"
        text = text[: offset.start()]
    runs = _RUN.findall(text)
    if runs and runs[0] in {"T", "t"}:
        runs = runs[1:]
    half = text.lower().replace(".", "").strip()[-2:]
    while runs and runs[-1].isalpha():
        runs.pop()
    if not runs or not all(run.isdigit() for run in runs):
        return None
    if len(runs[0]) > _SHORT:  # HHMMSS
        runs = [*(runs[0][n : n + 2] for n in range(0, len(runs[0]), 2)), *runs[1:]]
    numbers = [int(run) for run in runs[:3]]
    fraction = runs[3] if len(runs) > 3 else ""  # noqa: PLR2004
    if half in {"am", "pm"}:
        numbers[0] = numbers[0] % _NOON + (_NOON if half == "pm" else 0)
        numbers += [0] * (2 - len(numbers))
    return _Clock(tuple(numbers), fraction[:_FRACTION], told)


def is_same_time(was: str, now: str) -> bool:
    """Whether two texts say the same time of day."""
    meant = clock(now)
    return meant is not None and meant == clock(was)
