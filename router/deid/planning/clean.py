"""How single values are made safe: dates moved, ages capped, free text judged, UIDs replaced."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

from router.deid import pseudonyms
from router.deid.planning import dates, freetext
from router.deid.planning.actions import Action
from router.deid.planning.dictionary import is_of_the_standard
from router.deid.standard import tags, vocabulary
from router.deid.standard.e1_1 import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from router.deid.profile import Profile
    from router.deid.pseudonyms import Key

#: What stands where an attribute must hold a value, by VR.
DUMMIES: dict[str, str] = {
    "AE": "ANONYMIZED", "AS": "000Y", "CS": "ANONYMIZED", "DA": "19000101", "DS": "0",
    "DT": "19000101000000", "IS": "0", "LO": "ANONYMIZED", "LT": "ANONYMIZED",
    "PN": "ANONYMIZED", "SH": "ANONYMIZED", "ST": "ANONYMIZED", "TM": "000000",
    "UC": "ANONYMIZED", "UR": "urn:anonymized", "UT": "ANONYMIZED",
}  # fmt: skip
#: Eight zeros, the way Orthanc takes bytes.
DUMMY_BYTES = "data:application/octet-stream;base64,AAAAAAAAAAA="
DUMMY_CODE = {"CodeValue": "ANON", "CodingSchemeDesignator": "99EDGE", "CodeMeaning": "Anonymized"}

#: Defined terms of what is kept of the patient: sex, neutered, smoking and pregnancy status.
_TERMS = frozenset({"F", "M", "O", "ALTERED", "UNALTERED", "YES", "NO", "UNKNOWN"})
_NUMBER = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")
_AGE = re.compile(r"(\d{3})([DWMY])")
_OLDEST = 90  # years; PS3.15 leaves the limit open, HIPAA's safe harbor draws it here
_TELLING = 6  # letters; shorter words turn up by chance, and are the gate's
_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
#: Attributes of the patient's own, whose words free text may not hold.
_OWN = (
    "PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName",
    "PatientMotherBirthName", "AccessionNumber", "PatientAddress", "PatientTelephoneNumbers",
    "MedicalRecordLocator", "AdmissionID", "StudyID", "ResponsiblePerson",
)  # fmt: skip


def values_of(element: DataElement) -> list[str]:
    """The values of an element as text."""
    value = element.value
    if value is None:
        return []
    several = isinstance(value, MultiValue | list)
    return [str(v).strip("\0") for v in (value if several else [value])]


def text_of(element: DataElement) -> str:
    """The values of an element as one text, joined by a backslash."""
    return "\\".join(values_of(element))


def map_uid(key: Key, original: str) -> str:
    """The pseudonym of a UID; one of the standard is its own."""
    if not original or is_of_the_standard(original):
        return original
    return pseudonyms.uid(key, original)


class Cleaner:
    """Cleans the values of one instance's data set."""

    def __init__(self, dataset: Dataset, key: Key, chosen: Profile) -> None:
        self._key = key
        self._words = chosen.words
        issuer, patient_id = (
            str(dataset.get(keyword, "") or "") for keyword in ("IssuerOfPatientID", "PatientID")
        )
        self._days = pseudonyms.shift_days(key, issuer, patient_id)
        self._avoid = freetext.words_to_avoid(_identifiers(dataset)) | _staff(dataset)
        referrer = str(dataset.get("ReferringPhysicianName", "") or "")
        #: What a text that is written anew may not hold.
        self._telling = self._avoid | {"".join(freetext.words_of(referrer))}
        self._uids: dict[str, str] = {}

    def uids(self, element: DataElement) -> str | None:
        """The new value of a (multi-valued) UID attribute; ``None`` where nothing in it changes."""
        if not isinstance(element, DataElement) or not element.value:
            return None
        originals = [value.strip(" \0") for value in values_of(element)]
        mapped = [self._uid(original) for original in originals]
        # Where the table says U, Orthanc would draw a UID of its own: also of a well-known one.
        unchanged = mapped == originals and int(element.tag) not in TABLE
        return None if unchanged else "\\".join(mapped)

    def _uid(self, original: str) -> str:
        if original not in self._uids:
            self._uids[original] = map_uid(self._key, original)
        return self._uids[original]

    def cleaned(self, element: DataElement, action: Action) -> str | None:
        """The values of letter C made safe, joined by ``\\``; ``None`` where they cannot be."""
        if element.VR == "SQ" or isinstance(element.value, bytes):
            return None
        if action is Action.TERM and element.VR == "US":
            return text_of(element)  # a number by its VR (pregnancy status)
        vr = _date_vr(element)
        cleaned = [self._one(value, action, vr) for value in values_of(element)]
        kept = [value for value in cleaned if value is not None]
        return "\\".join(kept) if len(kept) == len(cleaned) else None

    def _one(self, value: str, action: Action, vr: str) -> str | None:
        if not value.strip(" \0"):
            return value
        if action is Action.SHIFT:
            return dates.shifted(value, self._days, vr)
        if action is Action.TIME:
            return dates.time_of_day(value)
        if action is Action.AGE:
            return _age(value.strip())
        if action is Action.TERM:
            term = value.strip(" \0")
            return value if term in _TERMS or _NUMBER.fullmatch(term) else None
        return value if freetext.is_harmless(value, self._words, self._avoid) else None

    def tells(self, element: DataElement) -> bool:
        """Whether a text that stays holds a word or number of the patient's, or her referrer."""
        joined = "".join(freetext.words_of(text_of(element)))
        return any(len(word) >= _TELLING and word in joined for word in self._telling)

    def nested_pseudonym(self, dataset: Dataset, tag: BaseTag, depth: int) -> str | None:
        """Pseudonym of a patient or accession number inside an item, so that references stay matched."""
        if depth == 0 or tag not in {tags.PATIENT_ID, tags.ACCESSION_NUMBER}:
            return None
        value = text_of(dataset[tag]).strip()
        if not value:
            return None
        if tag == tags.ACCESSION_NUMBER:
            return pseudonyms.accession(self._key, value)
        issuer = str(dataset.get("IssuerOfPatientID", "") or "")
        return pseudonyms.patient(self._key, issuer, value)


def _age(value: str) -> str | None:
    match = _AGE.fullmatch(value)
    if match is None:
        return None
    years = int(match[1]) / _PER_YEAR[match[2]]
    return f"{_OLDEST:03d}Y" if years >= _OLDEST else value


def _date_vr(element: DataElement) -> str:
    """How a date is to be written: DA where it is one, by the standard or as it was sent."""
    known = dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else element.VR
    return next((vr for vr in (known, element.VR) if vr in {"DA", "DT"}), "DT")


def _staff(dataset: Dataset) -> frozenset[str]:
    """Words of all names (of physicians, operators), but those that stand in every text."""
    names = (
        text_of(dataset[tag])
        for tag in dataset.keys()  # noqa: SIM118  (values of a Dataset would be converted)
        if dictionary_has_tag(tag) and dictionary_VR(tag) == "PN"
    )
    words = {word for name in names for word in freetext.words_of(name) if len(word) > 2}  # noqa: PLR2004
    return frozenset(words - vocabulary.WORDS)


def _identifiers(dataset: Dataset) -> Iterator[str]:
    for keyword in _OWN:
        if keyword in dataset:
            yield from values_of(dataset[keyword])
    born = str(dataset.get("PatientBirthDate", "") or "").strip()
    if (day_of_birth := dates.day_of(born)) is not None:
        written = f"{day_of_birth:%Y%m%d}".zfill(8)
        year, month, day = written[:4], written[4:6], written[6:]
        for shown in (year, year[2:]):
            yield from (shown + month + day, day + month + shown, month + day + shown)
