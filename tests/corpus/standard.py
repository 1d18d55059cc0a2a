"""What PS3.15 Annex E asks for an attribute under the options that the product declares.

``e1_1.csv`` is Table E.1-1 (January 2025) with all its option columns. The options: 113107 modified
dates, 113108 patient characteristics, 113105 descriptors, 113104 structured content, 113103
graphics, 113101 pixel data.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.tag import BaseTag, Tag

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Row:
    """A row of Table E.1-1."""

    name: str
    #: The Basic Profile's letters.
    basic: str
    #: Option → K or C.
    options: Mapping[str, str]


def _read() -> dict[BaseTag, Row]:
    text = Path(__file__).with_name("e1_1.csv").read_text(encoding="ascii")
    rows = {}
    for line in csv.DictReader(text.splitlines()):
        options = dict(part.split("=") for part in line["options"].split("|") if part)
        rows[BaseTag(int(line["tag"], 16))] = Row(line["name"], line["basic"], options)
    return rows


TABLE: Mapping[BaseTag, Row] = _read()

#: What the de-identification method code sequence must declare (CID 7050).
METHOD_CODES = frozenset({"113100", "113105", "113107", "113108"})


class Fate(StrEnum):
    """What is to become of an attribute."""

    KEPT = "kept"
    INSIDE = "items are judged one by one"
    UID = "new UID"
    SHIFTED = "date shifted"
    DESCRIBED = "text kept if it says nothing of the patient, else removed"
    AGED = "age kept, 90 and over as 090Y"
    PATIENT_ID = "keyed pseudonym"
    GONE = "X"
    EMPTIED = "Z"
    REPLACED = "D"
    #: The standard leaves a choice of removing: X/Z, X/D, X/Z/D.
    CHOSEN = "X or another"
    UNLISTED_TEXT = "not in the table: gone where it names the patient"


#: Lists that a de-identifier may clean by taking out the items that name somebody.
LISTS = frozenset(
    Tag(keyword)
    for keyword in (
        "ContentSequence", "GraphicAnnotationSequence", "TextObjectSequence",
        "GraphicObjectSequence", "AcquisitionContextSequence", "SpecimenPreparationSequence",
    )
)  # fmt: skip

_STANDARD_ROOT = "1.2.840.10008."
_DATES = frozenset({"DA", "DT"})


def vr_of(tag: BaseTag, vr: str) -> str:
    """The VR by the dictionary where the file says UN (PS3.5, 6.2.2)."""
    return str(dictionary_VR(tag)) if vr == "UN" and dictionary_has_tag(tag) else vr


def fate(tag: BaseTag, vr: str) -> Fate:
    """What PS3.15 asks for; ``vr`` as in the file."""
    if tag.is_private or tag.group & 0xFF00 in {0x5000, 0x6000} or not dictionary_has_tag(tag):
        return Fate.GONE
    vr = vr_of(tag, vr)
    row = TABLE.get(tag)
    if row is None:
        return _UNLISTED.get(vr, Fate.KEPT)
    return _SINGLE.get(tag) or _optional(row, vr) or _basic(row)


_UNLISTED = {
    "SQ": Fate.INSIDE, "UI": Fate.UID, "PN": Fate.CHOSEN, "DA": Fate.SHIFTED, "DT": Fate.SHIFTED,
} | dict.fromkeys(("LT", "ST", "UT", "UC", "UR"), Fate.UNLISTED_TEXT)  # fmt: skip


_SINGLE = {Tag("PatientID"): Fate.PATIENT_ID, Tag("PatientAge"): Fate.AGED}


def _optional(row: Row, vr: str) -> Fate | None:
    """What the options make of a row; ``None``: the Basic Profile decides."""
    if row.basic == "U" or (vr == "UI" and row.basic == "D"):
        return Fate.UID
    if row.options.get("characteristics") == "K":
        return Fate.KEPT
    if row.basic == "X/Z/U*" or row.options.keys() & {"structured", "graphics"}:
        return Fate.INSIDE
    if "modified_dates" in row.options:
        # The day moves, the time of the day stays.
        return Fate.SHIFTED if vr in _DATES else Fate.KEPT if vr == "TM" else None
    described = row.options.keys() & {"descriptors", "characteristics"}
    return Fate.DESCRIBED if described and vr != "SQ" else None


def _basic(row: Row) -> Fate:
    return {"X": Fate.GONE, "Z": Fate.EMPTIED, "D": Fate.REPLACED, "Z/D": Fate.EMPTIED}.get(
        row.basic, Fate.CHOSEN
    )


def of_the_standard(uid: str) -> bool:
    """SOP classes, transfer syntaxes, coding schemes: they name no instance."""
    return uid.startswith(_STANDARD_ROOT)


_ENHANCED_EQUIPMENT = {"DeviceSerialNumber": 1}
_MULTI_FRAME = _ENHANCED_EQUIPMENT | {
    "ContentDate": 1, "ContentTime": 1, "AcquisitionContextSequence": 2,
}  # fmt: skip
_REPORT = {
    "ContentDate": 1, "ContentTime": 1, "ReferencedPerformedProcedureStepSequence": 2,
    "ContentSequence": 1,
}  # fmt: skip
_COMMON = {
    "PatientName": 2, "PatientID": 2, "PatientBirthDate": 2, "PatientSex": 2, "StudyDate": 2,
    "StudyTime": 2, "ReferringPhysicianName": 2, "StudyID": 2, "AccessionNumber": 2,
}  # fmt: skip
#: Kind → attribute of the table → its type (1 must hold a value, 2 must be there), by PS3.3, A.
_TYPES: Mapping[str, Mapping[str, int]] = {
    "MG": {"AcquisitionContextSequence": 2},
    "DX": {"AcquisitionContextSequence": 2},
    "DBT": _MULTI_FRAME,
    "ECT": _MULTI_FRAME | {"AcquisitionDateTime": 1},
    "EMR": _MULTI_FRAME | {"AcquisitionDateTime": 1},
    "RDSR": _REPORT | _ENHANCED_EQUIPMENT,
    "CAD": _REPORT,
    "BTSR": _REPORT,
    "KO": _REPORT,
    "PR": {"PresentationCreationDate": 1, "PresentationCreationTime": 1, "ContentCreatorName": 2},
    "PDF": {"ContentDate": 2, "ContentTime": 2, "AcquisitionDateTime": 2},
}
#: Of macros, wherever they stand: a content item must hold what its value type says (C.17.3.2.1).
_INSIDE = {
    "TextValue": 1, "PersonName": 1, "DateTime": 1, "Date": 1, "Time": 1, "UID": 1,
    "UnformattedTextValue": 1, "ReferencedSOPInstanceUID": 1, "FrameAcquisitionDateTime": 1,
    "FrameReferenceDateTime": 1,
}  # fmt: skip


def type_of(kind: str, tag: BaseTag, depth: int) -> int:
    """1: must hold a value; 2: must be there; 3: neither."""
    keyword = keyword_for_tag(tag)
    if depth:
        return _INSIDE.get(keyword, 3)
    return _TYPES.get(kind, {}).get(keyword, _COMMON.get(keyword, 3))
