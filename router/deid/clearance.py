"""Which objects may go on at all: those whose content the profile can make safe.

A SOP class that is not listed here is held. An image can carry text in its pixels, a report or a
document carries it in its content; where nobody has said that a kind of object is safe, a person
looks at it first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pydicom import uid
from pydicom.uid import UID

from router import part10
from router.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset, FileDataset

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


@dataclass(frozen=True)
class Policy:
    """Under what a person may release a held instance. The gate stays where it is."""

    meaning: str
    #: What the person has answered for.
    clears: frozenset[Code] = frozenset()


#: By name. The empty name stands for the shipped rules, for instances that nobody released.
POLICIES: dict[str, Policy] = {
    "": Policy("The shipped rules."),
    "retry": Policy("What was in the way is mended: try again under the shipped rules."),
    "pixels-checked": Policy(
        "A person has looked at every frame and found nothing in it that identifies the patient.",
        frozenset({Code.BURNED_IN_TEXT, Code.SOP_CLASS_NOT_CLEARED, Code.HELD_BY_RULE}),
    ),
}

_NOT_CLEARED_MODALITIES = frozenset({"US", "IVUS", "ES", "XC", "DOC", "SR", "PR", "KO"})
_UID = re.compile(r"[0-9.]{1,64}")
_SCREEN_WORDS = ("SCREEN", "REPORT", "DOSE")


def check(dataset: FileDataset, policy: Policy = POLICIES[""]) -> None:
    """Raises Hold for an object that may not be anonymized and sent under the policy."""
    _check_encoding(dataset)
    _check_identity(dataset)
    for hold in _objections(dataset):
        # Only pixels can be cleared by looking at them: a report has to be read by a machine.
        if hold.code not in policy.clears or "PixelData" not in dataset:
            raise hold
    _check_complete(dataset)


def _objections(dataset: FileDataset) -> Iterator[Hold]:
    """What speaks against the kind of object and against its pixels."""
    sop_class = UID(str(dataset.get("SOPClassUID", "")))
    if sop_class not in CLEARED:
        # A name that is the UID itself: the standard does not know it.
        if sop_class.name == sop_class:
            yield Hold(Code.UNKNOWN_SOP_CLASS, f"SOP class {_shown(sop_class)}")
        else:
            yield Hold(Code.SOP_CLASS_NOT_CLEARED, sop_class.name)
    modality = str(dataset.get("Modality", "")).strip().upper()
    if modality in _NOT_CLEARED_MODALITIES:
        yield Hold(Code.SOP_CLASS_NOT_CLEARED, f"modality {modality}")
    burned_in = str(dataset.get("BurnedInAnnotation", "") or "").strip().upper()
    if burned_in not in {"", "NO"}:
        yield Hold(Code.BURNED_IN_TEXT, "BurnedInAnnotation is not NO")
    if str(dataset.get("SamplesPerPixel") or 1) != "1" or dataset.get("ConversionType"):
        yield Hold(
            Code.BURNED_IN_TEXT, "it is a picture in colour or of a screen, not a detector's"
        )
    image_type = str(dataset.get("ImageType", "") or "").upper()
    if any(word in image_type for word in _SCREEN_WORDS):
        yield Hold(Code.BURNED_IN_TEXT, "ImageType says that it is a picture of a screen")


def _check_encoding(dataset: FileDataset) -> None:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None or syntax.is_private or not syntax.is_transfer_syntax:
        raise Hold(Code.ENCODING_NOT_CLEARED, "its transfer syntax is not one of the standard's")
    for group in range(0x6000, 0x6020, 2):
        position = dataset.get((group, 0x0102))
        if position is not None and position.value:
            # An overlay in the unused bits of the pixels would stay when its group goes.
            raise Hold(Code.ENCODING_NOT_CLEARED, "an overlay is hidden in its pixels")


def _check_complete(dataset: FileDataset) -> None:
    """A transfer that broke off leaves fewer pixels than the header says; Orthanc stores it so."""
    native = part10.native_pixel_bytes(dataset)
    if native is None:
        return
    present = cast("RawDataElement", dataset.get_item("PixelData", keep_deferred=True)).length
    if present < native:
        raise Hold(Code.UNREADABLE, "it has fewer pixels than its header says")


def _check_identity(dataset: Dataset) -> None:
    if not str(dataset.get("PatientID", "") or "").strip():
        raise Hold(Code.NO_PATIENT_ID, "PatientID is empty or missing")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        value = str(dataset.get(keyword, "") or "")
        # Also one that breaks a rule of PS3.5 (a leading zero): it is replaced anyway.
        if not _UID.fullmatch(value):
            raise Hold(Code.NO_UID, f"{keyword} is missing or is no UID")


def _shown(sop_class: str) -> str:
    """A UID of an unknown class goes into the detail only where it is one: it is foreign text."""
    return sop_class if UID(sop_class).is_valid else "that is no UID"
