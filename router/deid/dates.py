"""Dates moved by whole weeks (PS3.15 E.3.6, Modified Dates): weekdays and intervals stay."""

from __future__ import annotations

import re
from datetime import date, timedelta

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATETIME = re.compile(
    r"(\d{4})(\d{2})?(\d{2})?(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?"
)
_TIME = re.compile(r"([01]\d|2[0-3])(:?[0-5]\d(:?([0-5]\d|60)(\.\d{1,6})?)?)?")


def shifted(value: str, days: int) -> str | None:
    """A DA or DT value, moved; what is no date gives ``None``.

    Time of day, fractions and the offset from UTC stay. Of a date without a day or a month the
    middle of what is left open is moved, and as much is said as before.
    """
    text = value.strip(" \0")
    whole = _DATE.fullmatch(text)
    if whole is not None:
        moved = _moved(whole[1], whole[2], whole[3], days)
        return None if moved is None else f"{moved:%Y%m%d}".zfill(8)
    parts = _DATETIME.fullmatch(text)
    if parts is None:
        return None
    year, month, day, time, zone = parts.groups()
    if time and not is_time(time):
        return None
    moved = _moved(year, month or "07", day or ("15" if month else "01"), days)
    if moved is None:
        return None
    digits = f"{moved:%Y%m%d}".zfill(8)[: 8 if day else 6 if month else 4]
    return digits + (time or "") + (zone or "")


def _moved(year: str, month: str, day: str, days: int) -> date | None:
    try:
        return date(int(year), int(month), int(day)) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None


def is_time(value: str) -> bool:
    """Whether the text is a time of day (TM), and nothing else."""
    return _TIME.fullmatch(value.strip(" \0")) is not None
