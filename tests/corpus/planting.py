"""Identifiers in every place that a file has: what a de-identifier overlooks."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_has_tag, dictionary_VM, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from tests.corpus import people, standard
from tests.corpus.reports import code

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from pydicom.dataset import FileDataset
    from pydicom.tag import BaseTag

    from tests.corpus.visit import Visit

_LONGEST = {"AE": 16, "CS": 16, "SH": 16}
#: VR → one more than the largest number that is planted.
_NUMBERS = {
    "IS": 10**9, "DS": 10**9, "UL": 2**31, "SL": 2**31, "US": 2**15, "SS": 2**15, "FD": 10**6,
    "FL": 10**6,
}  # fmt: skip
_COMMANDS_AND_FILES = (0x0000, 0x0002, 0x0004)
#: Sequences that Table E.1-1 does not name, one inside the other: what is in them has to be found.
_CHAIN = (
    "PrimaryAnatomicStructureSequence", "PrimaryAnatomicStructureModifierSequence",
    "EquivalentCodeSequence", "EquivalentCodeSequence",
)  # fmt: skip


def plantable() -> list[BaseTag]:
    """All attributes that Table E.1-1 names one by one, and that a data set may hold."""
    return [
        tag
        for tag in standard.TABLE
        if tag.group not in _COMMANDS_AND_FILES
        and dictionary_has_tag(tag)
        # A part of who the patient is: two values would make two patients.
        and tag != Tag("IssuerOfPatientID")
    ]


@dataclass
class Ink:
    """Writes values that occur nowhere else, and remembers them."""

    rng: Random
    visit: Visit
    #: May be found nowhere in what leaves.
    traces: list[str] = field(default_factory=list)

    def word(self, longest: int = 14) -> str:
        made = people.token(self.rng, longest)
        self.traces.append(made)
        return made

    def value(self, tag: BaseTag, vr: str) -> object:
        """A value for an attribute that has to go."""
        rng = self.rng
        if vr == "SQ":
            return self._items(tag)
        if tag == Tag("TimezoneOffsetFromUTC"):
            return rng.choice(["+0100", "-0500", "+0930"])
        if vr == "UI":
            count = 2 if dictionary_VM(tag) != "1" and rng.random() < 0.6 else 1
            uids = [people.uid(rng) for _ in range(count)]
            self.traces += uids
            return uids if count > 1 else uids[0]
        if tag == Tag("PregnancyStatus"):
            return rng.randint(1, 4)
        return self._number(vr) or self._text(vr)

    def _number(self, vr: str) -> object:
        """Of VRs that hold no text; else nothing."""
        rng = self.rng
        if vr in {"DA", "TM", "DT"}:
            day, moment = people.date(rng, 2011, 2018), people.time(rng)
            return {"DA": day, "TM": moment, "DT": day + moment}[vr]
        if vr in _NUMBERS:
            number = rng.randrange(1, _NUMBERS[vr])
            return str(number) if vr in {"IS", "DS"} else number
        return f"{rng.randint(30, 80):03d}Y" if vr == "AS" else None

    def _text(self, vr: str) -> object:
        word = self.word(_LONGEST.get(vr, 14))
        if vr in {"OB", "UN", "OW"}:
            return (word + " " * (len(word) % 2)).encode()
        if vr == "CS":
            return word.upper()
        if vr == "PN":
            return f"{word}^{self.word(8)}"
        if vr == "UR":
            return f"https://{word}.example/{self.visit.accession}"
        if vr in {"LT", "ST", "UT", "UC", "LO"} and self.rng.random() < 0.5:
            return f"{self.visit.person.mentions(self.rng)} {word}"[:64]
        return word

    def _items(self, tag: BaseTag) -> Sequence:
        if standard.TABLE[tag].name.endswith("Code Sequence"):
            return Sequence([code(self.word(12), "99LOC", self.word())])
        item = Dataset()
        item.InstitutionName, item.PersonName = self.word(), f"{self.word()}^{self.word(8)}"
        item.ReferencedSOPInstanceUID = people.uid(self.rng)
        self.traces.append(str(item.ReferencedSOPInstanceUID))
        return Sequence([item])


def table(dataset: Dataset, tags: Iterable[BaseTag], ink: Ink) -> None:
    """Attributes of Table E.1-1, where the data set does not have them yet."""
    for tag in tags:
        if tag not in dataset:
            vr = dictionary_VR(tag).split(" ", maxsplit=1)[0]
            dataset.add_new(tag, vr, ink.value(tag, vr))


def nested(dataset: Dataset, tags: list[BaseTag], ink: Ink) -> None:
    """The same down to depth four."""
    where = dataset
    for depth, keyword in enumerate(_CHAIN):
        item = code("39607008", "SCT", "Lung")
        table(item, tags[depth :: len(_CHAIN)], ink)
        setattr(where, keyword, Sequence([item]))
        where = item


def odd_elements(dataset: Dataset, ink: Ink) -> None:
    """Private blocks, at both depths, and tags of even groups that nobody knows."""
    block = dataset.private_block(0x0029, "SIEMENS MEDCOM HEADER", create=True)
    block.add_new(0x10, "LO", ink.word())
    block.add_new(0x11, "UN", (ink.word(14) + "  ").encode())
    inside = Dataset()
    inside.PatientName = f"{ink.word()}^{ink.word(8)}"
    block.add_new(0x12, "SQ", Sequence([inside]))
    other = dataset.private_block(0x0011, "LOCAL RIS", create=True)
    other.add_new(0x01, "PN", ink.visit.person.name)
    dataset.add_new(0x00189999, "LO", ink.word())
    dataset.add_new(0x00089998, "UN", (ink.word(14) + "  ").encode())


def pictures(dataset: Dataset, ink: Ink) -> None:
    """An overlay and a curve, an icon."""
    dataset.add_new(0x60000010, "US", 8)
    dataset.add_new(0x60000011, "US", 8)
    dataset.add_new(0x60000040, "CS", "G")
    dataset.add_new(0x60000050, "SS", [1, 1])
    dataset.add_new(0x60000100, "US", 1)
    dataset.add_new(0x60000102, "US", 0)
    dataset.add_new(0x60000022, "LO", ink.word())
    dataset.add_new(0x60001500, "LO", ink.word())
    dataset.add_new(0x60004000, "LT", ink.word())
    dataset.add_new(0x60003000, "OW", bytes(8))
    dataset.add_new(0x50000005, "US", 1)
    dataset.add_new(0x50000022, "LO", ink.word())
    dataset.add_new(0x50003000, "OW", (ink.word(14) + "  ")[:14].encode())
    icon = Dataset()
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
    icon.Rows = icon.Columns = 8
    icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation = 8, 8, 7, 0
    icon.PixelData = ink.word(14)[:8].encode() * 8
    dataset.IconImageSequence = Sequence([icon])


def as_unknown(dataset: Dataset, ink: Ink, *, explicit: bool) -> None:
    """Known attributes and a sequence with VR UN (PS3.5, 6.2.2): text, UID, number, items."""
    _unknown(dataset, Tag("PatientComments"), f"{ink.visit.person.family} {ink.word()}".encode())
    _unknown(dataset, Tag("CurrentPatientLocation"), ink.word().encode())
    _unknown(dataset, Tag("AdmissionID"), ink.word().encode())
    _unknown(dataset, Tag("DeviceUID"), people.uid(ink.rng).encode())
    _unknown(dataset, Tag("DistanceSourceToDetector"), b"1085.6")
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    item.ReferencedSOPInstanceUID = people.uid(ink.rng)
    ink.traces.append(str(item.ReferencedSOPInstanceUID))
    item.PatientName = f"{ink.word()}^{ink.word(8)}"
    item.PurposeOfReferenceCodeSequence = Sequence([code("121322", "DCM", "Source image")])
    _unknown(dataset, Tag("SourceImageSequence"), _items(item, explicit=explicit))


def _unknown(dataset: Dataset, tag: BaseTag, value: bytes) -> None:
    if tag in dataset:
        del dataset[tag]
    padded = value + (b"\0" if tag == Tag("DeviceUID") else b" ") * (len(value) % 2)
    # Raw: pydicom would give a known attribute its VR back.
    dataset[tag] = RawDataElement(tag, "UN", len(padded), padded, 0, False, True)


def _items(item: Dataset, *, explicit: bool) -> bytes:
    """The bytes of a sequence's value: one item of defined length, little endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, not explicit
    write_dataset(buffer, item)
    body = buffer.getvalue()
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(body)) + body


def free_text(dataset: Dataset, ink: Ink) -> None:
    """The patient in what people write, in another order, case or accent than in the header."""
    person, rng = ink.visit.person, ink.rng
    dataset.StudyDescription = f"{dataset.StudyDescription} {person.mentions(rng)}"[:64]
    dataset.SeriesDescription = f"{person.mentions(rng)} {ink.visit.accession}"[:64]
    dataset.ImageComments = f"{person.mentions(rng)}, {person.mentions(rng)}, tel. {person.phone}"
    dataset.PatientComments = f"{person.name.split('=')[0]} lives at {person.address}"
    dataset.AdditionalPatientHistory = f"{person.mentions(rng)} since {ink.visit.date}"
    dataset.ReasonForStudy = f"{ink.visit.referrer.split('^')[0]} asks: {person.mentions(rng)}"
    dataset.PatientAddress, dataset.PatientTelephoneNumbers = person.address, person.phone
    dataset.OtherPatientNames = f"{person.native_given}^{person.native}"
    dataset.AcquisitionComments = person.mentions(rng)
    if "ProtocolName" in dataset:
        dataset.ProtocolName = f"{dataset.ProtocolName} {person.patient_id}"[:64]


def references(dataset: Dataset, ink: Ink) -> None:
    """To other instances of the visit, sent before or after, and lists of UIDs."""
    items = []
    for plan in ink.visit.planned[:4]:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = plan.sop_class, plan.sop_uid
        item.PurposeOfReferenceCodeSequence = Sequence([code("121322", "DCM", "Source image")])
        items.append(item)
    dataset.SourceImageSequence = Sequence(items)
    dataset.IrradiationEventUID = [people.uid(ink.rng) for _ in range(3)]
    ink.traces += [str(uid) for uid in dataset.IrradiationEventUID]
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = ink.visit.study_uid
    dataset.ReferencedStudySequence = Sequence([study])


def file_header(dataset: FileDataset, ink: Ink) -> None:
    """Group 0002 and the preamble; they do not travel by C-STORE."""
    dataset.file_meta.SourceApplicationEntityTitle = ink.word(16).upper()
    dataset.file_meta.SendingApplicationEntityTitle = ink.word(16).upper()
    dataset.preamble = ink.word().encode().ljust(128, b"\0")


#: Where an identifier stands that no rule can clean: the file may be held, and must not leak.
STRANGE = (
    "CodeMeaning", "SoftwareVersions", "ManufacturerModelName", "ImageType", "BodyPartExamined",
    "RescaleType", "PrivateRootUID", "TrailingPixels", "Manufacturer", "FilterType",
)  # fmt: skip


def strange(dataset: Dataset, place: str, ink: Ink) -> None:
    person = ink.visit.person
    name = people.plain(person.family).upper()[:16] if person.family.isascii() else ""
    name = name or ink.visit.accession.upper()
    if place == "CodeMeaning":
        dataset.PrimaryAnatomicStructureSequence = Sequence([code("39607008", "SCT", name)])
    elif place == "ImageType":
        dataset.ImageType = [*list(dataset.ImageType), name.replace("-", "")[:16]]
    elif place == "PrivateRootUID":
        dataset.CodingSchemeIdentificationSequence = Sequence([Dataset()])
        scheme = dataset.CodingSchemeIdentificationSequence[0]
        scheme.CodingSchemeDesignator = "99LOC"
        scheme.CodingSchemeUID = f"{ink.visit.study_uid}.7"
    elif place == "TrailingPixels":
        hidden = f"{person.patient_id} {ink.word()}".encode()
        dataset.PixelData += hidden + b" " * (len(hidden) % 2)
    elif place in {"BodyPartExamined", "FilterType", "RescaleType"}:
        setattr(dataset, place, name.replace("-", "")[:16])
    else:
        before = str(dataset.get(place, ""))
        setattr(dataset, place, f"{before} {person.patient_id}"[:64])
