"""Whether an original's value can stay for certain, so that its copy must have it.

What is in doubt may stay or go by the letter of Table E.1-1: it holds no image.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING

from router.deid.gate.writings import runs
from router.dicom.element_index import known_vr

if TYPE_CHECKING:
    from router.deid.gate.pair import Context, Pair

#: Also as devices write it: the year first, so that no day is taken for a month.
_DATE = re.compile(r"(\d{4})(?P<mark>[-/.]?)(\d{2})(?P=mark)(\d{2})")
_DATETIME = re.compile(
    r"(\d{4})(\d{2})(\d{2})(?:([01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d(?:\.\d{1,6})?)?)?)?([+-]\d{4})?"
)
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_AGE = re.compile(r"\d{3}[DWMY]")
_TERM = re.compile(r"[FMO]|(UN)?ALTERED|YES|NO|UNKNOWN|\d{1,3}(\.\d{1,6})?")
_PLAIN = re.compile(r"[A-Za-z0-9 _]*")
_LONGEST_TEXT = 1024
#: Digits, in so many numbers: too few for a date.
_MOST_DIGITS, _MOST_NUMBERS, _LONGEST_NUMBER = 4, 2, 3


def never(_: Pair) -> bool:
    """False: whatever the value is, it may go."""
    return False


def as_time(pair: Pair) -> bool:
    """Whether each value is a time of day for certain."""
    return _is_certain(pair) and all(map(_TIME.fullmatch, pair.original_texts()))


def as_age(pair: Pair) -> bool:
    """Whether each value is an age for certain."""
    return _is_certain(pair) and all(map(_AGE.fullmatch, pair.original_texts()))


def as_term(pair: Pair) -> bool:
    """Whether each value is a term of the standard, or a number, for certain."""
    return _is_certain(pair) and all(map(_TERM.fullmatch, pair.original_texts()))


def as_date(pair: Pair) -> bool:
    """Whether each value is a date for certain, before and after it is moved."""
    days = pair.context.expected.days
    return _is_certain(pair) and all(_can_be_moved(text, days) for text in pair.original_texts())


def as_text(pair: Pair) -> bool:
    """Whether the text is harmless for certain.

    It is not cut at a backslash: whether there are several values is the VR's to say.
    """
    return _is_certain(pair) and _is_harmless(pair.was.strip(b" \0").decode("ascii"), pair.context)


def _is_certain(pair: Pair) -> bool:
    """Whether there is a value, and only one way to read it."""
    was = pair.was.strip(b" \0")
    known = known_vr(pair.tag)
    return (
        pair.is_original_there
        and bool(was)
        and was.isascii()
        and pair.original is not None
        and pair.original.vr in {known, "UN"}
    )


def _can_be_moved(text: str, days: int) -> bool:
    match = _DATE.fullmatch(text) or _DATETIME.fullmatch(text)
    if match is None:
        return False
    try:
        digits = re.sub(r"\D", "", text)
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return False
    return True


def _is_harmless(text: str, context: Context) -> bool:
    """Whether a text can stay: of allowed words, with no word or number of any identifier in it."""
    if len(text) > _LONGEST_TEXT or not _PLAIN.fullmatch(text):
        return False
    found = runs(text)
    numbers = [word for word in found if word.isdigit()]
    few = len(numbers) <= _MOST_NUMBERS and sum(map(len, numbers)) <= _MOST_DIGITS
    joined = "".join(found)
    words = context.profile.words
    return (
        few
        and all(len(number) <= _LONGEST_NUMBER for number in numbers)
        and all(word.isdigit() or word in words for word in found)
        and not any(word in joined for word in context.traces.identifier_words)
    )
