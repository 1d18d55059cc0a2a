"""Exact one-dimensional K-Means on a histogram.

Equal pixels share a centre in every optimum, so the objective over pixels is the objective over
the distinct values, weighted by how often each occurs. Sorted, an optimal cluster is an interval;
so the optimum is a choice of ``k - 1`` cuts, and minimising the squares within the clusters is
maximising the sum of S²/n (S: sum of the values, n: number of pixels of a cluster). The best last
cut of a prefix moves only to the right as the prefix grows, which lets each layer be solved by
divide and conquer in O(m log m) for m distinct values (Wu, "Optimal quantization by matrix
searching", J. Algorithms 12, 1991). No seed, no iteration, no second answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.int64]
    Gains = NDArray[np.float64]


@dataclass(frozen=True)
class _Sums:
    """Prefix sums over the histogram: the gain of any cluster in one step."""

    number: Indices
    total: Indices

    def gain(self, first: Indices, end: Indices) -> Gains:
        """S²/n of the clusters [first, end)."""
        sums = (self.total[end] - self.total[first]).astype(np.float64)
        return sums * sums / (self.number[end] - self.number[first])


def optimal_cuts(values: Indices, counts: Indices, k: int) -> list[int]:
    """Where the clusters begin: ``k - 1`` ascending indices into ``values``.

    ``values``: the distinct values in ascending order, shape (m,), m ≥ k. ``counts``: how often
    each occurs, all above zero. Raises ValueError for fewer than ``k`` distinct values or k < 2.
    """
    m = len(values)
    if k < 2 or m < k:  # noqa: PLR2004
        message = f"{m} distinct values cannot be cut into {k} clusters"
        raise ValueError(message)
    # Values are taken relative to the middle one, to keep the squares small.
    relative = values - values[m // 2]
    sums = _Sums(
        number=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))),
        total=np.concatenate(([0], np.cumsum(counts * relative, dtype=np.int64))),
    )
    # best[e]: the largest gain of the first e values in as many clusters as there are layers + 1.
    best = np.full(m + 1, -np.inf)
    best[1:] = sums.gain(np.zeros(m, dtype=np.int64), np.arange(1, m + 1))
    layers: list[Indices] = []
    for clusters in range(2, k):
        best, cut = _add_cluster(best, sums, clusters)
        layers.append(cut)
    # The last cluster ends at the last value: one row instead of a layer.
    starts = np.arange(k - 1, m)
    row = best[starts] + sums.gain(starts, np.full(len(starts), m))
    cuts = [int(starts[np.argmax(row)])]
    for cut in reversed(layers):
        cuts.append(int(cut[cuts[-1]]))
    return cuts[::-1]


def _add_cluster(best: Gains, sums: _Sums, clusters: int) -> tuple[Gains, Indices]:
    """The layer for one cluster more: its best gains, and for each end where the last begins.

    Divide and conquer, all intervals of one depth in one go: the middle end of an interval is
    solved over its candidates, which then bound the candidates of both halves.
    """
    m = len(best) - 1
    gains = np.full(m + 1, -np.inf)
    cut = np.zeros(m + 1, dtype=np.int64)
    low, high = np.array([clusters]), np.array([m])
    first, last = np.array([clusters - 1]), np.array([m - 1])
    while len(low):
        middle = (low + high) // 2
        stop = np.minimum(last, middle - 1)
        gains[middle], cut[middle] = _best_start(best, sums, middle, first, stop)
        left, right = low < middle, middle < high
        low, high, first, last = (
            np.concatenate((low[left], middle[right] + 1)),
            np.concatenate((middle[left] - 1, high[right])),
            np.concatenate((first[left], cut[middle[right]])),
            np.concatenate((cut[middle[left]], last[right])),
        )
    return gains, cut


def _best_start(
    best: Gains, sums: _Sums, ends: Indices, first: Indices, last: Indices
) -> tuple[Gains, Indices]:
    """For each end, the best start of its last cluster in [first, last], the leftmost of equals."""
    lengths = last - first + 1
    begins = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    positions = np.arange(int(lengths.sum()))
    starts = positions + np.repeat(first - begins, lengths)
    value = best[starts] + sums.gain(starts, np.repeat(ends, lengths))
    largest = np.maximum.reduceat(value, begins)
    where = np.where(value == np.repeat(largest, lengths), positions, len(positions))
    return largest, starts[np.minimum.reduceat(where, begins)]
