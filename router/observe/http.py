"""Metrics, health and status over HTTP, for this truck's own network. Reads only."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client import CollectorRegistry

_log = logging.getLogger(__name__)


class Api:
    """Serves until it is closed.

    ``ready`` returns the codes of what is in the way, ``status`` what /status shows.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        alive: Callable[[], bool],
        ready: Callable[[], Mapping[str, str]],
        status: Callable[[], Mapping[str, Any]],
    ) -> None:
        def metrics() -> tuple[int, str, bytes]:
            return 200, CONTENT_TYPE_LATEST, generate_latest(registry)

        def live() -> tuple[int, str, bytes]:
            return _json(200 if alive() else 503, {"live": alive()})

        def is_ready() -> tuple[int, str, bytes]:
            obstacles = ready()
            return _json(503 if obstacles else 200, {"ready": not obstacles, **obstacles})

        routes = {
            "/metrics": metrics,
            "/health/live": live,
            "/health/ready": is_ready,
            "/status": lambda: _json(200, status()),
        }
        self._server = ThreadingHTTPServer((host, port), _handler(routes))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="api", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens; the system's choice where it was told 0."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stops serving; returns once the last request is answered."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _json(status: int, value: Mapping[str, Any]) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(value).encode()


def _handler(
    routes: Mapping[str, Callable[[], tuple[int, str, bytes]]],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            route = routes.get(self.path.partition("?")[0])
            if route is None:
                self._answer(404, "text/plain", b"not found\n")
                return
            try:
                answer = route()
            # The boundary of a request: a fault is answered with 500 and logged, never hidden.
            except Exception:  # noqa: BLE001
                _log.exception("a request failed", extra={"action": "api"})
                answer = 500, "text/plain", b"failed\n"
            self._answer(*answer)

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are not logged: Prometheus makes thousands a day."""

    return Handler
