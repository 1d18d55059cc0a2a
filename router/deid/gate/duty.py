"""What of an original's attribute its copy must still have.

The letters of Table E.1-1 and the options say more than what may not be there: a date that can be
moved must be moved, an age told, a harmless text left. Whether a value is of that kind is decided
here for clear cases alone; what is in doubt may stay or go by the letter.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING

from pydicom.tag import BaseTag

from router.deid.gate.traces import runs
from router.deid.gate.unlisted_text import TERMS, is_text, leads_to_somebody
from router.deid.standard.e1_1 import TABLE
from router.deid.standard.iod import Need, need
from router.deid.standard.options import Option
from router.dicom.element_index import known_vr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.deid.profile import Profile
    from router.deid.standard.e1_1 import Row

CODE_MEANING = 0x00080104
_PATIENT_GROUP = 0x0010
_FREE = frozenset({"LT", "ST", "UC", "UT"})
#: VRs whose text stays under a letter C where it is harmless.
TEXTUAL = frozenset({"CS", "LO", "LT", "SH", "ST", "UC", "UT"})
#: Options that clean text.
CLEANED = frozenset({
    Option.CLEAN_DESCRIPTORS, Option.PATIENT_CHARACTERISTICS, Option.CLEAN_STRUCTURED,
    Option.CLEAN_GRAPHICS,
})  # fmt: skip
#: Options under which a sequence stays, and its items are judged one by one.
_OF_ITEMS = (Option.CLEAN_STRUCTURED, Option.CLEAN_GRAPHICS, Option.DEVICE_IDENTITY)
#: Designators of coding schemes whose meanings nobody at a site writes.
_PUBLIC_SCHEME = re.compile(
    r"DCM|SCT|SRT|SNM3|99SDM|LN|UCUM|NCIT|RADLEX|FMA|I9C?|I10P?|ICD10|ICDO3|UMLS|MDC|BARI|NICIP|ACR"
    r"|RADELEMENT|C4|C5|ISO3166_1|ISO639_[12]|RFC5646|DCMUID",
    re.IGNORECASE,
)


class Duty(Enum):
    """What is to become of an attribute that has a value."""

    SAME = auto()  # it stays as it is
    ITEMS = auto()  # a sequence that stays; its items are judged one by one
    UID = auto()  # each UID by its pseudonym
    SHIFTED = auto()  # a date, moved
    TIME = auto()  # a time of day, as it is
    AGED = auto()  # an age, below the limit as it is
    TERM = auto()  # a term of the standard or a number, as it is
    WORDS = auto()  # text, as it is where it is harmless
    LETTER = auto()  # what the Basic Profile's letter leaves of it


@lru_cache(maxsize=8192)
def duty(chosen: Profile, number: int, vr: str, kind: str) -> Duty:
    """Of an attribute that was sent under this VR in an object of the kind (iod.kind_of).

    The meaning of a code in a report depends on its scheme too: ``of_meaning``.
    """
    tag = BaseTag(number)
    row = TABLE.get(number)
    if row is None:
        return _unlisted(chosen, tag, vr)
    known = known_vr(number)
    if known == "UI":
        return Duty.LETTER if row.basic == "X" else Duty.UID
    options = {o: letter for o, letter in row.options.items() if o in chosen.options}
    if known == "SQ":
        return _sequence(row, options, need(tag, kind))
    return _listed(known, options)


def of_meaning(scheme: str) -> Duty:
    """Of the meaning of a code in a report: in a private scheme it is what somebody wrote."""
    return Duty.SAME if _PUBLIC_SCHEME.fullmatch(scheme.strip()) else Duty.WORDS


def _sequence(row: Row, options: Mapping[Option, str], needed: Need | None) -> Duty:
    must = needed is Need.VALUE or row.basic == "D"
    if (row.basic.endswith("U*") or must) and not row.is_code:
        return Duty.ITEMS
    return Duty.ITEMS if any(option in options for option in _OF_ITEMS) else Duty.LETTER


def _listed(vr: str, options: Mapping[Option, str]) -> Duty:
    if vr == "AS" and options:
        return Duty.AGED
    if Option.MODIFIED_DATES in options and vr in {"DA", "DT", "TM"}:
        return Duty.TIME if vr == "TM" else Duty.SHIFTED
    if options.get(Option.DEVICE_IDENTITY) == "K":
        return Duty.SAME
    if options.get(Option.PATIENT_CHARACTERISTICS) == "K" and vr not in {"LO", "SH"}:
        return Duty.SAME if vr == "US" else Duty.TERM
    return Duty.WORDS if set(options) & CLEANED and vr in TEXTUAL else Duty.LETTER


def _unlisted(chosen: Profile, tag: BaseTag, vr: str) -> Duty:
    vrs = {vr, known_vr(tag)}
    if "UI" in vrs and "PN" not in vrs:
        return Duty.UID
    of_the_patient = tag.group == _PATIENT_GROUP
    if (
        "PN" in vrs
        or leads_to_somebody(tag)
        or (of_the_patient and vrs & (_FREE | {"DA", "DT", "LO", "SH", "TM", "UR"}))
    ):
        return Duty.LETTER
    if vrs & {"DA", "DT", "TM"}:
        moved = Duty.SHIFTED if vrs & {"DA", "DT"} else Duty.TIME
        return moved if chosen.shifts else Duty.LETTER
    if "UR" in vrs and tag not in TERMS:
        return Duty.LETTER
    if is_text(tag, vr):
        return Duty.WORDS if chosen.words else Duty.LETTER
    return Duty.ITEMS if "SQ" in vrs else Duty.SAME


# --- is it clear that a value can stay? -----------------------------------------------------------

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


def is_clear(what: Duty, texts: list[str], days: int) -> bool:
    """Whether values of this duty can stay for certain. ``days``: by how many a date is moved."""
    if what is Duty.SHIFTED:
        return all(_can_be_moved(text, days) for text in texts)
    matches: Mapping[Duty, Callable[[str], object]] = {
        Duty.TIME: _TIME.fullmatch, Duty.AGED: _AGE.fullmatch, Duty.TERM: _TERM.fullmatch,
    }  # fmt: skip
    return what in matches and all(matches[what](text) for text in texts)


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


def is_harmless(text: str, words: frozenset[str], near: frozenset[str]) -> bool:
    """Whether a text can stay for certain.

    ``words``: what free text may consist of; ``near``: words and numbers in any identifier of the
    original, also where they name nobody.
    """
    if len(text) > _LONGEST_TEXT or not _PLAIN.fullmatch(text):
        return False
    found = runs(text)
    numbers = [word for word in found if word.isdigit()]
    few = len(numbers) <= _MOST_NUMBERS and sum(map(len, numbers)) <= _MOST_DIGITS
    joined = "".join(found)
    return (
        few
        and all(len(number) <= _LONGEST_NUMBER for number in numbers)
        and all(word.isdigit() or word in words for word in found)
        and not any(word in joined for word in near)
    )
