"""A header is read by the router only where it can do no harm."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from router.dicom import bounds, part10
from router.imaging.worker_process import HeaderCheck
from router.records.errors import Code, Hold
from router.truck.spool import MemoryBody, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Code Meaning: a sequence that any object may have.
_SEQUENCE = struct.pack("<HH", 0x0040, 0x0275)
#: Enough for the limits, and soon made.
_MANY = 400_000
_EMPTY_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0)


def file(data_set: bytes, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A DICOM file around the bytes of a data set."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    meta.TransferSyntaxUID = UID(syntax)
    stream = DicomBytesIO()
    write_file_meta_info(stream, meta)
    return bytes(128) + b"DICM" + stream.getvalue() + data_set


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    head = struct.pack("<HH", group, number) + vr
    if vr in {b"SQ", b"OB", b"OW", b"UN", b"UT"}:
        return head + b"\0\0" + struct.pack("<L", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def items(number: int) -> bytes:
    return element(0x0040, 0x0275, b"SQ", _EMPTY_ITEM * number)


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeaderCheck]:
    made = HeaderCheck(Spool(tmp_path_factory.mktemp("spool")))
    yield made
    made.close()


def hold_of(check: HeaderCheck, data: bytes) -> Code | None:
    with MemoryBody(data) as body:
        try:
            check.is_plain(body)
        except Hold as hold:
            return hold.code
    return None


def deflated(data_set: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return file(packer.compress(data_set) + packer.flush(), DeflatedExplicitVRLittleEndian)


#: How each is made: only the one that a test asks for, since 900 MB take seconds to deflate.
BOMBS: dict[str, Callable[[], bytes]] = {
    "empty items": lambda: file(items(_MANY)),
    "the same without VRs": lambda: file(
        _SEQUENCE + struct.pack("<L", 8 * _MANY) + _EMPTY_ITEM * _MANY, ImplicitVRLittleEndian
    ),
    "the same without a length": lambda: file(
        struct.pack("<HH2sHL", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF)
        + _EMPTY_ITEM * _MANY
        + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    ),
    "900 MB of zeros, deflated": lambda: deflated(
        element(0x0009, 0x1001, b"UT", bytes(900_000_000))
    ),
    "the items, deflated": lambda: deflated(items(_MANY)),
    "20 MB of small decimals": lambda: file(
        struct.pack("<HHL", 0x3006, 0x0050, 20_000_000) + b"1\\" * 10_000_000,
        ImplicitVRLittleEndian,
    ),
}


def test_an_ordinary_file_is_plain_whatever_its_syntax() -> None:
    for name in ("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "MR_small_implicit.dcm"):  # fmt: skip
        path = get_testdata_file(name)
        assert path is not None
        with open(str(path), "rb") as stream:  # noqa: PTH123
            assert bounds.is_plain(memoryview(stream.read())), name


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_never_plain_and_is_held(name: str, check: HeaderCheck) -> None:
    data = BOMBS[name]()
    assert not bounds.is_plain(memoryview(data))
    assert hold_of(check, data) is Code.HEADER_TOO_LARGE


def test_deep_nesting_and_unread_bytes_are_left_to_the_router(check: HeaderCheck) -> None:
    """Both are small once they are read, and the router has its own word on them."""
    deep = b""
    for _ in range(900):
        deep = struct.pack("<HHL", 0xFFFE, 0xE000, len(deep)) + deep
        deep = element(0x0040, 0x0275, b"SQ", deep)
    for data in (file(deep), file(element(0x0040, 0x0275, b"UN", _EMPTY_ITEM * _MANY))):
        assert not bounds.is_plain(memoryview(data))
        assert hold_of(check, data) is None


def test_the_check_goes_on_after_a_bomb(check: HeaderCheck) -> None:
    assert hold_of(check, file(items(_MANY))) is Code.HEADER_TOO_LARGE
    assert hold_of(check, file(items(bounds.PLAIN_ELEMENTS + 1))) is None
    assert hold_of(check, file(items(bounds.MOST_ELEMENTS + 1))) is Code.HEADER_TOO_LARGE


def test_a_large_header_of_a_real_kind_goes_on(check: HeaderCheck) -> None:
    """An enhanced CT of 1,000 frames."""
    frame = element(0x0018, 0x9074, b"DT", b"20260311101500") + b"".join(
        element(0x0020, number, b"SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(inside)) + inside)
        for number, inside in (
            (0x9111, element(0x0020, 0x9056, b"SH", b"1 ") * 1),
            (0x9113, element(0x0020, 0x0032, b"DS", b"-180\\-180\\3.5 ")),
            (0x9116, element(0x0020, 0x0037, b"DS", b"1\\0\\0\\0\\1\\0 ")),
        )
    )
    whole = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(frame)) + frame for _ in range(6_000))
    data = file(element(0x5200, 0x9230, b"SQ", whole))
    with MemoryBody(data) as body:
        assert not check.is_plain(body)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian]))
def test_nothing_makes_the_walk_fail(tail: bytes, syntax: str) -> None:
    bounds.is_plain(memoryview(file(tail, syntax)))
    bounds.is_plain(memoryview(tail))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_is_plain_is_read_as_so_many_elements_as_were_counted(data: st.DataObject) -> None:
    """The walk and the parser agree: damaged real headers never hide elements from the walk."""
    path = get_testdata_file("test-SR.dcm")
    assert path is not None
    with open(str(path), "rb") as stream:  # noqa: PTH123
        whole = bytearray(stream.read())
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(140, len(whole) - 1))] = data.draw(st.integers(0, 255))
    counted = bounds.count(memoryview(whole))
    if counted is None:
        return
    try:
        with warnings.catch_warnings(action="ignore"):  # of damaged character sets
            parsed = part10.read(io.BytesIO(bytes(whole)))
            found = sum(1 for _ in parsed.iterall())
    except (Hold, ValueError, EOFError):  # damaged: it is held, and has cost no more
        return
    assert found <= counted
