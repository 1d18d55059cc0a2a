"""HTTPS connections as a link that comes and goes needs them: kept, fresh, and broken off at once."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from router.destinations import tls
from router.errors import Code, LinkDown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A connection that was idle for longer may have been forgotten on the way without a word.
_IDLE_S = 20.0
#: Bytes that wait in the kernel behind those that are under way: what is handed over is then
#: nearly what the link took, and little is wasted by a cut.
_UNSENT_BYTES = 128 * 1024


class Connections:
    """One persistent connection for each thread that asks for one. Thread-safe."""

    def __init__(self, configure: Callable[[requests.Session], None]) -> None:
        """``configure``: sets credentials and certificates of a new session."""
        self._configure = configure
        self._own = threading.local()
        self._lock = threading.Lock()
        self._sessions: list[requests.Session] = []
        self._live: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()

    def session(self) -> requests.Session:
        """This thread's session."""
        now = time.monotonic()
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = self._made()
            with self._lock:
                self._sessions.append(session)
        elif now - self._own.used_at > _IDLE_S:
            session.close()  # it opens a new connection by itself
        self._own.used_at = now
        return session

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

    def _made(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        adapter = _Adapter(self._opened)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        self._configure(session)
        return session

    def _opened(self, connection: HTTPConnection) -> None:
        with self._lock:
            self._live.add(connection)
        if connection.sock is not None:
            _tune(connection.sock)


def _tune(sock: socket.socket) -> None:
    """What this kernel cannot do is left as it is."""
    with suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    with suppress(OSError, AttributeError):
        # Keeps its rate where a few of a hundred packets are lost (measured against cubic: 9 to 1).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")


class _Adapter(HTTPAdapter):
    """Tells of each connection that is opened. No retries: each costs bytes, the journal decides."""

    def __init__(self, opened: Callable[[HTTPConnection], None]) -> None:
        self._opened = opened
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  (urllib3's)
        super().init_poolmanager(*arguments, **more)
        opened = self._opened

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                opened(self)

        class Tls(HTTPSConnection):
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
    """Transport errors as the link's; third parties' texts stay out."""
    try:
        yield
    except (requests.exceptions.RequestException, OSError, AttributeError) as error:
        # A link that breaks in the handshake is an SSLError too, and no reason to pause.
        tls.pause_for(error)
        # A connection that is broken off from outside fails wherever it was.
        raise LinkDown(Code.LINK_DOWN, f"no answer ({type(error).__name__})") from None
