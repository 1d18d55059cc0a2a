"""Whether pixels can be opened at all: all there, each codestream to its end, and decodable.

Asked of every image that has pixels, whatever it shows: a radiographer can take a picture again only
while the patient is there, and a reader who gets one that no viewer shows thinks that there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.uid import (
    HTJ2K,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from router.dicom import codestream, part10
from router.imaging.pixels import header
from router.imaging.pixels.decoding import DECODED_BY_ORTHANC, Decoder
from router.imaging.pixels.undeclared import UnusedBits
from router.records.errors import AnalysisSkipped, Code, Hold

if TYPE_CHECKING:
    from typing import BinaryIO

    from pydicom.dataset import FileDataset

#: Values that are decoded to see whether they can be: some seconds of one core. JPEG 2000 takes ten
#: times as long as the others. Of frames beyond it only the beginnings and the ends are looked at.
_MOST_VALUES, _MOST_VALUES_JPEG_2000 = 256 << 20, 40 << 20
_JPEG_2000 = frozenset(
    map(str, (*JPEG2000TransferSyntaxes, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL))
)
_NATIVE = frozenset(map(str, (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)))
_DECODED_HERE = _JPEG_2000 | frozenset(map(str, (*JPEGLSTransferSyntaxes, RLELossless)))


@dataclass(frozen=True)
class Opened:
    """What was found of pixels that are all there."""

    #: Whether the decoders here open them; False: Orthanc has to be asked.
    here: bool
    #: What bits beside the stored ones tell, of those that were decoded here; empty: nothing.
    undeclared: str = ""


def check(dataset: FileDataset, stream: BinaryIO, view: memoryview) -> Opened:
    """Whether the decoders here open the pixels, and what they find beside the stored bits.

    ``stream`` and ``view``: the whole file of ``dataset``. An object without pixels is open, and of
    what neither has a codec for (video) nothing is said. Raises AnalysisSkipped (PIXELS_BROKEN_OFF)
    where they are not all there: then nobody need be asked.
    """
    try:
        span = part10.pixel_span(dataset, view)
    except Hold as hold:
        if hold.code is Code.ENCODING_NOT_CLEARED:
            return Opened(here=True)  # deflated: read as a whole or not at all
        raise _broken_off("the file ends before them") from None
    if span is None or "PixelData" not in dataset:
        return Opened(here=True)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    if syntax in _NATIVE:
        _check_length(dataset)
    if syntax not in _DECODED_HERE | DECODED_BY_ORTHANC:
        return Opened(here=True)
    _check_ends(dataset, part10.items(view, span[0]), syntax)
    if syntax not in _DECODED_HERE:
        return Opened(here=False)
    return _decoded(dataset, stream, syntax)


def _broken_off(why: str) -> AnalysisSkipped:
    return AnalysisSkipped(Code.PIXELS_BROKEN_OFF, why)


def _check_length(dataset: FileDataset) -> None:
    try:
        declared = part10.native_pixel_bytes(dataset) or 0
    except Hold as hold:
        raise _broken_off(hold.sentence) from None
    present = part10.present_pixel_bytes(dataset)
    if present < declared or not declared:
        raise _broken_off(f"{present} bytes, and the header says {declared}")


def _check_ends(dataset: FileDataset, items: list[memoryview], syntax: str) -> None:
    declared = max(1, header.integer(dataset, "NumberOfFrames", 1))
    found = 0
    for found, frame in enumerate(codestream.frames(items, syntax), 1):
        if syntax in codestream.WITH_END and frame.end() is None:
            raise _broken_off(f"page {found} has no end")
    if found < declared:
        raise _broken_off(f"{found} pages, and the header says {declared}")


def _decoded(dataset: FileDataset, stream: BinaryIO, syntax: str) -> Opened:
    decoder = Decoder(dataset, stream)
    values = max(1, header.integer(dataset, "Rows", 1) * header.integer(dataset, "Columns", 1))
    values *= max(1, header.integer(dataset, "SamplesPerPixel", 1))
    most = _MOST_VALUES_JPEG_2000 if syntax in _JPEG_2000 else _MOST_VALUES
    # The one that is shown first, and then from both ends.
    last = decoder.count - 1
    order = dict.fromkeys((decoder.count // 2, 0, last, *range(1, last)))
    bits = UnusedBits(dataset, decoded=True)
    try:
        for array in decoder.arrays(list(order)[: max(1, most // values)]):
            bits.add(array)
    except AnalysisSkipped:
        return Opened(here=False)
    return Opened(here=True, undeclared=bits.told)
