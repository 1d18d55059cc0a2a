"""The entrance's server: uvicorn, on a socket of the file system too, with few copies of a body.

nginx hands a truck's images over there. Over the engine's network each byte costs as much again as
all that is done with it. uvicorn's own protocol reads pieces of at most 64 KiB and copies each three
times; here the pieces are four times as large and are copied once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from entrance.settings import SOCKET

if TYPE_CHECKING:
    import socket

    from typing_extensions import Buffer

_PIECE = 256 * 1024


class _Http(HttpToolsProtocol):
    """uvicorn's, whose bodies are handed on as they are."""

    def on_body(self, body: bytes) -> None:
        waiting = self.cycle is None or self.cycle.body
        if waiting or self.cycle.response_complete:
            super().on_body(body)
            return
        # What is there already as bytes is not copied when it is taken.
        self.cycle.body = cast("bytearray", body)
        if len(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()


class Connection(asyncio.BufferedProtocol):
    """One connection of nginx: its bytes are read into a buffer that all of them share.

    The loop fills it and has it emptied before it turns to another connection.
    """

    _buffer = memoryview(bytearray(_PIECE))

    def __init__(self, **given: Any) -> None:  # noqa: ANN401  (uvicorn's)
        self._http = _Http(**given)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._http.connection_made(cast("asyncio.Transport", transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self._http.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> Buffer:  # noqa: ARG002  (the loop's)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        # All that is kept of it is copied by the parser.
        self._http.data_received(cast("bytes", self._buffer[:nbytes]))

    def eof_received(self) -> None:
        self._http.eof_received()

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()


class Server(uvicorn.Server):
    """uvicorn's, which listens at the socket for nginx beside the address for Prometheus."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            # One that a killed entrance left behind.
            SOCKET.unlink(missing_ok=True)
            loop = asyncio.get_running_loop()
            self.servers.append(await loop.create_unix_server(self._connection, SOCKET))
            # Who shares the folder may come in.
            SOCKET.chmod(0o666)

    def _connection(self) -> Connection:
        return Connection(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
