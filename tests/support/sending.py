"""A CT image as a destination gets it, and the sending of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.destinations.base import Outgoing, Stored
from router.dicom import part10
from router.records.copies import Copy
from tests.support import data

if TYPE_CHECKING:
    from router.destinations import Destination


def copy_and_file(seed: str = "contract", number: str = "", size: int = 64) -> tuple[Copy, bytes]:
    (dataset,) = data.ct_series(seed, data.Patient.made(seed), slices=1, size=size)
    if number:  # of one series
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.1", "2.25.2"
        dataset.PatientID = "P"
    raw = data.file_bytes(dataset)
    copy = Copy(
        orthanc_id="unused", study_uid=str(dataset.StudyInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID), sop_uid=str(dataset.SOPInstanceUID),
        sop_class=str(dataset.SOPClassUID), modality="CT",
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID), instance_number=1,
        digest=part10.digest(memoryview(raw)), md5=part10.md5(memoryview(raw)), size=len(raw),
    )  # fmt: skip
    return copy, raw


def send(destination: Destination, copy: Copy, raw: bytes) -> Stored:
    return destination.send(Outgoing(copy, memoryview(raw), lambda _: None))
