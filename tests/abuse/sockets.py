"""What is said to the scanner's port: everything but a request of a scanner."""

from __future__ import annotations

import random
import socket
import struct
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from tests.abuse import dimse
from tests.abuse.corpus import CONTEXTS, CT
from tests.support.nuisance import request

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAIT_S = 0.02


def sayings(number: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """What is said first, and what once an association is accepted (or not)."""
    rng = random.Random(seed)
    good = dimse.request({i: (CT, s) for s, i in CONTEXTS.items()})
    for index in range(number):
        kind = index % 6
        if kind == 0:
            yield rng.randbytes(rng.choice((1, 6, 70, 5000))), b""
        elif kind == 1:
            yield _changed(request(contexts=3), rng), b""
        elif kind == 2:
            whole = request()
            yield whole[: rng.randrange(len(whole))], b""
        elif kind == 3:
            length = rng.choice((0, 0xFFFFFFFF, 0x7FFFFFFF, 5))
            yield struct.pack(">BxL", rng.randrange(9), length) + rng.randbytes(100), b""
        elif kind == 4:
            whole = b"".join(dimse.fragments(1, dimse.command(CT, "1.2.3", 1), is_command=True))
            yield good, _changed(whole, rng)
        else:
            fragment = struct.pack(">LBB", rng.choice((0, 1, 2, 0xFFFFFFFF, 50)), rng.randrange(256),
                                   rng.randrange(256)) + rng.randbytes(48)  # fmt: skip
            yield (
                good,
                struct.pack(">BxL", rng.randrange(10), rng.choice((54, 0, 2**32 - 1))) + fragment,
            )


def _changed(raw: bytes, rng: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def say(port: int, first: bytes, then: bytes, *, reset: bool) -> None:
    """Says it, listens for a moment, and hangs up (with a reset)."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as connection:
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError):
            connection.sendall(first)
            if then:
                connection.settimeout(2.0)
                connection.recv(4096)
                connection.sendall(then)
            connection.settimeout(_WAIT_S)
            connection.recv(4096)
