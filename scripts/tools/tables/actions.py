"""What becomes of each attribute of Table E.1-1: told by trying it.

An object with the attribute is made for each kind of value that the plan could treat in a way of
its own, and the plan is asked what it does. So the document cannot say anything else than is done.
"""

from __future__ import annotations

import re

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, XRayRadiationDoseSRStorage

from router.deid import profile
from router.deid.planning import plan
from router.deid.planning.clean import DUMMIES, DUMMY_BYTES, DUMMY_CODE
from router.deid.pseudonyms import Key
from router.deid.standard.e1_1 import TABLE

_KEY = Key("document", bytes(range(32)))
_TRUCK = "THIS-TRUCK"
_CHOSEN = profile.Profile.of(profile.SCREENING)
_KINDS = {
    "image": CTImageStorage,
    "multi-frame": EnhancedCTImageStorage,
    "report": XRayRadiationDoseSRStorage,
}
_WORDS = ("F", "CHEST", "Zyxwv Vutsrq")
#: Values by VR. The first is one that an option may keep; each later one is harder to keep.
_TRIED: dict[str, tuple[object, ...]] = {
    "AE": ("CHEST",), "AS": ("045Y", "095Y", "old"), "CS": _WORDS, "DA": ("20260311", "no date"),
    "DS": ("1.7", "12345.7"), "DT": ("20260311101500", "no date"), "FD": (1.5,), "FL": (1.5,),
    "IS": ("1", "12345"), "LO": _WORDS, "LT": _WORDS, "OB": (b"\1\2",), "OW": (b"\1\2",),
    "PN": ("Zyxwv^Vutsrq",), "SH": _WORDS, "SL": (1,), "SS": (1,), "ST": _WORDS,
    "TM": ("101500", "no time"), "UC": _WORDS, "UI": ("1.2.3.4",), "UL": (1,), "UN": (b"\1\2",),
    "UR": ("http://example.org",), "US": (1,), "UT": _WORDS,
}  # fmt: skip
_PSEUDONYM = re.compile(r"([PAS])[A-Z0-9]{8,}")


def actions_table() -> str:
    """What the default options make of each row of Table E.1-1, by kind of object."""
    rows = [
        f"| tag | attribute | table | {' | '.join(_KINDS)} |",
        "|---|---|---|---|---|---|",
    ]
    for number, row in TABLE.items():
        tag = BaseTag(number)
        told = [told_of(tag, kind) for kind in _KINDS]
        letters = "; ".join([row.basic, *(f"{o}: {c}" for o, c in sorted(row.options.items()))])
        rows.append(f"| {tag} | {row.name} | {letters} | {' | '.join(told)} |")
    return "\n".join(rows)


def told_of(tag: BaseTag, kind: str) -> str:
    """What becomes of an attribute in an object of the kind."""
    vr = dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else "UN"
    if vr == "SQ":
        return _outcome(tag, vr, Sequence([_item()]), kind)
    tried = [_outcome(tag, vr, value, kind) for value in _TRIED[vr]]
    first, *_, worst = tried if len(tried) > 1 else (*tried, *tried)
    if len(set(tried)) == 1:
        return first
    if len(tried) == len(_WORDS) and vr != "AS":
        kept = [
            word for word, told in zip(("term", "words"), tried, strict=False) if told == "kept"
        ]
        condition = " where its words are allowed" if "words" in kept else " where it is a term"
    else:
        condition = {
            "AS": f", from 90 years on {tried[1]}", "TM": " where it is a time",
            "DS": " where it is a number of usual size", "IS": " where it is a number of usual size",
        }.get(vr, "")  # fmt: skip
    return f"{'kept' if condition else first}{condition}, else {worst}"


def _item() -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-D3000", "SRT", "Chest"
    return item


def _outcome(tag: BaseTag, vr: str, value: object, kind: str) -> str:
    """What the plan does with one value."""
    dataset = Dataset()
    dataset.SOPClassUID = _KINDS[kind]
    if kind == "multi-frame":
        dataset.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    dataset.PatientID = "Q1234567"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, "1.2.3")
    dataset[tag] = DataElement(tag, vr, value)
    made = plan.make(dataset, _KEY, _TRUCK, _CHOSEN)
    path = f"{tag.group:04x}-{tag.element:04x}"
    if path in made.remove:
        return "removed"
    if path not in made.replace:
        return "kept; items of a sequence one by one" if vr == "SQ" else "kept"
    return _told(made.replace[path], value)


def _told(new: object, old: object) -> str:
    """How a new value is told."""
    text = str(new)
    found = _PSEUDONYM.fullmatch(text)
    ways = {
        "emptied": new in ("", []),
        "dummy": new == [DUMMY_CODE] or text in {*DUMMIES.values(), DUMMY_BYTES},
        "the truck's id": text == _TRUCK,
        "new UID, keyed": text.startswith("2.25."),
        f"pseudonym `{text[:1]}…`": found is not None,
        "kept": text == str(old),
        "moved by the patient's weeks": text[:8].isdigit() and str(old)[:8].isdigit(),
    }
    return next((told for told, fits in ways.items() if fits), f"`{text}`")
