"""What is asked of the cloud's entrance: by nobody, by a reader, by a stolen truck.

Whether something got through is judged by what came back and by what the archive holds afterwards,
not by a list of what may pass.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cramjam
import numpy as np
import requests

from tests.abuse.canaries import MARK
from tests.support import remote_write
from tests.support.cloud import sign_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.stack import Stack

_BACK = (
    "\\",
    "%5c",
    "%5C",
    "%255c",
    "%2f",
    "%2F",
    "%252f",
    "/",
    "//",
    "/./",
    "%2e",
    ";/",
    "%00",
    "\t",
)
_UP = ("..", "%2e%2e", "%2E%2e", ".%2e", "%252e%252e", "..;", "%c0%ae%c0%ae", "\uff0e\uff0e")
_TARGETS = (
    "instances", "studies", "patients", "system", "changes", "statistics", "tools/reset",
    "tools/shutdown", "tools/execute-script", "modalities", "peers", "jobs", "plugins",
    "tools/metrics-prometheus", "tools/create-archive", "exports", "dicom-web/servers",
    "app/explorer.html", "tools/log-level", "queries", "edge-router/received",
)  # fmt: skip
_ROOTS = (
    "/dicom-web/",
    "/dicom-web/studies/",
    "/",
    "/wado/",
    "/health/",
    "/api/v1/write/",
    "/viewer/",
)
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get")
_OVERRIDES: tuple[dict[str, str], ...] = (
    {}, {"X-HTTP-Method-Override": "DELETE"}, {"X-HTTP-Method": "DELETE"},
    {"X-Method-Override": "PUT"}, {"X-Original-URL": "/system"}, {"X-Rewrite-URL": "/instances"},
    {"X-Forwarded-Prefix": "/.."}, {"X-Forwarded-User": "auditor"}, {"X-Edge-Router-Delete": "x"},
)  # fmt: skip
_QUERIES = (
    "",
    "?_method=DELETE",
    "?_method=PUT",
    "?expand",
    "?since=0&limit=1000",
    "?%5fmethod=DELETE",
)
#: Names that only Orthanc's own answers hold: none of its REST API is for anybody outside.
_INSIDE = (b'"DicomAet"', b'"ParentPatient"', b'"ParentStudy"', b'"MainDicomTags"', b'"DatabaseVersion"',
           b"orthanc_count_", b'"ChangeType"', b'"CountInstances"', b'"TotalDiskSize"')  # fmt: skip
_OK = range(200, 300)
#: What a wrong password may be answered with: who are you, no, too often, come later.
SHUT = frozenset({401, 403, 429, 503})


@dataclass
class Answer:
    """What came back; status 0: the connection was ended."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Entrance:
    """The cloud's entrance, asked byte by byte: no client tidies up what is sent."""

    def __init__(self, stack: Stack) -> None:
        self._port = stack.port("cloud-proxy", 8443)
        self._context = ssl.create_default_context(cafile=str(stack.secrets / "cloud" / "ca.pem"))
        self.ca = str(stack.secrets / "cloud" / "ca.pem")
        self._cookie = "; ".join(f"{one.name}={one.value}" for one in stack.reader().cookies)
        self._kept: http.client.HTTPSConnection | None = None
        truck = stack.secrets / "trucks" / "TRUCK1"
        self.users: dict[str, tuple[str, str] | None] = {
            "nobody": None,
            "radiologist": None,  # has signed in, by a cookie
            "wrong": ("radiologist", "wrong"),
            "truck": ("truck-TRUCK1", _word(truck / "cloud_password")),
            "metrics": ("metrics-TRUCK1", _word(truck / "metrics_password")),
        }

    def ask(
        self, method: str, target: str, user: str = "nobody", body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """Sends a request line as it is written here."""
        sent = dict(headers or {})
        if user == "radiologist":
            sent["Cookie"] = self._cookie
        elif (known := self.users[user]) is not None:
            sent["Authorization"] = "Basic " + b64encode(":".join(known).encode()).decode()
        for again in (True, False):
            connection = self._connection()
            try:
                connection.putrequest(method, _latin(target), skip_accept_encoding=True)
                for name, value in sent.items():
                    connection.putheader(name, value)
                connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
                got = connection.getresponse()
                return Answer(got.status, got.read(4 << 20), dict(got.headers))
            except (OSError, http.client.HTTPException, ValueError):
                self.close()
                if not again:
                    break
        return Answer(0, b"")

    def _connection(self) -> http.client.HTTPSConnection:
        if self._kept is None:
            self._kept = _Untidy("127.0.0.1", self._port, timeout=30, context=self._context)
        return self._kept

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


class _Untidy(http.client.HTTPSConnection):
    """Lets any target and any method pass."""

    def _validate_path(self, url: str) -> None:
        """Anything goes."""

    def _validate_method(self, method: str) -> None:
        """The same."""

    def _encode_request(self, request: str) -> bytes:
        return request.encode("latin-1", "replace")


def _latin(text: str) -> str:
    """UTF-8 bytes, each as the character of its number."""
    return text.encode().decode("latin-1")


def _word(path: Path) -> str:
    return path.read_text().strip()


def spellings(number: int, seed: int) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Method, target and headers of so many requests."""
    rng = random.Random(seed)
    for _ in range(number):
        climb = "".join(rng.choice(_UP) + rng.choice(_BACK) for _ in range(rng.randint(0, 3)))
        root, target = rng.choice(_ROOTS), rng.choice(_TARGETS)
        if rng.random() < 0.2:
            target = "".join(f"%{ord(c):02x}" if rng.random() < 0.4 else c for c in target)
        path = root + climb + target + rng.choice(("", "/", "%20", ".json", "\\", "#x"))
        yield rng.choice(_METHODS), path + rng.choice(_QUERIES), rng.choice(_OVERRIDES)


def is_intrusion(answer: Answer) -> bool:
    """Whether what came back is of the inside."""
    if answer.status not in _OK:
        return False
    return any(name in answer.body for name in _INSIDE) or _is_list_of_ids(answer.body)


def _is_list_of_ids(body: bytes) -> bool:
    """A list of Orthanc's own ids: five groups of eight hexadecimal digits."""
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return (
        isinstance(said, list)
        and bool(said)
        and all(isinstance(one, str) and len(one) == 44 and one.count("-") == 4 for one in said)
    )


def multipart(parts: list[bytes]) -> tuple[bytes, dict[str, str]]:
    """A STOW request's body and headers."""
    body = b"".join(
        b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts
    )
    kind = 'multipart/related; type="application/dicom"; boundary=edge'
    return body + b"--edge--\r\n", {"Content-Type": kind, "Accept": "application/dicom+json"}


def bad_bodies(number: int, seed: int) -> Iterator[tuple[bytes, dict[str, str]]]:
    """STOW requests that are none."""
    rng = random.Random(seed)
    for index in range(number):
        whole, headers = multipart([rng.randbytes(300)])
        kind = index % 6
        if kind == 0:
            whole = whole[: rng.randrange(len(whole))]
        elif kind == 1:
            headers = {"Content-Type": "multipart/related"}
        elif kind == 2:
            headers = headers | {"Content-Encoding": "gzip"}
            whole = bytes(cramjam.gzip.compress(bytes(1 << 20)))
        elif kind == 3:
            whole = b"--edge\r\n" * 5000
        elif kind == 4:
            headers = {
                "Content-Type": "multipart/related; boundary=" + "x" * rng.choice((0, 71, 8000))
            }
        else:
            whole = bytes(rng.randbytes(2000))
        yield whole, headers


def forged_samples(number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Remote writes that another truck, or no honest one, would send: what, and the body."""
    rng = random.Random(seed)
    now = int(time.time() * 1000)
    for _ in range(number):
        what, labels, at = rng.choice((
            ("another truck's", {"__name__": "edge_router_studies", "truck": "VICTIM"}, now),
            ("an alert", {"__name__": "ALERTS", "alertname": "Forged", "truck": "VICTIM"}, now),
            ("the future", {"__name__": "forged_future", "truck": "TRUCK1"}, now + 5 * 86_400_000),
            ("no name", {"truck": "VICTIM"}, now),
        ))  # fmt: skip
        frame = remote_write.stamps(np.array([at], np.int64))
        series = remote_write.series(remote_write.labels(labels), frame, np.array([1.0]))
        yield what, bytes(cramjam.snappy.compress_raw(series))
    for size in (1 << 20, 30 << 20):
        yield "a bomb", bytes(cramjam.snappy.compress_raw(bytes(size)))


def sign_in_tries(entrance: Entrance, url: str, number: int) -> list[int]:
    """Wrong passwords of a reader and of a truck, by the form and by the header: the statuses."""
    tried = []
    session = requests.Session()
    session.trust_env, session.verify = False, entrance.ca
    for index in range(number):
        guess = f"{MARK}-guess-{index}"
        if index % 2:
            name = "radiologist" if index % 4 == 1 else "truck-TRUCK1"
            entrance.users["wrong"] = (name, guess)
            tried.append(entrance.ask("GET", "/dicom-web/studies", "wrong").status)
        else:
            tried.append(sign_in(session, url, "radiologist", guess).status_code)
    entrance.close()
    session.close()
    return tried
