"""Which objects may go on at all: those whose content the profile can make safe.

A SOP class that is not listed here is held. An image can carry text in its pixels, a report or a
document carries it in its content; where nobody has said that a kind of object is safe, a person
looks at it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom import uid
from pydicom.uid import UID

from router.errors import Code, Hold

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: Images whose pixels come from a detector and not from a screen.
CLEARED: frozenset[str] = frozenset(
    {
        uid.CTImageStorage,
        uid.EnhancedCTImageStorage,
        uid.LegacyConvertedEnhancedCTImageStorage,
        uid.MRImageStorage,
        uid.EnhancedMRImageStorage,
        uid.LegacyConvertedEnhancedMRImageStorage,
        uid.ComputedRadiographyImageStorage,
        uid.DigitalXRayImageStorageForPresentation,
        uid.DigitalXRayImageStorageForProcessing,
        uid.DigitalMammographyXRayImageStorageForPresentation,
        uid.DigitalMammographyXRayImageStorageForProcessing,
        uid.BreastTomosynthesisImageStorage,
        uid.BreastProjectionXRayImageStorageForPresentation,
        uid.BreastProjectionXRayImageStorageForProcessing,
        uid.PositronEmissionTomographyImageStorage,
        uid.EnhancedPETImageStorage,
        uid.XRayAngiographicImageStorage,
        uid.EnhancedXAImageStorage,
        uid.XRayRadiofluoroscopicImageStorage,
        uid.EnhancedXRFImageStorage,
    }
)

_NOT_CLEARED_MODALITIES = frozenset({"US", "IVUS", "ES", "XC", "DOC", "SR", "PR", "KO"})
_SCREEN_WORDS = ("SCREEN", "REPORT", "DOSE")


def check(dataset: Dataset) -> None:
    """Raises Hold for an object that may not be anonymized and sent by rule alone."""
    _check_identity(dataset)
    sop_class = UID(str(dataset.get("SOPClassUID", "")))
    if sop_class not in CLEARED:
        # A name that is the UID itself: the standard does not know it.
        if sop_class.name == sop_class:
            raise Hold(Code.UNKNOWN_SOP_CLASS, f"SOP class {_shown(sop_class)}")
        raise Hold(Code.SOP_CLASS_NOT_CLEARED, sop_class.name)
    modality = str(dataset.get("Modality", "")).strip().upper()
    if modality in _NOT_CLEARED_MODALITIES:
        raise Hold(Code.SOP_CLASS_NOT_CLEARED, f"modality {modality}")
    burned_in = str(dataset.get("BurnedInAnnotation", "") or "").strip().upper()
    if burned_in not in {"", "NO"}:
        raise Hold(Code.BURNED_IN_TEXT, "BurnedInAnnotation is not NO")
    image_type = str(dataset.get("ImageType", "") or "").upper()
    if any(word in image_type for word in _SCREEN_WORDS):
        raise Hold(Code.BURNED_IN_TEXT, "ImageType says that it is a picture of a screen")


def _check_identity(dataset: Dataset) -> None:
    if not str(dataset.get("PatientID", "") or "").strip():
        raise Hold(Code.NO_PATIENT_ID, "PatientID is empty or missing")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        value = str(dataset.get(keyword, "") or "")
        if not UID(value).is_valid:
            raise Hold(Code.NO_UID, f"{keyword} is missing or is no UID")


def _shown(sop_class: str) -> str:
    """A UID of an unknown class goes into the detail only where it is one: it is foreign text."""
    return sop_class if UID(sop_class).is_valid else "that is no UID"
