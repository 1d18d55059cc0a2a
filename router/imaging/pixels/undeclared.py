"""What pixels hold that the header does not declare: pages, bytes, bits that no viewer shows.

Nobody was asked about it: not who allowed the class of object, not who would look at the picture. It
may be more of the picture, a drawing with a name on it, or text. So it is not dropped, and it does not
go on by itself either. What is the same everywhere (zeros that fill a block, ones above the stored
bits) tells nothing and goes as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.uid import ExplicitVRBigEndian, RLELossless

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
_PIECE_VALUES = 1 << 18  # what is made of them stays in the cache


def check(dataset: FileDataset, view: memoryview) -> None:
    """Raises Hold (PIXELS_UNDECLARED) where the pixels hold more than the header says.

    ``view``: the whole file of ``dataset``. Too few pixels are not its question. Bits of compressed
    pixels are for who decodes them: UnusedBits. Raises Hold (UNREADABLE) as ``part10.pixel_span`` does.
    """
    span = part10.pixel_span(dataset, view)
    if span is None or "PixelData" not in dataset:
        return
    pixels = view[slice(*span)]
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_frames(dataset, part10.items(view, span[0]))
    else:
        _check_bytes(dataset, pixels)
        check_bits(dataset, view)


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


class UnusedBits:
    """What bits beside the stored ones tell, of values that come piece by piece.

    Nothing, where they are the same in each value, or its sign, or the value is that of the padding.
    """

    def __init__(self, dataset: FileDataset, *, decoded: bool) -> None:
        """``decoded``: the values come from a codestream, not as they lie in native Pixel Data."""
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        allocated = header.integer(dataset, "BitsAllocated", 0)
        stored = header.integer(dataset, "BitsStored", allocated)
        high = header.integer(dataset, "HighBit", stored - 1)
        self._dataset = dataset
        self._lows: set[int] = set()
        self._stored = stored
        if allocated in _WHOLE_BYTES and 0 < stored <= high + 1 <= allocated:
            self._lows = {high + 1 - stored}
            # RLE packs the bytes of native pixels. Other encoders are given values, mostly: then the
            # lowest stored bit is the lowest one.
            if decoded and syntax != RLELossless:
                self._lows.add(0)
        # Who reads other pictures has to make something of them.
        self._places: list[_Place] | None = None
        self._allocated = 0

    def add(self, values: NDArray[np.integer]) -> None:
        """The next values, of any shape; a decoder has as many bits for them as it needs."""
        if not values.size or not np.issubdtype(values.dtype, np.integer):
            return
        width = values.dtype.itemsize * 8
        if self._places is None or width > self._allocated:
            self._allocated = width
            padding = _padding_values(self._dataset, width)
            self._places = [
                _Place(width, self._stored, low, padding)
                for low in self._lows
                if low + self._stored <= width
            ]
        flat = values.view(values.dtype.str.replace("i", "u")).reshape(-1)
        for start in range(0, flat.size, _PIECE_VALUES):
            for place in self._places:
                place.add(flat[start : start + _PIECE_VALUES])

    @property
    def told(self) -> str:
        """What they are, in words; empty: nothing is told."""
        if not self._places or not all(place.tells for place in self._places):
            return ""
        return f"{self._allocated - self._stored} bits of each value that are not stored ones"


class _Place:
    """The stored bits in one place of a word, and what explains those beside them."""

    def __init__(self, allocated: int, stored: int, low: int, padding: NDArray[np.uint32]) -> None:
        whole = (1 << allocated) - 1
        self._high = low + stored - 1
        self._unused = whole & ~(((1 << stored) - 1) << low)
        self._above = whole >> (self._high + 1)
        self._below = (1 << low) - 1
        self._padding = padding
        self._ones, self._zeros = 0, whole
        self._is_sign = self._is_zero = True

    def add(self, values: NDArray[np.unsignedinteger]) -> None:
        """Two quick passes say that they are the same in each value; others are looked at."""
        if not self._unused:
            return
        ones = int(np.bitwise_or.reduce(values))
        zeros = int(np.bitwise_and.reduce(values))
        self._ones |= ones
        self._zeros &= zeros
        if (ones ^ zeros) & self._unused:
            self._explain(values, self._padding)
        elif not (ones == zeros and ones in self._padding):
            # The same in all of these: which signs they have is known from the two.
            self._explain(np.array([ones, zeros], dtype=np.uint32), self._padding[:0])

    def _explain(self, values: NDArray[np.unsignedinteger], paddings: NDArray[np.uint32]) -> None:
        if not (self._is_sign or self._is_zero):
            return
        wide = values.astype(np.uint32)
        sign = (wide >> np.uint32(self._high)) & np.uint32(1)
        rest = wide >> np.uint32(self._high) >> np.uint32(1)
        is_sign = rest == sign * np.uint32(self._above)
        is_zero = rest == 0
        if self._below:
            empty = (wide & np.uint32(self._below)) == 0
            is_sign &= empty
            is_zero &= empty
        if paddings.size:
            padding = np.isin(wide, paddings)
            is_sign |= padding
            is_zero |= padding
        self._is_sign &= bool(is_sign.all())
        self._is_zero &= bool(is_zero.all())

    @property
    def tells(self) -> bool:
        varies = (self._ones ^ self._zeros) & self._unused
        return bool(varies) and not (self._is_sign or self._is_zero)


def check_bits(dataset: FileDataset, view: memoryview) -> None:
    """Raises Hold (PIXELS_UNDECLARED) where bits beside the stored ones of native pixels tell something.

    ``view``: the whole file of ``dataset``.
    """
    span = part10.pixel_span(dataset, view)
    allocated = header.integer(dataset, "BitsAllocated", 0)
    if span is None or "PixelData" not in dataset or allocated not in _WHOLE_BYTES:
        return
    bits = UnusedBits(dataset, decoded=False)
    for piece in pieces(view[slice(*span)], _PIECE_BYTES):
        bits.add(_values(dataset, piece, allocated))
    if bits.told:
        raise _undeclared(bits.told)


def _values(dataset: FileDataset, data: memoryview, allocated: int) -> NDArray[np.unsignedinteger]:
    big = dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    size = allocated // 8
    whole = len(data) - len(data) % size
    return np.frombuffer(data[:whole], f"{'>' if big else '<'}u{size}")


def _padding_values(dataset: FileDataset, allocated: int) -> NDArray[np.uint32]:
    """Padding may lie beyond the stored bits: senders write -2000 into unsigned values."""
    found = [
        header.integer(dataset, keyword, 0) % (1 << allocated)
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        if dataset.get(keyword) is not None
    ]
    return np.array(found, dtype=np.uint32)
