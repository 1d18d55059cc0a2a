"""The plan: what Orthanc is told to do with one instance, attribute by attribute.

Orthanc's own anonymization leaves gaps (nested names, overlays, elements of VR UN) and draws new
UIDs each time. So the plan names every attribute at every depth that the profile acts on, with the
value it gets; the same instance and key always give the same plan, and so the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement

from router.deid import profile, pseudonyms
from router.deid.profile import Action
from router.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from router.deid.pseudonyms import Key

Json: TypeAlias = "str | list[Json] | dict[str, Json]"

#: What stands where an attribute must hold a value, by VR.
DUMMIES: dict[str, str] = {
    "AE": "ANONYMIZED", "AS": "000Y", "CS": "ANONYMIZED", "DA": "19000101", "DS": "0",
    "DT": "19000101000000", "IS": "0", "LO": "ANONYMIZED", "LT": "ANONYMIZED",
    "PN": "ANONYMIZED", "SH": "ANONYMIZED", "ST": "ANONYMIZED", "TM": "000000",
    "UC": "ANONYMIZED", "UR": "urn:anonymized", "UT": "ANONYMIZED",
}  # fmt: skip
_DUMMY_CODE: Json = [
    {"CodeValue": "ANON", "CodingSchemeDesignator": "99EDGE", "CodeMeaning": "Anonymized"}
]
_METHOD_CODES: Json = [
    {"CodeValue": code.value, "CodingSchemeDesignator": "DCM", "CodeMeaning": code.meaning}
    for code in profile.METHOD_CODES
]


@dataclass(frozen=True)
class Identity:
    """Who the patient is. Stays on the truck, in the journal's identity table."""

    pseudonym: str
    issuer: str
    patient_id: str
    name: str
    birth_date: str
    sex: str
    accession: str
    accession_pseudonym: str


@dataclass(frozen=True)
class Plan:
    """The body for ``POST /instances/{id}/anonymize``. Keys are paths: ``0008-1140[0].0008-1155``."""

    replace: dict[str, Json] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)

    def body(self) -> dict[str, object]:
        return {"Force": True, "Replace": self.replace, "Remove": self.remove}


def identity_of(dataset: Dataset, key: Key) -> Identity:
    """The identifying values of a data set beside their pseudonyms."""

    def text(keyword: str) -> str:
        return str(dataset.get(keyword, "") or "").strip()

    issuer, patient_id, number = (
        text("IssuerOfPatientID"),
        text("PatientID"),
        text("AccessionNumber"),
    )
    return Identity(
        pseudonym=pseudonyms.patient(key, issuer, patient_id),
        issuer=issuer,
        patient_id=patient_id,
        name=text("PatientName"),
        birth_date=text("PatientBirthDate"),
        sex=text("PatientSex"),
        accession=number,
        accession_pseudonym=pseudonyms.accession(key, number) if number else "",
    )


def make(dataset: Dataset, key: Key, station: str) -> Plan:
    """The plan for one instance. ``station`` is what StationName becomes (the truck's id).

    Raises Hold (NESTING_TOO_DEEP, ENCODING_NOT_CLEARED).
    """
    plan = Plan()
    enhanced = profile.SHARED_GROUPS in dataset
    for path, where, tag in _elements(dataset, "", 0):
        _plan_element(plan, key, path, where, tag, enhanced=enhanced)
    _plan_own(plan, dataset, key, station)
    return plan


def _elements(dataset: Dataset, prefix: str, depth: int) -> Iterator[tuple[str, Dataset, BaseTag]]:
    """Every element with its path; items of sequences come before the sequence's siblings."""
    if depth > profile.DEEPEST_NESTING:
        raise Hold(Code.NESTING_TOO_DEEP, f"deeper than {profile.DEEPEST_NESTING} levels")
    for tag in sorted(dataset.keys()):
        path = f"{prefix}{tag.group:04x}-{tag.element:04x}"
        yield path, dataset, tag
        if vr_of(dataset, tag) == "SQ" and not tag.is_private:
            for index, item in enumerate(dataset[tag].value or ()):
                yield from _elements(item, f"{path}[{index}].", depth + 1)


def vr_of(dataset: Dataset, tag: BaseTag) -> str:
    """The VR of an element, without loading its value; from the dictionary where the file has none.

    A known attribute that was sent as UN has the VR of the dictionary (PS3.5, 6.2.2).
    """
    vr = dataset.get_item(tag, keep_deferred=True).VR
    if vr in {None, "UN"} and dictionary_has_tag(tag):
        vr = dictionary_VR(tag)
    return str(vr or "UN")


def _plan_element(
    plan: Plan, key: Key, path: str, dataset: Dataset, tag: BaseTag, *, enhanced: bool
) -> None:
    vr = vr_of(dataset, tag)
    action = profile.action(tag, vr, enhanced=enhanced)
    if tag.group == profile.PIXEL_DATA.group and "[" in path:
        action = Action.REMOVE  # a picture inside a sequence: nobody looks at it
    if action is Action.KEEP:
        if vr == "SQ" and dataset.get_item(tag, keep_deferred=True).VR == "UN":
            # Orthanc sees bytes where the standard says items: no path leads inside.
            raise Hold(Code.ENCODING_NOT_CLEARED, f"sequence {path} is encoded as UN")
        return
    if action is Action.UID:
        replaced = _mapped_uids(dataset, tag, key)
        if replaced is not None:
            plan.replace[path] = replaced
    elif action is Action.EMPTY:
        plan.replace[path] = [] if vr == "SQ" else ""
    elif action is Action.DUMMY and (dummy := _dummy(tag, vr)) is not None:
        plan.replace[path] = dummy
    else:
        plan.remove.append(path)


def _mapped_uids(dataset: Dataset, tag: BaseTag, key: Key) -> str | None:
    """The new value of a (multi-valued) UID attribute; ``None`` where nothing in it changes."""
    element = dataset[tag]
    if not isinstance(element, DataElement) or not element.value:
        return None
    values = [element.value] if isinstance(element.value, str) else list(element.value)
    originals = [str(value).strip(" \0") for value in values]
    mapped = [map_uid(key, original) for original in originals]
    # Where the table says U, Orthanc would draw a UID of its own: also of a well-known one.
    unchanged = mapped == originals and tag not in profile.TABLE
    return None if unchanged else "\\".join(mapped)


def map_uid(key: Key, original: str) -> str:
    """A UID of the standard stays; any other becomes its pseudonym."""
    if not original or original.startswith(profile.STANDARD_ROOT):
        return original
    return pseudonyms.uid(key, original)


def _dummy(tag: BaseTag, vr: str) -> Json | None:
    """``None``: there is no harmless value of this kind, so the attribute goes."""
    if vr == "SQ":
        is_code = profile.TABLE[tag].name.endswith("Code Sequence")
        return _DUMMY_CODE if is_code else None
    return DUMMIES.get(vr)


def _plan_own(plan: Plan, dataset: Dataset, key: Key, station: str) -> None:
    """What the router sets in every object, whatever was there."""
    identity = identity_of(dataset, key)
    study_id = str(dataset.get("StudyID", "") or "").strip()
    own: dict[BaseTag, Json] = {
        profile.PATIENT_NAME: identity.pseudonym,
        profile.PATIENT_ID: identity.pseudonym,
        profile.ACCESSION_NUMBER: identity.accession_pseudonym,
        profile.STUDY_ID: pseudonyms.study_id(key, study_id) if study_id else "",
        profile.STATION_NAME: station,
        profile.STUDY_UID: pseudonyms.uid(key, str(dataset.StudyInstanceUID)),
        profile.SERIES_UID: pseudonyms.uid(key, str(dataset.SeriesInstanceUID)),
        profile.SOP_UID: pseudonyms.uid(key, str(dataset.SOPInstanceUID)),
        profile.IDENTITY_REMOVED: "YES",
        profile.METHOD_TEXT: profile.METHOD,
        profile.METHOD_SEQUENCE: _METHOD_CODES,
        profile.TIME_MODIFIED: "REMOVED",
    }
    for tag, value in own.items():
        path = f"{tag.group:04x}-{tag.element:04x}"
        plan.replace[path] = value
        # A (0012,0064) of the source names what others did; its items are replaced as a whole.
        for inner in [key for key in plan.replace if key.startswith(f"{path}[")]:
            del plan.replace[inner]
        plan.remove[:] = [p for p in plan.remove if p != path and not p.startswith(f"{path}[")]
