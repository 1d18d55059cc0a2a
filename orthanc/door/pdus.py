"""PDUs of the DICOM upper layer (PS3.8, 9.3), as far as a door needs them. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

#: Type, reserved byte, length of what follows.
HEADER_BYTES = 6
#: 128 presentation contexts with some fifteen transfer syntaxes each take half of it.
LARGEST_REQUEST = 128 * 1024
#: Orthanc takes PDUs of 16 KiB, or as it is set, up to 128 KiB.
LARGEST_PDU = 1024 * 1024

_FIXED_BYTES = 68  #: Protocol version, two AE titles and the reserved bytes of an A-ASSOCIATE-RQ
_AE_BYTES = 16
_CONTEXT_NAME = b"1.2.840.10008.3.1.1.1"
#: Storage Commitment Push Model: Orthanc accepts it from everybody, and then aborts the association
#: of who asks. Who is refused the context knows that nobody commits here.
_UNSERVED = frozenset({b"1.2.840.10008.1.20.1"})
_MOST_CONTEXTS = 128
_CONTEXT_BYTES = 4  #: Of a presentation context before its items: id, result, reserved bytes
_NO_SUCH_SYNTAX = 3  #: Result: abstract syntax not supported
_LAST_FRAGMENT = 0x02
_PDV_HEADER = 6  #: Length, context id, message control header
_PDV_LEAST = 2  #: Of which so many are counted by the length


class Kind(IntEnum):
    """PDU types."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class Item(IntEnum):
    """Items of an A-ASSOCIATE-RQ, and of the answer."""

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT = 0x20
    USER_INFORMATION = 0x50
    ANSWERED_CONTEXT = 0x21  #: of an A-ASSOCIATE-AC
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40


class Malformed(Exception):
    """What came is not what PS3.8 allows there."""


@dataclass(frozen=True)
class Rejection:
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8, table 9-21)."""

    result: int
    source: int
    reason: int

    def pdu(self) -> bytes:
        """The ten bytes of it."""
        return struct.pack(">BxLxBBB", Kind.ASSOCIATE_RJ, 4, self.result, self.source, self.reason)


APPLICATION_CONTEXT_NOT_SUPPORTED = Rejection(1, 1, 2)
CALLING_AE_NOT_RECOGNIZED = Rejection(1, 1, 3)
CALLED_AE_NOT_RECOGNIZED = Rejection(1, 1, 7)
PROTOCOL_VERSION_NOT_SUPPORTED = Rejection(1, 2, 2)
TEMPORARY_CONGESTION = Rejection(2, 3, 1)
LOCAL_LIMIT_EXCEEDED = Rejection(2, 3, 2)

#: A-ABORT by the service provider (PS3.8, table 9-26): invalid value of a PDU's parameter.
ABORT_INVALID = struct.pack(">BxLxxBB", Kind.ABORT, 4, 2, 6)
#: The same: no reason given.
ABORT = struct.pack(">BxLxxBB", Kind.ABORT, 4, 2, 0)


@dataclass(frozen=True)
class Request:
    """An A-ASSOCIATE-RQ. AE titles are without their padding."""

    protocol_version: int
    called: str
    calling: str
    application_context: bytes
    contexts: int
    #: Ids of the presentation contexts that Orthanc would accept and does not serve.
    unserved: frozenset[int]

    @property
    def rejection(self) -> Rejection | None:
        """Why nobody could accept it, whoever asks; None: it may be passed on."""
        if not self.protocol_version & 1:
            return PROTOCOL_VERSION_NOT_SUPPORTED
        if self.application_context != _CONTEXT_NAME:
            return APPLICATION_CONTEXT_NOT_SUPPORTED
        return None


def request_length(head: bytes) -> int | None:
    """Bytes of the whole A-ASSOCIATE-RQ that begins so; None: too little came to say.

    Raises Malformed as soon as it cannot become one.
    """
    if head and head[0] != Kind.ASSOCIATE_RQ:
        raise Malformed("another PDU came first")
    if len(head) < HEADER_BYTES:
        return None
    (length,) = struct.unpack_from(">L", head, 2)
    if not _FIXED_BYTES <= length <= LARGEST_REQUEST - HEADER_BYTES:
        raise Malformed("no sane length")
    return HEADER_BYTES + int(length)


def request(pdu: bytes) -> Request:
    """What a whole A-ASSOCIATE-RQ says. Raises Malformed."""
    if request_length(pdu) != len(pdu):
        raise Malformed("its length is not its own")
    (version,) = struct.unpack_from(">H", pdu, HEADER_BYTES)
    called = _ae_title(pdu[10:26])
    calling = _ae_title(pdu[26:42])
    application_context, contexts, users = b"", 0, 0
    unserved: set[int] = set()
    for kind, value in _items(pdu, HEADER_BYTES + _FIXED_BYTES):
        if kind == Item.APPLICATION_CONTEXT:
            application_context = value.rstrip(b"\0 ")
        elif kind == Item.PRESENTATION_CONTEXT:
            contexts += 1
            if _abstract_syntax(value) in _UNSERVED:
                unserved.add(value[0])
        elif kind == Item.USER_INFORMATION:
            users += 1
            for _ in _items(value, 0):
                pass
    if not 1 <= contexts <= _MOST_CONTEXTS or users != 1:
        raise Malformed("not the items of a request")
    return Request(version, called, calling, application_context, contexts, frozenset(unserved))


def answer_length(head: bytes) -> int | None:
    """Bytes of the whole A-ASSOCIATE-AC that begins so; 0: it is another PDU, or a senseless one.

    None: too little came to say.
    """
    if head and head[0] != Kind.ASSOCIATE_AC:
        return 0
    if len(head) < HEADER_BYTES:
        return None
    (length,) = struct.unpack_from(">L", head, 2)
    return HEADER_BYTES + int(length) if _FIXED_BYTES <= length <= LARGEST_PDU else 0


def refuse_contexts(answer: bytes, ids: frozenset[int]) -> bytes:
    """A whole A-ASSOCIATE-AC in which these contexts are refused (PS3.8, table 9-18: result 3).

    Raises Malformed.
    """
    changed = bytearray(answer)
    at = HEADER_BYTES + _FIXED_BYTES
    for kind, value in _items(answer, at):
        if kind == Item.ANSWERED_CONTEXT and len(value) >= _CONTEXT_BYTES and value[0] in ids:
            changed[at + 4 + 2] = _NO_SUCH_SYNTAX
        at += 4 + len(value)
    return bytes(changed)


def _ae_title(padded: bytes) -> str:
    """An AE title (PS3.5, 6.2), without backslash and control characters.

    The standard has ASCII only; letters beyond it (ISO 8859-1) do occur, and name a device as well.
    """
    title = padded.rstrip(b"\0 ").decode("latin-1").strip(" ")
    if "\\" in title or not title.isprintable():
        raise Malformed("no AE title")
    return title


def _abstract_syntax(value: bytes) -> bytes:
    """Of a presentation context: an odd id, an abstract syntax, one or more transfer syntaxes."""
    if len(value) < _CONTEXT_BYTES or not value[0] & 1:
        raise Malformed("no presentation context")
    items = _items(value, _CONTEXT_BYTES)
    named = [name for kind, name in items if kind == Item.ABSTRACT_SYNTAX]
    if len(named) != 1 or all(kind != Item.TRANSFER_SYNTAX for kind, _ in items):
        raise Malformed("no presentation context")
    return named[0].rstrip(b"\0 ")


def _items(data: bytes, offset: int) -> list[tuple[int, bytes]]:
    """Type and value of each item, to the last byte. Raises Malformed."""
    found = []
    while offset < len(data):
        if offset + 4 > len(data):
            raise Malformed("an item breaks off")
        kind, length = struct.unpack_from(">BxH", data, offset)
        offset += 4
        if offset + length > len(data):
            raise Malformed("an item breaks off")
        found.append((int(kind), data[offset : offset + length]))
        offset += length
    return found


class Stream:
    """Follows the PDUs that a caller sends after its request, to know whether it is in a message.

    A message (PS3.7) is a command or a data set, cut into fragments. Nothing is kept but heads.
    """

    def __init__(self) -> None:
        self._head = bytearray()
        self._skip = 0
        self._data_left = 0  #: Bytes of a P-DATA-TF whose next fragment has not begun
        self._in_message = False
        self.released = False

    @property
    def busy(self) -> bool:
        """Whether more bytes must come before the caller may be silent."""
        return bool(self._in_message or self._skip or self._head or self._data_left)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes. Raises Malformed."""
        at, end = 0, len(data)
        while at < end:
            if self._skip:
                step = min(self._skip, end - at)
                self._skip -= step
                at += step
                continue
            if not self._head and end - at >= HEADER_BYTES:
                head = data[at : at + HEADER_BYTES]
                at += HEADER_BYTES
            else:
                step = min(HEADER_BYTES - len(self._head), end - at)
                self._head += data[at : at + step]
                at += step
                if len(self._head) < HEADER_BYTES:
                    return
                head = bytes(self._head)
                self._head.clear()
            if self._data_left:
                self._fragment(head)
            else:
                self._pdu(head)

    def _pdu(self, head: bytes) -> None:
        kind, length = struct.unpack(">BxL", head)
        if not Kind.DATA <= kind <= Kind.ABORT or length > LARGEST_PDU:
            raise Malformed("no PDU of an association")
        if kind == Kind.DATA:
            if 0 < length < _PDV_HEADER:
                raise Malformed("a PDU without a fragment")
            self._data_left = length
        else:
            self._skip = length
            self.released = True

    def _fragment(self, head: bytes) -> None:
        length, _context, control = struct.unpack(">LBB", head)
        if length < _PDV_LEAST or 4 + length > self._data_left:
            raise Malformed("a fragment longer than its PDU")
        self._data_left -= 4 + length
        if 0 < self._data_left < _PDV_HEADER:
            raise Malformed("a fragment breaks off")
        self._skip = length - _PDV_LEAST
        self._in_message = not control & _LAST_FRAGMENT
