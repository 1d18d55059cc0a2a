"""Requests to the archive, streamed: one connection each, its body in chunks as it comes."""

from __future__ import annotations

import asyncio
import base64
import http
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httptools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CONNECT_S = 5.0
#: For each piece written, and for the answer: an archive that syncs its disk takes its time.
_WAIT_S = 120.0
#: A Store Instances Response of 1,000 instances has some 500 kB.
_LARGEST_ANSWER = 8 * 1024 * 1024
_BUFFER = 256 * 1024
#: So much may wait to be written.
_WAITING = 64 * 1024


class ArchiveDownError(OSError):
    """The archive does not answer, or not in HTTP."""


@dataclass(frozen=True)
class Answer:
    """What it answered."""

    status: int
    content_type: str
    body: bytes


class _Reader:
    """Takes one HTTP answer apart."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.done = False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, piece: bytes) -> None:
        self.body += piece
        if len(self.body) > _LARGEST_ANSWER:
            raise ArchiveDownError

    def on_message_complete(self) -> None:
        self.done = True


class Exchange:
    """One request whose body is written in pieces."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, *pieces: bytes) -> None:
        """Raises ArchiveDownError."""
        length = sum(map(len, pieces))
        if not length:
            return
        try:
            self._writer.writelines((b"%x\r\n" % length, *pieces, b"\r\n"))
            if self._writer.transport.get_write_buffer_size() > _WAITING:
                async with asyncio.timeout(_WAIT_S):
                    await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise ArchiveDownError from error

    async def answer(self) -> Answer:
        """Ends the body. Raises ArchiveDownError."""
        found = _Reader()
        try:
            self._writer.write(b"0\r\n\r\n")
            async with asyncio.timeout(_WAIT_S):
                await self._writer.drain()
                while not found.done:
                    piece = await self._reader.read(_BUFFER)
                    if not piece:
                        raise ArchiveDownError
                    found.parser.feed_data(piece)
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            raise ArchiveDownError from error
        return Answer(
            found.parser.get_status_code(),
            found.headers.get("content-type", "application/octet-stream"),
            bytes(found.body),
        )


class Upstream:
    """An HTTP server behind the entrance."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self._host, self._port = str(parts.hostname), parts.port or 80
        known = base64.b64encode(f"{user}:{password}".encode()).decode()
        #: Shown to it.
        self.authorization = f"Basic {known}" if user else ""

    @asynccontextmanager
    async def request(
        self, method: str, target: str, headers: dict[str, str]
    ) -> AsyncIterator[Exchange]:
        """One request; left early, its connection is cut. Raises ArchiveDownError."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, limit=_BUFFER
                )
        except (OSError, TimeoutError) as error:
            raise ArchiveDownError from error
        lines = {"Host": f"{self._host}:{self._port}", "Connection": "close",
                 "Transfer-Encoding": "chunked", **headers}  # fmt: skip
        if self.authorization:
            lines["Authorization"] = self.authorization
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(
            f"{k}: {v}\r\n" for k, v in lines.items()
        )
        try:
            writer.write(head.encode("latin-1") + b"\r\n")
            yield Exchange(reader, writer)
        finally:
            # Cut, not closed: what was not ended must not look as if it had been.
            writer.transport.abort()

    async def post_json(self, target: str, body: Any) -> Any:  # noqa: ANN401
        """The answer of a small question. Raises ArchiveDownError."""
        answer = await self.post(target, json.dumps(body).encode(), "application/json")
        if answer.status != http.HTTPStatus.OK:
            raise ArchiveDownError
        try:
            return json.loads(answer.body)
        except ValueError as error:
            raise ArchiveDownError from error

    async def post(self, target: str, body: bytes, content_type: str, **headers: str) -> Answer:
        """Raises ArchiveDownError."""
        lines = {"Content-Type": content_type}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.request("POST", target, lines) as exchange:
            await exchange.write(body)
            return await exchange.answer()
