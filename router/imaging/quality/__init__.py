"""Quality of images: features, flags, and which views are missing. Pure; nothing touches the state.

A flag says "look at this image before the patient leaves", never "repeat": that is a person's to
decide.
"""

from __future__ import annotations

from router.imaging.quality.acquisition import Acquisition, Device, acquisition
from router.imaging.quality.baseline import Baseline
from router.imaging.quality.features import EXPORTED, Total, features
from router.imaging.quality.flags import LOOK, Flag, Raised, quality_flags
from router.imaging.quality.protocol import BREAST, EXPECTED_VIEWS, Shown, missing_views, repeated

__all__ = [
    "BREAST",
    "EXPECTED_VIEWS",
    "EXPORTED",
    "LOOK",
    "Acquisition",
    "Baseline",
    "Device",
    "Flag",
    "Raised",
    "Shown",
    "Total",
    "acquisition",
    "features",
    "missing_views",
    "quality_flags",
    "repeated",
]  # fmt: skip
