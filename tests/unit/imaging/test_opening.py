"""What can be opened, and what breaks off: each codec, each way of breaking."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.uid import (
    MPEG2MPML,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from router.dicom import part10
from router.imaging import pixels
from router.imaging.pixels import opening, undeclared
from router.records.errors import AnalysisSkipped, Code, Hold
from tests.support import data

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset
    from pydicom.uid import UID

PATIENT = data.Patient.made("opening")
HERE = [JPEGLSLossless, RLELossless, JPEG2000Lossless]


def image(frames: int = 1, syntax: UID | None = None) -> FileDataset:
    dataset = next(data.ct_series("opening", PATIENT, slices=1, size=32))
    first = np.frombuffer(dataset.PixelData, "<i2").reshape(1, 32, 32)
    values = np.concatenate([first + step for step in range(frames)]).astype("<i2")
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = values.tobytes()
    if syntax is not None:
        dataset.compress(syntax, generate_instance_uid=False)
    return dataset


def items_of(dataset: FileDataset) -> list[bytes]:
    return list(generate_fragments(dataset.PixelData))[1:]


def with_items(dataset: FileDataset, items: list[bytes], *, table: bool = False) -> FileDataset:
    dataset.PixelData = encapsulate([i + b"\0" * (len(i) % 2) for i in items], has_bot=table)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def opens(dataset: FileDataset) -> bool | Code:
    file = data.file_bytes(dataset)
    stream = io.BytesIO(file)
    try:
        return opening.check(part10.read(stream), stream, memoryview(file)).here
    except AnalysisSkipped as skipped:
        return skipped.code


def beside_the_stored_bits(dataset: FileDataset) -> str:
    file = data.file_bytes(dataset)
    stream = io.BytesIO(file)
    return opening.check(part10.read(stream), stream, memoryview(file)).undeclared


def undeclared_in(dataset: FileDataset) -> str:
    file = data.file_bytes(dataset)
    try:
        undeclared.check(part10.read(io.BytesIO(file)), memoryview(file))
    except Hold as hold:
        return hold.sentence if hold.code is Code.PIXELS_UNDECLARED else hold.code
    return ""


# --- what can be opened ---------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", HERE)
@pytest.mark.parametrize("frames", [1, 3])
def test_a_whole_image_opens(syntax: UID, frames: int) -> None:
    dataset = image(frames, syntax)
    assert opens(dataset) is True
    assert undeclared_in(dataset) == ""


@pytest.mark.parametrize("frames", [1, 3])
def test_a_plain_image_opens_and_without_its_last_byte_it_does_not(frames: int) -> None:
    dataset = image(frames)
    assert opens(dataset) is True
    dataset.PixelData = dataset.PixelData[:-2]
    assert opens(dataset) is Code.PIXELS_BROKEN_OFF


@pytest.mark.parametrize(
    "name", ["SC_rgb_jpeg_dcmtk.dcm", "JPGExtended.dcm", "SC_rgb_jpeg_gdcm.dcm"]
)
def test_of_jpeg_orthanc_is_asked(name: str) -> None:
    dataset = data.pydicom_file(name, "opening", PATIENT)
    assert opens(dataset) is False
    (item,) = items_of(dataset)
    assert opens(with_items(dataset, [item[: len(item) // 2]])) is Code.PIXELS_BROKEN_OFF


def test_an_object_without_pixels_and_a_film_are_open() -> None:
    *_, report = data.mammogram_study("opening", PATIENT, rows=48, columns=39)
    assert opens(report) is True
    film = with_items(image(), [b"\0\0\1\xb3 film "])
    film.file_meta.TransferSyntaxUID = MPEG2MPML
    assert opens(film) is True


# --- what cannot ----------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("frames", [1, 3])
def test_one_frame_without_its_end_closes_the_image(syntax: UID, frames: int) -> None:
    for broken in range(frames):
        dataset = image(frames, syntax)
        items = items_of(dataset)
        items[broken] = items[broken].rstrip(b"\0")[:-2]
        assert opens(with_items(dataset, items)) is Code.PIXELS_BROKEN_OFF


@pytest.mark.parametrize("syntax", HERE)
def test_a_frame_that_is_missing_closes_the_image(syntax: UID) -> None:
    dataset = image(3, syntax)
    assert opens(with_items(dataset, items_of(dataset)[:2])) is Code.PIXELS_BROKEN_OFF


@pytest.mark.parametrize("frames", [1, 3])
def test_a_frame_of_rle_that_is_cut_is_asked_of_orthanc(frames: int) -> None:
    for broken in range(frames):
        dataset = image(frames, RLELossless)
        items = items_of(dataset)
        items[broken] = items[broken][: len(items[broken]) // 2]
        assert opens(with_items(dataset, items)) is False


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless])
def test_what_is_no_codestream_is_no_image(syntax: UID) -> None:
    dataset = with_items(image(), [b"\xff\xd8 no image at all"])
    dataset.file_meta.TransferSyntaxUID = syntax
    assert opens(dataset) is Code.PIXELS_BROKEN_OFF


# --- tables of offsets ----------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", HERE)
def test_an_image_whose_table_of_offsets_is_wrong_is_decoded(syntax: UID) -> None:
    dataset = image(3, syntax)
    expected = np.frombuffer(image(3).PixelData, "<i2").reshape(3, 32, 32)[1]
    with_items(dataset, items_of(dataset), table=True)
    dataset.PixelData = dataset.PixelData[:8] + b"\x77" * 12 + dataset.PixelData[20:]
    assert opens(dataset) is True
    stream = io.BytesIO(data.file_bytes(dataset))
    assert np.array_equal(pixels.to_frame(part10.read(stream), stream).pixels, expected)
    stream.seek(0)
    assert np.array_equal(pixels.to_frame(part10.read(stream)).pixels, expected)


# --- more than the header says --------------------------------------------------------------------


@pytest.mark.parametrize("syntax", HERE)
def test_a_page_more_than_the_header_says_is_undeclared(syntax: UID) -> None:
    dataset = image(3, syntax)
    dataset.NumberOfFrames = 2
    assert undeclared_in(dataset) == "more pages than the 2 of the header"
    del dataset.NumberOfFrames
    assert undeclared_in(dataset) == "more pages than the 1 of the header"


def test_three_pages_without_a_number_of_frames_are_undeclared() -> None:
    dataset = image(3)
    del dataset.NumberOfFrames
    assert undeclared_in(dataset) == "3 pages, and the header says 1"


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_bytes_behind_a_codestream_are_undeclared(syntax: UID) -> None:
    dataset = image(1, syntax)
    (item,) = items_of(dataset)
    assert undeclared_in(with_items(dataset, [item + b"DOE^JANE"])).endswith("of page 1")
    assert undeclared_in(with_items(dataset, [item, b"DOE^JANE"])).endswith("of page 1")
    # What fills up to a block tells nothing.
    assert undeclared_in(with_items(dataset, [item + bytes(64)])) == ""


def test_all_samples_under_the_name_of_subsampled_ones_are_declared() -> None:
    """Senders that decode JPEG forget to change the photometric interpretation."""
    dataset = image()
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.PixelData = bytes(range(256)) * 12
    assert undeclared_in(dataset) == ""
    dataset.PixelData = bytes(range(256)) * 8
    assert undeclared_in(dataset) == ""
    dataset.PixelData = bytes(range(256)) * 9
    assert undeclared_in(dataset) == "256 bytes behind the last page"


def test_padding_beyond_the_stored_bits_is_no_drawing() -> None:
    """A filler of 16 bits in values of 12: outside the circle of a CT."""
    dataset = image()
    values = np.arange(1024, dtype="<u2")
    values[::7] = 0xF000
    dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
    dataset.PixelData = values.tobytes()
    dataset.add_new((0x0028, 0x0120), "US", 0xF000)
    assert undeclared_in(dataset) == ""
    del dataset.PixelPaddingValue
    assert undeclared_in(dataset) == "4 bits of each value that are not stored ones"


def test_padding_beside_values_that_reach_the_highest_stored_bit_is_no_drawing() -> None:
    dataset = image()
    values = np.arange(1024, dtype="<u2") * 4
    values[::7] = 0xF830
    dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
    dataset.PixelData = values.tobytes()
    dataset.add_new((0x0028, 0x0120), "US", 0xF830)
    assert undeclared_in(dataset) == ""
    values[5] |= 0x1000
    dataset.PixelData = values.tobytes()
    assert undeclared_in(dataset) == BESIDE


# --- beside the stored bits of what is compressed ---------------------------------------------------

BESIDE = "4 bits of each value that are not stored ones"


def encoded(values: NDArray[np.integer], syntax: UID, *, signed: bool, high: int) -> FileDataset:
    """An image of 12 stored bits whose encoder was given all 16 of each value."""
    dataset = image()
    del dataset.PixelPaddingValue
    if values.shape[0] > 1:
        dataset.NumberOfFrames = values.shape[0]
    dataset.PixelRepresentation = int(signed)
    dataset.BitsStored, dataset.HighBit = 16, 15
    dataset.PixelData = values.astype("<u2").tobytes()
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.BitsStored, dataset.HighBit = 12, high
    return dataset


def picture(frames: int) -> NDArray[np.integer]:
    return np.random.default_rng(1).integers(0, 1 << 12, (frames, 32, 32), dtype=np.uint16)


def sign_extended(values: NDArray[np.integer]) -> NDArray[np.integer]:
    return np.where(values >> 11, values | 0xF000, values)


@pytest.mark.parametrize("syntax", HERE)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("frames", [1, 3])
def test_what_lies_beside_the_stored_bits_of_a_compressed_image_is_found(
    syntax: UID, frames: int, *, signed: bool
) -> None:
    values = picture(frames)
    if signed:
        values = sign_extended(values)
    assert beside_the_stored_bits(encoded(values, syntax, signed=signed, high=11)) == ""
    for frame in range(frames):
        drawn = values.copy()
        drawn[frame, 4:6, 3:20] ^= 0x1000
        assert beside_the_stored_bits(encoded(drawn, syntax, signed=signed, high=11)) == BESIDE


@pytest.mark.parametrize("syntax", HERE)
def test_what_tells_nothing_beside_the_stored_bits_of_a_compressed_image_is_no_find(
    syntax: UID,
) -> None:
    values = picture(2)
    for harmless in (values | 0xF000, sign_extended(values)):
        for signed in (False, True):
            made = encoded(harmless, syntax, signed=signed, high=11)
            assert beside_the_stored_bits(made) == ""
    left_justified = encoded(values << 4, syntax, signed=False, high=15)
    assert beside_the_stored_bits(left_justified) == ""
    padded = values.copy()
    padded[:, :3] = 0xF830
    made = encoded(padded, syntax, signed=False, high=11)
    assert beside_the_stored_bits(made) == BESIDE
    made.add_new((0x0028, 0x0120), "US", 0xF830)
    assert beside_the_stored_bits(made) == ""


@pytest.mark.parametrize("syntax", HERE)
def test_a_page_with_another_filler_beside_its_stored_bits_is_found(syntax: UID) -> None:
    values = picture(3)
    values[1] |= 0xF000
    assert beside_the_stored_bits(encoded(values, syntax, signed=False, high=11)) == BESIDE


@pytest.mark.parametrize("syntax", HERE)
def test_an_encoder_that_was_given_the_stored_bits_alone_leaves_nothing_beside_them(
    syntax: UID,
) -> None:
    for signed in (False, True):
        dataset = image()
        del dataset.PixelPaddingValue
        values = picture(1)
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = int(signed), 12, 11
        dataset.PixelData = (sign_extended(values) if signed else values).astype("<u2").tobytes()
        dataset.compress(syntax, generate_instance_uid=False)
        assert beside_the_stored_bits(dataset) == ""
