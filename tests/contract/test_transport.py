"""What carries files to Orthanc: the real wire, and an Orthanc that misbehaves."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from router.records.errors import EdgeRouterError, OrthancBrokeOff, OrthancUnreachable
from router.truck import transport
from router.truck.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


class Served:
    """A server that answers each request with the next of some bytes, and closes after the last."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/root/"

    def _serve(self) -> None:
        while self._answers:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                while self._answers and (request := _request(connection)):
                    self.requests.append(request)
                    connection.sendall(self._answers.pop(0))

    def close(self) -> None:
        self._listener.close()


def _request(connection: socket.socket) -> bytes:
    """One request with its body; empty: the client has gone."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = connection.recv(65536)
        if not more:
            return b""
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"Content-Length" in line), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def asked(*answers: bytes, timeout_s: float = 5.0) -> Iterator[tuple[Served, Transport]]:
    served = Served(*answers)
    made = Transport(served.url, "router", "secret", 5.0, timeout_s, most=2)
    try:
        yield served, made
    finally:
        made.close()
        served.close()


def text(made: Transport) -> str:
    with made.request("GET", "/system") as answer:
        return answer.text()


def test_an_answer_is_read_whole_and_the_connection_used_again() -> None:
    with asked(_OK + b"first", _OK + b"other") as (served, made):
        assert (text(made), text(made)) == ("first", "other")
        assert served.connections == 1
        assert served.requests[0].startswith(b"GET /root/system HTTP/1.1\r\n")
        assert b"Authorization: Basic cm91dGVyOnNlY3JldA==" in served.requests[0]


def test_a_body_goes_in_pieces_with_its_length() -> None:
    with asked(_OK + b"taken") as (served, made):
        parts = [memoryview(b"ab"), memoryview(b"cde")]
        with made.request("POST", "/instances", parts, {"Content-Length": "5"}) as answer:
            assert (answer.status, answer.size, answer.text()) == (200, 5, "taken")
        assert served.requests[0].endswith(b"\r\n\r\nabcde")


def test_a_connection_that_was_idle_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_IDLE_S", 0.0)
    with asked(_OK + b"first", _OK + b"other") as (served, made):
        assert (text(made), text(made)) == ("first", "other")
        assert served.connections == 2


def test_an_answer_that_nobody_read_does_not_become_the_next_ones() -> None:
    with asked(_OK + b"first", _OK + b"other") as (served, made):
        with made.request("GET", "/long") as answer:
            assert answer.status == 200
        assert text(made) == "other"
        assert served.connections == 2


@pytest.mark.parametrize(
    "broken",
    [b"", _OK + b"fir", b"HTTP/1.1 200", b"nonsense\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfi"],
    ids=["nothing", "too short", "half a status", "no HTTP", "half a chunk"],
)  # fmt: skip
def test_an_answer_that_breaks_off_is_told_apart_from_silence(broken: bytes) -> None:
    with asked(broken) as (_, made), pytest.raises(OrthancBrokeOff):
        text(made)


def test_a_connection_whose_answer_broke_off_is_not_kept() -> None:
    with asked(_OK + b"fir") as (_, made), made.request("GET", "/system") as answer:
        with pytest.raises(OrthancBrokeOff):
            answer.text()
        assert not answer.is_read


def error_of(ask: Callable[[], object]) -> EdgeRouterError:
    with pytest.raises(EdgeRouterError) as raised:
        ask()
    return raised.value


def test_nobody_there_and_silence_are_unreachable() -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        nobody = Transport(f"http://127.0.0.1:{bound.getsockname()[1]}", "router", "", 5, 5, most=1)
        assert type(error_of(lambda: text(nobody))) is OrthancUnreachable
    with asked(_OK + b"fir", b"", timeout_s=0.2) as (_, made):
        assert type(error_of(lambda: text(made))) is OrthancUnreachable
