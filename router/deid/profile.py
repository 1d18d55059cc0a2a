"""What PS3.15 Annex E says to do with an attribute: Table E.1-1, its options, and what it leaves open.

``table_e1_1.csv`` is the table (PS3.15 Table E.1-1, as of January 2025): one row an attribute, one
column the Basic Profile, one column each option. Actions are the standard's letters: X remove,
Z zero length, D dummy, U new UID, K keep, C clean; "X/Z/D" leaves the choice to the IOD, which
``iod`` makes by the attribute's type.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from router.deid.standard import iod, vocabulary
from router.deid.standard.iod import Need
from router.deid.standard.safe_private import SHIPPED as SAFE_PRIVATE
from router.deid.standard.safe_private import SafeElement

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Changes with every change of the rules below; a study keeps the one it was taken in with.
RULES = "4"

#: Nested deeper than this is held: Orthanc's HTTP threads die at 50.
DEEPEST_NESTING = 32

_PATIENT_GROUP = 0x0010

#: UIDs of the standard itself: SOP classes, transfer syntaxes, well-known instances.
STANDARD_ROOT = "1.2.840.10008."
#: Of the groups of codes (PS3.6, table A-3), by their numbers.
_CONTEXT_GROUP = re.compile(r"1\.2\.840\.10008\.6\.1\.[0-9]{1,4}")


class Action(StrEnum):
    """What happens to an attribute."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    KEEP = "K"
    # How an attribute of letter C is cleaned. What cannot be cleaned falls back (Rule.fallback).
    SHIFT = "shift"  # a date: moved by the patient's whole weeks
    TIME = "time"  # a time of day: kept where it is one
    AGE = "age"  # kept; from 90 years on 090Y
    TERM = "term"  # kept where it is one of the standard's terms, or a number
    TEXT = "text"  # kept where each word is of the vocabulary


class Option(StrEnum):
    """The options of Annex E that can be chosen, by their codes in CID 7050."""

    CLEAN_PIXELS = "113101"
    CLEAN_GRAPHICS = "113103"
    CLEAN_STRUCTURED = "113104"
    CLEAN_DESCRIPTORS = "113105"
    MODIFIED_DATES = "113107"
    PATIENT_CHARACTERISTICS = "113108"
    DEVICE_IDENTITY = "113109"
    SAFE_PRIVATE = "113111"


#: The meanings of CID 7050.
MEANINGS: Mapping[str, str] = {
    "113100": "Basic Application Confidentiality Profile",
    Option.CLEAN_PIXELS: "Clean Pixel Data Option",
    Option.CLEAN_GRAPHICS: "Clean Graphics Option",
    Option.CLEAN_STRUCTURED: "Clean Structured Content Option",
    Option.CLEAN_DESCRIPTORS: "Clean Descriptors Option",
    Option.MODIFIED_DATES: "Retain Longitudinal Temporal Information Modified Dates Option",
    Option.PATIENT_CHARACTERISTICS: "Retain Patient Characteristics Option",
    Option.DEVICE_IDENTITY: "Retain Device Identity Option",
    Option.SAFE_PRIVATE: "Retain Safe Private Option",
}

#: What a screening programme needs: ages and intervals, and reports that can be read.
SCREENING: frozenset[Option] = frozenset(Option) - {Option.DEVICE_IDENTITY, Option.SAFE_PRIVATE}


@dataclass(frozen=True)
class Row:
    """One row of Table E.1-1."""

    name: str
    #: The Basic Profile's letters as the standard prints them.
    basic: str
    #: The letter of each option that has one.
    options: Mapping[Option, str]

    @property
    def is_code(self) -> bool:
        """Whether it is a sequence of codes, for which there is a dummy."""
        return self.name.endswith("Code Sequence")


# In this order: the date of a device's calibration is a date first.
_COLUMNS = {
    "modified_dates": Option.MODIFIED_DATES,
    "device": Option.DEVICE_IDENTITY,
    "patient": Option.PATIENT_CHARACTERISTICS,
    "descriptors": Option.CLEAN_DESCRIPTORS,
    "structured": Option.CLEAN_STRUCTURED,
    "graphics": Option.CLEAN_GRAPHICS,
}


def _read_table() -> dict[int, Row]:
    text = resources.files(__package__).joinpath("table_e1_1.csv").read_text(encoding="ascii")
    return {
        int(line["tag"], 16): Row(
            line["name"],
            line["basic"],
            {option: line[column] for column, option in _COLUMNS.items() if line[column]},
        )
        for line in csv.DictReader(text.splitlines())
        # The four rows with patterns (private, curves, overlays) are rules below.
        if "X" not in line["tag"] and line["tag"] != "private"
    }


#: Tag → row, for the attributes that the table names one by one.
TABLE: Mapping[int, Row] = _read_table()


@lru_cache(maxsize=4096)
def is_of_the_standard(uid: str) -> bool:
    """Whether a UID is one of PS3.6: of a class, a syntax, a scheme of codes.

    Its root alone says nothing: there are devices that make the UIDs of their images by adding
    numbers to that of the class.
    """
    return uid.startswith(STANDARD_ROOT) and (
        UID(uid).name != uid or _CONTEXT_GROUP.fullmatch(uid) is not None
    )


def is_overlay_or_curve(tag: BaseTag) -> bool:
    """Repeating groups 50xx and 60xx: pictures of their own, in which anything can be drawn."""
    return tag.group & 0xFF00 in {0x5000, 0x6000}


def is_unknown(tag: BaseTag) -> bool:
    """Neither private nor in the data dictionary: nobody can say what it holds."""
    return not tag.is_private and not dictionary_has_tag(tag)


@dataclass(frozen=True)
class Rule:
    """What happens to one attribute, and why."""

    action: Action
    #: What happens to a value that the action cannot make safe.
    fallback: Action
    #: For people: the row and the option, or the rule where the table is silent.
    why: str


#: VRs in which people write, and dates: what the table does not name of these is cleaned or goes.
_WRITTEN = frozenset({"LT", "ST", "UT", "UC"})
_DATES = frozenset({"DA", "DT"})
#: Short texts that the table does not name, and that people fill in all the same.
_DESCRIBES = re.compile(r"(Description|Comments?|Reason|Label|Annotation|Text)$")
#: Code values that are longer than VR SH, and so have the VR of a text.
CODES = frozenset({Tag("LongCodeValue"), Tag("URNCodeValue")})


#: What the table does not name, and leads to a person or a place all the same: who is asked, whose
#: network and printer it is, numbers of orders, and what somebody has encrypted of the original.
NAMING = frozenset(
    Tag(keyword)
    for keyword in (
        "ContactDisplayName", "HangingProtocolCreator", "HangingProtocolUserGroupName", "OwnerID",
        "NTPSourceAddress", "PrinterName", "RadiationMachineName", "DeviceID",
        "SecondaryCaptureDeviceID", "HardcopyCreationDeviceID", "StorageMediaFileSetID",
        "PlacerOrderNumberProcedure", "FillerOrderNumberProcedure",
        "PlacerOrderNumberImagingServiceRequestRetired",
        "FillerOrderNumberImagingServiceRequestRetired",
        "EncryptedAttributesSequence", "EncryptedContent",
    )
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Profile:
    """The Basic Profile with the options that were chosen: all that decides over a copy's bytes.

    A study keeps the profile that it was taken in with; its id stands for everything in it, also
    where two are compared: that is done several times for each attribute.
    """

    options: frozenset[Option] = frozenset()
    #: The words that free text may consist of (113105): lower case, without accents.
    words: frozenset[str] = frozenset()
    #: What stays of private attributes (113111).
    private: frozenset[SafeElement] = frozenset()

    @classmethod
    def of(
        cls,
        options: frozenset[Option],
        more_words: frozenset[str] = frozenset(),
        more_private: frozenset[SafeElement] = frozenset(),
    ) -> Profile:
        """The options with the shipped lists and what a site adds to them."""
        words = vocabulary.TEXT_WORDS | more_words
        return cls(
            options,
            words if Option.CLEAN_DESCRIPTORS in options else frozenset(),
            (SAFE_PRIVATE | more_private) if Option.SAFE_PRIVATE in options else frozenset(),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @cached_property
    def id(self) -> str:
        """Stands for the options and lists: ``2:113105+113107:<12 hexadecimal digits>``."""
        digits = hashlib.sha256(self.to_json().encode()).hexdigest()[:12]
        return f"{RULES}:{'+'.join(sorted(self.options)) or 'basic'}:{digits}"

    def to_json(self) -> str:
        """All of it as text, the same text for the same profile."""
        content = {
            "rules": RULES,
            "options": sorted(self.options),
            "words": sorted(self.words),
            "private": [element.to_text() for element in sorted(self.private)],
        }
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Profile:
        content = json.loads(text)
        return cls(
            frozenset(map(Option, content["options"])),
            frozenset(content["words"]),
            frozenset(map(SafeElement.parse, content["private"])),
        )

    @property
    def shifts(self) -> bool:
        return Option.MODIFIED_DATES in self.options

    def codes(self, *, pixels_cleaned: bool = False) -> tuple[str, ...]:
        """What is declared in (0012,0064) of an object.

        Clean Pixel Data is declared only where pixels were masked.
        """
        chosen = self.options - {Option.CLEAN_PIXELS}
        if pixels_cleaned:
            chosen |= {Option.CLEAN_PIXELS}
        return ("113100", *sorted(chosen))

    def method(self, *, pixels_cleaned: bool = False) -> str:
        """What is declared in (0012,0063), VR LO: values of at most 64 characters."""
        return "\\".join(
            ["edge-router PS3.15 Annex E", "+".join(self.codes(pixels_cleaned=pixels_cleaned)[:8])]
        )

    def rule(self, tag: BaseTag, vr: str, kind: str) -> Rule:
        """What happens to an attribute of this tag and VR in an object of the kind (iod.kind_of).

        KEEP of a sequence means that its items are gone through one by one.
        """
        return _rule(self, int(tag), vr, kind)


#: Without any option.
BASIC = Profile()


@lru_cache(maxsize=8192)
def _rule(profile: Profile, number: int, vr: str, kind: str) -> Rule:
    tag = BaseTag(number)
    if tag.is_private:
        return Rule(Action.REMOVE, Action.REMOVE, "private, and not on the allow-list")
    if is_overlay_or_curve(tag):
        return Rule(Action.REMOVE, Action.REMOVE, "an overlay or a curve")
    if is_unknown(tag):
        return Rule(Action.REMOVE, Action.REMOVE, "not in the data dictionary")
    need = iod.need(tag, kind)
    row = TABLE.get(tag)
    if row is None:
        return _unlisted(profile, tag, vr, need)
    known = dictionary_VR(tag)  # a date is a date under whatever VR it was sent
    basic = basic_action(row, need, known)
    for option, letter in row.options.items():
        if option in profile.options and (chosen := _optional(known, option, letter)):
            return Rule(chosen, basic, f"Table E.1-1: {letter} by {option}, else {row.basic}")
    return Rule(basic, basic, f"Table E.1-1: {row.basic}")


def basic_action(row: Row, need: Need | None, vr: str) -> Action:
    """The Basic Profile's action; where the IOD needs more than the letters give, that."""
    choices = row.basic.split("/")
    if row.basic == "U" or (vr == "UI" and "D" in choices):
        return Action.UID
    if row.basic.endswith("U*"):
        return Action.KEEP  # a sequence of references: its UIDs are replaced inside
    if need is Need.VALUE or ("D" in choices and (need is None or choices == ["D"])):
        # The items of a sequence are gone through, and each attribute in them made safe.
        return Action.KEEP if vr == "SQ" and not row.is_code else Action.DUMMY
    if need is Need.PRESENT or (need is None and "Z" in choices):
        return Action.EMPTY
    if need is Need.NOTHING and "X" in choices:
        return Action.REMOVE
    return Action(choices[0])


def _optional(  # noqa: PLR0911  (one line a letter and option)
    vr: str, option: Option, letter: str
) -> Action | None:
    """How an option's letter is carried out; ``None``: it does not apply to this VR."""
    if vr == "UI":
        return None  # a device's UID becomes a pseudonym too: the same one every time
    if vr == "AS":
        return Action.AGE
    if letter == "K":
        # What a person wrote about another person is text, whatever the letter.
        if option is Option.PATIENT_CHARACTERISTICS:
            return Action.TEXT if vr in {"SH", "LO"} else Action.TERM
        return Action.KEEP
    if option is Option.MODIFIED_DATES:
        return Action.SHIFT if vr in _DATES else Action.TIME if vr == "TM" else None
    if vr == "SQ":
        # Of content and graphics each item is gone through; a sequence of letter C that only
        # describes (who asked for what, and why) goes as a whole.
        return None if option is Option.CLEAN_DESCRIPTORS else Action.KEEP
    return Action.TEXT


def _unlisted(  # noqa: PLR0911  (one line a kind of value)
    profile: Profile, tag: BaseTag, vr: str, need: Need | None
) -> Rule:
    """Attributes that the table does not name stay, but for names, free text and dates.

    The table misses some: the birth date in another calendar, comments on procedure steps.
    """
    vrs = {vr, dictionary_VR(tag)}  # senders put names and UIDs under other VRs
    gone = {Need.VALUE: Action.DUMMY, Need.PRESENT: Action.EMPTY}.get(
        need or Need.NOTHING, Action.REMOVE
    )
    if tag in NAMING:
        return Rule(gone, gone, "not in Table E.1-1: names a person, a place or a machine")
    if "PN" in vrs:
        name = Action.DUMMY if need is Need.VALUE else Action.EMPTY
        return Rule(name, name, "not in Table E.1-1: a name")
    if "UI" in vrs:
        return Rule(Action.UID, Action.UID, "not in Table E.1-1: a UID")
    if tag.group == _PATIENT_GROUP and vrs & (_WRITTEN | _DATES | {"LO", "SH", "TM", "UR"}):
        return Rule(gone, gone, "not in Table E.1-1: text or date of the patient")
    if vrs & _DATES:
        action = Action.SHIFT if profile.shifts else gone
        return Rule(action, gone, "not in Table E.1-1: a date")
    if "TM" in vrs:
        return Rule(
            Action.TIME if profile.shifts else gone, gone, "not in Table E.1-1: a time of day"
        )
    if "UR" in vrs and tag not in CODES:
        return Rule(gone, gone, "not in Table E.1-1: an address")
    if describes(tag, vrs):
        action = Action.TEXT if Option.CLEAN_DESCRIPTORS in profile.options else gone
        return Rule(action, gone, "not in Table E.1-1: free text")
    return Rule(Action.KEEP, Action.KEEP, "not in Table E.1-1")


def describes(tag: BaseTag, vrs: set[str]) -> bool:
    """Whether an attribute that the table does not name holds what a person wrote."""
    if tag in CODES:
        return False
    return bool(vrs & _WRITTEN) or bool(
        vrs & {"LO", "SH"} and _DESCRIBES.search(dictionary_keyword(tag))
    )


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
BURNED_IN = Tag(0x0028, 0x0301)
PIXEL_DATA = Tag(0x7FE0, 0x0010)
