"""The rules of the gate: for each expectation, what the copy's value must be.

``CHECKS`` is the list. A check raises Hold (GATE_…) unless the value is what its expectation leaves
of the original's; whether a value must have stayed at all is its ``must_stay``.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from router.deid import pseudonyms
from router.deid.gate import basic_profile, certain, moments
from router.deid.gate.dictionary import is_public_uid
from router.deid.gate.expectations import Expectation
from router.deid.gate.pair import BINARY, decoded
from router.deid.gate.traces import DUMMY_TEXT
from router.deid.gate.writings import runs
from router.dicom.element_index import known_vr
from router.records.errors import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.deid.gate.pair import Pair

_LONGEST_NUMBER, _MOST_NUMBERS = 3, 3
_OLDEST = 90
#: Sex, neutered, smoking and pregnancy status (PS3.3, C.7.1.1 and C.7.2.2); size and weight.
_TERM = re.compile(r"[FMO]|(UN)?ALTERED|YES|NO|UNKNOWN|\d{1,3}(\.\d+)?")
_DAYS_OF = {"D": 1, "W": 7, "M": 30, "Y": 365}
_TIME = re.compile(r"\d{2}(:?\d{2}(:?\d{2}(\.\d+)?)?)?")
_AGE = re.compile(r"(\d{3})([DWMY])")
_DECIMAL = re.compile(r"(?<![\d.])\d{1,3}[.,]\d{1,2}(?![\d.,])")
_FROM_DATE = re.compile(r"(\d{4})\.?(\d{2})?\.?(\d{2})?")
_TO_DATE = re.compile(r"(\d{4})(\d{2})?(\d{2})?")


class Check(NamedTuple):
    """What the gate asks of the attributes of one expectation."""

    #: Of which attributes, for people.
    of: str
    #: What the copy must have, for people.
    asks: str
    #: Raises Hold unless the copy's value may stay. It is asked only of values that are not what the
    #: letters of Table E.1-1 put in their place (``basic_profile.is_replaced``).
    stays: Callable[[Pair], None]
    #: Whether the copy must have the original's value, in whatever writing is asked for.
    must_stay: Callable[[Pair], bool]


def equal(pair: Pair) -> None:
    """Raises Hold where the copy has something that the original did not have there."""
    if pair.context.source is None:
        return
    if pair.original is None:
        pair.differs("was not there before")
    value, was = pair.value, pair.was
    if value == was or value.rstrip(b" \0") == was.rstrip(b" \0"):
        return
    # Written anew, from UN or without surplus blanks.
    if pair.copy.vr in BINARY or pair.original.items is not None:
        same = False
    elif pair.original.vr == "UN":
        one, other = (decoded(d, pair.copy.vr, pair.encodings) for d in (value, was))
        same = one == other
    else:
        first, second = (
            [part.strip(" \0") for part in data.decode("latin-1").split("\\")]
            for data in (value, was)
        )
        same = first == second
    if not same:
        pair.differs("is not as it was")


def pseudonymous_uid(pair: Pair) -> None:
    """Raises Hold unless each UID is the pseudonym of its original, or the standard's own."""
    expected = pair.context.expected
    for value in pair.texts:
        if value in pair.context.traces.uids:
            pair.refuse("still has its original value", Code.GATE_FOREIGN_UID)
        if not is_public_uid(value) and not value.startswith(pseudonyms.UID_ROOT):
            pair.refuse("is neither the standard's nor ours", Code.GATE_FOREIGN_UID)
    if not pair.is_original_there:
        if pair.context.source is not None and pair.texts and pair.tag not in expected.own:
            pair.refuse("was not there before")
        return
    if pair.depth == 0 and pair.tag in expected.own:
        return
    if basic_profile.letters_of(pair.tag) == "X" and pair.texts:
        pair.refuse("should be gone")
    mapped = [
        uid if is_public_uid(uid) else pseudonyms.uid(expected.key, uid)
        for part in pair.was.decode("latin-1").split("\\")
        if (uid := part.strip(" \0"))
    ]
    if pair.texts != mapped:
        pair.refuse("is not the pseudonym of its original")


def moved_date(pair: Pair) -> None:
    """Raises Hold unless each date is the original's, moved by the patient's days."""
    was, days = pair.original_texts(), pair.context.expected.days
    if len(was) != len(pair.texts) or not all(
        _is_moved(one, other, days) or moments.is_moved(one, other, days)
        for one, other in zip(was, pair.texts, strict=True)
    ):
        pair.refuse("is not the original date, moved")


def _is_moved(was: str, now: str, days: int) -> bool:
    """Whether a date (and what follows it) is the other one, moved by the days."""
    digits, moved = _FROM_DATE.match(was), _TO_DATE.match(now)
    if digits is None or moved is None:
        return False
    rest, rest_now = was[digits.end() :], now[moved.end() :]
    first = [part is not None for part in digits.groups()]
    if rest != rest_now or first != [part is not None for part in moved.groups()]:
        return False
    year, month, day = digits.groups()
    try:
        expected = date(int(year), int(month or 7), int(day or (15 if month else 1)))
        expected += timedelta(days=days)
    except (ValueError, OverflowError):
        return False
    told = f"{expected.year:04d}{expected.month:02d}{expected.day:02d}"
    return told.startswith("".join(part or "" for part in moved.groups()))


def same_time(pair: Pair) -> None:
    """Raises Hold unless each value is the original's time of day, in this or another writing."""
    if not all(_TIME.fullmatch(text) for text in pair.texts):
        pair.refuse("is no time of day")
    was = pair.original_texts()
    if len(was) != len(pair.texts) or not all(map(moments.is_same_time, was, pair.texts)):
        equal(pair)


def capped_age(pair: Pair) -> None:
    """Raises Hold unless each age is the original's, from 90 years on 090Y."""
    was = pair.original_texts()
    for one, other in zip(was, pair.texts, strict=False):
        match = _AGE.fullmatch(one)
        # A few days of doubt around the limit: 90 years in months have two readings.
        days = int(match[1]) * _DAYS_OF[match[2]] if match else None
        old = days is None or days >= _OLDEST * 365
        if other != ("090Y" if old else one) and not (
            days is not None and days >= (_OLDEST - 1) * 360 and other == "090Y"
        ):
            pair.refuse("tells too high an age")
    if len(was) != len(pair.texts):
        pair.refuse("has other values")


def same_term(pair: Pair) -> None:
    """Raises Hold unless each value is a term of the standard, or a number, and as it was."""
    if not all(_TERM.fullmatch(text) for text in pair.texts):
        pair.refuse("is no term of the standard")
    equal(pair)


def allowed_text(pair: Pair) -> None:
    """Raises Hold unless the text is as it was, of allowed words, with nothing of the patient."""
    words, of_the_patient = pair.context.profile.words, pair.context.traces.patient_words
    for text in pair.texts:
        found = runs(text)
        numbers = [word for word in runs(_DECIMAL.sub("0", text)) if word.isdigit()]
        if (
            any(len(number) > _LONGEST_NUMBER for number in numbers)
            or len(numbers) > _MOST_NUMBERS
            or not all(word.isdigit() or word in words for word in found)
        ):
            pair.refuse("holds words not allowed")
        joined = "".join(found)
        if any(
            word in found or (len(word) > _LONGEST_NUMBER and word in joined)
            for word in of_the_patient
        ):
            pair.found()
    equal(pair)


def name(pair: Pair) -> None:
    """Raises Hold unless a name is gone, a dummy or the patient's pseudonym, as its letter says."""
    if not DUMMY_TEXT.union({pair.context.expected.patient}).issuperset(pair.texts):
        pair.refuse("holds a name")
    if basic_profile.letters_of(pair.tag) is not None and not basic_profile.is_replaced(pair):
        basic_profile.refuse(pair)


def _value_is_there(pair: Pair) -> bool:
    """Whether the original has a value: whatever it is, it stays, or its pseudonym does."""
    text = known_vr(pair.tag) not in BINARY
    return pair.is_original_there and bool(pair.was.strip(b" \0") if text else pair.was)


def _items_are_there(pair: Pair) -> bool:
    return pair.original is not None and bool(pair.original.items)


#: The rules. One that is taken out stops the gate at the first attribute that is of it.
CHECKS: Mapping[Expectation, Check] = {
    Expectation.SAME: Check(
        "no row, or letter K of a device or pregnancy: numbers, codes, terms, names of machines",
        "the value as it was", equal, _value_is_there,
    ),
    Expectation.ITEMS: Check(
        "sequences that stay: no row, references, content and graphics (113103, 113104)",
        "its items, each judged by itself", equal, _items_are_there,
    ),
    Expectation.UID: Check(
        "VR UI", "the keyed pseudonym of each UID, the standard's own as they were",
        pseudonymous_uid, _value_is_there,
    ),
    Expectation.SHIFTED: Check(
        "dates, under 113107", "the date, moved by the patient's weeks", moved_date, certain.as_date,
    ),
    Expectation.TIME: Check(
        "times of day, under 113107", "the same time of day", same_time, certain.as_time,
    ),
    Expectation.AGED: Check(
        "VR AS, under 113108", "the age, from 90 years on 090Y", capped_age, certain.as_age,
    ),
    Expectation.TERM: Check(
        "what 113108 keeps of the patient", "the same term of the standard or number",
        same_term, certain.as_term,
    ),
    Expectation.ALLOWED_TEXT: Check(
        "texts of letter C, and texts without a row that are no terms",
        "the text, where all its words are allowed and none is the patient's",
        allowed_text, certain.as_text,
    ),
    Expectation.BASIC_PROFILE: Check(
        "all else that has a row; names, addresses and texts of the patient without one",
        "nothing, no value or a dummy, as the Basic Profile's letter says",
        basic_profile.refuse, certain.never,
    ),
}  # fmt: skip
