"""Density segmentation: classes by exact K-Means on the histogram, named as the modality allows.

Tissue names for CT, order of brightness for radiographs, fatty against dense inside the breast for
mammograms, intensities for all else. Not a diagnosis, not a BI-RADS density.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.imaging.analysis import breast, ct, intensity, radiograph
from router.imaging.analysis.contract import Analysis

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.imaging.frame import Finding, Frame

CLASSES = 3

_MEANINGS: dict[str, Callable[[Frame, int], Finding]] = {
    "CT": ct.analyse,
    "CR": radiograph.analyse,
    "DX": radiograph.analyse,
    "MG": breast.analyse,
}


def analyse(frame: Frame, classes: int = CLASSES) -> Finding:
    """Cuts the values into classes. Raises AnalysisSkipped (TOO_FEW_VALUES)."""
    return _MEANINGS.get(frame.modality, intensity.analyse)(frame, classes)


def _brightest(finding: Finding) -> dict[str, float]:
    """The area of the brightest class (MG: of what is dense)."""
    return {"dense_fraction": finding.classes[-1].fraction}


ANALYSIS = Analysis(
    "density-kmeans", version="2", find=analyse, earlier_versions=("1",), figures=_brightest
)
