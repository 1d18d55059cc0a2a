"""Centres, spreads and significance that single broken scanners cannot bend."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

if TYPE_CHECKING:
    from fleet_qc.records import Floats

#: Makes the median absolute deviation of a normal distribution its standard deviation.
MAD_TO_SD = 1.482602218505602
#: Median of the square of a standard normal variable.
_MEDIAN_OF_SQUARE = 0.454936423119572
#: Standard deviations that the middle quarter of a normal distribution spans.
_QUARTER_OF_NORMAL = 0.637278727840650
#: A median of squares knows about a third as much of a variance as their mean does.
_MEDIAN_EFFICIENCY = 1 / 3
_SMALLEST_P = 1e-300


def median(values: Floats, axis: int | None = None) -> Floats:
    """Median without NaN; NaN where there is nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of slices that are all NaN
        found: Floats = np.asarray(np.nanmedian(values, axis=axis))
    return found


def spread(values: Floats, axis: int | None = None) -> Floats:
    """Standard deviation from the median absolute deviation, without NaN."""
    centre = median(values, axis=axis)
    if axis is not None:
        centre = np.expand_dims(centre, axis)
    found: Floats = median(np.abs(values - centre), axis=axis) * MAD_TO_SD
    return found


def mode_width(values: Floats) -> float:
    """Standard deviation of the densest part of the values: of one kind of scanner among several.

    From the shortest interval that holds a quarter of them. The median absolute deviation of two
    equal heaps would be half their distance, and hide that there are two.
    """
    known = np.sort(values[np.isfinite(values)])
    quarter = len(known) // 4 + 1
    if len(known) <= quarter:
        return 0.0
    shortest = float(np.min(known[quarter:] - known[:-quarter]))
    return shortest / _QUARTER_OF_NORMAL


def two_sided_z(statistic: Floats, freedom: Floats | float) -> Floats:
    """The normal deviate that is as rare as Student's t with so many degrees of freedom; signed."""
    tail = np.maximum(stats.t.sf(np.abs(statistic), freedom), _SMALLEST_P)
    deviate: Floats = np.sign(statistic) * stats.norm.isf(tail)
    return deviate


def tail_z(p: float) -> float:
    """The normal deviate whose upper tail is ``p``."""
    return float(stats.norm.isf(max(p, _SMALLEST_P)))


def confidence(deviate: float, comparisons: int) -> float:
    """1 - chance that any of so many comparisons shows at least this deviate (Bonferroni)."""
    p = 2 * float(stats.norm.sf(abs(deviate))) * max(comparisons, 1)
    return max(0.0, 1.0 - p)


def day_noise(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Variance of one image's worth of a daily mean, and its degrees of freedom, per stream.

    From differences of neighbouring days, by their median: neither a step nor a slow drift enters.
    Streams know little by themselves, so each is drawn towards the fleet's common variance as far
    as the fleet is alike (the moderated variance of Smyth, Stat Appl Genet Mol Biol 3:3, 2004).

    ``values`` and ``weights`` (images of the day, 0: none) have the shape (streams, days).
    """
    known = weights > 0
    days = np.arange(values.shape[1])
    last = np.maximum.accumulate(np.where(known, days, -1), axis=1)
    before = np.concatenate([np.full((len(values), 1), -1), last[:, :-1]], axis=1)
    paired = known & (before >= 0)
    rows = np.arange(len(values))[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = 1 / weights + 1 / weights[rows, before]
        squares = np.where(paired, (values - values[rows, before]) ** 2 / scale, np.nan)
    own = median(squares, axis=1) / _MEDIAN_OF_SQUARE
    freedom = np.maximum(paired.sum(axis=1) * _MEDIAN_EFFICIENCY, 0.0)
    return _moderated(own, freedom)


def _moderated(own: Floats, freedom: Floats) -> tuple[Floats, Floats]:
    usable = np.isfinite(own) & (own > 0) & (freedom >= 1)
    if usable.sum() < 3:  # noqa: PLR2004  (a fleet of one or two has nothing in common)
        return np.where(np.isfinite(own), own, np.nan), freedom
    half = freedom[usable] / 2
    logs = np.log(own[usable]) - special.digamma(half) + np.log(half)
    excess = float(spread(logs) ** 2 - np.mean(special.polygamma(1, half)))
    prior = 2 * _inverse_trigamma(excess) if excess > 0 else _MOST_FREEDOM
    prior = min(prior, _MOST_FREEDOM)
    common = float(np.exp(median(logs) + special.digamma(prior / 2) - np.log(prior / 2)))
    kept = np.where(np.isfinite(own), own, common)
    known = np.where(np.isfinite(own), freedom, 0.0)
    return (prior * common + known * kept) / (prior + known), prior + known


#: More than this is as good as infinitely much.
_MOST_FREEDOM = 1000.0


def _inverse_trigamma(value: float) -> float:
    """Solves trigamma(x) = value by Newton's method; convergent from this start (Smyth 2004)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        first = float(special.polygamma(1, x))
        change = first * (1 - first / value) / float(special.polygamma(2, x))
        x += change
        if -change / x < 1e-8:  # noqa: PLR2004
            break
    return x
