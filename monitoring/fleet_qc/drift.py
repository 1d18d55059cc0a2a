"""Has a distribution moved from its reference window? The population stability index (PSI).

PSI = Σ (a - e) ln(a / e) over bins, e and a being the reference's and the window's shares. By the
usual reading over 0.1 is a shift to look at, over 0.25 one to act on. Under no shift its mean is
about (bins - 1)(1/n + 1/m); what a few images give by accident is therefore no drift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from fleet_qc.records import Floats

ACT = 0.25
BINS = 10
_BISECTIONS = 40
#: Standard deviations of the index under no shift by which it must exceed its mean.
_ERRORS = 4.0
#: An empty bin counts as half an image.
_HALF = 0.5


def index(expected: Floats, actual: Floats) -> Floats:
    """PSI of histograms of counts over the same bins, which are the last axis.

    0 where one of the two is empty.
    """
    n, m = expected.sum(axis=-1), actual.sum(axis=-1)
    e, a = _shares(expected), _shares(actual)
    found: Floats = np.where((n > 0) & (m > 0), np.sum((a - e) * np.log(a / e), axis=-1), 0.0)
    return found


def _shares(counts: Floats) -> Floats:
    filled = np.maximum(counts, _HALF)
    shares: Floats = filled / filled.sum(axis=-1, keepdims=True)
    return shares


def drifted(psi: float, bins: int, expected: float, actual: float) -> bool:
    """Whether the index is one to act on, and more than so many images give by accident."""
    if expected <= 0 or actual <= 0 or bins < 2:  # noqa: PLR2004
        return False
    per_bin = 1 / expected + 1 / actual
    by_chance = (bins - 1) * per_bin + _ERRORS * np.sqrt(2 * (bins - 1)) * per_bin
    return bool(psi > max(ACT, by_chance))


def deciles(count: Floats, mean: Floats, variance: Floats) -> Floats:
    """The nine inner decile edges of a mixture of normal distributions, for which moments stand.

    Each part (a stream's day) weighs as many images as it has. By bisection: the distribution
    function of a mixture is monotone. Empty where there are no images.
    """
    usable = (count > 0) & np.isfinite(mean) & np.isfinite(variance)
    count, mean, variance = count[usable], mean[usable], variance[usable]
    if not count.size:
        return np.empty(0)
    sd = np.sqrt(variance)
    low = np.full(BINS - 1, float(np.min(mean - 8 * sd)) - 1e-9)
    high = np.full(BINS - 1, float(np.max(mean + 8 * sd)) + 1e-9)
    wanted = np.arange(1, BINS) / BINS * count.sum()
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        reached = np.cumsum(histograms(count, mean, variance, middle).sum(axis=0))[:-1]
        low = np.where(reached < wanted, middle, low)
        high = np.where(reached < wanted, high, middle)
    edges: Floats = (low + high) / 2
    return edges


def histograms(count: Floats, mean: Floats, variance: Floats, edges: Floats) -> Floats:
    """Images of each part in each bin, were its values normal; the bins are a new last axis."""
    known = (count > 0) & np.isfinite(mean) & np.isfinite(variance)
    centre = np.where(known, mean, 0.0)[..., None]
    sd = np.sqrt(np.where(known, np.maximum(variance, 1e-12 * (1 + mean**2)), 1.0))[..., None]
    below = special.ndtr((edges - centre) / sd)
    ends = np.zeros((*count.shape, 1))
    cumulative = np.concatenate([ends, below, ends + 1], axis=-1)
    counts: Floats = np.diff(cumulative, axis=-1) * np.where(known, count, 0.0)[..., None]
    return counts


def categories(
    reference: Mapping[Hashable, float], window: Mapping[Hashable, float]
) -> tuple[float, int, float, float]:
    """PSI of counts by category: (index, categories, counts before, counts now)."""
    names = sorted({*reference, *window}, key=repr)
    before = np.array([reference.get(name, 0.0) for name in names])
    now = np.array([window.get(name, 0.0) for name in names])
    return float(index(before, now)), len(names), float(before.sum()), float(now.sum())
