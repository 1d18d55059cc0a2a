"""Asking before a body: what is refused costs none, and no server is kept waiting for one."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from router.destinations.base import Outgoing, Stored
from router.destinations.stow import Stow, StowSettings
from router.records.errors import Hold, StoreRefused
from tests.support.certificates import Authority
from tests.support.fake_pacs import stored
from tests.support.sending import copy_and_file, send
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Large enough to be worth asking.
_SIZE = 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Server:
    """Answers each request by its next script: a list of bytes to say, or the word to read."""

    def __init__(self, *scripts: list[bytes | str], context: ssl.SSLContext | None = None) -> None:
        self._scripts = list(scripts)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        #: The head and the body bytes of each request.
        self.requests: list[tuple[bytes, int]] = []
        self.connections = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._scripts:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            link = self._context.wrap_socket(raw, server_side=True) if self._context else raw
            link.settimeout(10)
            with link, link.makefile("rb") as stream:
                while self._scripts and self._one(link, stream):  # type: ignore[arg-type]
                    pass

    def _one(self, link: socket.socket, stream: socket.SocketIO) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return False
            head += line
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        read = 0
        self.requests.append((head, 0))
        for step in self._scripts.pop(0):
            if isinstance(step, bytes):
                link.sendall(step)
            else:
                while read < length:
                    read += len(stream.read(min(1 << 16, length - read)))
                self.requests[-1] = (head, read)
        # Who has not read the body cannot read another request.
        return read == length

    def close(self) -> None:
        self._scripts.clear()
        self._listener.close()


def _answer(status: str, body: bytes = b"", *more: bytes) -> bytes:
    head = [f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *more]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


@contextmanager
def _stow(server: Server, **more: object) -> Iterator[Stow]:
    url = f"http://127.0.0.1:{server.port}/dicom-web"
    settings = StowSettings.model_validate(
        {"kind": "stow", "name": "cloud", "url": url, "answer_timeout_s": 5, **more}
    )
    destination = Stow(settings)
    try:
        yield destination
    finally:
        destination.close()
        server.close()


def test_a_body_that_is_too_large_is_not_sent() -> None:
    copy, raw = copy_and_file(size=_SIZE)
    refusal = _answer("413 Content Too Large", b"<title>413</title>")
    with _stow(Server([refusal])) as destination:
        handed: list[int] = []
        with pytest.raises(Hold):
            destination.send(Outgoing(copy, memoryview(raw), handed.append))
        assert sum(handed) == 0


def test_a_refusal_is_read_whole_and_its_connection_is_not_used_again() -> None:
    copy, raw = copy_and_file(size=_SIZE)
    words = b"<title>Service unavailable</title>" + b" " * 100_000
    server = Server(
        [_answer("503 Service Unavailable", words, b"Retry-After: 7")],
        [_CONTINUE, "body", _answer("200 OK", stored(copy.sop_uid))],
    )
    with _stow(server) as destination:
        with pytest.raises(StoreRefused) as raised:
            send(destination, copy, raw)
        assert raised.value.retry_after_s == 7.0
        assert raised.value.sentence == "HTTP 503 (service unavailable)"
        assert send(destination, copy, raw) is Stored.STORED
        assert [read > len(raw) for _, read in server.requests] == [False, True]
        assert server.connections == 2


def test_a_server_that_says_go_on_gets_the_body() -> None:
    copy, raw = copy_and_file(size=_SIZE)
    server = Server(
        [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + _CONTINUE, "body",
         _answer("200 OK", stored(copy.sop_uid))],
        ["body", _answer("200 OK", stored(copy.sop_uid))],
    )  # fmt: skip
    with _stow(server) as destination:
        for _ in range(2):
            assert send(destination, copy, raw) is Stored.STORED
        # It takes bodies of that size: it is not asked again.
        assert [b"100-continue" in head for head, _ in server.requests] == [True, False]
        assert server.connections == 1


def test_a_server_that_knows_of_no_expectations_is_not_asked_again() -> None:
    copy, raw = copy_and_file(size=_SIZE)
    server = Server(
        ["body", _answer("503 Busy")], ["body", _answer("200 OK", stored(copy.sop_uid))]
    )
    with _stow(server) as destination:
        begun = time.monotonic()
        with pytest.raises(StoreRefused):
            send(destination, copy, raw)
        assert time.monotonic() - begun < 4
        assert send(destination, copy, raw) is Stored.STORED
        assert [b"100-continue" in head for head, _ in server.requests] == [True, False]


def test_a_server_that_goes_on_late_is_understood() -> None:
    copy, raw = copy_and_file(size=_SIZE)
    server = Server(["body", _CONTINUE, _answer("200 OK", stored(copy.sop_uid))])
    with _stow(server) as destination:
        assert send(destination, copy, raw) is Stored.STORED


def test_a_server_that_cannot_meet_expectations_gets_the_request_without() -> None:
    copy, raw = copy_and_file(size=_SIZE)
    server = Server(
        [_answer("417 Expectation Failed")],
        ["body", _answer("200 OK", stored(copy.sop_uid))],
    )
    with _stow(server) as destination:
        assert send(destination, copy, raw) is Stored.STORED
        assert [b"100-continue" in head for head, _ in server.requests] == [True, False]


def test_a_small_body_is_not_worth_asking() -> None:
    copy, raw = copy_and_file(size=64)
    server = Server(["body", _answer("200 OK", stored(copy.sop_uid))])
    with _stow(server) as destination:
        assert send(destination, copy, raw) is Stored.STORED
        assert b"100-continue" not in server.requests[0][0]


def test_it_is_the_same_over_tls(tmp_path: Path) -> None:
    copy, raw = copy_and_file(size=_SIZE)
    authority = Authority(tmp_path, "ca")
    certificate = authority.sign("localhost", "serverAuth")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    server = Server(
        [_answer("413 Content Too Large", b"no" * 30_000)],
        [_CONTINUE, "body", _answer("200 OK", stored(copy.sop_uid))],
        context=context,
    )
    url = f"https://localhost:{server.port}/dicom-web"
    with _stow(server, url=url, ca_file=authority.file) as destination:
        with pytest.raises(Hold):
            send(destination, copy, raw)
        assert send(destination, copy, raw) is Stored.STORED
        until(lambda: server.requests[1][1] > len(raw), what="the body of the second")
        assert server.requests[0][1] == 0
