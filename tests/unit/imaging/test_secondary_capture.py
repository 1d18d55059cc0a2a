from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.uid import UID, JPEGLSLossless, SecondaryCaptureImageStorage

from router.deid import gate
from router.deid.planning import plan
from router.dicom import part10
from router.imaging import pixels, secondary_capture
from router.imaging.analysis import density
from router.imaging.frame import UNLABELLED, Finding, Frame, ImageClass, Scale, Window
from tests.support import apply_plan, data
from tests.support.captures import KEY, PATIENT, UIDS, captured

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

STATION = "truck-1"
#: A legend of three classes and three notes: six lines and two margins.
LEGEND_ROWS = 6 * 18 + 2 * 8

CLASSES = (
    ImageClass("low", (255, 0, 0), 0.5, 10.0),
    ImageClass("medium", (0, 255, 0), 0.3, 20.0),
    ImageClass("high", (0, 0, 255), 0.2, 30.0),
)


def finding_of(labels: NDArray[np.uint8], classes: tuple[ImageClass, ...] = CLASSES) -> Finding:
    return Finding("test", "1", classes, labels, "")


def frame_of(values: NDArray[np.integer], window: Window | None = None) -> Frame:
    return Frame(values, "MG", voi=window)


def gradient(rows: int, columns: int) -> tuple[Frame, Finding]:
    """An image that brightens from left to right, in three stripes."""
    values = np.tile(np.arange(columns, dtype=np.int32), (rows, 1)).astype(np.uint16)
    labels = (values.astype(np.int64) * 3 // columns).astype(np.uint8)
    return frame_of(values), finding_of(labels)


def anonymized(original: FileDataset) -> FileDataset:
    file = data.file_bytes(original)
    made = plan.make(apply_plan.read(file), KEY, STATION)
    return apply_plan.read(apply_plan.apply(file, made))


@pytest.fixture(scope="module")
def ct_image() -> FileDataset:
    return next(data.ct_series("capture", PATIENT, slices=1, size=64))


@pytest.fixture(scope="module")
def made(ct_image: FileDataset) -> bytes:
    return captured(anonymized(ct_image))


# --- the picture --------------------------------------------------------------------------------


def test_the_picture_is_the_image_beside_its_segmentation() -> None:
    frame, finding = gradient(500, 500)
    rgb = secondary_capture.picture(frame, finding)
    assert rgb.shape == (500 + LEGEND_ROWS, 1_000, 3)
    assert rgb.dtype == np.uint8
    left, right = rgb[:500, :500], rgb[:500, 500:]
    assert np.array_equal(left[..., 0], left[..., 1])
    assert np.array_equal(left[..., 0], left[..., 2])
    # Dark to bright, over the whole range of the display.
    assert left[0, 0, 0] == 0
    assert left[0, -1, 0] == 255
    assert np.all(np.diff(left[0, :, 0].astype(int)) >= 0)
    # Each stripe is tinted with its class's colour.
    for stripe, channel in ((80, 0), (250, 1), (420, 2)):
        assert right[250, stripe].argmax() == channel
        assert right[250, stripe, channel] > left[250, stripe, channel]


def test_padding_is_shown_without_a_tint() -> None:
    frame, finding = gradient(500, 500)
    finding.labels[:250] = UNLABELLED
    rgb = secondary_capture.picture(frame, finding)
    assert np.array_equal(rgb[:250, :500], rgb[:250, 500:])
    assert not np.array_equal(rgb[250:500, :500], rgb[250:500, 500:])


@pytest.mark.parametrize(
    ("rows", "columns", "shown"),
    [
        (64, 64, (384, 384)),
        (32, 64, (192, 384)),
        (384, 384, (384, 384)),
        (512, 512, (512, 512)),
        (1_000, 750, (1_000, 750)),
        (2_000, 750, (1_000, 375)),
        (1_000, 3_000, (250, 750)),
        (4_096, 3_328, (819, 665)),
        (1, 1, (384, 384)),
    ],
)
def test_small_images_grow_and_large_ones_shrink_in_proportion(
    rows: int, columns: int, shown: tuple[int, int]
) -> None:
    rgb = secondary_capture.picture(*gradient(rows, columns))
    assert rgb.shape == (shown[0] + LEGEND_ROWS, 2 * shown[1], 3)


def test_each_class_adds_a_line_to_the_legend() -> None:
    frame, finding = gradient(400, 400)
    heights = [
        secondary_capture.picture(frame, replace(finding, classes=CLASSES[:number])).shape[0]
        for number in (1, 2, 3)
    ]
    assert heights == [400 + LEGEND_ROWS - 36, 400 + LEGEND_ROWS - 18, 400 + LEGEND_ROWS]


def test_the_legend_shows_the_colour_of_each_class() -> None:
    frame, finding = gradient(400, 400)
    legend = secondary_capture.picture(frame, finding)[400:]
    for image_class in CLASSES:
        assert np.any(np.all(legend == image_class.colour, axis=-1))


def test_the_legend_says_how_much_and_in_which_unit() -> None:
    frame, finding = gradient(400, 400)
    plain = secondary_capture.picture(frame, finding)[400:]
    with_unit = secondary_capture.picture(frame, replace(finding, unit="HU"))[400:]
    other_share = (replace(CLASSES[0], fraction=0.4), *CLASSES[1:])
    assert not np.array_equal(plain, with_unit)
    assert not np.array_equal(
        plain, secondary_capture.picture(frame, replace(finding, classes=other_share))[400:]
    )


def test_monochrome1_is_shown_the_other_way_round() -> None:
    frame, finding = gradient(400, 400)
    plain = secondary_capture.picture(frame, finding)[:400, :400]
    inverted = secondary_capture.picture(replace(frame, inverted=True), finding)[:400, :400]
    # A level half-way between two greys is rounded to the even one both ways.
    assert np.abs(plain.astype(int) + inverted - 255).max() <= 1
    assert inverted[0, 0, 0] == 255


def test_the_window_of_the_file_is_shown() -> None:
    values = np.array([[0, 100, 150, 200, 300]] * 5, dtype=np.int16)
    frame = frame_of(
        values.repeat(100, axis=0).repeat(100, axis=1), window=Window(150.0, 100.0, "LINEAR_EXACT")
    )
    labels = np.zeros((500, 500), dtype=np.uint8)
    shown = secondary_capture.picture(frame, finding_of(labels))[0, 50:500:100, 0]
    assert shown.tolist() == [0, 0, 128, 255, 255]


def test_the_window_is_in_modality_values() -> None:
    values = np.array([[0, 50, 100]] * 3, dtype=np.uint16).repeat(150, axis=0).repeat(150, axis=1)
    frame = replace(
        frame_of(values, window=Window(0.0, 200.0, "LINEAR_EXACT")), scale=Scale(2.0, -100.0)
    )
    labels = np.zeros((450, 450), dtype=np.uint8)
    shown = secondary_capture.picture(frame, finding_of(labels))[0, 75:450:150, 0]
    assert shown.tolist() == [0, 128, 255]


def test_an_image_of_one_value_is_shown_without_a_division_by_zero() -> None:
    frame = frame_of(np.full((400, 400), 7, dtype=np.uint16))
    rgb = secondary_capture.picture(
        frame, finding_of(np.full((400, 400), UNLABELLED, dtype=np.uint8))
    )
    assert np.all(rgb[:400] == rgb[0, 0])


# --- the object -----------------------------------------------------------------------------------


def test_the_same_source_always_gives_the_same_bytes(ct_image: FileDataset, made: bytes) -> None:
    assert captured(anonymized(ct_image)) == made


def test_the_capture_is_a_secondary_capture_with_the_given_uids(made: bytes) -> None:
    dataset = apply_plan.read(made)
    assert dataset.SOPClassUID == SecondaryCaptureImageStorage
    assert dataset.SeriesInstanceUID == UIDS.series
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == UIDS.sop
    assert dataset.file_meta.MediaStorageSOPClassUID == SecondaryCaptureImageStorage
    assert dataset.file_meta.TransferSyntaxUID == JPEGLSLossless
    assert dataset.file_meta.ImplementationClassUID == secondary_capture.IMPLEMENTATION_UID
    assert UID(secondary_capture.IMPLEMENTATION_UID).is_valid
    assert made[:128] == bytes(128)
    assert len(made) % 2 == 0


def test_the_picture_is_read_back_as_it_was_drawn(ct_image: FileDataset, made: bytes) -> None:
    frame = pixels.to_frame(anonymized(ct_image))
    drawn = secondary_capture.picture(frame, density.ANALYSIS.run(frame))
    dataset = apply_plan.read(made)
    assert (dataset.SamplesPerPixel, dataset.PhotometricInterpretation) == (3, "RGB")
    assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == (8, 8, 7)
    assert np.array_equal(dataset.pixel_array, drawn)


def test_an_odd_number_of_pixels_is_read_back() -> None:
    source = anonymized(data.radiograph("capture", PATIENT, rows=32, columns=26))
    rgb = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    finding = finding_of(np.zeros((3, 3), dtype=np.uint8))
    dataset = apply_plan.read(secondary_capture.secondary_capture(source, rgb, finding, UIDS))
    assert np.array_equal(dataset.pixel_array, rgb)


def test_the_capture_belongs_to_the_study_of_its_source(ct_image: FileDataset, made: bytes) -> None:
    source, dataset = anonymized(ct_image), apply_plan.read(made)
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "StudyID"):
        assert dataset[keyword].value == source[keyword].value
    assert (dataset.SeriesNumber, dataset.InstanceNumber) == (9002, 1)
    assert dataset.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert dataset.SourceImageSequence[0].ReferencedSOPClassUID == source.SOPClassUID
    assert dataset.DeidentificationMethodCodeSequence == source.DeidentificationMethodCodeSequence


def test_the_capture_says_that_it_is_not_for_diagnosis(made: bytes) -> None:
    dataset = apply_plan.read(made)
    assert "not for diagnosis" in dataset.SeriesDescription
    assert dataset.BurnedInAnnotation == "NO"
    assert list(dataset.ImageType) == ["DERIVED", "SECONDARY"]


@pytest.mark.parametrize(
    "keyword",
    ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
     "ReferringPhysicianName", "StudyID", "AccessionNumber"],
)  # fmt: skip
def test_what_every_image_must_have_is_there_even_if_the_source_lacks_it(keyword: str) -> None:
    source = anonymized(data.radiograph("capture", PATIENT, rows=32, columns=26))
    delattr(source, keyword)
    dataset = apply_plan.read(captured(source))
    assert not dataset[keyword].value


@pytest.mark.parametrize("keyword", ["SeriesNumber", "InstanceNumber"])
@pytest.mark.parametrize("value", ["", None])
def test_a_source_without_numbers_gets_a_capture_with_numbers(
    keyword: str, value: str | None
) -> None:
    source = anonymized(data.radiograph("capture", PATIENT, rows=32, columns=26))
    setattr(source, keyword, value)
    dataset = apply_plan.read(captured(source))
    assert dataset.SeriesNumber in {9000, 9001}
    assert dataset.InstanceNumber == 1


def test_no_text_of_the_source_is_copied_but_its_pseudonyms(ct_image: FileDataset) -> None:
    source = anonymized(ct_image)
    source.SeriesDescription = source.ImageComments = "LEAKING-TEXT"
    source.BodyPartExamined = "LEAKINGPART"
    source.SoftwareVersions = source.Manufacturer = source.ManufacturerModelName = "LEAKING-MAKER"
    source.private_block(0x0029, "LEAKING CREATOR", create=True).add_new(1, "LO", "LEAKING-VALUE")
    source.ReferencedImageSequence = []
    assert b"LEAKING" not in captured(source)


@pytest.mark.parametrize("size", [64, 512])
def test_a_capture_passes_the_gate(size: int) -> None:
    original = next(data.ct_series("capture", PATIENT, slices=1, size=size))
    file = captured(anonymized(original))
    as_read = apply_plan.read(data.file_bytes(original))
    expected = gate.Expected.of(as_read, KEY, STATION).for_capture(UIDS.series, UIDS.sop)
    gate.check_outgoing(
        apply_plan.read(file), memoryview(file), expected, gate.Traces.of(as_read),
        secondary_capture.OWN_ATTRIBUTES,
    )  # fmt: skip
    assert [value for value in PATIENT.identifiers() if value.encode() in file] == []


def test_a_capture_has_a_digest_like_any_other_file(made: bytes) -> None:
    assert len(part10.digest(memoryview(made))) == 64
