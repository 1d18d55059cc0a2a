"""A small image, with items in items, as bytes of a file."""

from __future__ import annotations

import io
import random
import uuid

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian


def image(depth: int = 0, study: str = "", pixels: int = 1000) -> Dataset:
    """A small image whose sequences nest so deep."""
    inner = Dataset()
    inner.CodeValue = "T-1"
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedImageSequence = Sequence([inner])
        inner = outer
    inner.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    inner.SOPInstanceUID, inner.SeriesInstanceUID = data_uid(), data_uid()
    inner.StudyInstanceUID = study or data_uid()
    inner.PatientID, inner.PatientName, inner.Modality = "P1", "P1", "OT"
    inner.Rows, inner.Columns, inner.SamplesPerPixel = max(1, pixels // 512), 512, 1
    inner.BitsAllocated = inner.BitsStored = 8
    inner.HighBit, inner.PixelRepresentation = 7, 0
    inner.PhotometricInterpretation = "MONOCHROME2"
    inner.PixelData = random.Random(pixels).randbytes(pixels)
    inner["PixelData"].VR = "OB"
    inner.file_meta = pydicom.dataset.FileMetaDataset()
    inner.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return inner


def data_uid() -> str:
    return f"2.25.{uuid.uuid4().int}"


def file_of(made: Dataset) -> bytes:
    out = io.BytesIO()
    pydicom.dcmwrite(out, made, enforce_file_format=True)
    return out.getvalue()
