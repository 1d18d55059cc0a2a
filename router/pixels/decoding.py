"""Stored values of an image, one frame at a time: a tomosynthesis never lies in memory whole.

JPEG-LS, JPEG 2000, HTJ2K and RLE are decoded here. What needs another codec (JPEG lossless and
lossy) is decoded by the truck's Orthanc before it comes here: see DECODED_BY_ORTHANC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)

from router.errors import AnalysisSkipped, Code
from router.pixels import header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, BinaryIO

    from pydicom.dataset import FileDataset

    from router.frame import Pixels

#: Transfer syntaxes for which there is no codec here: one with a fitting licence is not to be had,
#: and Orthanc has them.
DECODED_BY_ORTHANC: frozenset[str] = frozenset(
    {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1}
)

_PLANE = 2


class Decoder:
    """The frames of an image. Every method raises AnalysisSkipped for pixels that are none."""

    def __init__(self, dataset: FileDataset, stream: BinaryIO | None) -> None:
        """``stream``: the open file, read frame by frame; ``None``: the data set holds the pixels."""
        deflated = dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
        # The offsets of a deflated data set are not the file's.
        self._source: Any = dataset if stream is None or deflated else stream
        self._limits = header.stored_limits(dataset)
        self.count = max(1, header.integer(dataset, "NumberOfFrames", 1))

    def plane(self, index: int) -> Pixels:
        """Stored values of a frame, shape (rows, columns)."""
        return next(self._decoded([index]))

    def planes(self) -> Iterator[Pixels]:
        """Every frame; each lives only until the next."""
        yield from self._decoded(range(self.count))

    def _decoded(self, indices: Sequence[int]) -> Iterator[Pixels]:
        decoded = iter_pixels(
            self._source, indices=indices, raw=True, view_only=True, correct_unused_bits=False
        )
        for _ in indices:
            try:
                plane = next(decoded)
            # Decoders meet hostile streams with whatever they run into; the image itself goes on.
            except Exception as error:  # noqa: BLE001
                raise AnalysisSkipped(Code.PIXELS_UNDECODABLE, type(error).__name__) from None
            if plane.ndim != _PLANE or not np.issubdtype(plane.dtype, np.integer):
                raise AnalysisSkipped(Code.NOT_GREYSCALE, "its pixels are not a plane of integers")
            native = plane if plane.dtype.isnative else plane.astype(plane.dtype.newbyteorder("="))
            yield self._without_unused_bits(native)

    def _without_unused_bits(self, plane: Pixels) -> Pixels:
        """Senders leave overlays and other things in the bits above BitsStored, or no sign."""
        low, high = self._limits
        if not plane.size or (plane.min() >= low and plane.max() <= high):
            return plane
        unused = 8 * plane.dtype.itemsize - (high - low).bit_length()
        cleaned: Pixels = (plane << unused) >> unused
        return cleaned
