"""Whether an image is for a reader's eyes or for a machine's work: said in one place for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.uid import UID

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FOR_PRESENTATION: Final = "FOR PRESENTATION"
FOR_PROCESSING: Final = "FOR PROCESSING"


def presentation_intent(dataset: Dataset) -> str:
    """Presentation Intent Type (0008,0068), or what the SOP class says; empty: neither does."""
    value = dataset.get("PresentationIntentType")
    for said in [value] if isinstance(value, str) else value or ():
        if text := str(said).strip(" \0"):
            return text.upper()
    name = UID(str(dataset.get("SOPClassUID") or "")).name.upper()
    return next((intent for intent in (FOR_PRESENTATION, FOR_PROCESSING) if intent in name), "")


def is_for_processing(dataset: Dataset) -> bool:
    """Whether it is a raw image, which nobody reads as it is."""
    return presentation_intent(dataset) == FOR_PROCESSING
