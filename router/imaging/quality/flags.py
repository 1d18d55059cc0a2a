"""Flags: what a person should look at before the patient leaves. Rules are a list; order is shown.

Each rule has a shipped limit, wide enough for any device, and where a baseline has been learned a
narrower one of the device's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from router.imaging.quality.baseline import COLD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.imaging.quality.baseline import Baseline

    Features = Mapping[str, float]


class Flag(StrEnum):
    """What was seen; a name in the journal, metrics and status."""

    CANNOT_BE_OPENED = "CANNOT_BE_OPENED"
    PADDING_ONLY = "PADDING_ONLY"
    BLANK = "BLANK"
    LOW_CONTRAST = "LOW_CONTRAST"
    SATURATED = "SATURATED"
    CLIPPED = "CLIPPED"
    LOST_LINES = "LOST_LINES"
    PADDING_WRONG = "PADDING_WRONG"
    EXPOSURE_UNUSUAL = "EXPOSURE_UNUSUAL"
    REPEATED_EXPOSURE = "REPEATED_EXPOSURE"
    VIEW_MISSING = "VIEW_MISSING"
    DATE_UNUSUAL = "DATE_UNUSUAL"


#: What the person who looks is told.
LOOK: Mapping[Flag, str] = {
    Flag.CANNOT_BE_OPENED: "it cannot be opened: send it again from the scanner, or repeat it",
    Flag.PADDING_ONLY: "nearly all of it is padding",
    Flag.BLANK: "it shows nothing but noise",
    Flag.LOW_CONTRAST: "its contrast is low",
    Flag.SATURATED: "a large part is at the upper end of the scale",
    Flag.CLIPPED: "a large part is cut off at one value",
    Flag.LOST_LINES: "rows or columns of the detector are missing",
    Flag.PADDING_WRONG: "its header names a wrong padding value",
    Flag.EXPOSURE_UNUSUAL: "its exposure is unusual for this device",
    Flag.REPEATED_EXPOSURE: "the same view was exposed before in this study",
    Flag.VIEW_MISSING: "an expected view is not there",
    Flag.DATE_UNUSUAL: "the scanner writes dates in another way than DICOM does: correct its setting",
}


@dataclass(frozen=True)
class Raised:
    """A flag, with the figure that raised it and the limit that it broke."""

    flag: Flag
    value: float
    limit: float


@dataclass(frozen=True)
class _Kind:
    """The shipped limits of a kind of image."""

    #: Least contrast: absolute, or as shares of the full scale and of the values' own size.
    contrast: float
    contrast_of_scale: float
    contrast_of_values: float
    #: Most pixels at the highest and the lowest value.
    highest: float
    lowest: float
    kvp_kv: tuple[float, float]


_PROJECTION = _Kind(0, 0.06, 0.25, 0.25, 0.85, (35, 150))
_KINDS = {
    "CT": _Kind(200, 0, 0, 0.02, 0.6, (60, 150)),
    "MG": _Kind(0, 0.06, 0.25, 0.10, 0.9, (20, 50)),
    "DBT": _Kind(0, 0.06, 0.25, 0.10, 0.9, (20, 50)),
    "CR": _PROJECTION,
    "DX": _PROJECTION,
}
_OTHER = _Kind(0, 0.0, 0.05, 0.5, 0.95, (1, 1000))

_MOST_PADDING = 0.98
#: Pure noise spans 4.65 standard deviations between its percentiles 1 and 99.
_NOISE_SPANS = 6.0
_FEWEST_LEVELS = 4
#: A heap at an end of the scale stands so many times above the values beside it.
_SPIKE = 8.0
#: By so much more than usual may be at an end of the scale.
_MORE_AT_END = 0.10
#: Contrast below this share of the usual.
_LESS_CONTRAST = 0.5
_SPREADS = 5.0
_KVP_STEP = 0.08
#: IEC 62494-1: one unit of the deviation index is a tenth of a decade; beyond 3 twice too much.
_MOST_DEVIATION = 3.0


def quality_flags(modality: str, features: Features, baseline: Baseline = COLD) -> list[Raised]:
    """The flags of one image by itself. ``modality``: as in Acquisition."""
    kind = _KINDS.get(modality, _OTHER)
    raised = [found for rule in _RULES if (found := rule(features, kind, baseline)) is not None]
    # What has no contents can have no other faults of contents.
    for flag in (Flag.PADDING_ONLY, Flag.BLANK):
        if any(one.flag is flag for one in raised):
            return [one for one in raised if one.flag in {flag, Flag.EXPOSURE_UNUSUAL}]
    return raised


def _padding_only(features: Features, _: _Kind, __: Baseline) -> Raised | None:
    share = features["share_padding"]
    found = share > _MOST_PADDING
    return Raised(Flag.PADDING_ONLY, share, _MOST_PADDING) if found else None


def _blank(features: Features, _: _Kind, __: Baseline) -> Raised | None:
    if features["levels"] < _FEWEST_LEVELS:
        return Raised(Flag.BLANK, features["levels"], _FEWEST_LEVELS)
    limit = _NOISE_SPANS * features["noise"]
    contrast = features["contrast"]
    return Raised(Flag.BLANK, contrast, limit) if contrast <= limit else None


def _low_contrast(features: Features, kind: _Kind, baseline: Baseline) -> Raised | None:
    contrast = features.get("contrast")
    if contrast is None:
        return None
    usual = baseline.usual.get("contrast")
    if usual is not None:
        limit = min(_LESS_CONTRAST * usual.median, usual.median - 4 * usual.spread)
        if contrast < limit:
            return Raised(Flag.LOW_CONTRAST, contrast, limit)
    size = abs(features["p01"]) + abs(features["p99"])
    limit = max(
        kind.contrast,
        min(kind.contrast_of_scale * features["full_scale"] or size,
            kind.contrast_of_values * size),
    )  # fmt: skip
    return Raised(Flag.LOW_CONTRAST, contrast, limit) if contrast < limit else None


def _at_end(
    features: Features, kind: _Kind, baseline: Baseline, end: str
) -> tuple[float, float] | None:
    """The share at an end of the scale and its limit, where it is a heap beyond the limit."""
    share = features.get(f"share_{end}")
    if share is None or features[f"spike_{end}"] < _SPIKE:
        return None
    limit = kind.highest if end == "highest" else kind.lowest
    usual = baseline.usual.get(f"share_{end}")
    if usual is not None:
        limit = min(max(limit, usual.median + _MORE_AT_END),
                    usual.median + max(_MORE_AT_END, _SPREADS * usual.spread))  # fmt: skip
    return (share, limit) if share > limit else None


def _saturated(features: Features, kind: _Kind, baseline: Baseline) -> Raised | None:
    found = _at_end(features, kind, baseline, "highest")
    if found is None or not features["top_at_limit"]:
        return None
    return Raised(Flag.SATURATED, *found)


def _clipped(features: Features, kind: _Kind, baseline: Baseline) -> Raised | None:
    found = _at_end(features, kind, baseline, "lowest")
    if found is None and not features.get("top_at_limit"):
        found = _at_end(features, kind, baseline, "highest")
    return Raised(Flag.CLIPPED, *found) if found else None


def _lost_lines(features: Features, _: _Kind, __: Baseline) -> Raised | None:
    lost = features.get("lost_lines", 0.0)
    return Raised(Flag.LOST_LINES, lost, 0) if lost else None


def _padding_wrong(features: Features, _: _Kind, __: Baseline) -> Raised | None:
    wrong = features.get("padding_inside") or features.get("padding_undeclared")
    return Raised(Flag.PADDING_WRONG, 1, 0) if wrong else None


def _exposure_unusual(features: Features, kind: _Kind, baseline: Baseline) -> Raised | None:
    deviation = features.get("deviation_index", 0.0)
    if abs(deviation) > _MOST_DEVIATION:
        return Raised(Flag.EXPOSURE_UNUSUAL, deviation, _MOST_DEVIATION)
    kvp = features.get("kvp_kv")
    if kvp is None:
        return None
    low, high = kind.kvp_kv
    if not low <= kvp <= high:
        return Raised(Flag.EXPOSURE_UNUSUAL, kvp, low if kvp < low else high)
    usual = baseline.usual.get("kvp_kv")
    if usual is None or usual.within(kvp, _SPREADS, _KVP_STEP * usual.median):
        return None
    return Raised(Flag.EXPOSURE_UNUSUAL, kvp, usual.median)


_RULES: tuple[Callable[[Features, _Kind, Baseline], Raised | None], ...] = (
    _padding_only, _blank, _low_contrast, _saturated, _clipped, _lost_lines, _padding_wrong,
    _exposure_unusual,
)  # fmt: skip
