"""Stored values of an image, one frame at a time: a tomosynthesis never lies in memory whole.

JPEG-LS, JPEG 2000, HTJ2K and RLE are decoded here. What needs another codec (JPEG lossless and
lossy) is decoded by the truck's Orthanc before it comes here: see DECODED_BY_ORTHANC.
"""

from __future__ import annotations

import io
import mmap
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)

from router.dicom import codestream, part10
from router.imaging.pixels import header
from router.records.errors import AnalysisSkipped, Code

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, BinaryIO

    from numpy.typing import NDArray

    from router.imaging.frame import Pixels

#: Transfer syntaxes for which there is no codec here: one with a fitting licence is not to be had,
#: and Orthanc has them.
DECODED_BY_ORTHANC: frozenset[str] = frozenset(
    {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1}
)

_PLANE = 2
_DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
_OF_A_DECODER = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip


class Decoder:
    """The frames of an image. Every method raises AnalysisSkipped for pixels that are none."""

    def __init__(self, dataset: FileDataset, stream: BinaryIO | None) -> None:
        """``stream``: the open file, read frame by frame; ``None``: the data set holds the pixels."""
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        deflated = syntax == DeflatedExplicitVRLittleEndian
        # The offsets of a deflated data set are not the file's.
        self._stream = None if deflated else stream
        self._dataset = dataset
        self._limits = header.stored_limits(dataset)
        compressed = bool(syntax and syntax.is_transfer_syntax and syntax.is_encapsulated)
        # A decoder puts the lowest stored bit where it belongs.
        self._shift = 0 if compressed else header.lowest_bit(dataset)
        self._splits = str(syntax) in codestream.WITH_END | codestream.ONE_ITEM_A_FRAME
        self.count = max(1, header.integer(dataset, "NumberOfFrames", 1))

    def plane(self, index: int) -> Pixels:
        """Stored values of a frame, shape (rows, columns)."""
        return next(self._planes([index]))

    def planes(self) -> Iterator[Pixels]:
        """Every frame; each lives only until the next."""
        yield from self._planes(range(self.count))

    def arrays(self, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
        """The frames as the decoder gives them: with all samples, and the bits that are not stored.

        Raises AnalysisSkipped (PIXELS_UNDECODABLE).
        """
        # Decoders meet hostile streams with whatever they run into; the image itself goes on.
        try:
            decoded = self._each(indices) if self._splits else self._by_table(indices)
            for index in indices:
                yield _next(decoded, index)
        except AnalysisSkipped:
            raise
        except Exception as error:  # noqa: BLE001
            raise AnalysisSkipped(Code.PIXELS_UNDECODABLE, type(error).__name__) from None

    def _by_table(self, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
        yield from iter_pixels(
            self._dataset if self._stream is None else self._stream,
            indices=list(indices), raw=True, view_only=True, correct_unused_bits=False,
        )  # fmt: skip

    def _each(self, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
        """Frame by frame, as the codestreams say where they begin: tables of offsets can be wrong."""
        frames = list(codestream.frames(self._items(), self._dataset.file_meta.TransferSyntaxUID))
        for index in indices:
            if index >= len(frames):
                return
            one = _single(self._dataset, frames[index].data)
            yield from iter_pixels(one, raw=True, correct_unused_bits=False)

    def _items(self) -> list[memoryview]:
        if self._stream is None:
            return part10.items(memoryview(self._dataset.PixelData + _DELIMITER), 0)
        view = _view_of(self._stream)
        span = part10.pixel_span(self._dataset, view)
        return part10.items(view, span[0]) if span else []

    def _planes(self, indices: Sequence[int]) -> Iterator[Pixels]:
        for plane in self.arrays(indices):
            if plane.ndim != _PLANE or not np.issubdtype(plane.dtype, np.integer):
                raise AnalysisSkipped(Code.NOT_GREYSCALE, "its pixels are not a plane of integers")
            native = plane if plane.dtype.isnative else plane.astype(plane.dtype.newbyteorder("="))
            yield self._stored_values(native)

    def _stored_values(self, plane: Pixels) -> Pixels:
        """Without the bits beside the stored ones: senders leave overlays there, or no sign.

        Old units store the value in the upper bits of its word (HighBit 15 of 12 bits).
        """
        low, high = self._limits
        if not self._shift and (not plane.size or (plane.min() >= low and plane.max() <= high)):
            return plane
        unused = 8 * plane.dtype.itemsize - (high - low).bit_length()
        cleaned: Pixels = (plane << max(0, unused - self._shift)) >> unused
        return cleaned


def _next(decoded: Iterator[NDArray[Any]], index: int) -> NDArray[Any]:
    array = next(decoded, None)
    if array is None:
        raise AnalysisSkipped(Code.PIXELS_UNDECODABLE, f"page {index + 1} is not there")
    return array


def _view_of(stream: BinaryIO) -> memoryview:
    if isinstance(stream, io.BytesIO):
        return memoryview(stream.getvalue())
    return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def _single(dataset: FileDataset, frame: memoryview) -> FileDataset:
    """A data set of one frame of another one's, with what a decoder asks for."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    one = FileDataset("", {}, file_meta=meta)
    for keyword in _OF_A_DECODER:
        if keyword in dataset:
            setattr(one, keyword, dataset[keyword].value)
    one.PixelData = encapsulate([bytes(frame)], has_bot=False)
    one["PixelData"].VR = "OB"
    one["PixelData"].is_undefined_length = True
    return one
