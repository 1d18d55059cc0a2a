"""A reader of data sets of the gate's own: where each element lies, at every depth.

The plan reads files with pydicom. The gate reads them itself (PS3.5, section 7), so that what one
reader overlooks the other finds; and it touches each element once, so that a thousand frames with
their functional groups are read in a fraction of a second.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from pydicom.uid import UID

_LONG_HEADS = frozenset(
    vr.encode() for vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
)  # fmt: skip
_VRS = {
    vr.encode(): vr
    for vr in (
        "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OD", "OF",
        "OL", "OV", "OW", "PN", "SH", "SL", "SQ", "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UN",
        "UR", "US", "UT", "UV",
    )
}  # fmt: skip
_UNDEFINED = 0xFFFFFFFF
_SHORTEST = 8  # bytes of an element without a value
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


class Element(NamedTuple):
    """An element of a data set."""

    tag: int
    #: The VR that the file gives; in implicit VR the dictionary's.
    vr: str
    start: int
    end: int
    #: The items of a sequence; ``None``: it is none.
    items: list[Level] | None


#: The elements of a data set or an item, by tag.
Level: TypeAlias = "dict[int, Element]"


@lru_cache(maxsize=8192)
def known_vr(tag: int) -> str:
    """The VR of the dictionary, the first where it gives a choice; UN for what it does not hold."""
    return dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else "UN"


def scan(view: memoryview, offset: int, syntax: UID, deepest: int, *, strict: bool) -> Level:
    """The elements of the data set that begins at ``offset``.

    ``strict``: as a copy must be. An original may have elements out of order and a few bytes
    behind its last one.

    Raises Hold (GATE_UNREADABLE) where it cannot be read to its end, or (strict) an element comes
    twice or out of order, and (NESTING_TOO_DEEP).
    """
    reader = _Reader(view, deepest, big=syntax == ExplicitVRBigEndian, strict=strict)
    try:
        level, _ = reader.level(
            offset, len(view), 0, implicit=syntax == ImplicitVRLittleEndian, closed=False
        )
    except (struct.error, IndexError):
        raise _broken("it ends too early") from None
    return level


def items_in(value: bytes, deepest: int) -> list[Level] | None:
    """The items of a value that is a sequence in implicit VR, under whatever VR it was sent.

    ``None``: it is none.
    """
    reader = _Reader(memoryview(value), deepest, big=False, strict=False)
    try:
        return reader.items(0, len(value), 1, implicit=True)[0]
    except (Hold, struct.error, IndexError):
        return None


def _broken(why: str) -> Hold:
    return Hold(Code.GATE_UNREADABLE, why)


#: VRs whose value may be a sequence, whatever its length.
_MAY_HOLD_ITEMS = frozenset({"SQ", "UN"})


class _Reader:
    def __init__(self, view: memoryview, deepest: int, *, big: bool, strict: bool) -> None:
        self._view = view
        self._strict = strict
        self._deepest = deepest
        mark = ">" if big else "<"
        self._head = struct.Struct(f"{mark}HH2sH").unpack_from
        self._plain = struct.Struct(f"{mark}HHL").unpack_from
        self._length = struct.Struct(f"{mark}L").unpack_from

    def level(  # noqa: C901  (one loop, for speed: PS3.5, 7.1 in a page)
        self, at: int, end: int, depth: int, *, implicit: bool, closed: bool
    ) -> tuple[Level, int]:
        """The elements from ``at`` to ``end``, or (closed) to the item's own delimiter."""
        if depth > self._deepest:
            raise Hold(Code.NESTING_TOO_DEEP, f"deeper than {self._deepest} levels")
        found: Level = {}
        last = -1
        while at < end:
            if depth == 0 and not self._strict and end - at < _SHORTEST:
                break
            group, number, vr_bytes, short = self._head(self._view, at)
            tag = group << 16 | number
            if group == 0xFFFE:  # noqa: PLR2004  (PS3.5, 7.5: items and delimiters)
                if closed and tag == _ITEM_END:
                    return found, at + 8
                raise _broken("an item stands where an element should")
            if tag <= last and self._strict:
                raise _broken("elements are not in order")
            last = tag
            if implicit:
                vr, inner_implicit = known_vr(tag), True
                (length,) = self._length(self._view, at + 4)
                at += 8
            else:
                vr, length, at = self._explicit(tag, at, vr_bytes, short)
                inner_implicit = vr == "UN"
            items: list[Level] | None = None
            start = at
            if length == _UNDEFINED or vr in _MAY_HOLD_ITEMS:
                items, at = self._holding(tag, vr, at, length, depth, implicit=inner_implicit)
            else:
                at += length
            if at > end:
                raise _broken(f"({tag:08x}) is longer than what holds it")
            found[tag] = Element(tag, vr, start, at, items)
        if closed:
            raise _broken("an item does not end")
        return found, at

    def _explicit(self, tag: int, at: int, vr_bytes: bytes, short: int) -> tuple[str, int, int]:
        """VR and length of an element with explicit VR (PS3.5, 7.1.2), and where its value is."""
        vr = _VRS.get(vr_bytes, "")
        if not vr:
            raise _broken(f"({tag:08x}) has no VR")
        if vr_bytes in _LONG_HEADS:
            return vr, self._length(self._view, at + 8)[0], at + 12
        return vr, short, at + 8

    def _holding(
        self, tag: int, vr: str, at: int, length: int, depth: int, *, implicit: bool
    ) -> tuple[list[Level] | None, int]:
        """The items of a value that may hold some, and where it ends."""
        if vr == "SQ" or (length == _UNDEFINED and tag not in _PIXELS):
            return self.items(at, length, depth + 1, implicit=implicit)
        if length == _UNDEFINED:
            return None, self._fragments(at)
        if vr == "UN" and length and known_vr(tag) == "SQ":
            return self.items(at, length, depth + 1, implicit=True)[0], at + length
        return None, at + length

    def items(self, at: int, length: int, depth: int, *, implicit: bool) -> tuple[list[Level], int]:
        end = len(self._view) if length == _UNDEFINED else at + length
        if end > len(self._view):
            raise _broken("a sequence is longer than the file")
        items: list[Level] = []
        while at < end:
            group, number, size = self._plain(self._view, at)
            tag = group << 16 | number
            at += 8
            if tag == _SEQUENCE_END and length == _UNDEFINED:
                return items, at
            if tag != _ITEM:
                raise _broken("something else than an item stands in a sequence")
            closed = size == _UNDEFINED
            level, at = self.level(
                at, end if closed else at + size, depth, implicit=implicit, closed=closed
            )
            items.append(level)
        if length == _UNDEFINED or at != end:
            raise _broken("a sequence does not end where it says")
        return items, at

    def _fragments(self, at: int) -> int:
        while True:
            group, number, size = self._plain(self._view, at)
            at += 8 + size
            tag = group << 16 | number
            if tag == _SEQUENCE_END:
                return at
            if tag != _ITEM:
                raise _broken("its compressed pixels do not end")
