"""Lossless compression for the link: what may be compressed, and whether nothing was lost.

Orthanc compresses (JPEG-LS, DICOM PS3.5 A.4.3) in the call that anonymizes. It answers 200 also
where it did not do it, or mislabelled what has no pixels, or dropped what the header does not
declare; so nothing of it is believed. Each byte of Pixel Data is accounted for, or it goes as it is.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import jpeg_ls
import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from router.dicom import part10
from router.dicom.mapped_bytes import release_pages
from router.records.errors import Hold

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
    """Whether JPEG-LS can hold the pixels: plain, of one grey channel, as many as the header says.

    Objects without pixels, colour, and what is compressed already are left alone, and so is what
    has more bytes than its frames (but for the one that makes their number even).
    """
    if dataset.file_meta.get("TransferSyntaxUID") not in _NATIVE or "PixelData" not in dataset:
        return False
    if dataset.get("PhotometricInterpretation") not in _GREYSCALE:
        return False
    try:
        bits, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
        plain = int(dataset.get("SamplesPerPixel") or 1) == 1 and bits in _BITS
        aligned = 1 < stored <= bits and int(dataset.HighBit) == stored - 1
        declared = part10.native_pixel_bytes(dataset) or 0
    except (AttributeError, TypeError, ValueError, Hold):
        return False
    surplus = part10.present_pixel_bytes(dataset) - declared
    return plain and aligned and 0 <= surplus <= declared % 2


def same_pixels(original: Path, copy: Path) -> bool:
    """Whether the frames of a JPEG-LS copy, decoded, are the bytes of the original's Pixel Data.

    All of them, and nothing else: neither side is cut, masked or converted before it is compared.
    What is left of the original may be a zero that makes an odd length even. Raises Hold
    (UNREADABLE), and what the decoder raises of a broken stream.
    """
    (_, old), (header, new) = _pixels(original), _pixels(copy)
    frames = part10.items(new, 0)
    size = (int(header.Columns), int(header.Rows), 1)
    offset = 0
    for frame in frames:
        decoded, said = jpeg_ls.decode_pixel_data(bytes(frame))
        values = np.frombuffer(decoded, np.uint8)
        was = np.frombuffer(old[offset : offset + values.size], np.uint8)
        if (said["width"], said["height"], said["components"]) != size:
            return False
        if not np.array_equal(values, was):
            return False
        offset += values.size
        release_pages(old)
    rest = bytes(old[offset:])
    padded = rest == b"\0" and offset % 2 == 1
    return len(frames) == int(header.get("NumberOfFrames") or 1) and (not rest or padded)


def _pixels(path: Path) -> tuple[FileDataset, memoryview]:
    """The header of a file and the bytes of its pixels, mapped."""
    with path.open("rb") as stream:
        dataset = part10.read(stream)
        view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    span = part10.pixel_span(dataset, view)
    return dataset, view[slice(*span)] if span else view[:0]
