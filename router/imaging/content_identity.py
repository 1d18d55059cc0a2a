"""What an image is, in whatever encoding it comes: the identity of its content.

The same image is sent again after a broken association, and another transfer syntax is negotiated
then. Explicit or implicit VR, byte order, compression without loss, lengths of sequences and groups
are the wire's; the image is its attributes and what its pixels decode to.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from router.dicom import part10
from router.dicom.element_index import items_in, known_vr, scan
from router.dicom.mapped_bytes import pieces
from router.imaging.pixels import header
from router.imaging.pixels.decoding import Decoder
from router.records.errors import AnalysisSkipped, Code

if TYPE_CHECKING:
    from typing import BinaryIO

    from pydicom.dataset import FileDataset

    from router.dicom.element_index import Element, Level

_DEEPEST = 32
_PIXELS: Final = frozenset(part10.PIXEL_TAGS)
#: Of the file and its way, not of the image: who was asked for it, when the file was written, where
#: it was kept, filler; how frames lie in the file, and what an encoder says of its compressing (with
#: loss the pixels are others).
_OF_THE_FILE = frozenset({
    0x00080012, 0x00080013, 0x00080014, 0x00080054, 0x00080056, 0x00880130, 0x00880140,
    0xFFFCFFFC, 0x00082111, 0x00280006, 0x00282110, 0x00282112, 0x00282114, 0x7FE00001, 0x7FE00002,
    0x7FE00003,
})  # fmt: skip
_PHOTOMETRIC = 0x00280004
#: What JPEG 2000 calls RGB that it has turned (PS3.5, 8.2.4); decoded it is RGB.
_AS_DECODED = {b"YBR_RCT": b"RGB"}
_WIDTH = {
    "AT": 2, "FD": 8, "FL": 4, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2, "SL": 4, "SS": 2,
    "SV": 8, "UL": 4, "US": 2, "UV": 8,
}  # fmt: skip
_BYTES = frozenset({"OB", "UN"})
_ITEM = b"\xfe\xff\x00\xe0"


def digest(dataset: FileDataset, stream: BinaryIO, view: memoryview) -> str:
    """SHA-256, hexadecimal. ``stream`` and ``view``: the whole file of ``dataset``.

    Raises AnalysisSkipped (PIXELS_UNDECODABLE) where the pixels cannot be decoded here, and Hold
    where the file cannot be read.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    level = scan(view, part10.dataset_offset(view), syntax, _DEEPEST, strict=False)
    hashed = hashlib.sha256(b"content 1")
    for part in _level(level, view, big=syntax == ExplicitVRBigEndian):
        hashed.update(part)
    if any(tag in dataset for tag in _PIXELS):
        _add_pixels(hashed, dataset, stream, view)
    return hashed.hexdigest()


def pixels_digest(dataset: FileDataset, stream: BinaryIO, view: memoryview) -> str:
    """SHA-256, hexadecimal, of the pixels alone: all pages, all bits. Arguments as of ``digest``.

    Raises AnalysisSkipped (NO_PIXELS, PIXELS_UNDECODABLE), Hold (UNREADABLE).
    """
    if not any(tag in dataset for tag in _PIXELS):
        raise AnalysisSkipped(Code.NO_PIXELS, "it has no pixels")
    hashed = hashlib.sha256()
    _add_pixels(hashed, dataset, stream, view)
    return hashed.hexdigest()


def _level(level: Level, view: memoryview, *, big: bool, nested: bool = False) -> list[bytes]:
    """Tag, length and value of each element in order of tags; a sequence as its items."""
    parts: list[bytes] = []
    for tag in sorted(level):
        element = level[tag]
        if tag & 0xFFFF == 0 or tag in _OF_THE_FILE or (tag in _PIXELS and not nested):
            continue
        items = element.items
        value = b"" if items is not None else bytes(view[element.start : element.end])
        if items is None and element.vr == "UN" and value.startswith(_ITEM):
            items, view_of_items = items_in(value, _DEEPEST), memoryview(value)
        else:
            view_of_items = view
        if items is not None:
            parts.append(struct.pack("<LL", tag, len(items)))
            for item in items:
                inner = _level(item, view_of_items, big=big, nested=True)
                parts += [struct.pack("<L", sum(map(len, inner))), *inner]
            continue
        value = _value(element, value, big=big)
        parts += [struct.pack("<LL", tag, len(value)), value]
    return parts


def _value(element: Element, value: bytes, *, big: bool) -> bytes:
    known = known_vr(element.tag)
    width = _WIDTH.get(element.vr)
    if width is not None and big and len(value) % width == 0:
        return np.frombuffer(value, f">u{width}").astype(f"<u{width}").tobytes()
    if known in _BYTES or known in _WIDTH:
        return value
    text = value.rstrip(b" \0")
    return _AS_DECODED.get(text, text) if element.tag == _PHOTOMETRIC else text


def _add_pixels(
    hashed: hashlib._Hash, dataset: FileDataset, stream: BinaryIO, view: memoryview
) -> None:
    """All that lies in native pixels, or what compressed ones decode to, in little endian."""
    span = part10.pixel_span(dataset, view)
    syntax = dataset.file_meta.TransferSyntaxUID
    several = header.integer(dataset, "SamplesPerPixel", 1) > 1
    plain = syntax in {ImplicitVRLittleEndian, ExplicitVRLittleEndian} and not (
        several and header.integer(dataset, "PlanarConfiguration", 0)
    )
    if span is None or plain or "PixelData" not in dataset:
        pixels = view[slice(*span)] if span else view[:0]
        declared = part10.native_pixel_bytes(dataset) if plain else None
        if declared is not None and declared % 2 and bytes(pixels[declared:]) == b"\0":
            pixels = pixels[:declared]
        for piece in pieces(pixels):
            hashed.update(piece)
        return
    declared = part10.native_pixel_bytes(dataset)
    if declared is not None and part10.present_pixel_bytes(dataset) - declared not in {
        0, declared % 2,
    }:  # fmt: skip
        raise AnalysisSkipped(Code.PIXELS_UNDECODABLE, "other pixels than its header declares")
    width = header.integer(dataset, "BitsAllocated", 8) // 8
    decoder = Decoder(dataset, stream)
    for array in decoder.arrays(range(decoder.count)):
        kind = "i" if array.dtype.kind == "i" else "u"
        hashed.update(np.ascontiguousarray(array, dtype=f"<{kind}{width}").data)
