"""Mammograms: the breast against the background first, then fatty against dense inside it.

The background is the dark heap of the histogram; it ends where the counts have fallen to a
hundredth of the heap's. The breast is the largest connected part above it; markers and labels are
other parts, and are left out. Inside, two exact means part fatty from dense (as in thresholding
methods for area density: Byng et al., Phys Med Biol 39, 1994; Karssemeijer, Phys Med Biol 43,
1998). A tomosynthesis is cut once over the values of all its planes.

The result is an *area fraction, unvalidated*: never a volumetric density and never a BI-RADS
category. Limits: it belongs to CC views; in an MLO view the pectoral muscle counts as dense, which
the finding says. The thin rim of the breast counts as fatty, implants and clips as dense. Values
FOR PRESENTATION have been processed by the unit: fractions of different units cannot be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from router.imaging.analysis import field, histogram, intensity, radiograph, segmentation
from router.imaging.frame import UNLABELLED, Finding, ImageClass
from router.records.errors import AnalysisSkipped, Code

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from router.imaging.analysis.histogram import Histogram
    from router.imaging.frame import Frame, Pixels

    Mask = NDArray[np.bool_]

#: The heap of the background ends where the counts are below this share of its top.
_FOOT = 0.01
#: Without this share of dark pixels at the image's border it shows nothing but breast.
_LEAST_BORDER = 0.1
_SMALL = 192
_INSIDE = ("fatty", "dense")
_WHOLE = "of the breast"
UNVALIDATED = "Area fraction, unvalidated; no breast density category."
_MLO = "MLO view: the pectoral muscle counts as dense."


@dataclass(frozen=True)
class _Parts:
    """What lies above the background and is not the breast, as blocks of the image."""

    #: True where a block is left out; each block covers ``step`` rows and columns.
    blocks: Mask
    step: int

    def boxes(self, pixels: Pixels) -> list[tuple[slice, slice]]:
        """The rows and columns of each left-out block."""
        rows, columns = pixels.shape
        return [
            (slice(r * self.step, min((r + 1) * self.step, rows)),
             slice(c * self.step, min((c + 1) * self.step, columns)))
            for r, c in np.argwhere(self.blocks).tolist()
        ]  # fmt: skip


def analyse(frame: Frame, k: int) -> Finding:
    """Background, then ``k - 1`` classes of the breast from dark to bright.

    Raises AnalysisSkipped (TOO_FEW_VALUES).
    """
    inside = field.of_shutters(frame)
    found = histogram.of_planes(frame.pool()) if frame.pool else inside.histogram(frame.pixels)
    padded = intensity.padding_of(frame, found.values)
    falls = radiograph.falling(frame) != (frame.scale.slope < 0)
    dark = ~padded & _background(found.where(~padded), found.values, falling=falls)
    breast = found.where(~padded & ~dark)
    parts = _others(frame, _above(frame, found, padded | dark))
    boxes = parts.boxes(frame.pixels) if frame.pool is None else []
    if boxes and not frame.shutters:
        marks = histogram.of_planes([np.concatenate([frame.pixels[b].reshape(-1) for b in boxes])])
        breast = breast.without(marks.where(np.isin(marks.values, breast.values)))
    if len(breast.values) < k - 1:
        raise AnalysisSkipped(Code.TOO_FEW_VALUES, f"{len(breast.values)} values in the breast")
    solution = segmentation.solve(breast, frame.scale, max(2, k - 1))
    if radiograph.falling(frame):
        solution = solution.reversed()
    classes = np.full(len(found.values), UNLABELLED, dtype=np.uint8)
    classes[dark] = 0
    classes[np.searchsorted(found.values, breast.values)] = solution.classes + 1
    labels = segmentation.label(frame.pixels, found, classes)
    for box in boxes:
        part = labels[box]
        part[part != 0] = UNLABELLED
    inside.close(labels)
    return Finding(
        "",
        "",
        _classes(frame, found.where(dark), found.number, breast, solution),
        labels,
        "",
        _notes(frame),
    )


def _classes(
    frame: Frame, dark: Histogram, number: int, breast: Histogram, solution: segmentation.Solution
) -> tuple[ImageClass, ...]:
    k = len(solution.groups)
    names = _INSIDE if k == len(_INSIDE) else [f"breast {n} of {k}" for n in range(1, k + 1)]
    mean = float((dark.values * dark.counts).sum()) / max(1, dark.number)
    background = ImageClass(
        "background", (90, 90, 90), dark.number / number, frame.modality_value(mean),
        "of the image", tinted=False,
    )  # fmt: skip
    return (
        background,
        *(
            ImageClass(name, intensity.colour(i), group.number / breast.number, group.mean, _WHOLE)
            for i, (name, group) in enumerate(zip(names, solution.groups, strict=True))
        ),
    )


def _notes(frame: Frame) -> tuple[str, ...]:
    notes = [UNVALIDATED]
    if frame.view == "MLO":
        notes.append(_MLO)
    elif frame.view != "CC":
        notes.append("Not known to be a CC view, for which the fraction is meant.")
    if frame.pool is not None:
        notes.append("Cut over the values of all planes; the middle one is shown.")
    return tuple(notes)


def _background(used: Histogram, values: NDArray[np.int64], *, falling: bool) -> Mask:
    """Which values are background: the dark heap, up to its foot."""
    if not len(used.values):
        return np.zeros(len(values), dtype=np.bool_)
    first, last = int(used.values[0]), int(used.values[-1])
    counts = np.zeros(last - first + 1, dtype=np.int64)
    counts[used.values - first] = used.counts
    if falling:
        counts = counts[::-1]
    width = max(1, len(counts) // 512)
    smooth = np.convolve(counts, np.ones(width), "same") / width
    # The heap stands in the darker third of the scale; bright heaps are tissue or a clipped end.
    top = int(np.argmax(smooth[: max(1, len(smooth) // 3)]))
    fallen = np.flatnonzero(smooth[top:] <= _FOOT * smooth[top])
    # Noise reaches half as far again.
    foot = top + (int(fallen[0]) * 3 // 2 if len(fallen) else 0)
    return values >= last - foot if falling else values <= first + foot


def _above(frame: Frame, found: Histogram, below: Mask) -> tuple[Mask, int]:
    """The small picture of what is not background, and its step."""
    step = max(1, max(frame.pixels.shape) // _SMALL)
    small = frame.pixels[step // 2 :: step, step // 2 :: step]
    bright = found.values[~below]
    if not len(bright):
        return np.zeros(small.shape, dtype=np.bool_), step
    return (small >= bright[0]) & (small <= bright[-1]), step


def _others(frame: Frame, above: tuple[Mask, int]) -> _Parts:
    """Every connected part but the largest, with the blocks around it."""
    mask, step = above
    rows, columns = frame.pixels.shape
    parts = _connected(mask)
    largest = np.bincount(parts[mask]).argmax() if mask.any() else 0
    others = mask & (parts != largest)
    breast = _grown(mask & (parts == largest))
    blocks = np.zeros((-(-rows // step), -(-columns // step)), dtype=np.bool_)
    blocks[: mask.shape[0], : mask.shape[1]] = _grown(others) & ~breast
    return _Parts(blocks, step)


def _grown(mask: Mask) -> Mask:
    """With the neighbours in four directions."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _connected(mask: Mask) -> NDArray[np.int32]:
    """The number of the connected part (four directions) of each true pixel, from 1; else 0.

    Row by row: a run of true pixels joins the runs that it touches in the row above.
    """
    parts = np.zeros(mask.shape, dtype=np.int32)
    parents = [0]

    def root(number: int) -> int:
        while parents[number] != number:
            number = parents[number]
        return number

    above: list[tuple[int, int, int]] = []
    for row in range(mask.shape[0]):
        edges = np.flatnonzero(np.diff(mask[row], prepend=False, append=False)).tolist()
        runs = []
        for first, end in zip(edges[::2], edges[1::2], strict=True):
            touched = {root(n) for start, stop, n in above if start < end and first < stop}
            number = min(touched, default=len(parents))
            if not touched:
                parents.append(number)
            for other in touched:
                parents[other] = number
            parts[row, first:end] = number
            runs.append((first, end, number))
        above = runs
    roots = np.array([root(number) for number in range(len(parents))], dtype=np.int32)
    joined: NDArray[np.int32] = roots[parts]
    return joined
