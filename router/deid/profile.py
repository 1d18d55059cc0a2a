"""What PS3.15 Annex E says to do with an attribute: Table E.1-1, and what it leaves open.

``table_e1_1.csv`` is the table (PS3.15 Table E.1-1, as of January 2025): one row an attribute, one
column the Basic Profile, one column each option. Actions are the standard's letters: X remove,
Z zero length, D dummy, U new UID, K keep, C clean; "X/Z/D" leaves the choice to the IOD.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.tag import BaseTag, Tag

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Changes with every change of the actions below; a study keeps the one it was taken in with.
PROFILE_ID = "basic-1"

#: Nested deeper than this is held: Orthanc's HTTP threads die at 50.
DEEPEST_NESTING = 32

_PATIENT_GROUP = 0x0010

#: UIDs of the standard itself: SOP classes, transfer syntaxes, well-known instances.
STANDARD_ROOT = "1.2.840.10008."


class Action(StrEnum):
    """What happens to an attribute."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    KEEP = "K"


# A choice such as X/Z/D is made by the type that the attribute has in the IOD: X where it is
# optional, Z where it may be empty, D where it must hold a value. In classic single-frame IODs no
# attribute with such a choice needs a value; enhanced multi-frame IODs make many of them Type 1.
_CHOICE_CLASSIC: dict[str, Action] = {
    "X/Z": Action.EMPTY,
    "X/D": Action.REMOVE,
    "Z/D": Action.EMPTY,
    "X/Z/D": Action.EMPTY,
    "X/Z/U*": Action.KEEP,  # a sequence of references: its UIDs are replaced inside
}
_CHOICE_ENHANCED: dict[str, Action] = _CHOICE_CLASSIC | {
    "X/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
}


@dataclass(frozen=True)
class Row:
    """One row of Table E.1-1."""

    name: str
    #: The Basic Profile's letters as the standard prints them.
    basic: str


def _read_table() -> dict[int, Row]:
    text = resources.files(__package__).joinpath("table_e1_1.csv").read_text(encoding="ascii")
    return {
        int(line["tag"], 16): Row(line["name"], line["basic"])
        for line in csv.DictReader(text.splitlines())
        # The four rows with patterns (private, curves, overlays) are rules below.
        if "X" not in line["tag"] and line["tag"] != "private"
    }


#: Tag → row, for the attributes that the table names one by one.
TABLE: Mapping[int, Row] = _read_table()


def is_overlay_or_curve(tag: BaseTag) -> bool:
    """Repeating groups 50xx and 60xx: pictures of their own, in which anything can be drawn."""
    return tag.group & 0xFF00 in {0x5000, 0x6000}


def is_unknown(tag: BaseTag) -> bool:
    """Neither private nor in the data dictionary: nobody can say what it holds."""
    return not tag.is_private and not dictionary_has_tag(tag)


def action(tag: BaseTag, vr: str, *, enhanced: bool) -> Action:
    """What the Basic Profile does with an attribute of this tag and VR.

    ``enhanced``: the data set is of an enhanced multi-frame IOD. KEEP of a sequence means that
    its items are gone through one by one.
    """
    if tag.is_private or is_overlay_or_curve(tag) or is_unknown(tag):
        return Action.REMOVE
    row = TABLE.get(tag)
    if row is None:
        return _unlisted(tag, vr)
    if len(row.basic) == 1:
        return Action(row.basic)
    return (_CHOICE_ENHANCED if enhanced else _CHOICE_CLASSIC)[row.basic]


#: VRs in which people write, and dates: what the table does not name of these goes.
_FREE = frozenset({"LT", "ST", "UT", "UC", "UR", "DA", "DT", "TM"})
_PATIENT_FREE = _FREE | {"LO", "SH"}
#: Code values that are longer than VR SH, and so have the VR of a text.
_CODES = frozenset({Tag("LongCodeValue"), Tag("URNCodeValue")})


def _unlisted(tag: BaseTag, vr: str) -> Action:
    """Attributes that the table does not name stay, but for names, free text and dates.

    The table misses some: the birth date in another calendar, comments on procedure steps.
    """
    vrs = {vr, dictionary_VR(tag)}  # senders put names and UIDs under other VRs
    if "PN" in vrs:
        return Action.EMPTY
    if "UI" in vrs:
        return Action.UID
    free = _PATIENT_FREE if tag.group == _PATIENT_GROUP else _FREE
    return Action.REMOVE if vrs & free and tag not in _CODES else Action.KEEP


@dataclass(frozen=True)
class MethodCode:
    """An item of (0012,0064) De-identification Method Code Sequence, of CID 7050."""

    value: str
    meaning: str


#: What the profile declares in every object, in (0012,0064).
METHOD_CODES = (MethodCode("113100", "Basic Application Confidentiality Profile"),)
#: The same in words, in (0012,0063). VR LO: at most 64 characters.
METHOD = "edge-router PS3.15 Basic Profile"

# Attributes that the router itself sets, whatever was there.
PATIENT_NAME = Tag(0x0010, 0x0010)
PATIENT_ID = Tag(0x0010, 0x0020)
ACCESSION_NUMBER = Tag(0x0008, 0x0050)
STUDY_ID = Tag(0x0020, 0x0010)
STATION_NAME = Tag(0x0008, 0x1010)
STUDY_UID = Tag(0x0020, 0x000D)
SERIES_UID = Tag(0x0020, 0x000E)
SOP_UID = Tag(0x0008, 0x0018)
IDENTITY_REMOVED = Tag(0x0012, 0x0062)
METHOD_TEXT = Tag(0x0012, 0x0063)
METHOD_SEQUENCE = Tag(0x0012, 0x0064)
TIME_MODIFIED = Tag(0x0028, 0x0303)
PIXEL_DATA = Tag(0x7FE0, 0x0010)
SHARED_GROUPS = Tag(0x5200, 0x9229)
