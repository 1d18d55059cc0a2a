"""C-STORE by hand: a sender that puts any bytes on the wire, however wrong (PS3.7, PS3.8)."""

from __future__ import annotations

import socket
import struct
from contextlib import closing
from typing import TYPE_CHECKING

from tests.support.nuisance import item

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The association was refused, or ended before an answer came.
BROKEN = -1
_PDU_BYTES = 16_000
#: Some data sets let Orthanc wait for more of them: nobody waits with it.
_ANSWER_S = 1.0


def request(
    contexts: Mapping[int, tuple[str, str]],
    calling: bytes = b"SCANNER",
    called: bytes = b"EDGETRUCK",
) -> bytes:
    """An A-ASSOCIATE-RQ; ``contexts``: odd id → SOP class, transfer syntax."""
    body = struct.pack(">HH", 1, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, (sop_class, syntax) in contexts.items():
        syntaxes = item(0x30, sop_class.encode()) + item(0x40, syntax.encode())
        body += item(0x20, struct.pack(">Bxxx", number) + syntaxes)
    body += item(0x50, item(0x51, struct.pack(">L", 131_072)) + item(0x52, b"1.2.3"))
    return struct.pack(">BxL", 1, len(body)) + body


def _element(element: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHL", 0, element, len(value)) + value


def command(sop_class: str, sop_uid: str, message: int) -> bytes:
    """A C-STORE-RQ."""
    body = (
        _element(0x0002, sop_class.encode())
        + _element(0x0100, struct.pack("<H", 1))
        + _element(0x0110, struct.pack("<H", message))
        + _element(0x0700, struct.pack("<H", 0))
        + _element(0x0800, struct.pack("<H", 1))
        + _element(0x1000, sop_uid.encode())
    )
    return _element(0x0000, struct.pack("<L", len(body))) + body


def fragments(context: int, data: bytes, *, is_command: bool) -> Iterable[bytes]:
    """P-DATA-TFs of a command or a data set."""
    kind = 1 if is_command else 0
    for at in range(0, max(len(data), 1), _PDU_BYTES):
        part = data[at : at + _PDU_BYTES]
        control = kind | (2 if at + _PDU_BYTES >= len(data) else 0)
        pdv = struct.pack(">LBB", len(part) + 2, context, control) + part
        yield struct.pack(">BxL", 4, len(pdv)) + pdv


class Association:
    """An association with the truck. Raises OSError where the other side hangs up."""

    def __init__(self, host: str, port: int, contexts: Mapping[int, tuple[str, str]]) -> None:
        self._connection = socket.create_connection((host, port), timeout=_ANSWER_S)
        self._message = 0
        try:
            self._connection.sendall(request(contexts))
            kind, answer = self._pdu()
        except BaseException:
            self._connection.close()
            raise
        self.accepted = _accepted(answer) if kind == 2 else frozenset()

    def store(self, context: int, sop_class: str, sop_uid: str, data: bytes) -> int:
        """The status that the data set is answered with."""
        self._message = self._message % 65_000 + 1
        for part in fragments(context, command(sop_class, sop_uid, self._message), is_command=True):
            self._connection.sendall(part)
        for part in fragments(context, data, is_command=False):
            self._connection.sendall(part)
        kind, answer = self._pdu()
        return _status(answer) if kind == 4 else BROKEN

    def close(self) -> None:
        """Releases it, and does not wait for long."""
        with closing(self._connection):
            try:
                self._connection.settimeout(2.0)
                self._connection.sendall(struct.pack(">BxLL", 5, 4, 0))
                self._pdu()
            except OSError:
                return

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxL", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, number: int) -> bytes:
        got = bytearray()
        while len(got) < number:
            more = self._connection.recv(number - len(got))
            if not more:
                raise ConnectionError("hung up")
            got += more
        return bytes(got)


def _accepted(answer: bytes) -> frozenset[int]:
    """Ids of the presentation contexts that an A-ASSOCIATE-AC accepts."""
    found, at = set(), 68
    while at + 4 <= len(answer):
        kind, length = struct.unpack_from(">BxH", answer, at)
        if kind == 0x21 and answer[at + 6] == 0:
            found.add(answer[at + 4])
        at += 4 + length
    return frozenset(found)


def _status(answer: bytes) -> int:
    """(0000,0900) of a response in one PDU."""
    at = 6
    while at + 8 <= len(answer):
        group, element, length = struct.unpack_from("<HHL", answer, at)
        if (group, element) == (0, 0x0900):
            return int(struct.unpack_from("<H", answer, at + 8)[0])
        at += 8 + length
    return BROKEN
