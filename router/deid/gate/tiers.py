"""How hard each kind of values is looked for, for the documents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tier:
    """How one kind of values is looked for."""

    values: str
    search: str
    reason: str


#: For the documents: from what may stand nowhere to what only counts as a whole.
TIERS = (
    Tier(
        "names and numbers of 6 letters and more (digits alone: 8 and more), halves of double names, "
        "dates of birth in 28 writings, original UIDs",
        "as bytes in the whole file outside the pixels, with the comments of compressed frames; "
        "as text without case and accents (Müller and Mueller are one), in each character set of the "
        "file",
        "too long to turn up by chance",
    ),
    Tier(
        "names of 2 letters and more; numbers and other identifiers of 3 (digits alone: 4) to 5",
        "as whole words of text, without case and accents",
        "as a part of other words and numbers they turn up everywhere: Li in Lieberkühn",
    ),
    Tier(
        "dates of the examination in 13 writings",
        "as a part of any text; as the whole of a number",
        "among dates a moved one can by chance be another's original",
    ),
    Tier(
        "numbers of the patient of 2 and 3 digits",
        "as the whole of a text of VR LO, LT, ST, UC, UT; as a word of free text that was kept",
        "as words they are versions and slice counts",
    ),
    Tier(
        "names that are words of radiology, of the standard or of its makers (Bone, Hu, Philips)",
        "as words of free text that was kept; as a part of the full name",
        "in codes and names of parts they stand whoever the patient is",
    ),
    Tier(
        "staff, places and machines",
        "as in the first two tiers, unless the value is a part of the maker's or model's name",
        "sites enter the maker as the institution and its engineer as the operator",
    ),
)
