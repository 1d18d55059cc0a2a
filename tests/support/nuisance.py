"""Opens connections that say nothing, or a byte now and then, until stdin ends.

python -m tests.support.nuisance HOST PORT NUMBER DRIPS: says "opened" when it has opened so many.
"""

from __future__ import annotations

import select
import socket
import struct
import sys

_PAUSE_S = 0.1


def item(kind: int, value: bytes) -> bytes:
    """An item of an A-ASSOCIATE-RQ (PS3.8, 9.3.2)."""
    return struct.pack(">BxH", kind, len(value)) + value


def request(
    calling: bytes = b"SCANNER", called: bytes = b"EDGETRUCK", version: int = 1,
    context_name: bytes = b"1.2.840.10008.3.1.1.1", contexts: int = 1,
) -> bytes:  # fmt: skip
    """An A-ASSOCIATE-RQ for C-ECHO, written by hand."""
    syntaxes = item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")
    body = struct.pack(">HH", version, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    body += item(0x10, context_name)
    for number in range(contexts):
        body += item(0x20, struct.pack(">Bxxx", (2 * number + 1) & 0xFF) + syntaxes)
    body += item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3"))
    return struct.pack(">BxL", 1, len(body)) + body


def _open(host: str, port: int) -> socket.socket | None:
    try:
        one = socket.create_connection((host, port), timeout=5)
    except OSError:
        return None
    one.setblocking(False)
    return one


def _gone(one: socket.socket, drop: bytes) -> bool:
    try:
        if drop:
            one.send(drop)
        return one.recv(10) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def main(host: str, port: int, number: int, *, drips: bool) -> None:
    """Until stdin ends."""
    said = request() if drips else b""
    connections: dict[socket.socket, int] = {}
    opened, told = 0, False
    while not select.select([sys.stdin], [], [], _PAUSE_S)[0]:
        for _ in range(number - len(connections)):
            if (one := _open(host, port)) is not None:
                connections[one] = 0
                opened += 1
        if opened >= number and not told:
            told = True
            sys.stdout.write("opened\n")
            sys.stdout.flush()
        for one, at in list(connections.items()):
            if _gone(one, said[at : at + 1]):
                one.close()
                del connections[one]
            else:
                connections[one] = at + 1
    for one in connections:
        one.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), drips=sys.argv[4] == "1")
