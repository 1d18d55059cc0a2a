"""CT: air, soft tissue, bone, where the values lie where such tissue lies.

Hounsfield's scale puts water at 0 and air at -1000; fat lies near -100, muscle and blood near +50,
trabecular bone above +100 to +300 and compact bone above (Hounsfield, Br J Radiol 46, 1973). A
class mixes what lies around it, so each name has a guard band, and a class outside its band is
"unlabelled". Bone is called so only where *every* value of the class is at least 130 HU, the lower
limit that is usual for calcium (Agatston et al., J Am Coll Cardiol 15, 1990).

Limits: contrast medium, metal and calcifications fall into "bone"; lung falls into "air"; a slice
without bone or without air has no three tissues, and then names are missing. Not a diagnosis.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from router.imaging.analysis import field, intensity, segmentation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from router.imaging.analysis.segmentation import Group
    from router.imaging.frame import Finding, Frame

#: Below the Hounsfield scale lies no matter: scanners pad with it (-2000, -3024 …).
_LOWEST_HU = -1024
#: What fills the corners is outside the field of view only where it is no denser than air.
_AIR_HU = -950
_BONE_HU = 130.0
_TISSUES = 3


def analyse(frame: Frame, k: int) -> Finding:
    """``k`` classes in ascending HU. Raises AnalysisSkipped (TOO_FEW_VALUES)."""
    inside = field.of_shutters(frame)
    found = inside.histogram(frame.pixels)
    excluded = outside(frame, found.values)
    made = intensity.finding(frame, inside, found, excluded, k)
    if k != _TISSUES:
        return replace(made, unit="HU")
    solution = segmentation.solve(found.where(~excluded), frame.scale, k)
    names = _names(*solution.groups)
    classes = tuple(
        replace(image_class, name=name)
        for image_class, name in zip(made.classes, names, strict=True)
    )
    return replace(made, classes=classes, unit="HU")


def outside(frame: Frame, values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which stored values are not the patient nor the air around: padding, the field's outside."""
    hounsfield = frame.scale.of(values.astype(np.float64))
    excluded = intensity.padding_of(frame, values) | (hounsfield < _LOWEST_HU)
    corner = field.corner_value(frame)
    if corner is not None and frame.modality_value(corner) <= _AIR_HU:
        excluded |= values == corner
    return excluded


def _names(low: Group, middle: Group, high: Group) -> tuple[str, str, str]:
    return (
        "air" if low.mean <= -300 else "unlabelled",  # noqa: PLR2004
        "soft tissue" if -200 <= middle.mean <= 200 else "unlabelled",  # noqa: PLR2004
        "bone" if high.lowest >= _BONE_HU else "unlabelled",
    )
