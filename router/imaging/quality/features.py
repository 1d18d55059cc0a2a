"""Figures of an image's pixels, from one histogram and a sample of lines.

Modality values (HU for CT) where nothing else is said; padding counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from router.imaging.analysis import ct, field, intensity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from router.imaging.analysis.histogram import Histogram
    from router.imaging.frame import Frame, Pixels

#: What is exported as metrics, pixels first, then the header's (router.imaging.quality.acquisition).
EXPORTED = (
    "mean", "standard_deviation", "maximum", "p01", "p99", "contrast", "noise", "entropy",
    "share_lowest", "share_highest", "share_padding", "dense_fraction",
    "kvp_kv", "exposure_mas", "compression_n", "thickness_mm", "organ_dose_mgy",
    "exposure_index", "deviation_index", "detector_temperature_c", "calibration_age_d",
    "ctdi_vol_mgy",
)  # fmt: skip


@dataclass(frozen=True)
class Total:
    """One feature of all images of a device, in a modality and view."""

    device: str
    modality: str
    view: str
    feature: str
    number: int
    total: float
    squares: float


#: Lines and columns that are looked at for noise and lost lines.
_SAMPLE = 256
#: A block of more constant lines than this is no fault of a detector's read-out.
_MOST_LOST = 64
#: Where lines are lost the image jumps by this many times its usual step from line to line.
_JUMP = 3.0
#: The median of absolute values of a normal distribution, in standard deviations.
_NORMAL = 0.6745
#: A pixel less the mean of two others has 3/2 of its variance.
_OF_DIFFERENCE = 1.2247
#: No value of a patient lies below the Hounsfield scale.
_LOWEST_HU = -1024
#: Bins beside an end of the scale that a heap at the end is compared with.
_NEIGHBOURS = 16


def features(frame: Frame) -> dict[str, float]:
    """Name → figure.

    - mean, standard_deviation, minimum, maximum, p01 and p99 (percentiles), contrast (p99 - p01),
      noise (standard deviation from line to line): modality values
    - entropy: bits; levels: distinct values
    - share_lowest, share_highest: of the pixels that have the lowest and the highest value;
      share_padding: of all pixels, 0 to 1
    - top_at_limit, bottom_at_limit: 1 where that value is the end of what the bits allow
    - spike_highest, spike_lowest: that share against the mean share of the values beside it
    - full_scale: the span that the bits allow
    - lost_lines: rows and columns that are constant in the midst of others
    - padding_inside: 1 where the declared padding value lies among the patient's
    - padding_undeclared: 1 where padding was declared and other values are padded with
    """
    inside = field.of_shutters(frame)
    found = inside.histogram(frame.pixels)
    padding = intensity.padding_of(frame, found.values)
    excluded = ct.outside(frame, found.values) if frame.modality == "CT" else padding
    padded = int(found.counts[excluded].sum()) / max(1, found.number)
    within = _padding_within(frame, found, padding)
    if within:  # it is the declaration that is wrong
        excluded &= ~padding
    used = found.where(~excluded)
    if not len(used.values):
        return {"share_padding": 1.0, "levels": 0.0}
    figures = _of_histogram(frame, used)
    span = frame.scale.of(np.array(frame.limits, dtype=np.float64))
    return figures | {
        "share_padding": padded,
        "full_scale": float(abs(span[1] - span[0])),
        "noise": _noise(frame, used),
        "lost_lines": float(_lost(frame.pixels) + _lost(frame.pixels.T)),
        "padding_inside": float(within),
        "padding_undeclared": float(_undeclared(frame, padding)),
    }


def _of_histogram(frame: Frame, used: Histogram) -> dict[str, float]:
    values = frame.scale.of(used.values.astype(np.float64))
    number = used.number
    mean = float((values * used.counts).sum()) / number
    variance = float(((values - mean) ** 2 * used.counts).sum()) / number
    shares = used.counts / number
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(shares[order])
    p01, p99 = (float(values[order][np.searchsorted(reached, p)]) for p in (0.01, 0.99 - 1e-12))
    bottom, top = int(used.values[0]), int(used.values[-1])
    return {
        "mean": mean,
        "standard_deviation": variance**0.5,
        "minimum": float(values.min()),
        "maximum": float(values.max()),
        "p01": p01,
        "p99": p99,
        "contrast": p99 - p01,
        "entropy": float(-(shares * np.log2(shares)).sum()),
        "levels": float(len(values)),
        "share_lowest": float(shares[0]),
        "share_highest": float(shares[-1]),
        "bottom_at_limit": float(bottom <= frame.limits[0]),
        "top_at_limit": float(top >= frame.limits[1]),
        "spike_lowest": _spike(shares),
        "spike_highest": _spike(shares[::-1]),
    }


def _spike(shares: NDArray[np.float64]) -> float:
    beside = shares[1 : 1 + _NEIGHBOURS]
    return float(shares[0] / beside.mean()) if len(beside) else 0.0


def _noise(frame: Frame, used: Histogram) -> float:
    """Standard deviation of a pixel about the mean of those above and below it, in a sample.

    The variance of that difference is 3/2 of a pixel's. Half of a sample's differences are
    smaller than their median, so edges do not count.
    """
    pixels = frame.pixels
    rows, columns = pixels.shape
    if rows < 3:  # noqa: PLR2004
        return 0.0
    middle = np.unique(np.linspace(1, rows - 2, min(_SAMPLE, rows - 2)).astype(np.int64))
    across = slice(None, None, max(1, columns // (2 * _SAMPLE)))
    here = pixels[middle, across].astype(np.int64)
    around = pixels[middle - 1, across].astype(np.int64) + pixels[middle + 1, across]
    inside = (here >= used.values[0]) & (here <= used.values[-1])
    if frame.padding is not None:
        inside &= (here < frame.padding[0]) | (here > frame.padding[1])
    difference = np.abs(here - around / 2)[inside]
    if not difference.size:
        return 0.0
    slope = abs(frame.scale.slope) if frame.scale.table is None else 1.0
    usual = float(np.median(difference))
    return usual / (_NORMAL * _OF_DIFFERENCE) * slope


def _lost(pixels: Pixels) -> int:
    """How many lines are one value from end to end, between lines that are not and lie far off."""
    lines, length = pixels.shape
    sample = pixels[:, :: max(1, length // _SAMPLE)].astype(np.int32)
    constant = (sample == sample[:, :1]).all(axis=1)
    if not constant.any() or constant.all():
        return 0
    steps = np.abs(np.diff(sample, axis=0)).mean(axis=1)
    ordinary = steps[~constant[1:] & ~constant[:-1]]
    if not ordinary.size:
        return 0
    usual = float(np.median(ordinary))
    edges = np.flatnonzero(np.diff(constant, prepend=False, append=False))
    lost = 0
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        at_border = first == 0 or end == lines
        if at_border or end - first > _MOST_LOST:
            continue
        if min(steps[first - 1], steps[end - 1]) > _JUMP * max(usual, 1e-9):
            lost += end - first
    return lost


def _padding_within(frame: Frame, found: Histogram, padding: NDArray[np.bool_]) -> bool:
    """Whether the declared padding lies among the patient's values, scattered over the image.

    Padding that is right lies at an end of the scale, or in one piece.
    """
    if frame.padding is None or not padding.any():
        return False
    if frame.modality == "CT" and frame.modality_value(frame.padding[1]) < _LOWEST_HU:
        return False
    below = int(found.counts[found.values < frame.padding[0]].sum()) / found.number
    above = int(found.counts[found.values > frame.padding[1]].sum()) / found.number
    if min(below, above) < 0.01:  # noqa: PLR2004
        return False
    rows = frame.pixels[:: max(1, frame.pixels.shape[0] // _SAMPLE)]
    is_padding = (rows >= frame.padding[0]) & (rows <= frame.padding[1])
    alone = is_padding[:, 1:-1] & ~is_padding[:, :-2] & ~is_padding[:, 2:]
    number = int(is_padding.sum())
    return number > 0 and int(alone.sum()) > 0.2 * number


def _undeclared(frame: Frame, padding: NDArray[np.bool_]) -> bool:
    """Whether a padding value is declared that does not occur, and the corners hold another one
    that is no value of a patient.
    """
    if frame.padding is None or padding.any() or frame.modality != "CT":
        return False
    corner = field.corner_value(frame)
    return corner is not None and frame.modality_value(corner) < _LOWEST_HU
