"""The note that tells an archive to reject images: a Key Object Selection (IHE RAD, IOCM).

It lies in the study of what it rejects, names its images, and says why (CID 7011). An archive that
takes it hides them for good, and accepts nothing under their UIDs again (RAD TF-3, 4.66.4.2).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from router.imaging.secondary_capture import IMPLEMENTATION_NAME, IMPLEMENTATION_UID, MANUFACTURER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Title(StrEnum):
    """Why images are rejected (PS3.16, CID 7011; IHE RAD TF-3, table 4.66.4.1.3-1)."""

    WORKLIST = "113038"  # the wrong patient or order was chosen
    SAFETY = "113037"
    QUALITY = "113001"


MEANINGS = {
    Title.WORKLIST: "Incorrect Modality Worklist Entry",
    Title.SAFETY: "Rejected for Patient Safety Reasons",
    Title.QUALITY: "Rejected for Quality Reasons",
}
#: Behind everything else of the study.
_SERIES_NUMBER = 9999
_COPIED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate",
    "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber", "StationName",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)  # fmt: skip
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
_NO_DAY, _NO_TIME = "19000101", "000000"


@dataclass(frozen=True, order=True)
class Rejected:
    """An image that is rejected. UIDs are the pseudonymous ones."""

    series_uid: str
    sop_uid: str
    sop_class: str


def note(
    source: Dataset, rejected: Iterable[Rejected], title: Title, series_uid: str, sop_uid: str
) -> bytes:
    """The note as a DICOM file (PS3.3 A.35.4, PS3.16 TID 2010). The same arguments, the same bytes.

    ``source``: an anonymized image of the study that is rejected. The note is dated as the image
    is: its own day would say by how much the study's was moved.
    """
    images = sorted(set(rejected))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = KeyObjectSelectionDocumentStorage
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_NAME
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    if source.get("SpecificCharacterSet"):
        made.SpecificCharacterSet = source.SpecificCharacterSet
    for keyword in _COPIED:
        if keyword in source:
            made[keyword] = source[keyword]
    for keyword in _TYPE_2:
        if keyword not in made:
            setattr(made, keyword, "")
    made.SOPClassUID, made.SOPInstanceUID = KeyObjectSelectionDocumentStorage, sop_uid
    made.SeriesInstanceUID, made.SeriesNumber, made.InstanceNumber = series_uid, _SERIES_NUMBER, 1
    made.Modality, made.Manufacturer = "KO", MANUFACTURER
    made.ReferencedPerformedProcedureStepSequence = Items([])
    made.ContentDate = source.get("ContentDate") or _NO_DAY
    made.ContentTime = source.get("ContentTime") or _NO_TIME
    _write_content(made, images, title)
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _write_content(made: Dataset, images: Sequence[Rejected], title: Title) -> None:
    made.CurrentRequestedProcedureEvidenceSequence = Items([_evidence(made, images)])
    made.ValueType, made.ContinuityOfContent = "CONTAINER", "SEPARATE"
    made.ConceptNameCodeSequence = Items([_code(title)])
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    made.ContentTemplateSequence = Items([template])
    made.ContentSequence = Items([_item(image) for image in images])


def _evidence(made: Dataset, images: Sequence[Rejected]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID = made.StudyInstanceUID
    study.ReferencedSeriesSequence = Items([])
    for series_uid, members in groupby(images, key=lambda image: image.series_uid):
        series = Dataset()
        series.SeriesInstanceUID = series_uid
        series.ReferencedSOPSequence = Items([_reference(image) for image in members])
        study.ReferencedSeriesSequence.append(series)
    return study


def _item(image: Rejected) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
    item.ReferencedSOPSequence = Items([_reference(image)])
    return item


def _reference(image: Rejected) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.sop_class
    reference.ReferencedSOPInstanceUID = image.sop_uid
    return reference


def _code(title: Title) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = title.value, "DCM"
    code.CodeMeaning = MEANINGS[title]
    return code
