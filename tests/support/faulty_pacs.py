"""A PACS that stores, lists and lies by script: with a memory of its own, or before a real one.

``FakePacs`` answers what a test says word for word; this one keeps what it is sent, so that a test
can ask at the end what any PACS would be asked: is everything there, and once?
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import socket
import struct
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import parse_qs, urlsplit

import pydicom
import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_JSON = "application/dicom+json"
_HOP = frozenset({"transfer-encoding", "content-encoding", "connection", "content-length", "host"})
_RST = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What happens to one STOW request. Without anything set it is an honest answer."""

    #: Instead of the true status.
    status: int | None = None
    #: Instead of the Store Instances Response.
    body: bytes | None = None
    #: In seconds, or ``in n s``: as a date of so many seconds from now.
    retry_after: str | None = None
    #: How many of the request's instances are stored; ``None``: all.
    stores: int | None = None
    #: Failure reason of those that are not stored, or that are called duplicates.
    reason: int = 0x0110
    #: Says of stored instances that they failed for ``reason``.
    denies: bool = False
    #: Says that it stored what it did not store.
    claims: bool = False
    #: Warning reason of what is stored (it says that it changed attributes).
    warning: int | None = None
    #: Breaks the connection off instead of reading the body.
    deaf: bool = False
    #: Breaks the connection off instead of answering.
    mute: bool = False
    #: Answers so much later, and byte by byte where ``trickles``.
    delay_s: float = 0.0
    trickles: bool = False


HONEST = Fault()
#: Everything that passes by itself within minutes: afterwards each instance has to be there once.
PASSING: dict[str, Fault] = {
    "request timeout 408": Fault(408, b"", stores=0),
    "too early 425": Fault(425, b"", stores=0),
    "too many requests 429": Fault(429, b"", "1", stores=0),
    "server error 500": Fault(500, b"<html>oops</html>", stores=0),
    "bad gateway 502": Fault(502, b"", stores=0),
    "unavailable 503": Fault(503, b"", "1", stores=0),
    "unavailable until a date 503": Fault(503, b"", "in 1 s", stores=0),
    "gateway timeout 504": Fault(504, b"", stores=0),
    "gateway timeout 504 after storing": Fault(504, b""),
    "disk full 507": Fault(507, b"", stores=0),
    "out of resources A700": Fault(400, stores=0, reason=0xA700),
    "partial 202": Fault(202, stores=1, reason=0xA700),
    "400 although stored": Fault(400),
    "202 although stored": Fault(202),
    "response lost after receipt": Fault(mute=True),
    "response lost, nothing stored": Fault(mute=True, stores=0),
    "hangs up before the body": Fault(deaf=True, stores=0),
    "says duplicate 0111, and has it": Fault(409, reason=0x0111, denies=True),
    "200 with an empty body": Fault(200, b""),
    "200 with a page of HTML": Fault(200, b"<html>Welcome</html>"),
    "200 with JSON of another kind": Fault(200, b'{"ok": true}'),
    "200 with half a JSON": Fault(200, b'{"00081199": {"vr": "SQ", "Val'),
    "200, and forgets": Fault(stores=0, claims=True),
    "200 without a word, and forgets": Fault(200, b"", stores=0),
    "coerced B000": Fault(202, warning=0xB000),
    "slow": Fault(delay_s=1.0),
    "slow, byte by byte": Fault(trickles=True),
}  # fmt: skip
#: … and what the router tries again after an hour.
MENDING: dict[str, Fault] = {
    "processing failure 0110": Fault(409, stores=0, reason=0x0110),
    "cannot understand C000": Fault(409, stores=0, reason=0xC000),
    "failed dependency 424": Fault(424, b"", stores=0),
    "400 without a word, stored": Fault(400, b""),
    "400 without a word, not stored": Fault(400, b"", stores=0),
}  # fmt: skip
#: What one instance is held for.
HOLDING: dict[str, Fault] = {
    "unsupported media 415": Fault(415, b"", stores=0),
    "too large 413": Fault(413, b"", stores=0),
    "SOP class not supported 0122": Fault(409, stores=0, reason=0x0122),
    "data set does not match A900": Fault(409, stores=0, reason=0xA900),
    "cannot understand C000": Fault(409, stores=0, reason=0xC000),  # three times
    "says duplicate 0111, and has it not": Fault(409, stores=0, reason=0x0111),
}
#: What stops everything until a person mends it.
PAUSING: dict[str, Fault] = {
    "unauthorized 401": Fault(401, b"", stores=0),
    "forbidden 403": Fault(403, b"", stores=0),
    "endpoint gone 404": Fault(404, b"", stores=0),
}


@dataclass(frozen=True)
class Request:
    """An HTTP request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """An HTTP response as it goes out."""

    status: int
    body: bytes = b""
    content_type: str = _JSON


class Backend(Protocol):
    """What stores."""

    def store(self, request: Request, files: list[bytes]) -> None: ...
    def answer(self, request: Request) -> Response: ...


class Memory:
    """Keeps the first file of each SOP Instance UID, and counts the others."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.stored_at: dict[str, float] = {}
        #: How often each UID came with bytes other than the first.
        self.different: Counter[str] = Counter()
        #: Lists an instance only so many seconds after it was stored.
        self.lists_after_s = 0.0
        #: Says another MD5 of these.
        self.wrong_digest: set[str] = set()
        #: Answers read-backs with this instead.
        self.readback_status = 200
        #: Does not list these, although it has them.
        self.hidden: set[str] = set()
        self.clock: Callable[[], float] = time.monotonic

    def store(self, _: Request, files: list[bytes]) -> None:
        for file in files:
            uid = sop_uid(file)
            self.different[uid] += self.files.setdefault(uid, file) != file
            self.stored_at.setdefault(uid, self.clock())

    def forget(self, uid: str) -> None:
        """Loses an instance that it had taken."""
        self.files.pop(uid, None)
        self.stored_at.pop(uid, None)

    def answer(self, request: Request) -> Response:
        if self.readback_status != 200:
            return Response(self.readback_status)
        if request.method == "POST":
            query = json.loads(request.body)["Query"]
            wanted = query.get("SOPInstanceUID")
            listed = self._listed(wanted.split("\\") if wanted else None)
            return Response(200, json.dumps([self._found(uid) for uid in listed]).encode())
        asked = parse_qs(urlsplit(request.path).query).get("SOPInstanceUID")
        entries = [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in self._listed(asked)]
        return Response(200, json.dumps(entries).encode())

    def _listed(self, asked: list[str] | None) -> list[str]:
        now = self.clock()
        return [
            uid
            for uid, stored_at in self.stored_at.items()
            if (asked is None or uid in asked)
            and uid not in self.hidden
            and now >= stored_at + self.lists_after_s
        ]

    def _found(self, uid: str) -> dict[str, Any]:
        digest = hashlib.md5(self.files[uid], usedforsecurity=False).hexdigest()
        if uid in self.wrong_digest:
            digest = digest[::-1]
        return {
            "MainDicomTags": {"SOPInstanceUID": uid},
            "Attachments": [{"UncompressedMD5": digest, "Uuid": uid}],
        }


class Before:
    """Hands everything on to a real PACS."""

    def __init__(self, url: str, credentials: tuple[str, str]) -> None:
        self._url = url.rstrip("/")
        self._credentials = credentials
        self._sessions = threading.local()

    def store(self, request: Request, files: list[bytes]) -> None:
        boundary = b"stored-by-the-faulty-pacs"
        body = b"".join(
            b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (boundary, file)
            for file in files
        )
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom";'
            f" boundary={boundary.decode()}",
            "Accept": _JSON,
        }
        self._send(Request("POST", request.path, headers, body + b"--%s--" % boundary))

    def answer(self, request: Request) -> Response:
        return self._send(request)

    def _send(self, request: Request) -> Response:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = requests.Session()
            self._sessions.session.trust_env = False
        kept = {n: v for n, v in request.headers.items() if n.lower() not in _HOP}
        kept.pop("Authorization", None)
        answer = self._sessions.session.request(
            request.method, f"{self._url}{request.path}", data=request.body, headers=kept,
            auth=self._credentials, timeout=60,
        )  # fmt: skip
        return Response(answer.status_code, answer.content, answer.headers.get("Content-Type", ""))


class FaultyPacs:
    """Serves a backend, with faults. Use it in a ``with``.

    Each STOW request takes the next fault of ``script``; when it is empty, ``otherwise`` decides.
    """

    def __init__(self, backend: Backend | None = None, host: str = "127.0.0.1") -> None:
        self.memory = Memory()
        self.backend: Backend = backend or self.memory
        self.script: deque[Fault] = deque()
        self.otherwise: Callable[[list[str]], Fault] = lambda _: HONEST
        #: How often each SOP Instance UID came whole.
        self.received: Counter[str] = Counter()
        self.requests = 0
        self.stow_bytes = 0
        self._lock = threading.Lock()
        self._server = _Server((host, 0), self)
        self.port = int(self._server.server_address[1])
        self.address = (host, self.port)
        self.root = f"http://{host}:{self.port}"
        self.url = f"{self.root}/dicom-web"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_fault(self, uids: list[str]) -> Fault:
        with self._lock:
            self.requests += 1
            return self.script.popleft() if self.script else self.otherwise(uids)

    def deaf_next(self) -> bool:
        """Whether the next request is not even read."""
        with self._lock:
            if self.script and self.script[0].deaf:
                self.script.popleft()
                return True
        return False

    def take(self, request: Request, fault: Fault, files: list[bytes]) -> Response:
        """Stores what the fault lets it store; the answer."""
        uids = [sop_uid(file) for file in files]
        with self._lock:
            self.received.update(uids)
            self.stow_bytes += len(request.body)
        kept = len(files) if fault.stores is None else fault.stores
        if kept:
            try:
                self.backend.store(request, files[:kept])
            except requests.RequestException:
                return Response(502)
        body = fault.body if fault.body is not None else stow_answer(uids, kept, fault)
        default = 200 if (kept == len(files) or fault.claims) and not fault.denies else 202
        return Response(fault.status or default, body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], pacs: FaultyPacs) -> None:
        self.pacs = pacs
        super().__init__(address, _Handler)

    def handle_error(self, *_: object) -> None:
        """A connection that broke off is what this is made for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        pacs = self.server.pacs
        if "multipart" not in self.headers.get("Content-Type", ""):
            self._pass()
            return
        if pacs.deaf_next():
            self._break()
            return
        request = self._read()
        files = parts(request)
        fault = pacs.next_fault([sop_uid(file) for file in files])
        response = pacs.take(request, fault, files)
        if fault.mute or fault.deaf:
            self._break()
            return
        time.sleep(fault.delay_s)
        self._answer(response, fault)

    def do_GET(self) -> None:
        self._pass()

    def _pass(self) -> None:
        try:
            response = self.server.pacs.backend.answer(self._read())
        except requests.RequestException:
            response = Response(502)
        self._answer(response, HONEST)

    def _read(self) -> Request:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return Request(self.command, self.path, dict(self.headers.items()), body)

    def _answer(self, response: Response, fault: Fault) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        if fault.retry_after is not None:
            self.send_header("Retry-After", _until(fault.retry_after))
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if fault.trickles:
            for value in response.body:
                self.wfile.write(bytes([value]))
                time.sleep(0.002)
        else:
            self.wfile.write(response.body)

    def _break(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def _until(retry_after: str) -> str:
    if not retry_after.startswith("in "):
        return retry_after
    return formatdate(time.time() + float(retry_after.split()[1]), usegmt=True)


def parts(request: Request) -> list[bytes]:
    """The files of a multipart/related request (RFC 2387)."""
    boundary = request.headers["Content-Type"].rpartition("boundary=")[2]
    boundary = boundary.partition(";")[0].strip('" ')
    files = []
    for part in request.body.split(b"--" + boundary.encode())[1:-1]:
        _, _, content = part.partition(b"\r\n\r\n")
        files.append(content.removesuffix(b"\r\n"))
    return files


def sop_uid(file: bytes) -> str:
    """The SOP Instance UID of a DICOM file."""
    dataset = pydicom.dcmread(io.BytesIO(file), specific_tags=["SOPInstanceUID"])
    return str(dataset.SOPInstanceUID)


def stow_answer(uids: Iterable[str], stored: int, fault: Fault) -> bytes:
    """A Store Instances Response (PS3.18, I.2)."""
    good, bad = [], []
    for number, uid in enumerate(uids):
        item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
        if fault.claims or (number < stored and not fault.denies):
            if fault.warning is not None:
                item["00081196"] = {"vr": "US", "Value": [fault.warning]}
            good.append(item)
        else:
            item["00081197"] = {"vr": "US", "Value": [fault.reason]}
            bad.append(item)
    answer = {"00081199": {"vr": "SQ", "Value": good}, "00081198": {"vr": "SQ", "Value": bad}}
    return json.dumps({tag: value for tag, value in answer.items() if value["Value"]}).encode()
