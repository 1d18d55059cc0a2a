"""Dates and times of day as PS3.5, 6.2 has them in DA, DT and TM."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import NamedTuple

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATETIME = re.compile(
    r"(\d{4})(\d{2})?(\d{2})?(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?"
)
_TIME = re.compile(r"([01]\d|2[0-3])(:?[0-5]\d(:?([0-5]\d|60)(\.\d{1,6})?)?)?")

#: Digits of YYYYMMDD that are said.
YEAR, YEAR_AND_MONTH, DAY = 4, 6, 8


class Moment(NamedTuple):
    """A point in time, as exact as a text says it."""

    #: The middle of what is left open.
    day: date
    #: How many digits of YYYYMMDD are said.
    said: int
    #: HHMMSS.FFFFFF, as much as is said of it.
    time: str = ""
    #: From UTC, ``+0100``.
    zone: str = ""

    def moved(self, days: int, vr: str) -> str:
        """The value of VR DA or DT, so many days later. Raises OverflowError beyond the calendar."""
        day = f"{self.day + timedelta(days=days):%Y%m%d}".zfill(DAY)[: self.said]
        return day if vr == "DA" else day + self.time + self.zone


def is_of_the_standard(value: str, vr: str) -> bool:
    """Whether a date is written as PS3.5, 6.2 has it for DA or DT (also as ACR-NEMA had it)."""
    text = value.strip(" \0")
    moment = read(text)
    return moment is not None and (vr == "DT" or (moment.said == DAY and not moment.time))


def read(text: str) -> Moment | None:
    """The moment that a value of VR DA or DT says; ``None``: it is written otherwise."""
    whole = _DATE.fullmatch(text)
    if whole is not None:
        return at(whole[1], whole[2], whole[3])
    parts = _DATETIME.fullmatch(text)
    if parts is None:
        return None
    year, month, day, time, zone = parts.groups()
    if time and not is_time(time):
        return None
    said = DAY if day else YEAR_AND_MONTH if month else YEAR
    moment = at(year, month or "07", day or ("15" if month else "01"), said)
    return moment and moment._replace(time=time or "", zone=zone or "")


def at(year: str, month: str, day: str, said: int = DAY) -> Moment | None:
    """The day with these numbers; ``None``: no calendar has it."""
    try:
        return Moment(date(int(year), int(month), int(day)), said)
    except ValueError:
        return None


def is_time(value: str) -> bool:
    """Whether the text is a time of day (TM), and nothing else."""
    return _TIME.fullmatch(value.strip(" \0")) is not None
