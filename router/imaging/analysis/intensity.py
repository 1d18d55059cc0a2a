"""Classes of intensity, and nothing more: MR, PET and all that has no scale of its own.

An MR value depends on sequence, coil and patient; there is no scale on which a class could be
called a tissue (Nyúl and Udupa, "On standardizing the MR image intensity scale", Magn Reson Med
42, 1999). So the classes are called low, medium and high.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from router.imaging.analysis import field, segmentation
from router.imaging.frame import Finding, ImageClass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from router.imaging.analysis.histogram import Histogram
    from router.imaging.frame import Frame

_THREE = ("low intensity", "medium intensity", "high intensity")
# Told apart by the colour-blind too (Okabe and Ito 2008).
COLOURS = (
    (0, 114, 178), (230, 159, 0), (204, 121, 167), (0, 158, 115), (240, 228, 66), (86, 180, 233),
    (213, 94, 0),
)  # fmt: skip


def colour(index: int) -> tuple[int, int, int]:
    """The colour (RGB) of a class by its place in the order."""
    return COLOURS[index % len(COLOURS)]


def names(k: int) -> Sequence[str]:
    """What the classes are called, the darkest first."""
    return _THREE if k == len(_THREE) else [f"intensity {n} of {k}" for n in range(1, k + 1)]


def padding_of(frame: Frame, values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which stored values are padding."""
    if frame.padding is None:
        return np.zeros(len(values), dtype=np.bool_)
    return (values >= frame.padding[0]) & (values <= frame.padding[1])


def analyse(frame: Frame, k: int) -> Finding:
    """``k`` classes of intensity in ascending order. Raises AnalysisSkipped (TOO_FEW_VALUES)."""
    inside = field.of_shutters(frame)
    found = inside.histogram(frame.pixels)
    return finding(frame, inside, found, padding_of(frame, found.values), k)


def finding(
    frame: Frame, inside: field.Field, found: Histogram, excluded: NDArray[np.bool_], k: int
) -> Finding:
    """The classes of what is open and not excluded, named by their order."""
    used = found.where(~excluded)
    solution = segmentation.solve(used, frame.scale, k)
    labels = segmentation.label(frame.pixels, found, segmentation.classes_of(found, used, solution))
    inside.close(labels)
    classes = tuple(
        ImageClass(name, colour(index), group.number / used.number, group.mean)
        for index, (name, group) in enumerate(zip(names(k), solution.groups, strict=True))
    )
    return Finding("", "", classes, labels, "")
