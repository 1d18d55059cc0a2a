"""Which view of which side an image is: from codes where there are any, else from plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.imaging.pixels import header

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: CID 4014 View for Mammography: SNOMED CT, and the SRT codes that older units write.
_VIEWS = {
    "399162004": "CC", "R-10242": "CC",
    "399196006": "FB", "R-10244": "FB",
    "399192008": "XCCL", "R-1024A": "XCCL",
    "399101009": "XCCM", "R-1024B": "XCCM",
    "399368009": "MLO", "R-10226": "MLO",
    "399260004": "ML", "R-10224": "ML",
    "399352003": "LM", "R-10228": "LM",
    "399099002": "LMO", "R-10230": "LMO",
    "399188001": "SIO", "R-102D0": "SIO",
    "441555000": "ISO", "R-40AAA": "ISO",
}  # fmt: skip
#: CID 4015 View Modifier for Mammography: what makes an image something else than the whole view.
_PARTS = {
    "399163009": "magnified", "R-102D6": "magnified",
    "399055006": "spot", "R-102D7": "spot",
    "399161006": "cleavage", "R-102D2": "cleavage",
    "399011000": "axillary tail", "R-102D1": "axillary tail",
    "442580003": "axillary tissue", "R-40AB2": "axillary tissue",
    "442593008": "infra-mammary fold", "R-40ABE": "infra-mammary fold",
    "399110001": "tangential", "R-102C2": "tangential",
}  # fmt: skip
_IMPLANT_DISPLACED = frozenset({"399209000", "R-102D5"})
#: View positions of projection radiography (PS3.3 C.8.7.1.1 and those that DX units write).
_RADIOGRAPH_VIEWS = frozenset({
    "AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LAT", "LATERAL", "OBL", "OBLIQUE",
})  # fmt: skip
_SIDES = frozenset({"L", "R", "B"})


@dataclass(frozen=True)
class View:
    """What an image shows of the patient, as far as its header says it."""

    #: CC, MLO …, AP, PA …; "" where it is not known.
    view: str
    #: L, R, B (both), or "".
    side: str
    #: Why it is not the whole view: spot, magnified … ; "" where it is.
    part: str = ""
    implant_displaced: bool = False


def view_of(dataset: Dataset) -> View:
    """Reads ViewCodeSequence with its modifiers, else ViewPosition; laterality of image or frame."""
    views = dataset.get("ViewCodeSequence") or []
    code = str(views[0].get("CodeValue", "")) if views else ""
    modifiers = views[0].get("ViewModifierCodeSequence") or [] if views else []
    said = {str(modifier.get("CodeValue", "")) for modifier in modifiers}
    position = str(dataset.get("ViewPosition") or "").strip().upper()
    known = position in _RADIOGRAPH_VIEWS or position in _VIEWS.values()
    parts = sorted(_PARTS[value] for value in said if value in _PARTS)
    return View(
        view=_VIEWS.get(code) or (position if known else ""),
        side=_side(dataset),
        part=parts[0] if parts else "",
        implant_displaced=bool(said & _IMPLANT_DISPLACED),
    )


def _side(dataset: Dataset) -> str:
    anatomy = header.functional_group(dataset, 0, "FrameAnatomySequence")
    frame = anatomy.get("FrameLaterality") if anatomy is not None else None
    for value in (dataset.get("ImageLaterality"), frame, dataset.get("Laterality")):
        side = str(value or "").strip().upper()
        if side in _SIDES:
            return side
    return ""
