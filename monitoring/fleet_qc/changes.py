"""Change points of each stream in time: a step, or a slow drift.

For each day on which it may have begun, the shape of the change (a step, a ramp) is fitted beside
a constant to the daily means; the best fit counts (a generalised likelihood ratio; Lorden, Ann Math
Stat 42:1897, 1971). It needs no window to be chosen, and only past days: what is found today is
what would have been found today.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fleet_qc import robust

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fleet_qc.records import Floats

#: A change is looked for after so many days with images, and needs so many days itself: one odd
#: day is a clinic with other women, not a detector.
DAYS_BEFORE = 5
DAYS_AFTER = 2
#: Standard errors by which a single day differs from both neighbours.
_ODD = 4.0


@dataclass(frozen=True)
class Changes:
    """The likeliest change of each stream; every field has the shape (streams,)."""

    deviate: Floats  #: signed normal deviate, 0 where nothing can be said
    begin: NDArray[np.int64]  #: index of the first changed day
    ramp: NDArray[np.bool_]  #: a slow drift rather than a step
    size: Floats  #: of the change up to the last day, in the feature's unit


def find(values: Floats, weights: Floats) -> Changes:
    """The likeliest change of each stream.

    ``values`` are daily means (NaN: none), ``weights`` how many images each stands for; both have
    the shape (streams, days).
    """
    streams, days = values.shape
    nothing = Changes(
        np.zeros(streams), np.zeros(streams, np.int64), np.zeros(streams, bool), np.zeros(streams)
    )
    if days < DAYS_BEFORE + DAYS_AFTER:
        return nothing
    known = np.isfinite(values) & (weights > 0)
    w = np.where(known, weights, 0.0)
    y = np.where(known, values, 0.0)
    variance, freedom = robust.day_noise(values, w)
    y = _without_odd_days(y, w, variance)
    begins = np.arange(DAYS_BEFORE, days - DAYS_AFTER + 1)
    after = np.arange(days)[None, :] - begins[:, None]
    shapes = np.concatenate([(after >= 0) * 1.0, np.maximum(after + 1, 0) * 1.0])
    statistic, slope = _fit(y, w, shapes, variance)
    before = np.cumsum(known, axis=1)[:, begins - 1]
    since = known.sum(axis=1)[:, None] - before
    allowed = np.tile((before >= DAYS_BEFORE) & (since >= DAYS_AFTER), 2)
    statistic = np.where(allowed & np.isfinite(statistic), statistic, 0.0)
    best = np.argmax(np.abs(statistic), axis=1)
    rows = np.arange(streams)
    begin = begins[best % len(begins)]
    ramp = best >= len(begins)
    length = np.where(ramp, days - begin, 1)
    with np.errstate(invalid="ignore"):
        deviate = robust.two_sided_z(statistic[rows, best], np.maximum(freedom, 1.0))
    size = np.where(statistic[rows, best] == 0, 0.0, slope[rows, best] * length)
    return Changes(deviate, begin, ramp, size)


def _without_odd_days(y: Floats, w: Floats, variance: Floats) -> Floats:
    """Single days far from both neighbours get the middle value of the three.

    A step or a drift stays what it is, as its days have a neighbour on their side; at its last day
    a change is believed with its second day. The neighbours are the days with images.
    """
    found = y.copy()
    for row in range(len(y)):
        (days,) = np.nonzero(w[row])
        if len(days) < 3:  # noqa: PLR2004
            continue
        line = y[row, days]
        padded = np.concatenate([[line[2]], line, [line[-3]]])
        middle = np.median(np.stack([padded[:-2], line, padded[2:]]), axis=0)
        far = np.abs(line - middle) > _ODD * np.sqrt(variance[row] / w[row, days])
        found[row, days] = np.where(far, middle, line)
    return found


def _fit(y: Floats, w: Floats, shapes: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Student's t and slope of each shape beside a constant; both (streams, shapes)."""
    total = w.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.sum(w * y, axis=1, keepdims=True) / total
        y = np.where(w > 0, y - level, 0.0)
        mean_shape = (w @ shapes.T) / total
        spread = w @ (shapes**2).T - total * mean_shape**2
        spread = np.where(spread > 1e-9 * total, spread, np.nan)
        slope = ((w * y) @ shapes.T) / spread
        statistic: Floats = slope * np.sqrt(spread / variance[:, None])
    return statistic, slope
