"""Density segmentation: classes by exact K-Means on the histogram, named as the modality allows.

Tissue names for CT, order of brightness for radiographs, fatty against dense inside the breast for
mammograms, intensities for all else. Not a diagnosis, not a BI-RADS density.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from router.imaging.analysis import breast, ct, intensity, radiograph

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.imaging.frame import Finding, Frame

ALGORITHM = "density-kmeans"
#: A part of the capture's UID: a new version makes new captures, for new studies only.
VERSION = "2"
#: Versions whose captures may be on trucks and in the cloud: an image that has one gets no other.
EARLIER_VERSIONS = ("1",)
CLASSES = 3

_MEANINGS: dict[str, Callable[[Frame, int], Finding]] = {
    "CT": ct.analyse,
    "CR": radiograph.analyse,
    "DX": radiograph.analyse,
    "MG": breast.analyse,
}


def analyse(frame: Frame, classes: int = CLASSES) -> Finding:
    """Cuts the values into classes. Raises AnalysisSkipped (TOO_FEW_VALUES)."""
    meaning = _MEANINGS.get(frame.modality, intensity.analyse)
    return replace(meaning(frame, classes), algorithm=ALGORITHM, version=VERSION)
