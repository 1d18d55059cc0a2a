"""The same image in another encoding has the same content; another image has not."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from router.dicom import part10
from router.imaging import content_identity
from router.records.errors import AnalysisSkipped, Code
from tests.support import data

if TYPE_CHECKING:
    from pydicom.uid import UID

PATIENT = data.Patient.made("content")
PLAIN = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
COMPRESSED = [JPEGLSLossless, JPEG2000Lossless, RLELossless]


def image(pages: int = 1, *, signed: bool = True) -> FileDataset:
    dataset = next(data.ct_series("content", PATIENT, slices=1, size=32))
    del dataset.PixelPaddingValue
    if not signed:
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
        dataset.PixelData = (np.arange(1024) % 4096).astype("<u2").tobytes()
    if pages > 1:
        dataset.NumberOfFrames = pages
        dataset.PixelData *= pages
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-1", "SRT", "Head"
    inner = Dataset()
    inner.ReferencedFrameNumber = [1, 2]
    item.ReferencedImageSequence = Sequence([inner])
    dataset.AnatomicRegionSequence = Sequence([item])
    dataset.add_new(0x00091010, "LO", "MAKER")
    own = Dataset()
    own.CodeValue = "1"
    dataset.add_new(0x00090010, "LO", "MAKER")
    dataset.add_new(0x00091020, "SQ", Sequence([own]))
    return dataset


def of(dataset: FileDataset) -> str:
    file = data.file_bytes(dataset)
    stream = io.BytesIO(file)
    return content_identity.digest(part10.read(stream), stream, memoryview(file))


def encoded(dataset: FileDataset, syntax: UID) -> FileDataset:
    if syntax.is_compressed:
        dataset.compress(syntax, generate_instance_uid=False)
        return dataset
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = syntax
    again = FileDataset(
        "", dataset, b"\0" * 128, dataset.file_meta, is_implicit_VR=implicit,
        is_little_endian=little,
    )  # fmt: skip
    buffer = io.BytesIO()
    again.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


@pytest.mark.parametrize("syntax", [*PLAIN, *COMPRESSED])
@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize("signed", [True, False])
def test_in_every_encoding_an_image_is_the_same(syntax: UID, pages: int, *, signed: bool) -> None:
    assert of(encoded(image(pages, signed=signed), syntax)) == of(image(pages, signed=signed))


def test_colour_by_planes_is_the_same_as_by_pixels() -> None:
    by_pixel, by_plane = image(), image()
    rgb = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    for dataset, planar in ((by_pixel, 0), (by_plane, 1)):
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0
        dataset.PlanarConfiguration = planar
        dataset.PixelData = (rgb.transpose(2, 0, 1) if planar else rgb).tobytes()
    assert of(by_pixel) == of(by_plane)


def test_what_is_of_the_file_and_not_of_the_image_changes_nothing() -> None:
    changed = image()
    changed.InstanceCreationTime, changed.RetrieveAETitle = "111111", "SCANNER"
    changed.DerivationDescription = "Lossless JPEG compression, selection value 1"
    changed.DataSetTrailingPadding = b"\0\0\0\0"
    changed.file_meta.SourceApplicationEntityTitle = "ELSEWHERE"
    assert of(changed) == of(image())


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientName", "Other^Name"), ("InstanceNumber", "7"), ("WindowWidth", "1500"),
     ("PixelRepresentation", 0), ("Rows", 16)],
)  # fmt: skip
def test_another_value_is_another_image(keyword: str, value: object) -> None:
    changed = image()
    setattr(changed, keyword, value)
    assert of(changed) != of(image())


def test_another_value_in_an_item_is_another_image() -> None:
    for keyword in ("CodeValue", "CodeMeaning"):
        changed = image()
        setattr(changed.AnatomicRegionSequence[0], keyword, "other")
        assert of(changed) != of(image())
    changed = image()
    changed[0x00091020].value[0].CodeValue = "2"
    assert of(changed) != of(image())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2047), st.integers(0, 7), st.sampled_from([*PLAIN, *COMPRESSED]))
def test_a_single_bit_of_the_pixels_is_another_image(place: int, bit: int, syntax: UID) -> None:
    changed = image()
    pixels = bytearray(changed.PixelData)
    pixels[place] ^= 1 << bit
    changed.PixelData = bytes(pixels)
    assert of(encoded(changed, syntax)) != of(image())


def test_surplus_bytes_are_of_the_image() -> None:
    changed = image()
    changed.PixelData += b"more"
    assert of(changed) != of(image())
    big = encoded(image(), ExplicitVRBigEndian)
    big.PixelData += b"more"
    with pytest.raises(AnalysisSkipped) as raised:
        of(big)
    assert raised.value.code is Code.PIXELS_UNDECODABLE


def test_bits_that_compressing_drops_are_of_the_image() -> None:
    marked = image(signed=False)
    marked.PixelData = (np.frombuffer(marked.PixelData, "<u2") | 0xF000).astype("<u2").tobytes()
    whole = of(marked)
    dropped = image(signed=False)
    assert of(encoded(dropped, JPEGLSLossless)) == of(image(signed=False)) != whole


def test_an_object_without_pixels_has_a_content_too() -> None:
    *_, report = data.mammogram_study("content", PATIENT, rows=48, columns=39)
    before = of(report)
    assert of(encoded(report, ImplicitVRLittleEndian)) == before
    report.ContentSequence[0].ValueType = "OTHER"
    assert of(report) != before
