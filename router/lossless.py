"""Lossless compression for the link: what may be compressed, and whether nothing was lost.

Orthanc compresses (JPEG-LS, DICOM PS3.5 A.4.3) in the call that anonymizes. It answers 200 also
where it did not do it, or mislabelled what has no pixels; so nothing of it is believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from router import part10
from router.errors import Hold

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import FileDataset

#: What compressed copies are stored and sent in.
SYNTAX = str(JPEGLSLossless)
#: What every DICOM system takes (PS3.5, 10.1, leaves it to the sender to convert).
PLAIN_SYNTAX = str(ExplicitVRLittleEndian)

_NATIVE = frozenset({ExplicitVRLittleEndian, ImplicitVRLittleEndian})
_GREYSCALE = frozenset({"MONOCHROME1", "MONOCHROME2"})
_BITS = frozenset({8, 16})


def compressible(dataset: FileDataset) -> bool:
    """Whether JPEG-LS can hold the pixels: plain, whole, of one grey channel.

    Objects without pixels, colour, and what is compressed already are left alone.
    """
    if dataset.file_meta.get("TransferSyntaxUID") not in _NATIVE or "PixelData" not in dataset:
        return False
    if dataset.get("PhotometricInterpretation") not in _GREYSCALE:
        return False
    try:
        bits, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
        plain = int(dataset.get("SamplesPerPixel") or 1) == 1 and bits in _BITS
        aligned = 1 < stored <= bits and int(dataset.HighBit) == stored - 1
        part10.native_pixel_bytes(dataset)
    except (AttributeError, TypeError, ValueError, Hold):
        return False
    return plain and aligned


def same_pixels(original: Path, copy: Path) -> bool:
    """Whether two files have the same stored values in every frame, one frame at a time."""
    pairs = zip(iter_pixels(original, raw=True), iter_pixels(copy, raw=True), strict=True)
    return all(one.dtype == other.dtype and np.array_equal(one, other) for one, other in pairs)
