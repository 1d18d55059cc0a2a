"""Copies and captures as files: read, described for the journal, and stored on the truck."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.dicom import part10
from router.records.copies import Copy
from router.records.errors import Code, Hold
from router.truck.orthanc import TruckOrthanc, instance_id

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from router.journal import Journal
    from router.truck.spool import Body


class Copies:
    """Stores what is sent on the truck's Orthanc. Thread-safe."""

    def __init__(self, orthanc: TruckOrthanc, journal: Journal) -> None:
        self._orthanc = orthanc
        self._journal = journal

    def store(self, copy: Copy, body: Body, instance: str) -> None:
        """Stores a copy on the truck and reads back what Orthanc says of it.

        ``instance``: the journal's name of it; a capture's own. Raises Hold (COPY_DIFFERS),
        OrthancError.
        """
        stored, already = self._orthanc.store(body)
        if stored != copy.orthanc_id:
            raise Hold(Code.COPY_DIFFERS, "it was stored under another id")
        if already and self._orthanc.md5(stored) != copy.md5:
            # Of another truck id or release, then: replaced, unless it may have been sent.
            if self._journal.outbox.may_have_been_sent(instance):
                raise Hold(Code.COPY_DIFFERS, "a copy with other bytes may have been sent")
            self._orthanc.delete(stored, "a copy with other bytes that was never sent")
            self._orthanc.store(body)
        if self._orthanc.md5(stored) != copy.md5:
            raise Hold(Code.COPY_DIFFERS, "another file is stored under its UID")


def read_made(body: Body) -> FileDataset:
    """Parses what Orthanc or the router made. Raises Hold (GATE_UNREADABLE)."""
    try:
        return part10.read(body.stream())
    except Hold as hold:
        raise Hold(Code.GATE_UNREADABLE, hold.sentence) from None


def describe(dataset: FileDataset, size: int, digest: str, md5: str) -> Copy:
    """The journal's record of a copy, of its parsed header, its size and its digests."""
    number = dataset.get("InstanceNumber")
    return Copy(
        orthanc_id=instance_id(
            str(dataset.PatientID),
            str(dataset.StudyInstanceUID),
            str(dataset.SeriesInstanceUID),
            str(dataset.SOPInstanceUID),
        ),
        study_uid=str(dataset.StudyInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID),
        sop_uid=str(dataset.SOPInstanceUID),
        sop_class=str(dataset.SOPClassUID),
        modality=str(dataset.get("Modality", "")),
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
        instance_number=int(number) if isinstance(number, int) else None,
        digest=digest,
        md5=md5,
        size=size,
    )
