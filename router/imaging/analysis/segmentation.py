"""From a histogram to classes, and from classes to the labels of the pixels.

Values that are equal belong to one class, so a segmentation is a class for each value that
occurs; pixels are only compared with the values where the class changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from router.imaging.analysis.kmeans import optimal_cuts
from router.imaging.frame import UNLABELLED
from router.records.errors import AnalysisSkipped, Code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from router.imaging.analysis.histogram import Histogram
    from router.imaging.frame import Labels, Pixels, Scale

    ClassOfValue = NDArray[np.uint8]

#: Pixels labelled at a time: they and their labels stay in the processor's cache.
_CHUNK = 1 << 16
#: With more changes of class than this over the values a table is faster than comparing.
_MOST_CHANGES = 12


@dataclass(frozen=True)
class Group:
    """One class of a solution."""

    number: int
    #: Modality values.
    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Solution:
    """The classes with the least squares, in ascending order of modality value."""

    groups: tuple[Group, ...]
    #: For each value of the histogram the number of its class.
    classes: ClassOfValue

    def reversed(self) -> Solution:
        """The same classes, counted from the other end."""
        return Solution(self.groups[::-1], np.uint8(len(self.groups) - 1) - self.classes)


def solve(histogram: Histogram, scale: Scale, k: int) -> Solution:
    """Cuts a histogram into ``k`` classes of modality values, exactly.

    A linear scale moves the cuts and not the values, so the stored values are cut; those of a
    modality LUT are cut after it. Raises AnalysisSkipped (TOO_FEW_VALUES).
    """
    if scale.table is None:
        levels, counts = histogram.values, histogram.counts
        place = np.arange(len(levels))
    else:
        outputs = np.rint(scale.of(histogram.values.astype(np.float64))).astype(np.int64)
        levels, place = np.unique(outputs, return_inverse=True)
        counts = np.bincount(place, weights=histogram.counts, minlength=len(levels))
        counts = counts.astype(np.int64)
    if len(levels) < k:
        raise AnalysisSkipped(Code.TOO_FEW_VALUES, f"{len(levels)} distinct values")
    bounds = [0, *optimal_cuts(levels, counts, k), len(levels)]
    groups = tuple(
        _group(levels[first:end], counts[first:end], scale) for first, end in pairwise(bounds)
    )
    of_level = np.repeat(np.arange(k, dtype=np.uint8), np.diff(bounds))
    found = Solution(groups, of_level[place])
    return found.reversed() if scale.table is None and scale.slope < 0 else found


def _group(levels: NDArray[np.int64], counts: NDArray[np.int64], scale: Scale) -> Group:
    number = int(counts.sum())
    mean = float((levels * counts).sum()) / number
    ends = np.array([mean, levels[0], levels[-1]], dtype=np.float64)
    if scale.table is None:
        ends = scale.of(ends)
    return Group(number, float(ends[0]), float(ends[1:].min()), float(ends[1:].max()))


def classes_of(histogram: Histogram, used: Histogram, solution: Solution) -> ClassOfValue:
    """For each value of the whole histogram its class; UNLABELLED for those that were not used."""
    classes = np.full(len(histogram.values), UNLABELLED, dtype=np.uint8)
    classes[np.searchsorted(histogram.values, used.values)] = solution.classes
    return classes


def label(pixels: Pixels, histogram: Histogram, classes: ClassOfValue) -> Labels:
    """The class of each pixel, shape of ``pixels``; ``classes``: for each value of the histogram.

    Where the class changes along the values, pixels at or above that value change with it:
    numbers of classes are added modulo 256.
    """
    changes = np.flatnonzero(np.diff(classes)) + 1
    if len(changes) > _MOST_CHANGES:
        return _by_table(pixels, histogram, classes)
    first = classes[0] if len(classes) else UNLABELLED
    labels = np.full(pixels.shape, first, dtype=np.uint8)
    wide = classes.astype(np.int64)
    steps = [
        (int(histogram.values[change]), int(wide[change] - wide[change - 1]) % 256)
        for change in changes.tolist()
    ]
    for rows in _blocks(pixels):
        part, out = pixels[rows], labels[rows]
        for value, step in steps:
            above = (part >= value).view(np.uint8)
            out += above if step == 1 else above * np.uint8(step)
    return labels


def _by_table(pixels: Pixels, histogram: Histogram, classes: ClassOfValue) -> Labels:
    lowest = int(histogram.values[0])
    table = np.full(int(histogram.values[-1]) - lowest + 1, UNLABELLED, dtype=np.uint8)
    table[histogram.values - lowest] = classes
    labels = np.empty(pixels.shape, dtype=np.uint8)
    for rows in _blocks(pixels):
        labels[rows] = table[pixels[rows].astype(np.int64) - lowest]
    return labels


def _blocks(pixels: Pixels) -> Iterable[slice]:
    height = max(1, _CHUNK // max(1, pixels.shape[1]))
    return (slice(start, start + height) for start in range(0, pixels.shape[0], height))
