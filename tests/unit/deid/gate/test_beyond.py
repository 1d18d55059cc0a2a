"""The gate counts the pixels by itself: what compressing would drop does not pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom.uid import JPEGLSLossless

from router.deid.gate import beyond
from router.deid.gate.traces import Traces
from router.dicom import part10
from router.dicom.element_index import scan
from router.records.errors import Code, Hold
from tests.support import apply_plan, data

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from router.dicom.element_index import Level

PATIENT = data.Patient.made("beyond")


def image(pages: int = 1) -> FileDataset:
    dataset = next(data.ct_series("beyond", PATIENT, slices=1, size=16))
    dataset.PixelData *= pages
    if pages > 1:
        dataset.NumberOfFrames = pages
    return dataset


def scanned(dataset: FileDataset) -> tuple[Level, memoryview]:
    view = memoryview(data.file_bytes(dataset))
    syntax = dataset.file_meta.TransferSyntaxUID
    return scan(view, part10.dataset_offset(view), syntax, 32, strict=True), view


def refusal(original: FileDataset, copy: FileDataset) -> Code | None:
    try:
        beyond.check_whole(*scanned(original), *scanned(copy))
    except Hold as hold:
        return hold.code
    return None


@pytest.mark.parametrize("pages", [1, 3])
def test_a_copy_of_all_pages_passes_and_without_one_of_them_it_does_not(pages: int) -> None:
    original, copy = image(pages), image(pages)
    copy.compress(JPEGLSLossless, generate_instance_uid=False)
    assert refusal(original, copy) is None
    fewer = image(pages + 1)
    fewer.compress(JPEGLSLossless, generate_instance_uid=False)
    assert refusal(original, fewer) is Code.GATE_PIXELS_CHANGED


@pytest.mark.parametrize("surplus", [b"\0\0", b"DOE^JANE", bytes(512)])
def test_an_original_with_more_than_it_declares_is_not_compressed(surplus: bytes) -> None:
    original, copy = image(), image()
    original.PixelData += surplus
    copy.compress(JPEGLSLossless, generate_instance_uid=False)
    assert refusal(original, copy) is Code.GATE_PIXELS_CHANGED


def test_a_copy_without_pixels_is_none() -> None:
    copy = image()
    del copy.PixelData
    assert refusal(image(), copy) is Code.GATE_PIXELS_CHANGED


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("written", ["{}", "of {} from the ward", "\n{}\n"])
def test_a_name_behind_the_pixels_is_found_long_or_short(encoding: str, written: str) -> None:
    for name in ("Ann", "Novakova-Sykora"):
        dataset = image()
        dataset.PatientName = f"{name}^X"
        traces = Traces.of(apply_plan.read(data.file_bytes(dataset)))
        dataset.PixelData += b"\1\2" + written.format(name).encode(encoding)
        if len(dataset.PixelData) % 2:
            dataset.PixelData += b"\0"
        level, view = scanned(dataset)
        with pytest.raises(Hold) as raised:
            beyond.search(apply_plan.read(bytes(view)), level, view, traces)
        assert raised.value.code is Code.GATE_IDENTIFIER


def test_a_second_picture_behind_the_first_is_no_text() -> None:
    dataset = image(4)
    del dataset.NumberOfFrames
    level, view = scanned(dataset)
    beyond.search(
        apply_plan.read(bytes(view)), level, view, Traces.of(apply_plan.read(bytes(view)))
    )
