"""What findings are called where people read them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet_qc.records import Finding, Mined

_EPOCH = date(1970, 1, 1)
#: Pixel values are the image's own: HU in CT, stored values elsewhere.
_PIXELS = "pixel value"
#: Feature → what it is and its unit; where one is missing its name is shown.
_FEATURES = {
    "mean": ("mean brightness", _PIXELS),
    "contrast": ("contrast (p99 - p01)", _PIXELS),
    "noise": ("noise", _PIXELS),
    "standard_deviation": ("spread of brightness", _PIXELS),
    "entropy": ("entropy", "bit"),
    "dense_fraction": ("dense area", "share of the breast"),
    "share_highest": ("pixels at the highest value", "share"),
    "share_lowest": ("pixels at the lowest value", "share"),
    "kvp_kv": ("tube voltage", "kV"),
    "exposure_mas": ("exposure", "mAs"),
    "exposure_index": ("exposure index", ""),
    "detector_temperature_c": ("detector temperature", "°C"),
    "ctdi_vol_mgy": ("CTDIvol", "mGy"),
    "thickness_mm": ("breast thickness", "mm"),
}


def meaning(feature: str) -> str:
    """What a feature is, with its unit; empty where its name says it all."""
    title, unit = _FEATURES.get(feature, ("", ""))
    return f"{title} [{unit}]" if unit else title


def window(mined: Mined) -> str:
    """First and last day (UTC)."""
    if not len(mined.days):
        return "no days"
    return f"{day(int(mined.days[0]))} to {day(int(mined.days[-1]))}"


def day(number: int) -> str:
    """The date of a day since 1970-01-01."""
    return (_EPOCH + timedelta(days=number)).isoformat()


def devices(findings: Iterable[Finding]) -> dict[tuple[str, str], list[Finding]]:
    """Truck and device → what was found of it; devices and findings in the order of the findings."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        found.setdefault((finding.stream.truck, finding.stream.device), []).append(finding)
    return found
