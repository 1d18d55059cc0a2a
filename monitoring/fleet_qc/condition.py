"""Takes out what is not the scanner: breast thickness, and what moves the whole fleet at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fleet_qc import robust
from fleet_qc.records import COVARIATE

if TYPE_CHECKING:
    from fleet_qc.records import Floats, Moments

#: Days on which fewer streams have values give no common movement.
_FEWEST_STREAMS = 20
#: Residuals beyond so many robust standard deviations do not bend the slope.
_CLIP = 3.0


def conditioned(moments: Moments) -> Floats:
    """Daily means at the fleet's usual breast thickness; (streams, features, days), NaN: none.

    The streams must be of one modality and view. The slope of a feature against thickness is one
    for all of them; it is fitted to how daily means vary *within* streams, so that a truck with
    thicker breasts and a strange detector is not explained away. Without a thickness the means
    stay as they are. A relation that is no line is taken out only to first order.
    """
    means = moments.mean()
    if COVARIATE not in moments.features:
        return means
    thickness = means[:, moments.features.index(COVARIATE)]
    usual = float(robust.median(thickness))
    if not np.isfinite(usual):
        return means
    offset = thickness - usual
    found = means.copy()
    for index, feature in enumerate(moments.features):
        if feature == COVARIATE:
            continue
        slope = _slope(offset, means[:, index], moments.count[:, index])
        found[:, index] -= slope * np.where(np.isfinite(offset), offset, 0.0)
    return found


def _slope(x: Floats, y: Floats, weights: Floats) -> float:
    """Weighted slope within rows, fitted twice: the second time without far residuals."""
    known = np.isfinite(x) & np.isfinite(y) & (weights > 0)
    w = np.where(known, weights, 0.0)
    x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
    x, y = _centred(x, w), _centred(y, w)
    slope = 0.0
    for _ in range(2):
        denominator = float(np.sum(w * x * x))
        if denominator <= 0:
            return 0.0
        slope = float(np.sum(w * x * y)) / denominator
        residual = np.where(w > 0, (y - slope * x) * np.sqrt(w), np.nan)
        far = np.abs(residual) > _CLIP * max(float(robust.spread(residual)), 1e-300)
        w = np.where(far, 0.0, w)
    return slope


def _centred(values: Floats, weights: Floats) -> Floats:
    total = weights.sum(axis=1, keepdims=True)
    mean = np.sum(values * weights, axis=1, keepdims=True) / np.where(total > 0, total, 1.0)
    centred: Floats = np.where(weights > 0, values - mean, 0.0)
    return centred


def without_common(values: Floats) -> Floats:
    """Less the median movement of all streams on each day; (streams, days).

    Levels of streams differ, so the movement is that of their deviations from their own medians.
    """
    deviations = values - robust.median(values, axis=1)[:, None]
    enough = np.isfinite(deviations).sum(axis=0) >= _FEWEST_STREAMS
    common = np.where(enough, robust.median(deviations, axis=0), 0.0)
    found: Floats = values - common[None, :]
    return found
