"""From a data set to a frame: decoding, padding, and what makes an image unfit for analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.multival import MultiValue

from router.errors import AnalysisSkipped, Code
from router.frame import Frame

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

#: Modalities whose single-frame images are segmented.
ANALYSED_MODALITIES = frozenset({"CT", "MR", "CR", "DX", "MG"})

#: A histogram has a bin for every value.
_MOST_BITS = 16

_GREYSCALE = frozenset({"MONOCHROME1", "MONOCHROME2"})
_PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def refuse_unfit(dataset: FileDataset) -> None:
    """Raises AnalysisSkipped where the header already says that there is nothing to segment."""
    if not any(keyword in dataset for keyword in _PIXEL_KEYWORDS):
        raise AnalysisSkipped(Code.NO_PIXELS, "it has no pixels")
    modality = str(dataset.get("Modality", ""))
    if modality not in ANALYSED_MODALITIES:
        raise AnalysisSkipped(Code.MODALITY_NOT_ANALYSED, f"modality {modality}")
    if dataset.get("PresentationIntentType") == "FOR PROCESSING":
        raise AnalysisSkipped(Code.FOR_PROCESSING, "it is not for presentation")
    if (
        int(dataset.get("SamplesPerPixel") or 1) != 1
        or dataset.get("PhotometricInterpretation") not in _GREYSCALE
        or "PixelData" not in dataset
    ):
        raise AnalysisSkipped(Code.NOT_GREYSCALE, "its pixels are not single integers")
    if int(dataset.get("BitsAllocated") or 0) > _MOST_BITS:
        raise AnalysisSkipped(Code.BIT_DEPTH_NOT_ANALYSED, "its histogram would be too wide")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise AnalysisSkipped(Code.MULTI_FRAME, "it has more than one frame")


def to_frame(dataset: FileDataset) -> Frame:
    """Decodes a single-frame greyscale image. Raises AnalysisSkipped for anything else."""
    refuse_unfit(dataset)
    try:
        pixels = dataset.pixel_array
    # Decoders meet hostile streams with whatever they run into; the image itself goes on.
    except Exception as error:  # noqa: BLE001
        raise AnalysisSkipped(Code.PIXELS_UNDECODABLE, type(error).__name__) from None
    if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.integer):  # noqa: PLR2004
        raise AnalysisSkipped(Code.NOT_GREYSCALE, "its pixels are not a plane of integers")
    slope = _number(dataset.get("RescaleSlope"), 1.0)
    intercept = _number(dataset.get("RescaleIntercept"), 0.0)
    return Frame(
        pixels=pixels,
        modality=str(dataset.Modality),
        slope=slope or 1.0,
        intercept=intercept,
        padding=_padding(dataset),
        inverted=dataset.PhotometricInterpretation == "MONOCHROME1",
        window=_window(dataset),
    )


def _number(value: object, default: float) -> float:
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    try:
        number = float(str(value)) if value is not None else default
    except ValueError:
        return default
    return number if np.isfinite(number) else default


def _padding(dataset: FileDataset) -> tuple[int, int] | None:
    """PixelPaddingValue to PixelPaddingRangeLimit, in stored values (PS3.3 C.7.5.1.1.2)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit", value)
    try:
        first, last = _as_stored(dataset, int(value)), _as_stored(dataset, int(limit))
    except (TypeError, ValueError):
        return None
    return min(first, last), max(first, last)


def _as_stored(dataset: FileDataset, value: int) -> int:
    """A value of VR US or SS as the signedness of the pixels has it; senders mix them up."""
    bits = int(dataset.BitsAllocated)
    if dataset.PixelRepresentation == 1 and value >= 1 << (bits - 1):
        return value - (1 << bits)
    if dataset.PixelRepresentation == 0 and value < 0:
        return value + (1 << bits)
    return value


def _window(dataset: FileDataset) -> tuple[float, float] | None:
    width = _number(dataset.get("WindowWidth"), 0.0)
    if width <= 1 or dataset.get("WindowCenter") is None:
        return None
    return _number(dataset.get("WindowCenter"), 0.0), width
