from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from router.imaging import pixels
from router.imaging.frame import Window
from router.records.errors import AnalysisSkipped, Code
from tests.support import apply_plan, data

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from router.imaging.frame import Frame

PATIENT = data.Patient.made("pixels")


def ct_image(size: int = 32) -> FileDataset:
    return next(data.ct_series("pixels", PATIENT, slices=1, size=size))


def mammogram() -> FileDataset:
    return next(data.mammogram_study("pixels", PATIENT, rows=48, columns=39))


def frame_of(dataset: FileDataset) -> Frame:
    return pixels.to_frame(apply_plan.read(data.file_bytes(dataset)))


def skip_code(dataset: FileDataset) -> Code:
    with pytest.raises(AnalysisSkipped) as raised:
        frame_of(dataset)
    return raised.value.code


def test_a_frame_has_the_stored_values_of_the_file() -> None:
    dataset = ct_image()
    frame = frame_of(dataset)
    expected = np.frombuffer(dataset.PixelData, "<i2").reshape(32, 32)
    assert np.array_equal(frame.pixels, expected)
    assert np.issubdtype(frame.pixels.dtype, np.signedinteger)
    assert (frame.modality, frame.scale.slope, frame.scale.intercept) == ("CT", 1.0, -1024.0)
    assert not frame.inverted


def test_compressed_pixels_are_decoded() -> None:
    dataset = data.pydicom_file("J2K_pixelrep_mismatch.dcm", "pixels", PATIENT)
    assert dataset.file_meta.TransferSyntaxUID == JPEG2000Lossless
    frame = frame_of(dataset)
    assert frame.pixels.shape == (dataset.Rows, dataset.Columns)


def test_the_smallest_value_of_monochrome1_is_the_brightest() -> None:
    assert frame_of(data.radiograph("pixels", PATIENT, rows=32, columns=26)).inverted


# --- what is not segmented ----------------------------------------------------------------------


def test_an_object_without_pixels_is_left_out() -> None:
    *_, report = data.mammogram_study("pixels", PATIENT, rows=48, columns=39)
    assert skip_code(report) is Code.NO_PIXELS
    dataset = ct_image()
    del dataset.PixelData
    assert skip_code(dataset) is Code.NO_PIXELS


@pytest.mark.parametrize("modality", ["US", "IVUS", "OT", "SEG", "SR", "PR", "", "ct"])
def test_a_modality_that_is_not_analysed_is_left_out(modality: str) -> None:
    dataset = ct_image()
    dataset.Modality = modality
    assert skip_code(dataset) is Code.MODALITY_NOT_ANALYSED
    del dataset.Modality
    assert skip_code(dataset) is Code.MODALITY_NOT_ANALYSED


def test_an_image_for_processing_is_left_out() -> None:
    dataset = mammogram()
    dataset.PresentationIntentType = "FOR PROCESSING"
    assert skip_code(dataset) is Code.FOR_PROCESSING


@pytest.mark.parametrize("interpretation", ["RGB", "YBR_FULL", "PALETTE COLOR", ""])
def test_colours_are_left_out(interpretation: str) -> None:
    dataset = ct_image()
    dataset.PhotometricInterpretation = interpretation
    assert skip_code(dataset) is Code.NOT_GREYSCALE


def test_several_samples_a_pixel_are_left_out() -> None:
    dataset = ct_image()
    dataset.SamplesPerPixel = 3
    assert skip_code(dataset) is Code.NOT_GREYSCALE


@pytest.mark.parametrize(
    ("keyword", "vr", "size"), [("FloatPixelData", "OF", 4), ("DoubleFloatPixelData", "OD", 8)]
)
def test_fractions_are_left_out(keyword: str, vr: str, size: int) -> None:
    dataset = ct_image()
    del dataset.PixelData
    dataset.add_new(Tag(keyword), vr, bytes(32 * 32 * size))
    dataset.BitsAllocated = size * 8
    assert skip_code(dataset) is Code.NOT_GREYSCALE


def test_of_several_frames_the_middle_one_is_taken() -> None:
    dataset = ct_image()
    dataset.NumberOfFrames = 3
    first = np.frombuffer(dataset.PixelData, "<i2")
    dataset.PixelData = b"".join((first + step).astype("<i2").tobytes() for step in range(3))
    frame = frame_of(dataset)
    assert np.array_equal(frame.pixels.reshape(-1), first + 1)
    assert frame.pool is None


def test_a_single_frame_may_be_declared() -> None:
    dataset = ct_image()
    dataset.NumberOfFrames = 1
    assert frame_of(dataset).pixels.shape == (32, 32)


def test_a_stream_that_is_no_image_is_left_out() -> None:
    dataset = ct_image()
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    dataset.PixelData = encapsulate([b"\xff\xd8 no image at all"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    assert skip_code(dataset) is Code.PIXELS_UNDECODABLE


def test_too_few_bytes_for_the_image_are_left_out() -> None:
    dataset = ct_image()
    dataset.PixelData = dataset.PixelData[:-8]
    assert skip_code(dataset) is Code.PIXELS_UNDECODABLE


def test_an_image_without_its_size_is_left_out() -> None:
    dataset = ct_image()
    del dataset.Rows
    assert skip_code(dataset) is Code.PIXELS_UNDECODABLE


# --- padding --------------------------------------------------------------------------------------


def padding_of(
    value: int, limit: int | None, vr: str, *, signed: bool = True
) -> tuple[int, int] | None:
    dataset = ct_image()
    dataset.PixelRepresentation = int(signed)
    dataset.add_new(Tag("PixelPaddingValue"), vr, value)
    if limit is not None:
        dataset.add_new(Tag("PixelPaddingRangeLimit"), vr, limit)
    return frame_of(dataset).padding


def test_padding_is_in_stored_values_and_not_rescaled() -> None:
    assert padding_of(-976, None, "SS") == (-976, -976)


def test_an_image_without_padding_has_none() -> None:
    dataset = ct_image()
    del dataset.PixelPaddingValue
    assert frame_of(dataset).padding is None
    dataset.PixelPaddingRangeLimit = 0
    assert frame_of(dataset).padding is None


def test_padding_without_a_value_is_none() -> None:
    dataset = ct_image()
    dataset.PixelPaddingValue = None
    assert frame_of(dataset).padding is None


@pytest.mark.parametrize(("value", "limit"), [(-3024, -2000), (-2000, -3024)])
def test_a_range_of_padding_may_run_either_way(value: int, limit: int) -> None:
    assert padding_of(value, limit, "SS") == (-3024, -2000)


@pytest.mark.parametrize(
    ("value", "vr", "signed", "stored"),
    [
        # US for signed pixels: 63536 is how 16 bits hold -2000.
        (63_536, "US", True, -2_000),
        (32_768, "US", True, -32_768),
        (32_767, "US", True, 32_767),
        # SS for unsigned pixels: -1 is how 16 bits hold 65535.
        (-1, "SS", False, 65_535),
        (-32_768, "SS", False, 32_768),
        (0, "SS", False, 0),
        (65_535, "US", False, 65_535),
        (-2_000, "SS", True, -2_000),
    ],
)
def test_padding_in_the_wrong_signedness_is_what_the_pixels_hold(
    value: int, vr: str, *, signed: bool, stored: int
) -> None:
    assert padding_of(value, None, vr, signed=signed) == (stored, stored)


def test_a_range_across_the_sign_in_the_wrong_vr_is_ordered() -> None:
    assert padding_of(63_536, 100, "US") == (-2_000, 100)


# --- window and rescale ---------------------------------------------------------------------------


def test_the_window_is_the_file_s() -> None:
    assert frame_of(ct_image()).voi == Window(40.0, 400.0)


def test_of_several_windows_the_first_is_taken() -> None:
    dataset = ct_image()
    dataset.WindowCenter, dataset.WindowWidth = [-600, 40], [1500, 400]
    assert frame_of(dataset).voi == Window(-600.0, 1500.0)


@pytest.mark.parametrize("width", [0, 1, -10])
def test_a_window_that_shows_nothing_is_none(width: int) -> None:
    dataset = ct_image()
    dataset.WindowWidth = width
    assert frame_of(dataset).voi is None


@pytest.mark.parametrize("keyword", ["WindowCenter", "WindowWidth"])
def test_half_a_window_is_none(keyword: str) -> None:
    dataset = ct_image()
    delattr(dataset, keyword)
    assert frame_of(dataset).voi is None


def test_without_a_rescale_values_are_as_stored() -> None:
    dataset = ct_image()
    del dataset.RescaleSlope
    del dataset.RescaleIntercept
    frame = frame_of(dataset)
    assert (frame.scale.slope, frame.scale.intercept) == (1.0, 0.0)
    assert frame.modality_value(17) == 17.0


def test_a_slope_of_zero_would_make_all_values_equal_and_is_not_believed() -> None:
    dataset = ct_image()
    dataset.RescaleSlope = 0
    assert frame_of(dataset).scale.slope == 1.0


def test_a_rescale_gives_modality_values() -> None:
    dataset = ct_image()
    dataset.RescaleSlope, dataset.RescaleIntercept = "0.5", "-100"
    assert frame_of(dataset).modality_value(60) == -70.0


@pytest.mark.parametrize("text", [b"NaN ", b"-inf", b"many"])
def test_a_rescale_that_is_no_number_is_not_believed(text: bytes) -> None:
    dataset = ct_image()
    dataset.RescaleIntercept = "7777"
    file = data.file_bytes(dataset)
    assert file.count(b"7777") == 1
    assert pixels.to_frame(apply_plan.read(file.replace(b"7777", text))).scale.intercept == 0.0
