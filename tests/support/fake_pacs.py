"""A DICOMweb service that answers by script: the fake is at the wire, not inside."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator


@dataclass
class Answer:
    """One scripted answer to a STOW request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    #: Close the connection instead of answering.
    cut: bool = False


def stored(sop_uid: str) -> bytes:
    return json.dumps(_response("00081199", sop_uid, {})).encode()


def failed(sop_uid: str, reason: int) -> bytes:
    return json.dumps(
        _response("00081198", sop_uid, {"00081197": {"vr": "US", "Value": [reason]}})
    ).encode()


def coerced(sop_uid: str) -> bytes:
    return json.dumps(
        _response("00081199", sop_uid, {"00081196": {"vr": "US", "Value": [0xB000]}})
    ).encode()


def _response(tag: str, sop_uid: str, more: dict[str, object]) -> dict[str, object]:
    item = {"00081155": {"vr": "UI", "Value": [sop_uid]}, **more}
    return {tag: {"vr": "SQ", "Value": [item]}}


class FakePacs:
    """Answers each STOW request with the next of its answers, and QIDO requests by ``listing``."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        """``context``: of a server that speaks TLS."""
        self.answers: list[Answer] = []
        #: Instead of answers in a row: by the body of the request.
        self.answer_to: Callable[[bytes], Answer] | None = None
        #: SOP Instance UIDs that it lists, from the asked one (or ``None``: all).
        self.listing: Callable[[str | None], list[str]] = lambda _: []
        self.bodies: list[bytes] = []
        self.probe_status = 200
        #: Of what GET is answered with; a Date stands for its own.
        self.probe_headers: dict[str, str] = {}
        #: The Authorization header of each STOW request.
        self.authorizations: list[str | None] = []
        pacs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                pacs.bodies.append(body)
                pacs.authorizations.append(self.headers["Authorization"])
                answer = pacs.answer_to(body) if pacs.answer_to else pacs.answers.pop(0)
                if answer.cut:
                    self.close_connection = True
                    self.connection.close()
                    return
                self._begin(answer.status, answer.headers)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                asked = query.get("SOPInstanceUID")
                listed = pacs.listing(asked[0] if asked else None)
                answer = json.dumps(
                    [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in listed]
                ).encode()
                self._begin(pacs.probe_status, pacs.probe_headers)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def _begin(self, status: int, headers: dict[str, str]) -> None:
                self.send_response_only(status)
                for name, value in {"Date": self.date_time_string(), **headers}.items():
                    self.send_header(name, value)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{port}/dicom-web"
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{port}/dicom-web"

    def serving(self) -> Iterator[FakePacs]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        yield self
        self._server.shutdown()
        self._server.server_close()
        thread.join()
