"""Thousands of ways to ask for what nobody may have. It does not know what the entrance allows."""

from __future__ import annotations

import http.client
import itertools
import random
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Of Orthanc, of its DICOMweb plugin, of Prometheus, of the entrance itself.
TARGETS = (
    "system", "instances", "patients", "studies", "series", "changes", "statistics", "plugins",
    "modalities", "peers", "jobs", "tools/shutdown", "tools/reset", "tools/execute-script",
    "tools/bulk-delete", "tools/now", "tools/find", "tools/log-level", "tools/create-archive",
    "dicom-web/servers", "dicom-web/servers/x", "dicom-web/servers/x/get", "dicom-web/info",
    "instances/{instance}", "instances/{instance}/file", "instances/{instance}/simplified-tags",
    "patients/{patient}", "studies/{study}/anonymize", "studies/{study}",
    "api/v1/query?query=up", "api/v1/admin/tsdb/delete_series", "-/quit", "metrics", "decide",
    "carried/store", "carried/digest", "carried/measure", "alive",
)  # fmt: skip

_PREFIXES = (
    "/", "//", "/./", "/dicom-web/../", "/dicom-web/studies/../../", "/dicom-web/studies/1.2/../../../",
    "/health/../", "/sign-in/../", "/viewer/../", "/assets/../../", "/api/v1/write/../../../",
    "/dicom-web/..;/", "/dicom-web/.;/../", "/;/", "/dicom-web/%2e%2e/", "/dicom-web/%2e./",
    "/dicom-web/%252e%252e/", "/dicom-web/..%2f", "/dicom-web/..%252f", "/dicom-web/..%5c",
    "/dicom-web/..%255c", "/dicom-web\\..\\", "/dicom-web/..\\", "\\", "/\\", "/%5c", "/%2f",
    "/dicom-web/%c0%ae%c0%ae/", "/dicom-web/..%c0%af", "/dicom-web/..%ef%bc%8f", "/%ef%bc%8e%ef%bc%8e/",
    "/dicom-web/studies%00/../../", "/dicom-web/studies%0a/../../", "/dicom-web/studies/%20/../../../",
    "/dicom-web/studies?/../../", "/dicom-web/studies#/../../", "/dicom-web/studies%3f/../../",
    "/dicom-web/studies%23/../../", "/DICOM-WEB/../", "/dicom-web/...//", "/dicom-web/.../",
    "http://cloud-orthanc:8042/", "https://localhost/", "http://127.0.0.1:8042/", "", "*/", "?/", "@",
    "/@cloud-orthanc:8042/", "/dicom-web/@carry/", "/dicom-web/\xe4/../../", "/%u002e%u002e/",
    "/dicom-web/%2e%2e%2f", "/dicom-web%2f..%2f", "/dicom-web/%00/", "/dicom-web/..\t/", "/\x01",
)  # fmt: skip

_SUFFIXES = ("", "/", "//", "%00", "%20", ";x=1", "?_method=DELETE", "?_method=PUT&x=1", "#", "%23",
             "?next=//evil", ".json", "\\", "%5c", "/.", "/%2e", "?X-HTTP-Method-Override=DELETE",
             "?%5fmethod=DELETE", "&_method=DELETE")  # fmt: skip

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get", "Delete", "TRACE",
           "PROPFIND", "X")  # fmt: skip

_HEADERS: tuple[dict[str, str], ...] = (
    {}, {"X-HTTP-Method-Override": "DELETE"}, {"X-HTTP-Method": "PUT"}, {"X-Method-Override": "DELETE"},
    {"X-Original-URL": "/system"}, {"X-Rewrite-URL": "/system"}, {"X-Edge-Target": "/dicom-web/studies"},
    {"X-Edge-Method": "GET"}, {"X-Edge-To": "http://cloud-orthanc:8042/system"}, {"X-Edge-Ticket": "x.y"},
    {"X-Accel-Redirect": "/decide"}, {"X-Forwarded-Prefix": "/tools"}, {"Forwarded": "for=127.0.0.1"},
    {"Host": "cloud-orthanc:8042"}, {"Host": "localhost\\@evil"}, {"Connection": "close, X-Edge-Target"},
    {"Authorization": "Basic Og=="}, {"Authorization": "Bearer x"}, {"Cookie": "__Host-edge-session=x"},
)  # fmt: skip

#: Words that only Orthanc's REST API and Prometheus answer with.
_TELLTALES = re.compile(
    rb'"(ApiVersion|DicomAet|DatabaseVersion|ParentStudy|ParentSeries|ParentPatient|IsStable|FileUuid'
    rb"|CountInstances|TotalDiskSize|ChangeType|Done|HasUserMetadata|resultType)\""
    rb"|[0-9a-f]{8}(-[0-9a-f]{8}){4}|DICM|edge_entrance_|python_gc_"
)


@dataclass(frozen=True)
class Attempt:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def attempts(seed: int, names: dict[str, str]) -> Iterator[Attempt]:
    """Endless; ``names``: Orthanc's identifiers of an instance, a study and a patient."""
    rng = random.Random(seed)
    # Each spelling of a prefix once with reading and once with deleting, then all mixed.
    first = itertools.product(("GET", "DELETE"), _PREFIXES, ("system", "patients/{patient}"), ("",))
    mixed = (
        (rng.choice(METHODS), rng.choice(_PREFIXES), rng.choice(TARGETS), rng.choice(_SUFFIXES))
        for _ in itertools.count()
    )
    for method, prefix, aim, suffix in itertools.chain(first, mixed):
        named = aim.format_map(defaultdict(lambda: "x", names))
        if rng.random() < 0.2:
            place = rng.randrange(len(named))
            named = named[:place] + _disguised(rng, named[place]) + named[place + 1 :]
        body = rng.choice((b"", b"", b"{}", b'{"Resources": []}'))
        yield Attempt(method, prefix + named + suffix, dict(rng.choice(_HEADERS)), body)


def _disguised(rng: random.Random, letter: str) -> str:
    escaped = f"%{ord(letter):02x}"
    return rng.choice((escaped, escaped.replace("%", "%25"), letter.upper(), f"%u00{escaped[1:]}"))


class _Raw(http.client.HTTPConnection):
    """Sends a request's line as it stands."""

    def _validate_path(self, url: str) -> None:
        """Whatever it is."""

    def _validate_method(self, method: str) -> None:
        """Whatever it is."""

    def _encode_request(self, request: str) -> bytes:
        return request.encode("latin-1")


class Line:
    """A connection that is opened anew where the other side has closed it."""

    def __init__(self, make: type[_Raw] | None = None, **how: object) -> None:
        self._make, self._how = make or _Raw, how
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, attempt: Attempt, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body; 0 where it was answered by closing the connection."""
        for _ in range(2):
            connection = self._connection or self._make(**self._how)  # type: ignore[arg-type]
            fresh = self._connection is None
            self._connection = connection
            try:
                return self._asked(connection, attempt, headers)
            except (http.client.HTTPException, OSError):
                connection.close()
                self._connection = None
                if fresh:
                    break
        return 0, b""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    @staticmethod
    def _asked(
        connection: http.client.HTTPConnection, attempt: Attempt, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        connection.putrequest(
            attempt.method, attempt.target, skip_host=True, skip_accept_encoding=True
        )
        for name, value in {"Host": "localhost", **headers, **attempt.headers}.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(attempt.body)))
        connection.endheaders(attempt.body)
        answer = connection.getresponse()
        return answer.status, answer.read()


class Secured(_Raw, http.client.HTTPSConnection):
    """The same over TLS."""


def intruded(status: int, body: bytes) -> bool:
    """Whether the answer shows something that stands behind the entrance."""
    return 200 <= status < 300 and _TELLTALES.search(body) is not None
