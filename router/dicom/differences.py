"""What anonymization changed in a file: for people who check it, attribute by attribute."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.datadict import keyword_for_tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_LINE, _MARGIN = 18, 8
_INK, _PAPER = (235, 235, 235), (24, 24, 24)


class What(StrEnum):
    """What became of an attribute."""

    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    ADDED = "added"
    KEPT = "kept"


@dataclass(frozen=True)
class Change:
    """One attribute. Its values are never named: they may identify."""

    #: Keywords (or tags, where there is none) from the top level on, with places in sequences.
    path: str
    what: What


def changes(original: Dataset, copy: Dataset, within: str = "") -> Iterator[Change]:
    """Every attribute of either file but the pixels, at every depth, in order of tags."""
    for tag in sorted({*original.keys(), *copy.keys()}):
        if tag in _PIXELS:
            continue
        path = within + _name(tag)
        if tag not in copy:
            yield Change(path, What.REMOVED)
        elif tag not in original:
            yield Change(path, What.ADDED)
        elif original[tag].VR == copy[tag].VR == "SQ":
            yield from _in_items(original[tag].value, copy[tag].value, path)
        else:
            yield Change(path, _became(original[tag].value, copy[tag].value))


def _in_items(
    originals: Sequence[Dataset], copies: Sequence[Dataset], path: str
) -> Iterator[Change]:
    if originals and not copies:
        yield Change(path, What.EMPTIED)
    elif len(originals) != len(copies):
        yield Change(path, What.REPLACED)
    else:
        for place, (original, copy) in enumerate(zip(originals, copies, strict=True)):
            yield from changes(original, copy, f"{path}[{place}].")


def _became(before: object, after: object) -> What:
    if str(before) == str(after):
        return What.KEPT
    return What.REPLACED if after not in (None, "", b"") else What.EMPTIED


def _name(tag: BaseTag) -> str:
    return keyword_for_tag(tag) or str(tag)


def summary(found: Sequence[Change], *, same_pixels: bool | None) -> list[str]:
    """How many attributes became what, and whether the pixels are the same; ``None``: unknown."""
    counts = Counter(change.what for change in found)
    lines = [f"{counts[what]} attributes {what}" for what in What]
    pixels = {True: "the same", False: "NOT the same", None: "not compared"}[same_pixels]
    return [*lines, f"pixels: {pixels}"]


def picture(
    original: NDArray[np.uint8], copy: NDArray[np.uint8], lines: Sequence[str]
) -> NDArray[np.uint8]:
    """Two grey panels side by side with lines of text below, RGB."""
    height = max(original.shape[0], copy.shape[0])
    width = original.shape[1] + copy.shape[1] + _MARGIN
    image = Image.new("RGB", (width, height + 2 * _MARGIN + _LINE * len(lines)), _PAPER)
    image.paste(Image.fromarray(original), (0, 0))
    image.paste(Image.fromarray(copy), (original.shape[1] + _MARGIN, 0))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=13)
    for number, text in enumerate(lines):
        draw.text((_MARGIN, height + _MARGIN + number * _LINE), text, fill=_INK, font=font)
    return np.asarray(image)
