"""A bounded walk over the elements of a DICOM data set: how deep it nests, how much it holds.

It keeps a few numbers a level and no values but UIDs, and is stricter than the standard (PS3.5, 7)
where two parsers could differ: elements ascend, and what looks like a sequence is read as one.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import Enum

#: The truck holds what nests deeper; Orthanc's HTTP threads end at 50.
DEEPEST = 32
#: Elements and items in all. The functional groups of 2,000 frames have some 200,000.
MOST_ELEMENTS = 500_000
#: Of all but pixels, waveforms and documents.
LARGEST_HEADER_BYTES = 64 * 1024 * 1024

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_ITEM_BYTES = b"\xfe\xff\x00\xe0"
_ITEM_GROUP = 0xFFFE
_PIXELS = 0x7FE00010
#: Bytes of a header: tag and length; with a long length (PS3.5, 7.1.2).
HEADER, _LONG_HEADER = 8, 12
_FIRST_GROUP = 8
_SHORT = frozenset({b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO",
                    b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"})  # fmt: skip
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
                   b"UT", b"UV"})  # fmt: skip
_BULK = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"})
#: Not said: Implicit VR.
_NONE = b""

_UID = re.compile(rb"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64

CLASS, SOP, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
SYNTAX = 0x00020010
#: The values that are kept.
WANTED = frozenset({CLASS, SOP, STUDY, SERIES})


class Fault(Enum):
    """Why a file does not go on, as a failure reason (PS3.18, table I.2-2)."""

    #: The archive would not get through it, or what it says can be read in two ways.
    UNSOUND = 0xA900
    #: The truck sends it in Explicit VR Little Endian then.
    SYNTAX = 0xC122


class RefusedFileError(Exception):
    """The file does not go on."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault
        #: Of fixed words: it is logged.
        self.reason = reason


def unsound(reason: str) -> RefusedFileError:
    return RefusedFileError(Fault.UNSOUND, reason)


class _Kind(Enum):
    ROOT = 0
    ITEM = 1
    SEQUENCE = 2
    FRAGMENTS = 3


@dataclass(slots=True)
class _Level:
    kind: _Kind
    #: Where it ends; None: at its delimiter.
    end: int | None
    explicit: bool
    last: int = -1


@dataclass(slots=True)
class _Head:
    """The header of an element."""

    tag: int
    vr: bytes
    #: Bytes of the header itself.
    size: int
    length: int
    start: int


class Walk:
    """Walks over one group of elements: the file meta information, or a data set."""

    def __init__(self, *, explicit: bool, first_group: int = _FIRST_GROUP, end: int | None = None,
                 last: int = -1) -> None:  # fmt: skip
        self.uids: dict[int, str] = {}
        self.elements = 0
        #: Of nested sequences.
        self.deepest = 0
        #: Bytes of a value that come next and are not looked at.
        self.skip = 0
        self._first_group = first_group
        self._header_bytes = 0
        self._depth = 0
        self._levels = [_Level(_Kind.ROOT, end, explicit, last)]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is open."""
        return len(self._levels) == 1 and not self.skip

    def step(self, data: bytes, at: int, position: int) -> int:
        """Reads the header at ``at``; how many bytes it has. 0: more are needed.

        ``position``: of the header in the file. Raises RefusedFileError.
        """
        self.leave(position)
        if len(data) - at < HEADER:
            return 0
        level = self._levels[-1]
        group, element = struct.unpack_from("<HH", data, at)
        tag = group << 16 | element
        if level.kind in {_Kind.SEQUENCE, _Kind.FRAGMENTS}:
            return self._item(level, tag, struct.unpack_from("<L", data, at + 4)[0], position)
        if tag == _ITEM_END and level.kind is _Kind.ITEM and level.end is None:
            if data[at + 4 : at + HEADER] != b"\0\0\0\0":
                raise unsound("a delimiter with a length")
            self._levels.pop()
            return HEADER
        head = _head(level.explicit, tag, data, at, position)
        return 0 if head is None else self._element(level, head, data, at)

    def leave(self, position: int) -> None:
        """Closes each level of a known length that ends here."""
        while len(self._levels) > 1 and self._levels[-1].end == position:
            if self._levels.pop().kind is _Kind.SEQUENCE:
                self._depth -= 1

    def _element(self, level: _Level, head: _Head, data: bytes, at: int) -> int:
        if head.tag <= level.last or head.tag >> 16 == _ITEM_GROUP:
            raise unsound("elements do not ascend")
        if head.tag >> 16 < self._first_group:
            raise unsound("a group that does not belong there")
        self._inside(head.start, head.length)
        if head.length == _UNDEFINED:
            self._endless(level, head)
        elif head.tag in WANTED or head.tag == SYNTAX:
            if not self._uid(head, data[at : at + head.size + head.length]):
                return 0
            level.last = head.tag
            return head.size + head.length
        elif _may_hide_items(head):
            if len(data) - at < head.size + len(_ITEM_BYTES):
                return 0
            if data[at + head.size : at + head.size + len(_ITEM_BYTES)] == _ITEM_BYTES:
                self._nest(head.start + head.length, explicit=False)
            else:
                self._pass(head)
        elif head.vr == b"SQ":
            self._nest(head.start + head.length, explicit=level.explicit)
        else:
            self._pass(head)
        level.last = head.tag
        self._count()
        return head.size

    def _endless(self, level: _Level, head: _Head) -> None:
        """A value that ends at a delimiter: a sequence, or compressed frames."""
        if head.tag == _PIXELS and head.vr in {b"OB", b"OW", _NONE}:
            self._levels.append(_Level(_Kind.FRAGMENTS, None, explicit=True))
        elif head.vr in {b"SQ", b"UN", _NONE}:
            self._nest(None, explicit=level.explicit and head.vr == b"SQ")
        else:
            raise unsound("a value without an end")

    def _pass(self, head: _Head) -> None:
        """The value is not looked at."""
        if head.vr not in _BULK and not _is_pixels(head.tag):
            self._weigh(head.length)
        self.skip = head.length

    def _uid(self, head: _Head, have: bytes) -> bool:
        """Keeps the UID, at the top; whether all of it has come."""
        if head.length > _LONGEST_UID + 2:
            raise unsound("a UID is none")
        if len(have) < head.size + head.length:
            return False
        value = have[head.size :].rstrip(b"\0 ")
        self._count()
        if len(self._levels) == 1:
            if len(value) > _LONGEST_UID or not _UID.fullmatch(value):
                raise unsound("a UID is none")
            self.uids[head.tag] = value.decode()
        return True

    def _item(self, level: _Level, tag: int, length: int, position: int) -> int:
        if tag == _SEQUENCE_END and level.end is None:
            if length:
                raise unsound("a delimiter with a length")
            if self._levels.pop().kind is _Kind.SEQUENCE:
                self._depth -= 1
            return HEADER
        if tag != _ITEM:
            raise unsound("something else than an item")
        self._count()
        self._inside(position + HEADER, length)
        if level.kind is _Kind.SEQUENCE:
            end = None if length == _UNDEFINED else position + HEADER + length
            self._levels.append(_Level(_Kind.ITEM, end, level.explicit))
            self._weigh(HEADER)
        elif length == _UNDEFINED:
            raise unsound("a value without an end")
        else:
            self.skip = length
        return HEADER

    def _nest(self, end: int | None, *, explicit: bool) -> None:
        self._depth += 1
        self.deepest = max(self.deepest, self._depth)
        if self._depth > DEEPEST:
            raise unsound("sequences nest too deep")
        self._levels.append(_Level(_Kind.SEQUENCE, end, explicit))

    def _inside(self, start: int, length: int) -> None:
        """What begins in something of a known length ends in it."""
        last = start if length == _UNDEFINED else start + length
        if any(level.end is not None and last > level.end for level in self._levels):
            raise unsound("something ends behind what it is in")

    def _count(self) -> None:
        self.elements += 1
        if self.elements > MOST_ELEMENTS:
            raise unsound("too many elements")

    def _weigh(self, length: int) -> None:
        self._header_bytes += length
        if self._header_bytes > LARGEST_HEADER_BYTES:
            raise unsound("the header is too large")


def _head(explicit: bool, tag: int, data: bytes, at: int, position: int) -> _Head | None:  # noqa: FBT001
    """The header at ``at``; None: more of it is needed."""
    if not explicit:
        length = struct.unpack_from("<L", data, at + 4)[0]
        return _Head(tag, _NONE, HEADER, length, position + HEADER)
    vr = data[at + 4 : at + 6]
    if vr in _SHORT:
        length = struct.unpack_from("<H", data, at + 6)[0]
        return _Head(tag, vr, HEADER, length, position + HEADER)
    if tag >> 16 == _ITEM_GROUP:
        raise unsound("an item outside of a sequence")
    if vr not in _LONG:
        raise unsound("an unknown value representation")
    if len(data) - at < _LONG_HEADER:
        return None
    length = struct.unpack_from("<L", data, at + HEADER)[0]
    return _Head(tag, vr, _LONG_HEADER, length, position + _LONG_HEADER)


def _may_hide_items(head: _Head) -> bool:
    """Whether another parser may take the value for a sequence: by its dictionary, or of UN."""
    return head.vr in {b"UN", _NONE} and head.length >= HEADER and not _is_pixels(head.tag)


def _is_pixels(tag: int) -> bool:
    """Pixels and overlays: any bytes at all may begin them."""
    group, element = tag >> 16, tag & 0xFFFF
    return group == _PIXELS >> 16 or (group & 0xFF01, element) == (0x6000, 0x3000)
