"""What of an original may appear nowhere in what leaves the truck, and how it is looked for.

How hard a value is looked for depends on what it tells and how easily it turns up by chance: a
search that finds "12" in every header would hold every image and would soon be switched off. The
tiers are in ``tiers``; the documents print them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.charset import convert_encodings, encode_string
from pydicom.tag import Tag

from router.deid.gate import moments
from router.deid.gate import original as original_values
from router.deid.gate.dictionary import is_public_uid
from router.deid.gate.search import LONG, LONG_NUMBER
from router.deid.gate.writings import (
    birthdays,
    compact,
    date_variants,
    folded,
    name_parts,
    runs,
    spellings,
    variants,
)
from router.deid.standard import vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

#: Attributes that name a person or lead straight to one. Their values are looked for everywhere.
_IDENTIFYING = frozenset(
    Tag(keyword)
    for keyword in (
        "PatientID", "OtherPatientIDs", "PatientBirthDate", "PatientAddress",
        "PatientTelephoneNumbers", "PatientTelecomInformation", "MedicalRecordLocator",
        "AccessionNumber", "AdmissionID", "IssuerOfPatientID", "ReferringPhysicianAddress",
        "ReferringPhysicianTelephoneNumbers", "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest", "StudyID", "RequestedProcedureID",
        "ScheduledProcedureStepID", "PerformedProcedureStepID",
        "PatientBirthDateInAlternativeCalendar",
    )
)  # fmt: skip
_PATIENTS_NAMES = frozenset(
    Tag(keyword)
    for keyword in (
        "PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName",
    )
)  # fmt: skip
#: Whose words and numbers free text may not hold, apart from names: what names the patient herself.
#: A number of the procedure (MG-001) has words that every text of that modality holds.
_OWN = frozenset(
    Tag(keyword)
    for keyword in (
        "PatientID", "OtherPatientIDs", "PatientAddress", "PatientTelephoneNumbers",
        "MedicalRecordLocator", "AccessionNumber", "AdmissionID", "StudyID",
    )
)  # fmt: skip
_BORN = frozenset({Tag("PatientBirthDate"), Tag("PatientBirthDateInAlternativeCalendar")})
#: Numbers of the patient that may be very short: looked for as the whole of a text.
_PATIENTS_NUMBERS = frozenset({Tag("PatientID"), Tag("OtherPatientIDs")})
#: When the patient was examined: with one original date all of her moved ones are known.
_EXAMINED = frozenset(
    Tag(keyword)
    for keyword in (
        "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "AcquisitionDateTime",
        "InstanceCreationDate", "PerformedProcedureStepStartDate",
    )
)  # fmt: skip
_MAKER = ("Manufacturer", "ManufacturerModelName", "ConvolutionKernel")
#: Attributes that name a place or a machine. They are looked for too, unless the value is a part
#: of the maker's or the model's name: sites enter "TOSHIBA" as their institution.
_LOCATING = frozenset(
    Tag(keyword)
    for keyword in ("InstitutionName", "InstitutionAddress", "DeviceSerialNumber", "StationName")
)
_LOOKED_AT = _IDENTIFYING | _EXAMINED | _LOCATING
#: VRs whose values are looked at whatever the attribute.
_OF_ALL = frozenset({"PN", "UI"})
_DEVICE = frozenset({Tag("DeviceSerialNumber"), Tag("StationName")})
#: Values that are in use as "nothing" and identify no one.
_NOBODY = frozenset({
    "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "ANON", "UNKNOWN", "NONE", "REMOVED", "DEIDENTIFIED",
})  # fmt: skip
_SHORTEST, _SHORTEST_NAME, _SHORTEST_NUMBER = 3, 2, 4
_SHORTEST_WHOLE = 2
#: When somebody can have been examined.
_EARLIEST, _LATEST = 1900, 2099
DUMMY_TEXT = frozenset({
    "ANONYMIZED", "000Y", "19000101", "19000101000000", "000000", "0", "urn:anonymized",
})  # fmt: skip


@dataclass(frozen=True)
class Traces:
    """The values of an original that may appear nowhere in what leaves the truck."""

    long: frozenset[bytes]
    short: frozenset[str]
    uids: frozenset[str]
    #: The words and numbers of the patient's own identifiers: what free text may not hold.
    patient_words: frozenset[str] = frozenset()
    #: Very short numbers of the patient: what may not be the whole of a text.
    short_numbers: frozenset[str] = frozenset()
    #: When she was examined, as people write it: what may not stand in any text or be a number.
    dates: frozenset[str] = frozenset()
    #: Words and numbers of identifiers, also of those that name nobody: text that holds one of
    #: them need not stay.
    identifier_words: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        original: Dataset,
        station: str = "",
        *,
        harmless: frozenset[str] = frozenset(),
        keeps_device: bool = False,
    ) -> Traces:
        """Collects the values of an original, at every depth. Raises Hold (UNREADABLE, …).

        ``station``: what StationName becomes; the scanner may have the same name.

        ``harmless``: words that a site says identify no one. ``keeps_device``: the profile
        retains the identity of the device (113109).
        """
        found = _Found(vocabulary.HEADER_WORDS | harmless, vocabulary.WORDS | harmless)
        seen: set[tuple[int, bytes]] = set()
        maker = compact(" ".join(str(original.get(keyword, "")) for keyword in _MAKER))
        uids: set[str] = set()
        for element in original_values.elements(original, 0, seen):
            vrs = original_values.vrs(element)
            if element.tag not in _LOOKED_AT and vrs.isdisjoint(_OF_ALL):
                continue
            values = original_values.texts(element)
            if "UI" in vrs:
                uids.update(v for v in values if not is_public_uid(v))
            elif "PN" in vrs:
                found.add_identifier_words(values)
                if element.tag in _PATIENTS_NAMES:
                    parts = (part for value in values for part in name_parts(value))
                    found.add(parts, _SHORTEST_NAME, says_nothing=False)
                    found.add_patient_words(values)
                else:
                    top = original.get(element.tag) is element
                    found.add_staff(values, maker, in_texts=top)
            elif element.tag in _IDENTIFYING:
                found.add_identifying(element.tag, values)
            elif element.tag in _EXAMINED:
                found.add_dates(values)
            elif element.tag in _LOCATING and not (keeps_device and element.tag in _DEVICE):
                found.add(v for v in values if compact(v) not in maker)
        return found.traces(station, uids, str(original.get("SpecificCharacterSet", "") or ""))


class _Found:
    """Collects the values by how they are looked for."""

    def __init__(self, harmless: frozenset[str], in_texts: frozenset[str]) -> None:
        """Begins empty. ``harmless``: words that name nobody in codes; ``in_texts``: nor in text."""
        self._harmless = harmless
        self._in_texts = in_texts
        self._long: set[str] = set()
        self._short: set[str] = set()
        self._patient_words: set[str] = set()
        self._short_numbers: set[str] = set()
        self._identifier_words: set[str] = set()
        self._dates: set[str] = set()

    def add(
        self, values: Iterable[str], shortest: int = _SHORTEST, *, says_nothing: bool = True
    ) -> None:
        """Adds values that are looked for everywhere.

        ``says_nothing``: what consists of harmless words alone (Mammography Screening) names
        nobody either. Of the patient's full name that does not hold.
        """
        for value in values:
            text = value.strip()
            plain = folded(text)
            if text.upper() in _NOBODY or text in DUMMY_TEXT or plain in self._harmless:
                continue
            if says_nothing and self._harmless.issuperset(runs(text)):
                continue
            for spelt in spellings(text) - self._harmless:
                if len(spelt) >= _SHORTEST:
                    (self._long if len(spelt) >= LONG else self._short).add(spelt)
            if not text.isascii() and (not plain.isascii() or len(plain) >= LONG):
                # One character can be a name, but only in a writing without letters.
                if len(text) > 1 or text.lower() == text.upper():
                    self._long.add(text)
            elif len(text) >= (LONG_NUMBER if text.isdigit() else LONG):
                self._long.add(text)
            # A short name with accents is a short name too: "Bö" without them is a part of "abort".
            elif len(plain) >= (_SHORTEST_NUMBER if text.isdigit() else shortest):
                self._short.add(plain)

    def add_identifying(self, tag: BaseTag, values: list[str]) -> None:
        """Adds a number, date or address of the patient, in each of its writings."""
        written = [v for value in values for v in variants(value)]
        if tag in _BORN:
            written += [v for value in values for v in birthdays(value)]
        self.add(written)
        self.add_identifier_words(written)
        if tag in _BORN:  # its day alone is a number like any other
            self.add_patient_words(value for value in written if value.isdigit())
        if tag in _OWN:
            self.add_patient_words(written)
        if tag in _PATIENTS_NUMBERS:
            self._short_numbers.update(
                v for v in values if v.isdigit() and _SHORTEST_WHOLE <= len(v) < _SHORTEST_NUMBER
            )

    def add_patient_words(self, values: Iterable[str]) -> None:
        """Adds words and numbers that free text may not hold."""
        for value in values:
            if value.upper() not in _NOBODY:
                found = runs(value)
                together = [*found, "".join(found)]
                self._patient_words.update(w for w in together if len(w) > 1 or not w.isascii())

    def add_staff(self, names: Iterable[str], maker: str, *, in_texts: bool) -> None:
        """Adds names of staff.

        ``maker``: sites enter its name. ``in_texts``: a word of the vocabulary may not stand in
        free text either where somebody has it as name; so it is with those that the plan looks at.
        """
        for name in names:
            if not self._harmless.issuperset(runs(name)):  # Screening^Mammography
                self.add(part for part in name_parts(name) if compact(part) not in maker)
            if in_texts:
                words = set(runs(name)) - self._in_texts
                self._patient_words.update(word for word in words if len(word) >= _SHORTEST)

    def add_identifier_words(self, values: Iterable[str]) -> None:
        """Adds words that make a text doubtful."""
        for value in values:
            found = runs(value)
            self._identifier_words.update(
                word for word in (*found, "".join(found)) if len(word) > 1
            )

    def add_dates(self, values: Iterable[str]) -> None:
        """Adds days of the examination, as people write them."""
        for value in values:
            if value in DUMMY_TEXT:
                continue
            for day in moments.days_of(value):
                if not _EARLIEST <= day.year <= _LATEST:
                    continue  # nobody was examined then
                year = str(day.year)
                written = (value, *date_variants(year, f"{day.month:02d}", f"{day.day:02d}"))
                self._dates.update(folded(date) for date in written if year in date)

    def traces(self, station: str, uids: set[str], charset: str) -> Traces:
        """What was collected, without what the router writes itself."""
        self._long.discard(station)
        self._short.discard(folded(station))
        encoded = {value.encode() for value in self._long}
        for value in self._long:
            if not value.isascii():
                encoded |= set(_encodings(value, charset))
        return Traces(
            frozenset(encoded), frozenset(self._short), frozenset(uids),
            frozenset(self._patient_words) - {""}, frozenset(self._short_numbers), frozenset(self._dates), frozenset(self._identifier_words),
        )  # fmt: skip


def _encodings(value: str, charset: str) -> Iterator[bytes]:
    """The value as bytes in the character sets of its file and in those in wide use."""
    terms = [term.strip() for term in charset.split("\\")] if charset else []
    try:
        named = convert_encodings(terms) if terms else []
        yield encode_string(value, named) if named else b""
    except (ValueError, LookupError, UserWarning):
        pass  # a character set that nobody knows; the ones below remain
    for encoding in (
        "latin-1",
        "gb18030",
        "shift_jis",
        "euc_kr",
        "iso8859_5",
        "cp1251",
        "iso8859_7",
    ):
        try:
            yield value.encode(encoding)
        except UnicodeEncodeError:
            continue
