from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from pydicom.encaps import generate_fragments
from pydicom.uid import JPEGLSLossless, RLELossless

from router.dicom import codestream
from tests.support import data

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

PATIENT = data.Patient.made("codestream")
#: Real codestreams of JPEG baseline and extended, JPEG lossless, JPEG-LS and JPEG 2000.
FILES = [
    "SC_rgb_jpeg_dcmtk.dcm", "JPGExtended.dcm", "SC_rgb_jpeg_gdcm.dcm", "JPEG-lossy.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "J2K_pixelrep_mismatch.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm", "examples_jpeg2k.dcm",
]  # fmt: skip


def frames_of(dataset: FileDataset) -> list[codestream.Frame]:
    items = [memoryview(item) for item in generate_fragments(dataset.PixelData)][1:]
    return list(codestream.frames(items, str(dataset.file_meta.TransferSyntaxUID)))


@pytest.mark.parametrize("name", FILES)
def test_a_real_codestream_ends_where_its_pixels_end(name: str) -> None:
    (frame,) = frames_of(data.pydicom_file(name, "codestream", PATIENT))
    end = frame.end()
    assert end is not None
    assert bytes(frame.data[end - 2 : end]) == b"\xff\xd9"
    assert len(frame.data) - end <= 1  # made even


@pytest.mark.parametrize("name", FILES)
def test_without_its_last_bytes_it_has_no_end(name: str) -> None:
    (frame,) = frames_of(data.pydicom_file(name, "codestream", PATIENT))
    end = frame.end()
    assert end is not None
    for left in (end - 1, end - 2, end // 2, 40, 13, 12, 3, 2, 0):
        assert codestream.Frame(frame.data[:left]).end() is None


@pytest.mark.parametrize("name", FILES)
def test_what_stands_behind_the_end_is_not_the_picture(name: str) -> None:
    (frame,) = frames_of(data.pydicom_file(name, "codestream", PATIENT))
    end = frame.end()
    more = codestream.Frame(memoryview(bytes(frame.data[:end]) + b"behind\xff\xd9"))
    assert more.end() == end


def test_an_end_in_a_comment_or_a_thumbnail_is_not_the_end() -> None:
    inside = b"\xff\xd8\xff\xd9thumb"
    app1 = b"\xff\xe1" + struct.pack(">H", 2 + len(inside)) + inside
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"data\xff\x00\xff\xd3more"
    whole = b"\xff\xd8" + app1 + scan + b"\xff\xd9"
    assert codestream.Frame(memoryview(whole)).end() == len(whole)
    assert codestream.Frame(memoryview(whole[:-2])).end() is None


def test_a_frame_in_several_items_is_one_and_several_frames_are_several() -> None:
    stream = b"\xff\xd8\xff\xda\x00\x02data\xff\xd9"
    items = [memoryview(part) for part in (stream[:6], stream[6:], stream, stream)]
    found = list(codestream.frames(items, str(JPEGLSLossless)))
    assert [bytes(frame.data) for frame in found] == [stream] * 3


def test_of_rle_each_item_is_a_frame() -> None:
    items = [memoryview(b"one"), memoryview(b"two")]
    found = list(codestream.frames(items, str(RLELossless)))
    assert [bytes(frame.data) for frame in found] == [b"one", b"two"]


def test_what_is_no_codestream_has_no_end() -> None:
    for nothing in (b"", b"\xff", b"no image at all\xff\xd9", b"\xff\xd8", b"\xff\x4f\xff\x51"):
        assert codestream.Frame(memoryview(nothing)).end() is None
