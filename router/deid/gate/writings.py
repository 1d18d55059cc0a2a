"""How people and devices write one and the same name, number or date."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby
from typing import TYPE_CHECKING

from router.deid.gate import moments

if TYPE_CHECKING:
    from collections.abc import Iterator

#: When somebody can have been born.
_FIRST_BORN, _LATEST = 1800, 2099
#: A number within another value that is somebody's own.
_NUMBER = re.compile(r"[0-9]{6,}")
#: A part of a name that stands on its own; two letters of it (Al-, Na) turn up by chance.
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: Of texts in ASCII, which nearly all are.
_RUNS, _BETWEEN = re.compile(r"[a-z]+|[0-9]+"), re.compile(r"[^a-z0-9]+")
#: Letters that are written as others where a keyboard has none of them: Müller and Mueller, Wałęsa
#: and Walesa. Accents fall away in ``folded``.
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_STROKES = str.maketrans({
    "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th",
})  # fmt: skip


def folded(text: str) -> str:
    """A text without case and accents."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def spellings(text: str) -> set[str]:
    """A text beyond ASCII as it is written in ASCII, folded."""
    if text.isascii():
        return set()
    lower = unicodedata.normalize("NFC", text).lower()
    written = (lower.translate(_STROKES), lower.translate(_UMLAUTS).translate(_STROKES))
    return {plain for plain in map(folded, written) if plain.isascii()}


def compact(text: str) -> str:
    """The letters and digits of a text alone, folded."""
    plain = folded(text)
    if plain.isascii():
        return _BETWEEN.sub("", plain)
    return "".join(char for char in plain if char.isalnum())


def runs(text: str) -> list[str]:
    """The runs of letters and the runs of digits in a text, folded."""
    plain = folded(text)
    if plain.isascii():
        return _RUNS.findall(plain)
    kinds = groupby(plain, key=lambda c: "a" if c.isalpha() else "1" if c.isdigit() else "")
    return ["".join(run) for kind, run in kinds if kind]


def name_parts(name: str) -> Iterator[str]:
    """A name, its parts, and the parts written together."""
    yield name
    # Family, given, middle name …, in each of the three writings (PS3.5, 6.2.1.2).
    parts = [part for part in re.split(r"[\^=,; ]+", name) if part]
    yield from parts
    yield "".join(parts)
    # Half of a double name, and names with whatever else between them (NOVAKOVA_ZDENKA).
    yield from _LETTERS.findall(unicodedata.normalize("NFC", name))


def variants(value: str) -> Iterator[str]:
    """The writings of a number or a date that people use elsewhere."""
    yield value
    if value.isdigit():
        yield value.lstrip("0")
    elif any(char.isdigit() for char in value):
        yield compact(value)  # 2026-4711 without its dash
        for number in _NUMBER.findall(value):  # MRN00123456
            yield number
            if _NUMBER.fullmatch(bare := number.lstrip("0")):
                yield bare
    if re.fullmatch(r"(18|19|20)[0-9]{6}", value):
        yield from date_variants(value[:4], value[4:6], value[6:])


def birthdays(value: str) -> Iterator[str]:
    """Each day that a date of birth in another writing (11.4.65) can mean, as people write it."""
    for day in moments.days_of(value, short_years=True):
        if _FIRST_BORN <= day.year <= _LATEST:
            yield from date_variants(str(day.year), f"{day.month:02d}", f"{day.day:02d}")


def date_variants(year: str, month: str, day: str) -> Iterator[str]:
    """The writings of a day."""
    for mark in ("", ".", "-", "/"):
        yield f"{year}{mark}{month}{mark}{day}"
        yield f"{year[2:]}{mark}{month}{mark}{day}"
        for shown in (year, year[2:]):
            yield f"{day}{mark}{month}{mark}{shown}"
            yield f"{month}{mark}{day}{mark}{shown}"
    if "01" <= month <= "12":
        name = _MONTHS[int(month) - 1]
        for shown in (year, year[2:]):  # as they are without what stands between them
            yield f"{day}{name}{shown}"
            yield f"{name}{day}{shown}"
