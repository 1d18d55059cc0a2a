"""Which private attributes stay (113111)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deid.standard.safe_private import SafeElement

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

_FIRST_BLOCK, _LAST_BLOCK = 0x10, 0xFF


def kept(dataset: Dataset, safe: frozenset[SafeElement]) -> frozenset[BaseTag]:
    """The private attributes of one data set (or item) that stay, with their creators."""
    keep: set[BaseTag] = set()
    if not safe:
        return frozenset()
    for tag in dataset.keys():  # noqa: SIM118  (values of a Dataset would be converted)
        block = tag.element >> 8
        if not tag.is_private or not _FIRST_BLOCK <= block <= _LAST_BLOCK:
            continue
        creator_tag = type(tag)(tag.group << 16 | block)
        creator = str(dataset[creator_tag].value or "").strip() if creator_tag in dataset else ""
        vr = dataset.get_item(tag, keep_deferred=True).VR
        if vr in {None, "UN"}:
            continue  # of unknown VR: nobody can say what its bytes are
        if SafeElement(creator, tag.group, tag.element & 0xFF, vr) in safe:
            keep |= {tag, creator_tag}
    return frozenset(keep)
