"""What lies in Pixel Data and is no part of the picture: the gate counts it, and looks at it as data.

It counts by itself, from the elements of its own reading: what compressing drops without a word is
found where both files are laid side by side, and not where the one was made of the other.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from pydicom.uid import ExplicitVRBigEndian

from router.deid.gate.search import TextSearch, search_bytes
from router.dicom import codestream, part10
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import FileDataset

    from router.deid.gate.traces import Traces
    from router.dicom.element_index import Element, Level

_PIXELS = 0x7FE00010
_ROWS, _COLUMNS, _SAMPLES, _FRAMES, _BITS = (
    0x00280010, 0x00280011, 0x00280002, 0x00280008, 0x00280100,
)  # fmt: skip
_ITEM_HEAD = struct.Struct("<HHL")
_ITEM = (0xFFFE, 0xE000)
#: Shorter runs of printable bytes stand in any picture.
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e\xa0-\xff]{3,}")


def check_whole(original: Level, source: memoryview, copy: Level, view: memoryview) -> None:
    """Raises Hold (GATE_PIXELS_CHANGED) unless a compressed copy has room for all of the original.

    Its frames hold what the header declares: one byte more, if that is odd, and nothing else.
    """
    before, after = original.get(_PIXELS), copy.get(_PIXELS)
    if before is None or after is None:
        raise Hold(Code.GATE_PIXELS_CHANGED, "pixels appeared or went away")
    declared = _declared(original, source, "<")
    if before.end - before.start - declared not in {0, declared % 2}:
        raise Hold(Code.GATE_PIXELS_CHANGED, "there are other pixels than the header declares")
    if len(_items(view, after)) - 1 != _frames(original, source):  # the first is the table
        raise Hold(Code.GATE_PIXELS_CHANGED, "it has not one item for each page")


def search(copy: FileDataset, level: Level, view: memoryview, traces: Traces) -> None:
    """Raises Hold (GATE_IDENTIFIER, GATE_FOREIGN_UID) for text behind the declared pixels.

    As bytes, also with a zero between each two (UTF-16), and as words.
    """
    pixels = level.get(_PIXELS)
    if pixels is None:
        return
    beyond = [data for data in _beyond(copy, level, pixels, view) if data]
    if not beyond:
        return
    words = TextSearch(traces)
    for data in beyond:
        for written in (data, data.replace(b"\0", b"")):
            search_bytes(written, traces)
            texts = (match.group().decode("latin-1") for match in _TEXT.finditer(written))
            if any(words.finds("LT", text.strip()) for text in texts):
                raise Hold(Code.GATE_IDENTIFIER, "an identifying value stands behind the pixels")


def _beyond(copy: FileDataset, level: Level, pixels: Element, view: memoryview) -> Iterator[bytes]:
    syntax = copy.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        declared = _declared(level, view, ">" if syntax == ExplicitVRBigEndian else "<")
        yield bytes(view[min(pixels.start + declared, pixels.end) : pixels.end])
    elif syntax in codestream.WITH_END:
        for frame in codestream.frames(part10.items(view, pixels.start), syntax):
            end = frame.end()
            if end is not None:
                yield bytes(frame.data[end:])


def _declared(level: Level, view: memoryview, mark: str) -> int:
    """Bytes of the pixels that the header declares; 0 where it does not say it."""

    def number(tag: int, default: int) -> int:
        element = level.get(tag)
        data = bytes(view[element.start : element.end]) if element is not None else b""
        return int(struct.unpack(f"{mark}H", data)[0]) if len(data) == 2 else default  # noqa: PLR2004

    bits = number(_ROWS, 0) * number(_COLUMNS, 0) * number(_SAMPLES, 1) * number(_BITS, 0)
    return (bits * _frames(level, view) + 7) // 8


def _frames(level: Level, view: memoryview) -> int:
    element = level.get(_FRAMES)
    text = bytes(view[element.start : element.end]).strip(b" \0") if element is not None else b""
    return max(1, int(text)) if text.isdigit() else 1


def _items(view: memoryview, pixels: Element) -> list[int]:
    """The length of each item, the table of offsets first."""
    sizes, at = [], pixels.start
    while at + _ITEM_HEAD.size <= pixels.end:
        group, number, size = _ITEM_HEAD.unpack_from(view, at)
        if (group, number) != _ITEM:
            break
        sizes.append(size)
        at += _ITEM_HEAD.size + size
    return sizes
