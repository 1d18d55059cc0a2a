"""Compressed frames as bytes (PS3.5, A.4): which items make a frame, and where its codestream ends.

JPEG, JPEG-LS and JPEG 2000 say by a marker where they end. A frame without it broke off on its way;
what stands behind it is no part of the picture.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.uid import (
    HTJ2K,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Of these each frame is one codestream that says where it ends.
WITH_END: frozenset[str] = frozenset(
    map(
        str,
        (
            *JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes,
            HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL,
        ),
    )
)  # fmt: skip
#: And of this one each frame is one item.
ONE_ITEM_A_FRAME: frozenset[str] = frozenset({str(RLELossless)})

_SOI, _SOC = b"\xff\xd8", b"\xff\x4f\xff\x51"
_JP2 = b"\0\0\0\x0cjP  "
_END, _START_OF_SCAN, _START_OF_TILE = 0xD9, 0xDA, 0x90
#: Markers without a length (T.81, table B.1; T.800, table A.2).
_BARE = frozenset({0x01, *range(0xD0, 0xD9), *range(0x30, 0x40)})
#: What can end a scan. Within it FF is followed by a stuffed zero (JPEG: a byte, JPEG-LS: a bit), or
#: is a restart (D0 to D7).
_MARKER_IN_SCAN = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_END_OF_CODESTREAM = re.compile(rb"\xff\xd9")
_TILE = struct.Struct(">HHLBB")  # Lsot, Isot, Psot, TPsot, TNsot


@dataclass(frozen=True)
class Frame:
    """A frame's bytes in the order of its items."""

    data: memoryview

    def end(self) -> int | None:
        """The offset behind the marker that ends the codestream; ``None``: it does not end."""
        begins = bytes(self.data[:12])
        if begins.startswith(_SOI):
            return _jpeg_end(self.data)
        if begins.startswith(_SOC):
            return _jpeg_2000_end(self.data, 0)
        if begins.startswith(_JP2) and (start := re.search(re.escape(_SOC), self.data)):
            return _jpeg_2000_end(self.data, start.start())
        return None


def frames(items: Iterable[memoryview], syntax: str) -> Iterator[Frame]:
    """The frames that the items hold. ``items``: those of the pixels without the offset table.

    Where the codestream does not say it (video), all items together are one.
    """
    begun: list[memoryview] = []
    for item in items:
        if begun and (syntax in ONE_ITEM_A_FRAME or (syntax in WITH_END and _begins(item))):
            yield _joined(begun)
            begun = []
        begun.append(item)
    if begun:
        yield _joined(begun)


def _begins(item: memoryview) -> bool:
    return bytes(item[:12]).startswith((_SOI, _SOC, _JP2))


def _joined(items: list[memoryview]) -> Frame:
    return Frame(items[0] if len(items) == 1 else memoryview(b"".join(items)))


def _jpeg_end(data: memoryview) -> int | None:
    """Of JPEG (T.81, B.1) and JPEG-LS (T.87, C.1): one segment after the other, and the scans."""
    at = len(_SOI)
    while (marker := _marker(data, at)) is not None:
        at, kind = marker
        if kind == _END:
            return at
        if kind in _BARE:
            continue
        if at + 2 > len(data):
            return None
        at += int.from_bytes(data[at : at + 2], "big")
        if kind == _START_OF_SCAN:
            found = _MARKER_IN_SCAN.search(data, at)
            if found is None:
                return None
            at = found.start()
    return None


def _jpeg_2000_end(data: memoryview, start: int) -> int | None:
    """Of JPEG 2000 (T.800, A.4): the main header, and from each part of a tile to the next."""
    at = start + 2
    while (marker := _marker(data, at)) is not None:
        at, kind = marker
        if kind == _END:
            return at
        if kind in _BARE:
            continue
        if kind == _START_OF_TILE:
            if at + _TILE.size > len(data):
                return None
            _, _, size, _, _ = _TILE.unpack_from(data, at)
            if size == 0:  # the last one, as long as there is anything
                found = _END_OF_CODESTREAM.search(data, at)
                return found.end() if found else None
            at += max(size, _TILE.size) - 2
        else:
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
    return None


def _marker(data: memoryview, at: int) -> tuple[int, int] | None:
    """The offset behind the marker at ``at``, and its second byte; ``None``: there is none."""
    while at + 1 < len(data) and data[at] == 0xFF and data[at + 1] == 0xFF:  # noqa: PLR2004
        at += 1  # fill bytes (T.81, B.1.1.2)
    if at + 1 >= len(data) or data[at] != 0xFF:  # noqa: PLR2004
        return None
    return at + 2, data[at + 1]
