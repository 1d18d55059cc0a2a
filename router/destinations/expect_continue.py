"""Asks a server whether it will take a body, before the body goes (RFC 9110, 10.1.1).

The standard library sends the body right behind the header. Here a request with ``Expect:
100-continue`` waits a moment for "100 Continue", and goes on without it; where the server refuses
instead, no byte of the body is sent, and the connection is closed behind its answer.
"""

from __future__ import annotations

import http.client
import io
import time
from typing import TYPE_CHECKING, Any

from urllib3.util.wait import wait_for_read

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

#: A server that says nothing for so long does not know of expectations: the body goes.
_WAIT_S = 1.0
_HEAD_END = b"\r\n\r\n"
_LONGEST_HEAD_BYTES = 64 * 1024
_CONTINUE = http.HTTPStatus.CONTINUE
_FIRST_FINAL = 200


class Expecting:
    """Mixed into a connection of urllib3, before its class."""

    #: Called where the server says nothing to an expectation.
    unheard: Callable[[], None]
    sock: Any
    timeout: Any
    _expects = False
    #: The head of an answer that came instead of "100 Continue".
    _refusal = b""

    def putheader(self, header: str, *values: Any) -> None:  # noqa: ANN401  (of the base)
        self._expects = self._expects or header.lower() == "expect"
        super().putheader(header, *values)  # type: ignore[misc]

    def endheaders(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  (of the base)
        super().endheaders(*arguments, **more)  # type: ignore[misc]
        expects, self._expects = self._expects, False
        if expects and self.sock is not None:
            self._refusal = self._hear()

    def send(self, data: Any) -> None:  # noqa: ANN401  (of the base)
        if self._refusal:
            # urllib3 then reads the answer: a server may refuse in the middle of a body.
            raise BrokenPipeError
        super().send(data)  # type: ignore[misc]

    def getresponse(self) -> Any:  # noqa: ANN401  (of the base)
        refusal, self._refusal = self._refusal, b""
        if not refusal:
            return super().getresponse()  # type: ignore[misc]

        class Begun(_Begun):
            head = refusal

        self.response_class = Begun
        try:
            return super().getresponse()  # type: ignore[misc]
        finally:
            del self.response_class

    def _hear(self) -> bytes:
        """Waits for "100 Continue"; the head of another answer, where that came."""
        sock: socket.socket = self.sock
        before, end = sock.gettimeout(), time.monotonic() + _WAIT_S
        try:
            while True:
                head = _read_head(sock, end, before)
                if not head:
                    self.unheard()
                    return b""
                status = int((head.split(None, 2)[1:2] or [b"0"])[0])
                if status == _CONTINUE:
                    return b""
                if status >= _FIRST_FINAL:
                    return head
        except ValueError:
            raise ConnectionAbortedError from None
        finally:
            sock.settimeout(before)


def _read_head(sock: socket.socket, end: float, timeout_s: float | None) -> bytes:
    """Up to the empty line, and not a byte more; empty: nothing came until ``end``."""
    head = bytearray()
    while not head.endswith(_HEAD_END):
        if not head:
            left = end - time.monotonic()
            pending = getattr(sock, "pending", lambda: 0)
            if left <= 0 or not (pending() or wait_for_read(sock, left)):
                return b""
            # Of TLS something may have come that is no answer.
            sock.settimeout(max(left, 0.01))
        else:
            sock.settimeout(timeout_s)
        try:
            piece = sock.recv(1)
        except TimeoutError:
            if head:
                raise
            return b""
        if not piece or len(head) > _LONGEST_HEAD_BYTES:
            raise ConnectionAbortedError
        head += piece
    return bytes(head)


class _Prefixed(io.RawIOBase):
    """A stream whose first bytes were read before."""

    def __init__(self, first: bytes, rest: io.RawIOBase) -> None:
        self._first = memoryview(first)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401  (of the base)
        if not self._first:
            return self._rest.readinto(buffer)
        number = min(len(buffer), len(self._first))
        buffer[:number] = self._first[:number]
        self._first = self._first[number:]
        return number

    def close(self) -> None:
        self._rest.close()
        super().close()


class _Begun(http.client.HTTPResponse):
    """An answer whose head was read already; its connection ends with it, as the body is owed."""

    head = b""

    def __init__(self, sock: socket.socket, *arguments: Any, **more: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *arguments, **more)
        raw: Any = self.fp.detach()
        self.fp = io.BufferedReader(_Prefixed(self.head, raw))

    def begin(self) -> None:
        super().begin()
        self.will_close = True
