"""What of an original's attribute its copy must still have.

The letters of Table E.1-1 and the options say more than what may not be there: a date that can be
moved must be moved, an age told, a harmless text left.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING

from router.deid.gate.unlisted_text import TERMS, is_text, leads_to_somebody
from router.deid.standard.e1_1 import TABLE
from router.deid.standard.iod import Need, need
from router.deid.standard.options import Option
from router.dicom.element_index import known_vr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.deid.profile import Profile
    from router.deid.standard.e1_1 import Row

CODE_MEANING = 0x00080104
_PATIENT_GROUP = 0x0010
_FREE = frozenset({"LT", "ST", "UC", "UT"})
#: VRs whose text stays under a letter C where it is harmless.
_TEXTUAL = frozenset({"CS", "LO", "LT", "SH", "ST", "UC", "UT"})
#: Options that clean text.
_CLEANING = frozenset({
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


class Expectation(Enum):
    """What is to become of an attribute that has a value."""

    SAME = auto()
    ITEMS = auto()
    UID = auto()
    SHIFTED = auto()
    TIME = auto()
    AGED = auto()
    TERM = auto()
    ALLOWED_TEXT = auto()
    BASIC_PROFILE = auto()


@lru_cache(maxsize=8192)
def expectation(chosen: Profile, tag: int, vr: str, kind: str) -> Expectation:
    """What is expected of an attribute sent under this VR in an object of the kind (iod.kind_of).

    The meaning of a code in a report depends on its scheme too: ``of_meaning``.
    """
    row = TABLE.get(tag)
    if row is None:
        return _unlisted(chosen, tag, vr)
    known = known_vr(tag)
    if known == "UI":
        return Expectation.BASIC_PROFILE if row.basic == "X" else Expectation.UID
    options = {o: letter for o, letter in row.options.items() if o in chosen.options}
    if known == "SQ":
        return _sequence(row, options, need(tag, kind))
    return _listed(known, options)


def of_meaning(scheme: str) -> Expectation:
    """What is expected of a code's meaning in a report: in a private scheme somebody wrote it."""
    public = _PUBLIC_SCHEME.fullmatch(scheme.strip())
    return Expectation.SAME if public else Expectation.ALLOWED_TEXT


def _sequence(row: Row, options: Mapping[Option, str], needed: Need | None) -> Expectation:
    must = needed is Need.VALUE or row.basic == "D"
    if (row.basic.endswith("U*") or must) and not row.is_code:
        return Expectation.ITEMS
    stays = any(option in options for option in _OF_ITEMS)
    return Expectation.ITEMS if stays else Expectation.BASIC_PROFILE


def _listed(vr: str, options: Mapping[Option, str]) -> Expectation:
    if vr == "AS" and options:
        return Expectation.AGED
    if Option.MODIFIED_DATES in options and vr in {"DA", "DT", "TM"}:
        return Expectation.TIME if vr == "TM" else Expectation.SHIFTED
    if options.get(Option.DEVICE_IDENTITY) == "K":
        return Expectation.SAME
    if options.get(Option.PATIENT_CHARACTERISTICS) == "K" and vr not in {"LO", "SH"}:
        return Expectation.SAME if vr == "US" else Expectation.TERM
    cleaned = bool(set(options) & _CLEANING) and vr in _TEXTUAL
    return Expectation.ALLOWED_TEXT if cleaned else Expectation.BASIC_PROFILE


def _unlisted(chosen: Profile, tag: int, vr: str) -> Expectation:
    vrs = {vr, known_vr(tag)}
    if "UI" in vrs and "PN" not in vrs:
        return Expectation.UID
    of_the_patient = tag >> 16 == _PATIENT_GROUP
    if (
        "PN" in vrs
        or leads_to_somebody(tag)
        or (of_the_patient and vrs & (_FREE | {"DA", "DT", "LO", "SH", "TM", "UR"}))
    ):
        return Expectation.BASIC_PROFILE
    if vrs & {"DA", "DT", "TM"}:
        moved = Expectation.SHIFTED if vrs & {"DA", "DT"} else Expectation.TIME
        return moved if chosen.shifts else Expectation.BASIC_PROFILE
    if "UR" in vrs and tag not in TERMS:
        return Expectation.BASIC_PROFILE
    if is_text(tag, vr):
        return Expectation.ALLOWED_TEXT if chosen.words else Expectation.BASIC_PROFILE
    return Expectation.ITEMS if "SQ" in vrs else Expectation.SAME
