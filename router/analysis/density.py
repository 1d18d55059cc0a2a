"""Density segmentation: three intensity classes by exact K-Means on the histogram.

For CT the classes carry tissue names where their centres lie where such tissue lies; anywhere
else they are intensity classes and nothing more. Not a diagnosis, not a BI-RADS density.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from router.analysis.kmeans import optimal_cuts
from router.errors import AnalysisSkipped, Code
from router.frame import UNLABELLED, Finding, Frame, ImageClass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from router.frame import Labels

ALGORITHM = "density-kmeans"
#: A part of the capture's UID: a new version makes new captures, for new studies only.
VERSION = "1"
CLASSES = 3

#: Below the Hounsfield scale lies no matter: scanners pad with it (-2000, -3024 …).
_LOWEST_HU = -1024
#: Tissue by the centre of its class, in HU: (name, lowest, highest). Wide limits on purpose: a
#: class mixes what lies around it. Air is below lung, bone above contrast-free soft tissue
#: (Hounsfield 1973; the guard bands are the project's own measurement on public CTs).
_CT_NAMES = (
    ("air", -np.inf, -300.0),
    ("soft tissue", -200.0, 200.0),
    ("bone", 130.0, np.inf),
)
_ORDER_NAMES = ("low intensity", "medium intensity", "high intensity")
# Told apart by the colour-blind too (Okabe and Ito 2008).
_COLOURS = ((0, 114, 178), (230, 159, 0), (204, 121, 167))
#: Pixels counted at a time, so that no wide copy of a large image is made.
_CHUNK = 1 << 18


def analyse(frame: Frame) -> Finding:
    """Cuts the values into three classes. Raises AnalysisSkipped (TOO_FEW_VALUES)."""
    counts, lowest = histogram(frame.pixels)
    values = np.flatnonzero(counts) + lowest
    used = values[~_is_padding(frame, values)]
    if len(used) < CLASSES:
        raise AnalysisSkipped(Code.TOO_FEW_VALUES, f"{len(used)} distinct values")
    weights = counts[used - lowest]
    cuts = optimal_cuts(used, weights, CLASSES)
    labels = _labels(frame, values, used, [int(used[cut]) for cut in cuts])
    bounds = [0, *cuts, len(used)]
    classes = []
    for first, end in pairwise(bounds):
        number = int(weights[first:end].sum())
        mean = float((used[first:end] * weights[first:end]).sum()) / number
        classes.append((number / int(weights.sum()), frame.modality_value(mean)))
    if frame.slope < 0:
        classes.reverse()
        labels = np.where(labels == UNLABELLED, labels, np.uint8(CLASSES - 1) - labels)
    return Finding(
        algorithm=ALGORITHM,
        version=VERSION,
        classes=tuple(
            ImageClass(_name(frame, index, centre), _COLOURS[index], fraction, centre)
            for index, (fraction, centre) in enumerate(classes)
        ),
        labels=labels,
        unit="HU" if frame.modality == "CT" else "",
    )


def histogram(pixels: NDArray[np.integer]) -> tuple[NDArray[np.int64], int]:
    """How often each stored value occurs, and the value of the first bin."""
    lowest, highest = int(pixels.min()), int(pixels.max())
    counts = np.zeros(highest - lowest + 1, dtype=np.int64)
    flat = pixels.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        chunk = flat[start : start + _CHUNK].astype(np.int64) - lowest
        counts += np.bincount(chunk, minlength=len(counts))
    return counts, lowest


def _is_padding(frame: Frame, values: NDArray[np.int64]) -> NDArray[np.bool_]:
    padding = np.zeros(len(values), dtype=np.bool_)
    if frame.padding is not None:
        padding |= (values >= frame.padding[0]) & (values <= frame.padding[1])
    if frame.modality == "CT":
        padding |= values * frame.slope + frame.intercept < _LOWEST_HU
    return padding


def _labels(
    frame: Frame, values: NDArray[np.int64], used: NDArray[np.int64], cuts: list[int]
) -> Labels:
    labels = np.zeros(frame.pixels.shape, dtype=np.uint8)
    for cut in cuts:
        labels += frame.pixels >= cut
    if len(used) < len(values):
        for first, last in _runs(np.setdiff1d(values, used)):
            labels[(frame.pixels >= first) & (frame.pixels <= last)] = UNLABELLED
    return labels


def _runs(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ascending values as runs of neighbours; in a histogram without gaps padding is one or two."""
    breaks = np.flatnonzero(np.diff(values) > 1)
    firsts = values[np.concatenate(([0], breaks + 1))]
    lasts = values[np.concatenate((breaks, [len(values) - 1]))]
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]


def _name(frame: Frame, index: int, centre: float) -> str:
    if frame.modality != "CT":
        return _ORDER_NAMES[index]
    name, lowest, highest = _CT_NAMES[index]
    return name if lowest <= centre <= highest else "unlabelled"
