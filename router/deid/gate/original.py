"""Reads the values of an original of which none may leave."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

from router.deid.profile import DEEPEST_NESTING
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

_PIXEL_GROUP = 0x7FE0


def elements(dataset: Dataset, depth: int, seen: set[tuple[int, bytes]]) -> Iterator[DataElement]:
    """Every element of an original, but the pixels; of sequences that repeat byte by byte one.

    Raises Hold (NESTING_TOO_DEEP, UNREADABLE).
    """
    if depth > DEEPEST_NESTING:
        raise Hold(Code.NESTING_TOO_DEEP, f"deeper than {DEEPEST_NESTING} levels")
    for tag in dataset.keys():  # noqa: SIM118  (values of a Dataset would be converted)
        if tag.group == _PIXEL_GROUP and depth == 0:
            continue
        raw = cast("DataElement | RawDataElement", dataset.get_item(tag, keep_deferred=True))
        if depth and isinstance(raw, RawDataElement) and raw.VR == "SQ" and raw.value is not None:
            if (tag, raw.value) in seen:
                continue
            seen.add((tag, raw.value))
        try:
            element = dataset[tag]
        except (BytesLengthException, ValueError, TypeError, NotImplementedError) as error:
            raise Hold(Code.UNREADABLE, f"{tag} breaks its VR ({type(error).__name__})") from None
        yield element
        if element.VR == "SQ":
            for item in element.value or ():
                yield from elements(item, depth + 1, seen)


def texts(element: DataElement) -> list[str]:
    """The values of an element as text; none for bytes and sequences."""
    value = element.value
    if value is None or element.VR == "SQ" or isinstance(value, bytes):
        return []
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    texts = (str(v).strip(" \0") for v in values)
    return [text for text in texts if text]


def vrs(element: DataElement) -> frozenset[str]:
    """The VR that the file gives and the one of the standard: senders put names under others."""
    return _vrs(int(element.tag), element.VR)


@lru_cache(maxsize=4096)
def _vrs(tag: int, sent: str) -> frozenset[str]:
    return frozenset({sent, dictionary_VR(tag) if dictionary_has_tag(tag) else sent})
