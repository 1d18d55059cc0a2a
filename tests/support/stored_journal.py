"""The images of the stored journals, which routers of earlier versions wrote: made by name."""

from __future__ import annotations

import hashlib
from functools import cache
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from router.dicom import part10
from router.records.copies import Copy


def uid(name: str) -> str:
    """A UID that is the same each time."""
    return f"2.25.{int(hashlib.sha256(name.encode()).hexdigest()[:24], 16)}"


@cache
def file_of(study: str, name: str) -> bytes:
    """The anonymized copy of an image, byte for byte: nothing in it depends on a library's version."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = uid(name)
    dataset.StudyInstanceUID = uid(study)
    dataset.SeriesInstanceUID = uid(f"{study} series")
    dataset.Modality = "CT"
    dataset.InstanceNumber = 1
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID("1.2.826.0.1.3680043.10.1234")
    dataset.file_meta = meta
    target = BytesIO()
    pydicom.dcmwrite(target, dataset, enforce_file_format=True, implicit_vr=False,
                     little_endian=True)  # fmt: skip
    return target.getvalue()


def copy_of(study: str, name: str) -> Copy:
    """What the journal says of it."""
    view = memoryview(file_of(study, name))
    return Copy(
        orthanc_id=f"copy-{name}", study_uid=uid(study), series_uid=uid(f"{study} series"),
        sop_uid=uid(name), sop_class=str(CTImageStorage), modality="CT",
        transfer_syntax=str(ExplicitVRLittleEndian), instance_number=1,
        digest=part10.digest(view), md5=part10.md5(view), size=len(view),
    )  # fmt: skip
