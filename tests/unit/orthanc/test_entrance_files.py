"""The entrance's body guard: sound files pass in any pieces, deep, vast and twofold ones do not."""

from __future__ import annotations

import io
import itertools
import random
import struct
from typing import TYPE_CHECKING

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)

from entrance import elements
from entrance.elements import Fault, RefusedFileError
from entrance.multipart import BadBodyError, Edge, Parts, boundary_of
from entrance.part10 import Reading

if TYPE_CHECKING:
    from collections.abc import Callable

_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless]


def made(syntax: UID, depth: int = 2, *, undefined: bool = False, unknown: bool = False) -> Dataset:
    """An image whose sequences nest so deep; ``unknown``: they hang below a private element."""
    inner = Dataset()
    inner.CodeValue = "T-1"
    for _ in range(depth):
        outer = Dataset()
        sequence = Sequence([inner])
        outer.add_new(0x00081140, "SQ", sequence)
        outer["ReferencedImageSequence"].is_undefined_length = undefined
        inner.is_undefined_length_sequence_item = undefined
        inner = outer
    image = inner
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.4", "1.2"
    image.PatientID = "P1"
    if unknown:
        image.add_new(0x00091001, "UN", b"\xfe\xff\x00\xe0\x00\x00\x00\x00")
    frame = bytes(random.Random(depth).randbytes(3000))
    image.add_new(0x7FE00010, "OB", encapsulate([frame]) if syntax == JPEGLSLossless else frame)
    image["PixelData"].is_undefined_length = syntax == JPEGLSLossless
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    return image


def file_of(image: Dataset) -> bytes:
    out = io.BytesIO()
    pydicom.dcmwrite(out, image, enforce_file_format=True)
    return out.getvalue()


def read(file: bytes, cuts: list[int] | None = None) -> Reading:
    """Reads a file in pieces that end at the cuts."""
    reading = Reading()
    places = sorted({0, len(file), *(cut % (len(file) + 1) for cut in cuts or [])})
    for begin, end in itertools.pairwise(places):
        reading.feed(file[begin:end])
    reading.close()
    return reading


@given(st.sampled_from(_SYNTAXES), st.integers(0, 6), st.booleans(), st.booleans(),
       st.lists(st.integers(0, 5000), max_size=30))  # fmt: skip
def test_a_sound_file_is_read_alike_in_any_pieces(
    syntax: UID,
    depth: int,
    undefined: bool,  # noqa: FBT001
    unknown: bool,  # noqa: FBT001
    cuts: list[int],
) -> None:
    file = file_of(made(syntax, depth, undefined=undefined, unknown=unknown))
    reading = read(file, cuts)
    assert (reading.sop_uid, reading.study_uid) == ("1.2.3", "1.2.4")
    assert read(file, list(range(len(file)))).study_uid == "1.2.4"


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm", "rtplan.dcm",
             "reportsi.dcm", "waveform_ecg.dcm", "JPEG2000.dcm", "SC_rgb_small_odd.dcm"],
)  # fmt: skip
def test_files_of_other_makers_pass_as_the_truck_would_write_them(name: str) -> None:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    image = pydicom.dcmread(path)
    assert read(file_of(image)).sop_uid == image.SOPInstanceUID


def test_sequences_nest_as_deep_as_the_truck_lets_them_and_no_deeper() -> None:
    for syntax in _SYNTAXES:
        for undefined in (True, False):
            read(file_of(made(syntax, elements.DEEPEST, undefined=undefined)))
            with pytest.raises(RefusedFileError, match="nest"):
                read(file_of(made(syntax, elements.DEEPEST + 1, undefined=undefined)))


def test_nesting_is_seen_below_values_whose_kind_is_not_said() -> None:
    deep = b""
    for _ in range(40):
        deep = struct.pack("<HHL", 0xFFFE, 0xE000, len(deep)) + deep
        deep = struct.pack("<HHL", 0x0009, 0x1001, len(deep)) + deep
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        image = made(syntax, 0)
        image.add_new(0x00091001, "UN", deep[8:])
        with pytest.raises(RefusedFileError, match="nest"):
            read(file_of(image))


def _with(file: bytes, at: bytes, instead: bytes) -> bytes:
    assert at in file
    return file.replace(at, instead, 1)


_TWICE = struct.pack("<HH2sH", 0x0020, 0x000D, b"UI", 4) + b"9.9\0"
_STUDY = struct.pack("<HH2sH", 0x0020, 0x000D, b"UI", 6) + b"1.2.4\0"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f[:-10], "breaks off"),
        (lambda f: f[132:], "no DICOM file"),
        (lambda f: _with(f, _STUDY, _STUDY + _TWICE), "ascend"),
        (lambda f: _with(f, _STUDY, b""), "a UID is missing"),
        (lambda f: _with(f, b"1.2.4\0", b"1.2/4\0"), "a UID is none"),
        (lambda f: _with(f, b"\x20\x00\x0d\x00UI", b"\x20\x00\x0d\x00XX"), "value representation"),
        (lambda f: f + b"\0" * 8, "value representation"),
        (lambda f: f[:140] + struct.pack("<L", 4) + f[144:], "ends behind"),
        (lambda f: f[:140] + struct.pack("<L", 400) + f[144:], "another length"),
        (lambda f: f[:140] + struct.pack("<L", 1 << 30) + f[144:], "too long"),
    ],
)  # fmt: skip
def test_what_two_readers_could_take_for_two_things_is_refused(
    change: Callable[[bytes], bytes], says: str
) -> None:
    file = change(file_of(made(ExplicitVRLittleEndian)))
    with pytest.raises(RefusedFileError, match=says) as raised:
        read(file)
    assert raised.value.fault is Fault.UNSOUND


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, "1.2.3"])
def test_a_transfer_syntax_that_is_not_taken_is_named(syntax: str) -> None:
    file = file_of(made(ExplicitVRLittleEndian))
    old = ExplicitVRLittleEndian.encode()
    place = file.index(old) - 2
    length = struct.unpack_from("<H", file, place)[0]
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = struct.unpack_from("<L", file, 140)[0] + len(value) - length
    file = (file[:140] + struct.pack("<L", meta) + file[144:place]
            + struct.pack("<H", len(value)) + value + file[place + 2 + length :])  # fmt: skip
    with pytest.raises(RefusedFileError) as raised:
        read(file)
    assert raised.value.fault is Fault.SYNTAX


def test_a_million_empty_items_end_at_the_bound() -> None:
    items = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * (elements.MOST_ELEMENTS + 1)
    sequence = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, len(items)) + items
    file = file_of(made(ExplicitVRLittleEndian, 0))
    reading = Reading()
    begin = file.index(b"\x10\x00\x20\x00LO")
    with pytest.raises(RefusedFileError, match="too many"):
        reading.feed(file[:begin] + sequence)


@given(st.sampled_from(_SYNTAXES), st.integers(0, 10_000), st.binary(min_size=1, max_size=8),
       st.lists(st.integers(0, 5000), max_size=5))  # fmt: skip
def test_damage_is_refused_or_passed_and_nothing_else(
    syntax: UID, place: int, damage: bytes, cuts: list[int]
) -> None:
    file = file_of(made(syntax, 3, undefined=True))
    place %= len(file)
    damaged = file[:place] + damage + file[place + len(damage) :]

    def outcome(cuts: list[int]) -> str:
        try:
            return str(read(damaged, cuts).sop_uid)
        except RefusedFileError as refused:
            return refused.reason

    assert outcome(cuts) == outcome([])


# ---- multipart


def _body(
    boundary: str, parts: list[bytes], head: bytes = b"Content-Type: application/dicom"
) -> bytes:
    mark = b"--" + boundary.encode()
    return (
        b"".join(mark + b"\r\n" + head + b"\r\n\r\n" + p + b"\r\n" for p in parts)
        + mark
        + b"--\r\n"
    )


def _parts(body: bytes, boundary: str, cuts: list[int]) -> list[bytes]:
    parts, found = Parts(boundary), []
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    for begin, end in itertools.pairwise(places):
        for given_ in parts.feed(body[begin:end]):
            if given_ is Edge.BEGIN:
                found.append(b"")
            elif isinstance(given_, bytes):
                found[-1] += given_
    parts.close()
    return found


@given(st.lists(st.binary(max_size=200) | st.sampled_from([b"\r\n--", b"\r\n--b", b"--b--", b"\r"]),
                max_size=5), st.lists(st.integers(0, 1500), max_size=20))  # fmt: skip
def test_the_parts_of_a_body_are_found_in_any_pieces(parts: list[bytes], cuts: list[int]) -> None:
    assert _parts(_body("boundary", parts), "boundary", cuts) == parts


@pytest.mark.parametrize(
    "body",
    [b"", b"x", _body("b", [b"x"])[:-6], b"preamble\r\n" + _body("b", [b"x"]),
     _body("b", [b"x"]) + b"epilogue", _body("b", [b"x"], b"Content-Type: text/html"),
     _body("b", [b"x"], b"A: b"), _body("b", [b"x"], b"Content-Type: application/dicom\r\n"
                                                    b"Content-Transfer-Encoding: base64"),
     _body("b", [b"x"], b"A:" + b"b" * 2000), b"--bX\r\n" + _body("b", [b"x"])],
)  # fmt: skip
def test_a_body_that_is_no_multipart_of_files_is_refused(body: bytes) -> None:
    for cuts in ([], list(range(len(body)))):
        with pytest.raises(BadBodyError):
            _parts(body, "b", cuts)


def test_the_boundary_is_read_from_one_kind_of_content_type() -> None:
    assert boundary_of('multipart/related; type="application/dicom"; boundary=abc') == "abc"
    assert boundary_of('Multipart/Related;boundary="a b";type=application/dicom'.replace(" b", "b"))
    for text in ("application/dicom", "multipart/related; boundary=a", "multipart/related",
                 'multipart/related; type="application/dicom"; boundary=a; boundary=b',
                 'multipart/related; type="application/dicom+xml"; boundary=a',
                 'multipart/related; type="application/dicom"; boundary="a\\"b"',
                 'multipart/related; type="application/dicom"; boundary=a b'):  # fmt: skip
        with pytest.raises(BadBodyError):
            boundary_of(text)
