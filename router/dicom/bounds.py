"""Whether a file's header is small and regular enough to be parsed at once.

pydicom makes about 700 bytes of each item of eight: 13 MB of empty items take more memory than the
router has, and a deflated data set of 0.9 MB can hold 900. So an original is walked over first,
without making anything of it (PS3.5, section 7). What is plain here is read by the router itself;
all else is read once in a process of its own, with limits, before the router does.

A walk that disagrees with the parser would be a hole. So it is strict: whatever it does not fully
understand is not plain, and the process that then decides uses the parser itself.
"""

from __future__ import annotations

import struct

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

#: Elements and items that any header may have. An enhanced CT of 1,000 frames has some 60,000.
MOST_ELEMENTS = 100_000
#: Single values of its elements (a contour has many in one).
MOST_VALUES = 1_000_000
#: Up to here a header is plain: 20 MB when it is parsed.
PLAIN_ELEMENTS = 20_000
#: Bytes of values that a parser splits into single ones; half a million at most, 50 MB.
PLAIN_VALUE_BYTES = 1 << 20
#: Items in items; images need five.
_PLAIN_DEPTH = 12

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_GROUP = 0x7FE0
_META_START = 132
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))  # fmt: skip
#: Kept as bytes, however long they are. (UN is parsed as what the dictionary says of its tag.)
_BULK = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"))
_SHORT = frozenset((
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN",
    b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
))  # fmt: skip
_TAG = struct.Struct("<HH")
_LENGTH = struct.Struct("<L")
_SHORT_LENGTH = struct.Struct("<H")


class _NotPlain(Exception):
    """The walk met something that it does not fully understand, or too much of it."""


def is_plain(view: memoryview) -> bool:
    """Whether parsing the file takes less than about 80 MB, however it was made.

    ``False`` says nothing against it: it is large, or written in an unusual way.
    """
    return count(view) is not None


def count(view: memoryview) -> int | None:
    """How many elements and items a plain file has; ``None``: it is not plain."""
    try:
        offset, implicit = _data_set(view)
        return _Walk(view, implicit=implicit).data_set(offset)
    except (_NotPlain, struct.error, IndexError):
        return None


def transfer_syntax(view: memoryview) -> str | None:
    """The Transfer Syntax UID of the file header; ``None`` where it cannot be told."""
    try:
        return _transfer_syntax(view)[1]
    except (_NotPlain, struct.error, IndexError):
        return None


def _data_set(view: memoryview) -> tuple[int, bool]:
    """Where the data set begins, and whether its VRs are implicit."""
    offset, syntax = _transfer_syntax(view)
    if syntax in {DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, None}:
        raise _NotPlain
    return offset, syntax == ImplicitVRLittleEndian


def _transfer_syntax(view: memoryview) -> tuple[int, str | None]:
    """Where the data set begins, and its transfer syntax."""
    if bytes(view[_META_START - 4 : _META_START]) != b"DICM":
        raise _NotPlain
    offset, syntax = _META_START, None
    while offset + 8 <= len(view):
        group, element = _TAG.unpack_from(view, offset)
        if group != 2:  # noqa: PLR2004  (group 0002 is the file header, PS3.10, 7.1)
            return offset, syntax
        offset, vr, first, end = _explicit(view, offset)
        if (element, vr) == (0x10, b"UI"):
            syntax = bytes(view[first:end]).rstrip(b"\0 ").decode("ascii", "replace")
    raise _NotPlain


def _explicit(view: memoryview, offset: int) -> tuple[int, bytes, int, int]:
    """``(next, VR, first, end)`` of an element in explicit VR; a value of undefined length ends
    where it begins.
    """
    vr = bytes(view[offset + 4 : offset + 6])
    if vr in _LONG:
        (length,) = _LENGTH.unpack_from(view, offset + 8)
        first = offset + 12
    elif vr in _SHORT:
        (length,) = _SHORT_LENGTH.unpack_from(view, offset + 6)
        first = offset + 8
    else:
        raise _NotPlain
    if length == _UNDEFINED:
        return first, vr, first, -1
    if first + length > len(view):
        raise _NotPlain
    return first + length, vr, first, first + length


class _Walk:
    """Counts what a parser would make of a data set."""

    def __init__(self, view: memoryview, *, implicit: bool) -> None:
        self._view = view
        self._implicit = implicit
        self._elements = 0
        self._value_bytes = 0

    def data_set(self, offset: int) -> int:
        """How many elements and items there are from ``offset`` to the end."""
        self._level(offset, len(self._view), 0, closed=False)
        return self._elements

    def _count(self, value_bytes: int = 0) -> None:
        self._elements += 1
        self._value_bytes += value_bytes
        if self._elements > PLAIN_ELEMENTS or self._value_bytes > PLAIN_VALUE_BYTES:
            raise _NotPlain

    def _level(self, offset: int, end: int, depth: int, *, closed: bool) -> int:
        """Walks over the elements of a data set or item; ``closed``: a delimiter ends it."""
        if depth > _PLAIN_DEPTH:
            raise _NotPlain
        before = -1
        while offset < end:
            group, element = _TAG.unpack_from(self._view, offset)
            tag = group << 16 | element
            if closed and tag == _ITEM_END:
                return offset + 8
            if tag <= before or group in {0, 2, 0xFFFE, 0xFFFF}:
                raise _NotPlain
            before = tag
            offset = self._element(offset, end, group, depth)
        if closed or offset != end:
            raise _NotPlain
        return offset

    def _element(self, offset: int, end: int, group: int, depth: int) -> int:
        if self._implicit:
            # What has no VR may be anything that the dictionary says; a sequence shows itself.
            vr, first = b"", offset + 8
            if bytes(self._view[offset + 4 : offset + 6]).isupper():
                raise _NotPlain  # a length that looks like a VR: parsers guess
            (length,) = _LENGTH.unpack_from(self._view, offset + 4)
            after = first + length
        else:
            after, vr, first, last = _explicit(self._view, offset)
            length = _UNDEFINED if last < 0 else last - first
        if group == _PIXEL_GROUP and depth == 0 and vr in {b"", b"OB", b"OW", b"OF", b"OD"}:
            self._count()
            return self._fragments(first) if length == _UNDEFINED else self._within(after, end)
        if (
            vr == b"SQ"
            or length == _UNDEFINED
            or (not vr and self._looks_like_items(first, length))
        ):
            if vr not in {b"SQ", b""}:
                raise _NotPlain
            self._count()
            return self._items(first, None if length == _UNDEFINED else after, end, depth)
        self._count(0 if vr in _BULK else length)
        return self._within(after, end)

    @staticmethod
    def _within(offset: int, end: int) -> int:
        if offset > end:
            raise _NotPlain
        return offset

    def _looks_like_items(self, first: int, length: int) -> bool:
        return length >= 8 and self._tag(first) == _ITEM  # noqa: PLR2004  (the head of an item)

    def _tag(self, offset: int) -> int:
        group, element = _TAG.unpack_from(self._view, offset)
        return int(group) << 16 | int(element)

    def _items(self, offset: int, last: int | None, end: int, depth: int) -> int:
        """Walks over the items of a sequence; ``last``: where it ends, if that is said."""
        limit = end if last is None else self._within(last, end)
        while offset < limit:
            tag = self._tag(offset)
            (length,) = _LENGTH.unpack_from(self._view, offset + 4)
            offset += 8
            if last is None and tag == _SEQUENCE_END:
                return offset
            if tag != _ITEM:
                raise _NotPlain
            self._count()
            if length == _UNDEFINED:
                offset = self._level(offset, limit, depth + 1, closed=True)
            else:
                offset = self._level(
                    offset, self._within(offset + length, limit), depth + 1, closed=False
                )
        if last is None:
            raise _NotPlain
        return offset

    def _fragments(self, offset: int) -> int:
        """Passes over encapsulated pixels (PS3.5, A.4), which a parser leaves where they are."""
        while True:
            tag = self._tag(offset)
            (length,) = _LENGTH.unpack_from(self._view, offset + 4)
            offset += 8
            if tag == _SEQUENCE_END:
                return offset
            if tag != _ITEM or length == _UNDEFINED:
                raise _NotPlain
            offset += length
