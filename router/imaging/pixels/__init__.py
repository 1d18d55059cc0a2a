"""From a data set to a frame: what makes an image unfit, decoding, and how its values are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import BreastTomosynthesisImageStorage

from router.dicom.presentation_intent import is_for_processing
from router.imaging.frame import Frame, Scale
from router.imaging.pixels import header
from router.imaging.pixels.decoding import Decoder
from router.imaging.pixels.views import view_of
from router.records.errors import AnalysisSkipped, Code

if TYPE_CHECKING:
    from typing import BinaryIO

    from pydicom.dataset import FileDataset

__all__ = ["ANALYSED_MODALITIES", "refuse_unfit", "to_frame"]

#: Modalities whose greyscale images are segmented. Ultrasound, segmentations, reports and
#: presentation states are not, nor what says of itself that it is something else (OT).
ANALYSED_MODALITIES = frozenset(
    {"CT", "MR", "CR", "DX", "MG", "PT", "NM", "XA", "RF", "IO", "PX", "RG"}
)

_GREYSCALE = frozenset({"MONOCHROME1", "MONOCHROME2"})
_PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_BITS_ALLOCATED = frozenset({8, 16, 32})
#: Wider histograms would not pay: beyond it values are rounded.
_MOST_BITS = 16


def refuse_unfit(dataset: FileDataset, *, for_processing: bool = False) -> None:
    """Raises AnalysisSkipped where the header already says that there is nothing to analyse.

    ``for_processing``: also take raw images, which are looked at and never segmented.
    """
    if not any(keyword in dataset for keyword in _PIXEL_KEYWORDS):
        raise AnalysisSkipped(Code.NO_PIXELS, "it has no pixels")
    if dataset.get("Modality") not in ANALYSED_MODALITIES:
        raise AnalysisSkipped(
            Code.MODALITY_NOT_ANALYSED, "it is of a modality that is not analysed"
        )
    if is_for_processing(dataset) and not for_processing:
        raise AnalysisSkipped(Code.FOR_PROCESSING, "it is not for presentation")
    if (
        header.integer(dataset, "SamplesPerPixel", 1) != 1
        or dataset.get("PhotometricInterpretation") not in _GREYSCALE
        or "PixelData" not in dataset
    ):
        raise AnalysisSkipped(Code.NOT_GREYSCALE, "its pixels are not single integers")
    if header.integer(dataset, "BitsAllocated", 0) not in _BITS_ALLOCATED:
        raise AnalysisSkipped(Code.BIT_DEPTH_NOT_ANALYSED, "its pixels are not of 8, 16 or 32 bits")


def to_frame(
    dataset: FileDataset, stream: BinaryIO | None = None, *, for_processing: bool = False
) -> Frame:
    """Decodes the frame that is shown: the middle one where there are several.

    ``stream``: the open file of the data set, so that only one frame of many is ever in memory;
    without it the pixels come from the data set. Raises AnalysisSkipped for what is not analysed.
    """
    refuse_unfit(dataset, for_processing=for_processing)
    decoder = Decoder(dataset, stream)
    index = decoder.count // 2
    pixels = decoder.plane(index)
    low, high = header.stored_limits(dataset)
    scale = header.scale(dataset, index)
    padding = header.padding(dataset)
    tomosynthesis = dataset.get("SOPClassUID") == BreastTomosynthesisImageStorage
    if header.integer(dataset, "BitsAllocated", 0) > _MOST_BITS:
        if tomosynthesis:
            raise AnalysisSkipped(Code.BIT_DEPTH_NOT_ANALYSED, "its planes have 32 bits")
        quantised = header.quantised(pixels, scale, padding)
        pixels, scale, padding = quantised.pixels, quantised.scale, quantised.padding
        low, high = quantised.of(low), quantised.of(high)
    return Frame(
        pixels=pixels,
        modality=str(dataset.Modality),
        scale=scale if scale.slope else Scale(1.0, scale.intercept),
        padding=padding,
        inverted=dataset.PhotometricInterpretation == "MONOCHROME1",
        voi=header.voi(dataset, index),
        limits=(low, high),
        shutters=header.shutters(dataset),
        view=view_of(dataset).view,
        pool=decoder.planes if tomosynthesis and decoder.count > 1 else None,
    )
