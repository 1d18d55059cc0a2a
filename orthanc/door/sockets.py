"""Sockets as the door needs them: of a known size, kept alive, and TLS by BCP 195."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

from door.settings import SettingsFault

if TYPE_CHECKING:
    from door.settings import Tls

#: Of the system, for each direction of each connection: more would only lie there when Orthanc is
#: the slower one, and 48 associations are to stay within the door's memory.
SOCKET_BYTES = 256 * 1024
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
#: BCP 195 (RFC 9325): TLS 1.2 with forward secrecy and authenticated encryption only, or 1.3.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def prepare(connection: socket.socket) -> None:
    """Sets what a connection of a call needs: no delay, and an end when the other side is dead."""
    for level, option, value in _KEEPALIVE:
        connection.setsockopt(level, option, value)


def _tell(came: asyncio.Future[None]) -> None:
    if not came.done():
        came.set_result(None)


async def readable(connection: socket.socket) -> None:
    """Waits until something came, or the other side hung up."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _tell, came)
    try:
        await came
    finally:
        loop.remove_reader(connection)


async def dial(host: str, port: int) -> socket.socket:
    """A connection with buffers of a known size, which are set before it is made."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            connection.setsockopt(socket.SOL_SOCKET, option, SOCKET_BYTES)
        await loop.sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


def tls_context(tls: Tls) -> ssl.SSLContext:
    """What callers with a certificate of our own authority get. Raises SettingsFault."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        context.load_verify_locations(tls.authorities)
    except OSError as error:
        raise SettingsFault(f"the certificates for TLS: {type(error).__name__}") from None
    return context
