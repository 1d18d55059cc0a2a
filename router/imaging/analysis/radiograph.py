"""CR and DX: background, soft tissue, bone-dense, in order of brightness.

What the X-rays went through without loss is dark, what absorbed them is bright, whichever way the
stored values run (PhotometricInterpretation MONOCHROME1, a falling VOI LUT). Collimated borders
and what shutters cover are left out.

Limits: a radiograph has no scale; the names say where a class lies among the three of this image.
Lungs and bowel gas fall into "background", metal, contrast medium and thick soft tissue into
"bone-dense". Not a diagnosis, and no bone density.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.imaging.analysis import field, intensity, segmentation
from router.imaging.frame import Finding, ImageClass, Table

if TYPE_CHECKING:
    from router.imaging.frame import Frame

_NAMES = ("background", "soft tissue", "bone-dense")
_NOTE = "Order of brightness: gas counts as background, thick soft tissue as bone-dense."


def falling(frame: Frame) -> bool:
    """Whether higher modality values are darker."""
    table = frame.voi
    turned = isinstance(table, Table) and table.outputs[0] > table.outputs[-1]
    return frame.inverted != turned


def analyse(frame: Frame, k: int) -> Finding:
    """``k`` classes from dark to bright. Raises AnalysisSkipped (TOO_FEW_VALUES)."""
    inside = field.without_collimation(frame, field.of_shutters(frame))
    found = inside.histogram(frame.pixels)
    used = found.where(~intensity.padding_of(frame, found.values))
    solution = segmentation.solve(used, frame.scale, k)
    if falling(frame):
        solution = solution.reversed()
    labels = segmentation.label(frame.pixels, found, segmentation.classes_of(found, used, solution))
    inside.close(labels)
    names = _NAMES if k == len(_NAMES) else intensity.names(k)
    classes = tuple(
        ImageClass(name, intensity.colour(index), group.number / used.number, group.mean)
        for index, (name, group) in enumerate(zip(names, solution.groups, strict=True))
    )
    return Finding("", "", classes, labels, "", (_NOTE,) if k == len(_NAMES) else ())
