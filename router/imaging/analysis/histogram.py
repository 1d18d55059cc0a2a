"""How often each stored value occurs: all that the exact solution needs of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from router.imaging.frame import Pixels

    Counts = NDArray[np.int64]

#: Pixels counted at a time, so that no wide copy of a large image is made (measured: the fastest),
#: and of a small image no copy that is larger than itself.
_CHUNK = 1 << 18
_LEAST_CHUNK = 1 << 14


@dataclass(frozen=True)
class Histogram:
    """The values that occur, in ascending order, and how often each does; shapes (m,)."""

    values: Counts
    counts: Counts

    @property
    def number(self) -> int:
        """How many pixels were counted."""
        return int(self.counts.sum())

    def where(self, wanted: NDArray[np.bool_]) -> Histogram:
        """Only some of the values."""
        return Histogram(self.values[wanted], self.counts[wanted])

    def without(self, other: Histogram) -> Histogram:
        """Less the pixels of another one, which are among its own."""
        counts = self.counts.copy()
        counts[np.searchsorted(self.values, other.values)] -= other.counts
        return Histogram(self.values, counts).where(counts > 0)


def of_planes(planes: Iterable[Pixels]) -> Histogram:
    """The histogram of all planes together, which are of one type."""
    total, first = np.zeros(0, dtype=np.int64), 0
    for plane in planes:
        if plane.dtype.itemsize > 2:  # noqa: PLR2004
            return _of_wide(plane)
        if not plane.size:
            continue
        counts, lowest = _counted(plane.reshape(-1))
        total, first = _sum(total, first, counts, lowest)
    found = np.flatnonzero(total)
    return Histogram(found + first, total[found])


def _counted(flat: Pixels) -> tuple[Counts, int]:
    """How often each value from the lowest on occurs, and the lowest.

    Unsigned values are counted from 0, as they are: nothing is copied.
    """
    unsigned = np.dtype(f"u{flat.dtype.itemsize}")
    signed = np.issubdtype(flat.dtype, np.signedinteger)
    lowest = int(flat.min()) if signed else 0
    counts = np.zeros(int(flat.max()) - lowest + 1, dtype=np.int64)
    chunk = min(_CHUNK, max(_LEAST_CHUNK, flat.size // 16))
    for start in range(0, flat.size, chunk):
        part = flat[start : start + chunk]
        if signed:  # modulo 2^16 the difference is right
            part = (part - flat.dtype.type(lowest)).view(unsigned)
        counts += np.bincount(part, minlength=len(counts))
    return counts, lowest


def _sum(one: Counts, one_first: int, other: Counts, other_first: int) -> tuple[Counts, int]:
    """Both counts together; the first is changed where it has room."""
    if not len(one):
        return other, other_first
    first = min(one_first, other_first)
    end = max(one_first + len(one), other_first + len(other))
    if first != one_first or end != one_first + len(one):
        wider = np.zeros(end - first, dtype=np.int64)
        wider[one_first - first : one_first - first + len(one)] = one
        one = wider
    one[other_first - first : other_first - first + len(other)] += other
    return one, first


def _of_wide(plane: Pixels) -> Histogram:
    values, counts = np.unique(plane, return_counts=True)
    return Histogram(values.astype(np.int64), counts.astype(np.int64))
