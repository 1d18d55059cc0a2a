"""Connections that are kept between requests, by the ports that a server sees them come from."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from router.destinations.connections import Connections
from router.truck.orthanc import TruckOrthanc
from router.truck.spool import Spool
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import requests


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    kept: ClassVar[str] = ""

    def do_GET(self) -> None:
        self.send_response(200)
        body = json.dumps({"port": self.client_address[1]}).encode()
        self.send_header("Content-Length", str(len(body)))
        if self.kept:
            self.send_header("Keep-Alive", self.kept)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def server(kept: str) -> Iterator[str]:
    """A server that keeps connections, and announces this; its address."""
    handler = type("Handler", (_Handler,), {"kept": kept})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        made.daemon_threads = True
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{made.server_address[1]}/"
        finally:
            made.shutdown()
            thread.join()


def asked(session: requests.Session, url: str) -> int:
    """Makes a request; the port that it came from."""
    return int(session.get(url, timeout=10).json()["port"])


def port(connections: Connections, url: str) -> int:
    with connections.session() as session:
        return asked(session, url)


@pytest.mark.parametrize(
    ("kept", "idle_s", "same"),
    [
        ("timeout=1", 0.4, True),
        ("timeout=1", 0.6, False),
        ("timeout=75, max=100", 19.0, True),
        ("timeout=75, max=100", 21.0, False),
        ("", 19.0, True),
        ("", 21.0, False),
    ],
)
def test_a_connection_that_the_server_may_have_closed_is_not_used_again(
    kept: str, idle_s: float, *, same: bool
) -> None:
    clock = Clock()
    with server(kept) as url, closing(Connections(lambda _: None, clock)) as connections:
        first = port(connections, url)
        clock.now += idle_s
        assert (port(connections, url) == first) is same


def test_the_connection_that_was_used_last_is_used_next() -> None:
    with server("") as url, closing(Connections(lambda _: None)) as connections:
        with ExitStack() as both:
            ports = [asked(both.enter_context(connections.session()), url) for _ in range(2)]
        # The stack gives the first one back last.
        assert [port(connections, url) for _ in range(3)] == [ports[0]] * 3
        assert ports[0] != ports[1]


def test_nothing_is_shared_by_two_at_a_time() -> None:
    with server("") as url, closing(Connections(lambda _: None)) as connections:
        port(connections, url)
        with connections.session() as one, connections.session() as other:
            assert asked(one, url) != asked(other, url)


def test_the_truck_s_orthanc_gets_no_request_on_a_connection_that_it_may_be_closing(
    tmp_path: Path,
) -> None:
    with server("") as url, closing(TruckOrthanc(url, "u", "p", 10, Spool(tmp_path))) as orthanc:

        def is_kept() -> bool:
            return bool(orthanc.system()["port"] == orthanc.system()["port"])

        until(is_kept, what="a connection that is kept")
        first = orthanc.system()["port"]
        begun = time.monotonic()
        until(lambda: time.monotonic() > begun + 0.6, what="the time after which it is old")
        assert orthanc.system()["port"] != first
