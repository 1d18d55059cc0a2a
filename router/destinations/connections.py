"""HTTPS connections as a link that comes and goes needs them: kept, fresh, and broken off at once."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from router.destinations import tls
from router.destinations.expect_continue import Expecting
from router.records.errors import Code, LinkDown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A connection that was idle for longer may have been forgotten on the way without a word.
_IDLE_S = 20.0
#: Of the time that the server says it keeps an idle connection, so much is believed: it counts from
#: its answer's last byte on, and what is sent then has to arrive before it is over.
_BELIEVED = 0.5
_KEPT = re.compile(r"\btimeout=(\d+)")
#: Bytes that wait in the kernel behind those that are under way: what is handed over is then
#: nearly what the link took, and little is wasted by a cut.
_UNSENT_BYTES = 128 * 1024

_log = logging.getLogger(__name__)


class Connections:
    """Persistent connections to one server, each used by one thread at a time. Thread-safe."""

    def __init__(
        self,
        configure: Callable[[requests.Session], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``configure``: sets credentials and certificates of a new session."""
        self._configure = configure
        self._now = now
        self._lock = threading.Lock()
        self._sessions: list[requests.Session] = []
        #: With the time since when, the last used one last.
        self._idle: list[tuple[float, requests.Session]] = []
        self._idle_s = _IDLE_S
        #: Whether the server answers where it is asked before a body; found out.
        self.hears_expectations = True
        self._live: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()

    @contextmanager
    def session(self) -> Iterator[requests.Session]:
        """A session for one request: of those that are free the one that was used last.

        Its connection has its window still, and the others, which nobody needs, fall idle.
        """
        with self._lock:
            since, session = self._idle.pop() if self._idle else (0.0, None)
        if session is None:
            session = self._made()
            with self._lock:
                self._sessions.append(session)
        elif self._now() - since > self._idle_s:
            session.close()  # it opens a new connection by itself
        try:
            yield session
        finally:
            with self._lock:
                self._idle.append((self._now(), session))

    @contextmanager
    def fresh(self) -> Iterator[requests.Session]:
        """A session that shares no connection with any other."""
        session = self._made()
        try:
            yield session
        finally:
            session.close()

    def abort(self) -> None:
        """Breaks off whatever is under way; who waits for it gets an error."""
        with self._lock:
            live = list(self._live)
        for connection in live:
            sock = connection.sock
            if sock is not None:
                # Of the socket itself: a TLS session is not to say goodbye over a dead link.
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()
            self._idle.clear()

    def _hear(self, response: requests.Response, **_: object) -> None:
        """Reads how long the server keeps an idle connection (Keep-Alive, RFC 2068, 19.7.1.1).

        What is sent on one that it has just closed looks like a broken link.
        """
        kept = _KEPT.search(response.headers.get("Keep-Alive", ""))
        self._idle_s = min(_IDLE_S, int(kept[1]) * _BELIEVED) if kept else _IDLE_S

    def _made(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        adapter = _Adapter(self._opened, self._unheard)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        session.hooks["response"].append(self._hear)
        self._configure(session)
        return session

    def _unheard(self) -> None:
        self.hears_expectations = False

    def _opened(self, connection: HTTPConnection) -> None:
        with self._lock:
            self._live.add(connection)
        if connection.sock is not None:
            _tune(connection.sock)


def _tune(sock: socket.socket) -> None:
    """Sets what this kernel can do for a link that loses packets; the rest stays as it is."""
    with suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    # Keeps its rate where a few of a hundred packets are lost (measured against cubic: 9 to 1).
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
    except (OSError, AttributeError):
        _say_without_bbr()


@cache
def _say_without_bbr() -> None:
    """Warns, once."""
    _log.warning(
        "this system does not let us use bbr: a link that loses packets carries less than it could",
        extra={"action": "link"},
    )


class _Adapter(HTTPAdapter):
    """Calls ``opened`` for each new connection. No retries: each costs bytes, the journal decides."""

    def __init__(
        self, opened: Callable[[HTTPConnection], None], unheard: Callable[[], None]
    ) -> None:
        self._opened = opened
        self._unheard = unheard
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  (urllib3's)
        super().init_poolmanager(*arguments, **more)
        opened, unheard_by_it = self._opened, self._unheard

        class Plain(Expecting, HTTPConnection):  # type: ignore[misc]  # looser types
            unheard = staticmethod(unheard_by_it)

            def connect(self) -> None:
                super().connect()
                opened(self)

        class Tls(Expecting, HTTPSConnection):  # type: ignore[misc]  # looser types
            unheard = staticmethod(unheard_by_it)

            def connect(self) -> None:
                super().connect()
                opened(self)

            def send(self, data: Any) -> None:  # noqa: ANN401  (of the base)
                try:
                    super().send(data)
                except ssl.SSLError:
                    tls.hear_alert(self.sock)
                    raise

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class TlsPool(HTTPSConnectionPool):
            ConnectionCls = Tls

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}


@contextmanager
def coded() -> Iterator[None]:
    """Raises transport errors inside as LinkDown or DestinationPaused, without others' texts."""
    try:
        yield
    except (requests.exceptions.RequestException, OSError, AttributeError) as error:
        # A link that breaks in the handshake is an SSLError too, and no reason to pause.
        tls.pause_for(error)
        # A connection that is broken off from outside fails wherever it was.
        raise LinkDown(Code.LINK_DOWN, f"no answer ({type(error).__name__})") from None
