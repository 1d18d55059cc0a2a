"""What the plan asks the standard's dictionaries of tags and UIDs."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_has_tag
from pydicom.uid import UID

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

#: UIDs of the standard itself: SOP classes, transfer syntaxes, well-known instances.
_STANDARD_ROOT = "1.2.840.10008."
#: Of the groups of codes (PS3.6, table A-3), by their numbers.
_CONTEXT_GROUP = re.compile(r"1\.2\.840\.10008\.6\.1\.[0-9]{1,4}")


@lru_cache(maxsize=4096)
def is_of_the_standard(uid: str) -> bool:
    """Whether a UID is one of PS3.6: of a class, a syntax, a scheme of codes.

    Its root alone says nothing: there are devices that make the UIDs of their images by adding
    numbers to that of the class.
    """
    return uid.startswith(_STANDARD_ROOT) and (
        UID(uid).name != uid or _CONTEXT_GROUP.fullmatch(uid) is not None
    )


def is_overlay_or_curve(tag: BaseTag) -> bool:
    """Whether a tag is of the repeating groups 50xx and 60xx: pictures, in which anything is drawn."""
    return tag.group & 0xFF00 in {0x5000, 0x6000}


def is_unknown(tag: BaseTag) -> bool:
    """Whether a tag is neither private nor in the data dictionary: nobody can say what it holds."""
    return not tag.is_private and not dictionary_has_tag(tag)
