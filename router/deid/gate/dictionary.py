"""What the gate asks the standard's dictionaries of tags and UIDs."""

from __future__ import annotations

from functools import lru_cache

from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary

#: The groups of codes: 1.2.840.10008.6.1.N (PS3.6, table A-3).
_GROUPS_OF_CODES = "1.2.840.10008.6.1."
_MOST_DIGITS = 4


@lru_cache(maxsize=4096)
def is_public_uid(uid: str) -> bool:
    """Whether a UID stands in PS3.6, and so belongs to no patient and no device."""
    if uid in UID_dictionary:
        return True
    number = uid.removeprefix(_GROUPS_OF_CODES)
    return number != uid and number.isdecimal() and number.isascii() and len(number) <= _MOST_DIGITS


def is_drawn(tag: int) -> bool:
    """Whether a tag is of an overlay (60xx) or a curve (50xx)."""
    return tag >> 24 in {0x50, 0x60}


def is_undefined(tag: int) -> bool:
    """Whether the standard does not say what the tag of an even group holds."""
    return not tag >> 16 & 1 and tag not in DicomDictionary
