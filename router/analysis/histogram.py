"""How often each stored value occurs: all that the exact solution needs of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from router.frame import Pixels

    Counts = NDArray[np.int64]

#: Pixels counted at a time, so that no wide copy of a large image is made (measured: the fastest).
_CHUNK = 1 << 18
_WORDS = 1 << 16


@dataclass(frozen=True)
class Histogram:
    """The values that occur, in ascending order, and how often each does; shapes (m,)."""

    values: Counts
    counts: Counts

    @property
    def number(self) -> int:
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
    """The histogram of all planes together, which have one type of at most 16 bits, or 32.

    Values of 16 bits are counted as they are; the sign is put right in the counts.
    """
    total: Counts | None = None
    signed = False
    for plane in planes:
        if plane.dtype.itemsize > 2:  # noqa: PLR2004
            return _of_wide(plane)
        signed = np.issubdtype(plane.dtype, np.signedinteger)
        counts = _words(plane.reshape(-1))
        total = counts if total is None else _sum(total, counts)
    if total is None:
        return Histogram(np.zeros(0, np.int64), np.zeros(0, np.int64))
    found = np.flatnonzero(total)
    counts = total[found]
    if signed:
        half = 1 << (8 * plane.dtype.itemsize - 1)
        found = np.where(found >= half, found - 2 * half, found)
        order = np.argsort(found)
        found, counts = found[order], counts[order]
    return Histogram(found, counts)


def _words(flat: Pixels) -> Counts:
    """Counts of the values read as unsigned."""
    unsigned = flat.view(f"u{flat.dtype.itemsize}") if flat.flags.c_contiguous else flat.copy()
    unsigned = unsigned.view(f"u{flat.dtype.itemsize}")
    counts = np.zeros(int(unsigned.max()) + 1 if unsigned.size else 1, dtype=np.int64)
    for start in range(0, unsigned.size, _CHUNK):
        counts += np.bincount(unsigned[start : start + _CHUNK], minlength=len(counts))
    return counts


def _sum(first: Counts, second: Counts) -> Counts:
    if len(first) < len(second):
        first, second = second, first
    first[: len(second)] += second
    return first


def _of_wide(plane: Pixels) -> Histogram:
    values, counts = np.unique(plane, return_counts=True)
    return Histogram(values.astype(np.int64), counts.astype(np.int64))
