"""What pixels hold that the header does not declare: pages, bytes, bits that no viewer shows.

Nobody was asked about it: not who allowed the class of object, not who would look at the picture. It
may be more of the picture, a drawing with a name on it, or text. So it is not dropped, and it does not
go on by itself either. What is the same everywhere (zeros that fill a block, ones above the stored
bits) tells nothing and goes as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.uid import ExplicitVRBigEndian

from router.dicom import codestream, part10
from router.dicom.mapped_bytes import pieces
from router.imaging.pixels import header
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

#: An element has an even length (PS3.5, 7.1): one byte may fill it.
_PAD = 1
_WHOLE_BYTES = frozenset({8, 16, 32})
_PIECE_BYTES = 4 << 20  # a multiple of each size of a value


def check(dataset: FileDataset, view: memoryview) -> None:
    """Raises Hold (PIXELS_UNDECLARED) where the pixels hold more than the header says.

    ``view``: the whole file of ``dataset``. Too few pixels are not its question. Bits of compressed
    pixels are not looked at here. Raises Hold (UNREADABLE) as ``part10.pixel_span`` does.
    """
    span = part10.pixel_span(dataset, view)
    if span is None or "PixelData" not in dataset:
        return
    pixels = view[slice(*span)]
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_frames(dataset, part10.items(view, span[0]))
    else:
        _check_bytes(dataset, pixels)
        _check_bits(dataset, pixels)


def _undeclared(what: str) -> Hold:
    return Hold(Code.PIXELS_UNDECLARED, what)


def _check_bytes(dataset: FileDataset, pixels: memoryview) -> None:
    declared = part10.native_pixel_bytes(dataset)
    assert declared is not None  # noqa: S101  (the caller has looked)
    beyond = pixels[declared:]
    if len(beyond) <= _PAD or _is_uniform(beyond):
        return
    frames = max(1, header.integer(dataset, "NumberOfFrames", 1))
    if declared and not len(pixels) * frames % declared:
        pages = len(pixels) * frames // declared
        raise _undeclared(f"{pages} pages, and the header says {frames}")
    raise _undeclared(f"{len(beyond)} bytes behind the last page")


def _check_frames(dataset: FileDataset, items: list[memoryview]) -> None:
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax not in codestream.WITH_END | codestream.ONE_ITEM_A_FRAME:
        return
    declared = max(1, header.integer(dataset, "NumberOfFrames", 1))
    for number, frame in enumerate(codestream.frames(items, syntax), 1):
        if number > declared:
            raise _undeclared(f"more pages than the {declared} of the header")
        end = frame.end() if syntax in codestream.WITH_END else None
        beyond = frame.data[len(frame.data) if end is None else end :]
        if len(beyond) > _PAD and not _is_uniform(beyond):
            raise _undeclared(f"{len(beyond)} bytes behind the end of page {number}")


def _is_uniform(data: memoryview) -> bool:
    first = bytes(data[:1])
    return all(bytes(piece) == first * len(piece) for piece in pieces(data))


def _check_bits(dataset: FileDataset, pixels: memoryview) -> None:
    """Bits beside the stored ones tell nothing where they are the same in each value, or its sign."""
    allocated = header.integer(dataset, "BitsAllocated", 0)
    stored = header.integer(dataset, "BitsStored", allocated)
    high = header.integer(dataset, "HighBit", stored - 1)
    if allocated not in _WHOLE_BYTES or not 0 < stored <= high + 1 <= allocated:
        return  # who reads the picture has to make something of it
    low = high + 1 - stored
    used = ((1 << stored) - 1) << low
    unused = ~used & ((1 << allocated) - 1)
    if unused and _varies(dataset, pixels, allocated, unused) and not _is_explained(
        dataset, pixels, allocated, (low, high)
    ):  # fmt: skip
        raise _undeclared(f"{allocated - stored} bits of each value that are not stored ones")


def _values(dataset: FileDataset, data: memoryview, allocated: int) -> NDArray[np.unsignedinteger]:
    big = dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    size = allocated // 8
    whole = len(data) - len(data) % size
    return np.frombuffer(data[:whole], f"{'>' if big else '<'}u{size}")


def _varies(dataset: FileDataset, pixels: memoryview, allocated: int, unused: int) -> bool:
    """Whether the unused bits differ from value to value: two quick passes say that they do not."""
    ones, zeros = 0, (1 << allocated) - 1
    for piece in pieces(pixels, _PIECE_BYTES):
        values = _values(dataset, piece, allocated)
        if values.size:
            ones |= int(np.bitwise_or.reduce(values))
            zeros &= int(np.bitwise_and.reduce(values))
    return bool((ones ^ zeros) & unused)


def _is_explained(
    dataset: FileDataset, pixels: memoryview, allocated: int, places: tuple[int, int]
) -> bool:
    """Whether they are the sign of each value, or the value is that of the padding."""
    low, high = places
    above = (1 << (allocated - 1 - high)) - 1
    below = (1 << low) - 1
    padding = _padding_values(dataset, allocated)
    for piece in pieces(pixels, _PIECE_BYTES):
        values = _values(dataset, piece, allocated).astype(np.uint32)
        sign = (values >> np.uint32(high)) & np.uint32(1)
        rest = values >> np.uint32(high) >> np.uint32(1)
        explained = (rest == sign * np.uint32(above)) & ((values & np.uint32(below)) == 0)
        if not np.all(explained | np.isin(values, padding)):
            return False
    return True


def _padding_values(dataset: FileDataset, allocated: int) -> NDArray[np.uint32]:
    """Padding may lie beyond the stored bits: senders write -2000 into unsigned values."""
    found = [
        header.integer(dataset, keyword, 0) % (1 << allocated)
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        if dataset.get(keyword) is not None
    ]
    return np.array(found, dtype=np.uint32)
