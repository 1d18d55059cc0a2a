from __future__ import annotations

import hashlib
import io
import zlib
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGLSLossless

from router.dicom import part10
from router.records.errors import Code, Hold
from tests.support import apply_plan, data

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

PATIENT = data.Patient.made("part10")


def ct_image(size: int = 32) -> FileDataset:
    return next(data.ct_series("part10", PATIENT, slices=1, size=size))


def compressed_image(*fragments: bytes) -> FileDataset:
    dataset = ct_image()
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    dataset.PixelData = encapsulate(list(fragments))
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def span_of(file: bytes) -> tuple[int, int] | None:
    return part10.pixel_span(apply_plan.read(file), memoryview(file))


def hold_code(file: bytes) -> Code | None:
    """Why a file is held when it is taken in; ``None``: it is readable to its end."""
    try:
        span_of(file)
    except Hold as hold:
        return hold.code
    return None


# --- the identity of the content ----------------------------------------------------------------


def test_the_digest_is_that_of_everything_behind_the_file_header() -> None:
    file = data.file_bytes(ct_image())
    start = part10.dataset_offset(memoryview(file))
    # The data set begins with (0008,0005) Specific Character Set.
    assert file[start : start + 6] == b"\x08\x00\x05\x00CS"
    assert part10.digest(memoryview(file)) == hashlib.sha256(file[start:]).hexdigest()


def test_the_digest_does_not_depend_on_the_file_header() -> None:
    dataset = ct_image()
    before = data.file_bytes(dataset)
    dataset.file_meta.ImplementationClassUID = UID("2.25.7")
    dataset.file_meta.SourceApplicationEntityTitle = "ELSEWHERE"
    dataset.preamble = b"MZ".ljust(128, b"\0")
    after = data.file_bytes(dataset)
    assert before != after
    assert part10.digest(memoryview(before)) == part10.digest(memoryview(after))
    assert part10.md5(memoryview(before)) != part10.md5(memoryview(after))


def test_the_digest_changes_with_a_single_bit_of_the_pixels() -> None:
    file = data.file_bytes(ct_image())
    changed = file[:-1] + bytes([file[-1] ^ 1])
    assert part10.digest(memoryview(file)) != part10.digest(memoryview(changed))


def test_the_md5_is_that_of_the_whole_file() -> None:
    file = data.file_bytes(ct_image())
    assert part10.md5(memoryview(file)) == hashlib.md5(file, usedforsecurity=False).hexdigest()


def test_a_header_without_its_length_has_no_digest() -> None:
    file = data.file_bytes(ct_image())
    without = file[:132] + file[144:]
    with pytest.raises(Hold) as raised:
        part10.digest(memoryview(without))
    assert raised.value.code is Code.UNREADABLE


# --- where the pixels lie -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 256], ids=["in memory", "deferred"])
def test_native_pixels_are_found_to_the_byte(size: int) -> None:
    dataset = ct_image(size)
    file = data.file_bytes(dataset)
    span = span_of(file)
    assert span is not None
    assert file[slice(*span)] == dataset.PixelData


def test_compressed_pixels_are_found_from_the_offset_table_to_the_delimiter() -> None:
    dataset = compressed_image(b"\xff\xd8abcd", b"\xff\xd8efgh" * 20_000)
    file = data.file_bytes(dataset)
    span = span_of(file)
    assert span is not None
    pixels = file[slice(*span)]
    assert pixels.startswith(b"\xfe\xff\x00\xe0")
    assert pixels.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
    assert len(pixels) == len(dataset.PixelData) + 8
    assert b"".join((b"\xff\xd8abcd", b"\xff\xd8efgh" * 20_000)) not in pixels
    assert b"\xff\xd8efgh" * 20_000 in pixels


def test_a_delimiter_inside_a_fragment_does_not_end_the_pixels() -> None:
    fragment = b"\xff\xd8" + b"\xfe\xff\xdd\xe0\0\0\0\0" + b"behind"
    dataset = compressed_image(fragment)
    file = data.file_bytes(dataset)
    span = span_of(file)
    assert span is not None
    assert fragment in file[slice(*span)]
    assert span[1] == len(file)


def test_what_an_encoder_left_behind_the_end_of_a_frame_is_found() -> None:
    frames = [b"\xff\xd8\x01\xff\xd9", b"\xff\xd8\x01\x02\xff\xd9", b"\xff\xd8\x03\xff\xd9"]
    dataset = compressed_image(*frames)
    file = bytearray(data.file_bytes(dataset))
    parsed = apply_plan.read(bytes(file))
    assert part10.stray_padding(parsed, memoryview(file)) == []
    stray = [file.index(frame) + len(frame) for frame in (frames[0], frames[2])]
    for offset in stray:
        assert file[offset] == 0
        file[offset] = 0xA0
    assert part10.stray_padding(parsed, memoryview(file)) == stray


def test_plain_pixels_have_no_stray_padding() -> None:
    dataset = ct_image()
    dataset.PixelData = dataset.PixelData[:-4] + b"\0\xff\xd9\xa0"
    file = data.file_bytes(dataset)
    assert part10.stray_padding(apply_plan.read(bytes(file)), memoryview(file)) == []


def test_what_lies_behind_the_pixels_is_outside_them() -> None:
    dataset = ct_image()
    dataset.DataSetTrailingPadding = b"TRAILING"
    file = data.file_bytes(dataset)
    outside = part10.without_pixels(apply_plan.read(file), memoryview(file))
    assert outside.endswith(b"TRAILING")
    assert len(outside) == len(file) - len(dataset.PixelData)
    assert dataset.PixelData not in outside


def test_pixels_inside_an_item_are_not_the_image_s() -> None:
    dataset = ct_image()
    icon = Dataset()
    icon.PixelData = b"icon"
    icon["PixelData"].VR = "OW"
    dataset.IconImageSequence = Sequence([icon])
    del dataset.PixelData
    file = data.file_bytes(dataset)
    assert span_of(file) is None
    assert part10.without_pixels(apply_plan.read(file), memoryview(file)) == file


# --- what cannot be read ------------------------------------------------------------------------


def test_a_whole_file_is_readable() -> None:
    assert hold_code(data.file_bytes(ct_image(256))) is None


def test_long_values_stay_in_the_file_until_asked_for() -> None:
    file = data.file_bytes(ct_image(256))
    pixels = apply_plan.read(file).get_item("PixelData", keep_deferred=True)
    assert pixels is not None
    assert pixels.value is None


@pytest.mark.parametrize("missing", [1, 2, 100, 4_000, 131_000])
def test_a_file_that_ends_within_its_pixels_is_unreadable(missing: int) -> None:
    file = data.file_bytes(ct_image(256))
    assert hold_code(file[:-missing]) is Code.UNREADABLE


@pytest.mark.parametrize("missing", [1, 7, 8, 9, 40])
def test_a_file_that_ends_within_its_compressed_pixels_is_unreadable(missing: int) -> None:
    file = data.file_bytes(compressed_image(b"\xff\xd8abcd" * 100))
    assert hold_code(file[:-missing]) is Code.UNREADABLE


def test_compressed_pixels_with_garbage_between_the_fragments_are_unreadable() -> None:
    file = data.file_bytes(compressed_image(b"\xff\xd8abcd", b"\xff\xd8efgh"))
    spoilt = file.replace(
        b"\xfe\xff\x00\xe0\6\0\0\0\xff\xd8efgh", b"\xfe\xff\x01\xe0\6\0\0\0......"
    )
    assert spoilt != file
    assert hold_code(spoilt) is Code.UNREADABLE


@pytest.mark.parametrize("value", ["PATIENT", "SEQUENCE", "IN THE HEADER"])
def test_a_file_that_ends_within_a_value_is_unreadable(value: str) -> None:
    dataset = ct_image()
    dataset.PatientName = "PATIENT^OF A LONG NAME"
    item = Dataset()
    item.CodeMeaning = "SEQUENCE OF ITEMS"
    dataset.AnatomicRegionSequence = Sequence([item])
    dataset.file_meta.ImplementationVersionName = "IN THE HEADER"
    file = data.file_bytes(dataset)
    end = file.index(value.encode()) + 4
    assert hold_code(file[:end]) is Code.UNREADABLE


@pytest.mark.parametrize("length", [0, 1, 131, 140, 141, 143, 150])
def test_the_mere_beginning_of_a_file_is_unreadable(length: int) -> None:
    file = data.file_bytes(ct_image())
    assert hold_code(file[:length]) is Code.UNREADABLE


@pytest.mark.parametrize(
    "content",
    [b"<html>not found</html>", bytes(1_000), b"%PDF-1.7" * 40, data.file_bytes(ct_image())[128:]],
    ids=["html", "zeros", "pdf", "no preamble"],
)
def test_what_is_no_dicom_is_unreadable(content: bytes) -> None:
    assert hold_code(content) is Code.UNREADABLE


def test_a_reader_s_own_words_stay_out_of_the_hold() -> None:
    with pytest.raises(Hold) as raised:
        part10.read(io.BytesIO(b"Novakova^Zdenka" * 100))
    assert raised.value.sentence == "reading stopped with InvalidDicomError"


def test_a_sequence_nested_out_of_all_bounds_does_not_crash_the_parser() -> None:
    depth = 3_000
    # (0008,2218) Anatomic Region Sequence and its items, all of undefined length.
    opened = (b"\x08\x00\x18\x22SQ\0\0" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4) * depth
    closed = (b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)) * depth
    file = data.file_bytes(ct_image())
    start = part10.dataset_offset(memoryview(file))
    assert hold_code(file[:start] + opened + closed) is Code.NESTING_TOO_DEEP


def test_a_deflated_data_set_is_not_cleared() -> None:
    file = data.file_bytes(ct_image())
    start = part10.dataset_offset(memoryview(file))
    dataset = apply_plan.read(file)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header = io.BytesIO()
    dataset.save_as(header, enforce_file_format=True)
    offset = part10.dataset_offset(memoryview(header.getvalue()))
    deflate = zlib.compressobj(wbits=-15)
    body = deflate.compress(file[start:]) + deflate.flush()
    deflated = header.getvalue()[:offset] + body + b"\0" * (len(body) % 2)
    # It is a good file, so that the hold is for its encoding alone.
    assert apply_plan.read(deflated).PatientID == PATIENT.patient_id
    assert hold_code(deflated) is Code.ENCODING_NOT_CLEARED


# --- what can hold text of compressed frames ----------------------------------------------------

_NAME = b"DOE^JANE"
_LONG = bytes(8192)


def outside(*fragments: bytes) -> bytes:
    file = data.file_bytes(compressed_image(*fragments))
    return part10.without_pixels(apply_plan.read(file), memoryview(file))


def segment(marker: bytes, text: bytes) -> bytes:
    return marker + (len(text) + 2).to_bytes(2, "big") + text


@pytest.mark.parametrize("marker", [b"\xff\xfe", b"\xff\xe0", b"\xff\xe8", b"\xff\xef"])
def test_a_comment_in_the_middle_of_a_jpeg_is_outside_its_pixels(marker: bytes) -> None:
    assert _NAME in outside(b"\xff\xd8" + _LONG + segment(marker, _NAME) + _LONG)


@pytest.mark.parametrize("begins", [b"\xff\x4f\xff\x51", b"\xff\xd8", b"\0\0\0\x0cjP  "])
@pytest.mark.parametrize("kind", [b"\0\0", b"\0\1"])
def test_a_comment_of_jpeg_2000_is_outside_whatever_stands_before_it(
    begins: bytes, kind: bytes
) -> None:
    assert _NAME in outside(begins + _LONG + segment(b"\xff\x64", kind + _NAME) + _LONG)


def test_a_comment_of_jpeg_2000_of_an_unknown_kind_is_outside_too() -> None:
    assert _NAME in outside(b"\xff\x4f\xff\x51" + _LONG + segment(b"\xff\x64", _NAME) + _LONG)


def test_what_looks_like_one_in_jpeg_ls_pixels_is_a_pixel() -> None:
    """FF is followed by a stuffed zero bit: 64 stands there in one of 128 cases."""
    by_chance = b"\xff\x64\x7a\x11" + bytes(range(1, 128)) * 300
    fragment = b"\xff\xd8" + _LONG + by_chance + _LONG
    assert by_chance[4:400] not in outside(fragment)
    assert by_chance[4:400] in outside(b"\xff\x4f\xff\x51" + fragment)
