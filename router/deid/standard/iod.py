"""What an information object needs: the types of the attributes that de-identification acts on.

PS3.3 makes an attribute Type 1 (it must hold a value), 2 (it may be empty) or 3 (it may be
missing), module by module. ``iod_types.csv`` names those types where Table E.1-1 leaves a choice,
or where its letter would break an object: so that a CT image loses what an enhanced CT must keep.
"""

from __future__ import annotations

import csv
from enum import Enum
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from pydicom import uid
from pydicom.tag import BaseTag, Tag

if TYPE_CHECKING:
    from collections.abc import Mapping


class Need(Enum):
    """What an object needs of an attribute."""

    VALUE = "1"
    PRESENT = "2"
    NOTHING = "3"


#: What holds for a kind of objects; every other class is "image".
_KINDS: Mapping[str, frozenset[str]] = {
    "enhanced": frozenset({
        uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage,
        uid.EnhancedMRImageStorage, uid.LegacyConvertedEnhancedMRImageStorage,
        uid.EnhancedMRColorImageStorage, uid.EnhancedPETImageStorage,
        uid.LegacyConvertedEnhancedPETImageStorage, uid.EnhancedXAImageStorage,
        uid.EnhancedXRFImageStorage, uid.XRay3DAngiographicImageStorage,
        uid.XRay3DCraniofacialImageStorage, uid.BreastTomosynthesisImageStorage,
        uid.BreastProjectionXRayImageStorageForPresentation,
        uid.BreastProjectionXRayImageStorageForProcessing, uid.SegmentationStorage,
        uid.EnhancedUSVolumeStorage, uid.ParametricMapStorage,
    }),
    "pet": frozenset({uid.PositronEmissionTomographyImageStorage}),
    "sr-device": frozenset({
        uid.XRayRadiationDoseSRStorage, uid.EnhancedXRayRadiationDoseSRStorage,
        uid.RadiopharmaceuticalRadiationDoseSRStorage, uid.PatientRadiationDoseSRStorage,
        uid.MammographyCADSRStorage, uid.ChestCADSRStorage, uid.ColonCADSRStorage,
    }),
    "sr": frozenset({
        uid.BasicTextSRStorage, uid.EnhancedSRStorage, uid.ComprehensiveSRStorage,
        uid.Comprehensive3DSRStorage, uid.ExtensibleSRStorage, uid.AcquisitionContextSRStorage,
    }),
    "key": frozenset({uid.KeyObjectSelectionDocumentStorage}),
    "presentation": frozenset({
        uid.GrayscaleSoftcopyPresentationStateStorage, uid.ColorSoftcopyPresentationStateStorage,
        uid.PseudoColorSoftcopyPresentationStateStorage,
        uid.BlendingSoftcopyPresentationStateStorage,
    }),
    "document": frozenset({
        uid.EncapsulatedPDFStorage, uid.EncapsulatedCDAStorage, uid.EncapsulatedSTLStorage,
    }),
}  # fmt: skip
_KIND_OF = {sop_class: kind for kind, classes in _KINDS.items() for sop_class in classes}

#: Objects whose content is a tree of items instead of pixels.
REPORTS = frozenset({"sr", "sr-device", "key"})


def kind_of(sop_class: str) -> str:
    """The kind of an object by its SOP class; "image" where nothing special holds."""
    return _KIND_OF.get(sop_class, "image")


def _read_types() -> dict[int, dict[str, Need]]:
    text = resources.files(__package__).joinpath("iod_types.csv").read_text(encoding="ascii")
    types: dict[int, dict[str, Need]] = {}
    for line in csv.DictReader(text.splitlines()):
        for kind in line["kinds"].split():
            types.setdefault(int(Tag(line["keyword"])), {})[kind] = Need(line["type"])
    return types


#: Tag → kind of object → what it needs; ``*``: every other kind.
TYPES: Mapping[int, Mapping[str, Need]] = _read_types()


@lru_cache(maxsize=4096)
def need(tag: BaseTag, kind: str) -> Need | None:
    """What an object of the kind needs of the attribute; ``None``: the table does not tell."""
    types = TYPES.get(int(tag), {})
    return types.get(kind, types.get("*"))
