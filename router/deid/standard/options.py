"""The options of PS3.15 Annex E that can be chosen, and the meanings of their codes (CID 7050)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Option(StrEnum):
    """An option of Annex E, by its code in CID 7050."""

    CLEAN_PIXELS = "113101"
    CLEAN_GRAPHICS = "113103"
    CLEAN_STRUCTURED = "113104"
    CLEAN_DESCRIPTORS = "113105"
    MODIFIED_DATES = "113107"
    PATIENT_CHARACTERISTICS = "113108"
    DEVICE_IDENTITY = "113109"
    SAFE_PRIVATE = "113111"


#: The meanings of CID 7050.
MEANINGS: Mapping[str, str] = {
    "113100": "Basic Application Confidentiality Profile",
    Option.CLEAN_PIXELS: "Clean Pixel Data Option",
    Option.CLEAN_GRAPHICS: "Clean Graphics Option",
    Option.CLEAN_STRUCTURED: "Clean Structured Content Option",
    Option.CLEAN_DESCRIPTORS: "Clean Descriptors Option",
    Option.MODIFIED_DATES: "Retain Longitudinal Temporal Information Modified Dates Option",
    Option.PATIENT_CHARACTERISTICS: "Retain Patient Characteristics Option",
    Option.DEVICE_IDENTITY: "Retain Device Identity Option",
    Option.SAFE_PRIVATE: "Retain Safe Private Option",
}
