"""What can be asked of the cloud: one literal list. Pure.

A route that does not stand here does not exist, however it is spelled. The list names the service
of DICOMweb (PS3.18, chapter 10), the viewer's files, the pages of the sign-in, and the metrics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from entrance.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping


class Who(StrEnum):
    """Who asks."""

    ANYONE = "anyone"
    READER = "reader"
    STORE = "store"  #: a truck, with the credentials that store images
    METRICS = "metrics"  #: a truck, with the credentials that write metrics


class Action(StrEnum):
    """What is done about a request."""

    ALIVE = "alive"  #: nginx says that it is there
    FILE = "file"  #: nginx sends a file of the viewer
    VIEWER = "viewer"  #: nginx sends the viewer's page, whose addresses are its own
    PAGE = "page"  #: a page of the entrance
    SEARCH = "search"  #: QIDO-RS, by the archive
    RETRIEVE = "retrieve"  #: WADO-RS, by the archive
    STORE = "store"  #: STOW-RS, through the body guard
    DIGEST = "digest"  #: the digests of what a truck stored, by the entrance
    MEASURE = "measure"  #: remote write, through the body guard


@dataclass(frozen=True)
class Route:
    """A line of the list."""

    methods: frozenset[str]
    #: Literal segments, and names in braces of what may stand there.
    path: str
    action: Action
    who: frozenset[Who]
    #: Names of query parameters that are passed on.
    query: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Match:
    """A request that stands in the list."""

    route: Route
    target: Target
    #: What stood in the braces.
    parts: Mapping[str, str]


class NoRouteError(LookupError):
    """There is no such route (404)."""


class WrongMethodError(LookupError):
    """The route exists, the method does not (405)."""


class BadQueryError(ValueError):
    """A query parameter that the route does not have (400)."""


_UID = r"(?=[0-9.]{1,64}\Z)[0-9]+(?:\.[0-9]+)*"
_KINDS = {
    "study": _UID,
    "series": _UID,
    "instance": _UID,
    "frames": r"[1-9][0-9]{0,5}(?:,[1-9][0-9]{0,5}){0,255}",
    "tag": r"[0-9a-fA-F]{8}",
    "item": r"[1-9][0-9]{0,5}",
    "folder": r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}",
    "file": r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}\.(?:js|mjs|css|wasm|json|svg|png|jpg|gif|ico|"
            r"woff2?|ttf|otf|html|txt|webmanifest|bin)",
}  # fmt: skip
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in _KINDS.items()}

_GET = frozenset({"GET"})
_SEE = frozenset({"GET", "HEAD"})
_POST = frozenset({"POST"})
_READER = frozenset({Who.READER})
_ARCHIVES = frozenset({Who.READER, Who.STORE})
_STORE = frozenset({Who.STORE})
_ANYONE = frozenset(Who)

#: PS3.18, tables 10.6.1-2, 10.6.1-3 and 10.6.3: what every archive lists, by keyword and by tag.
_ATTRIBUTES = {
    "StudyDate": "00080020", "StudyTime": "00080030", "AccessionNumber": "00080050",
    "Modality": "00080060", "ModalitiesInStudy": "00080061", "ReferringPhysicianName": "00080090",
    "StudyDescription": "00081030", "SeriesDescription": "0008103E", "PatientName": "00100010",
    "PatientID": "00100020", "PatientBirthDate": "00100030", "PatientSex": "00100040",
    "StudyInstanceUID": "0020000D", "SeriesInstanceUID": "0020000E", "StudyID": "00200010",
    "SeriesNumber": "00200011", "InstanceNumber": "00200013", "SOPClassUID": "00080016",
    "SOPInstanceUID": "00080018", "BodyPartExamined": "00180015",
}  # fmt: skip
_SEARCHED = frozenset(
    {"limit", "offset", "includefield", "fuzzymatching", "orderby"}
    | _ATTRIBUTES.keys() | set(_ATTRIBUTES.values())
)  # fmt: skip
_RENDERED = frozenset({"accept", "quality", "viewport", "window"})
_ACCEPT = frozenset({"accept"})

#: OAuth 2.0 (RFC 6749, 4.1.2; RFC 9207) and OpenID Connect Session Management.
_OF_PROVIDER = frozenset(
    {"code", "state", "iss", "error", "error_description", "error_uri", "session_state", "scope"}
)

_INSTANCE = "/dicom-web/studies/{study}/series/{series}/instances/{instance}"


def _search(path: str) -> Route:
    # What the path names the query does not name again.
    named = {"StudyInstanceUID"} if "{study}" in path else set()
    named |= {"SeriesInstanceUID"} if "{series}" in path else set()
    named |= {_ATTRIBUTES[name] for name in named}
    return Route(_GET, path, Action.SEARCH, _ARCHIVES, _SEARCHED - named)


def _retrieve(path: str, query: frozenset[str] = _ACCEPT) -> Route:
    return Route(_GET, path, Action.RETRIEVE, _ARCHIVES, query)


ROUTES = (
    _search("/dicom-web/studies"),
    _search("/dicom-web/series"),
    _search("/dicom-web/instances"),
    _search("/dicom-web/studies/{study}/series"),
    _search("/dicom-web/studies/{study}/instances"),
    _search("/dicom-web/studies/{study}/series/{series}/instances"),
    _retrieve("/dicom-web/studies/{study}"),
    _retrieve("/dicom-web/studies/{study}/metadata"),
    _retrieve("/dicom-web/studies/{study}/rendered", _RENDERED),
    _retrieve("/dicom-web/studies/{study}/series/{series}"),
    _retrieve("/dicom-web/studies/{study}/series/{series}/metadata"),
    _retrieve("/dicom-web/studies/{study}/series/{series}/rendered", _RENDERED),
    _retrieve(_INSTANCE),
    _retrieve(f"{_INSTANCE}/metadata"),
    _retrieve(f"{_INSTANCE}/rendered", _RENDERED),
    _retrieve(f"{_INSTANCE}/frames/{{frames}}"),
    _retrieve(f"{_INSTANCE}/frames/{{frames}}/rendered", _RENDERED),
    _retrieve(f"{_INSTANCE}/bulk/{{tag}}"),
    _retrieve(f"{_INSTANCE}/bulk/{{tag}}/{{item}}/{{tag}}"),
    _retrieve(f"{_INSTANCE}/bulk/{{tag}}/{{item}}/{{tag}}/{{item}}/{{tag}}"),
    Route(_POST, "/dicom-web/studies", Action.STORE, _STORE),
    Route(_POST, "/dicom-web/studies/{study}", Action.STORE, _STORE),
    # The router's read-back asks it as it asks an Orthanc; it is answered here and passed to nobody.
    Route(_POST, "/tools/find", Action.DIGEST, _STORE),
    Route(_POST, "/api/v1/write", Action.MEASURE, frozenset({Who.METRICS})),
    Route(_SEE, "/health", Action.ALIVE, _ANYONE),
    Route(_SEE, "/sign-in", Action.PAGE, _ANYONE, frozenset({"next"})),
    Route(_POST, "/sign-in", Action.PAGE, _ANYONE),
    Route(_SEE, "/sign-in/style.css", Action.PAGE, _ANYONE),
    Route(_GET, "/sign-in/with-provider", Action.PAGE, _ANYONE, frozenset({"next"})),
    Route(_GET, "/sign-in/back", Action.PAGE, _ANYONE, _OF_PROVIDER),
    Route(_SEE, "/sign-out", Action.PAGE, _READER),
    Route(_POST, "/sign-out", Action.PAGE, _READER),
    Route(_SEE, "/", Action.VIEWER, _READER),
    Route(_SEE, "/viewer", Action.VIEWER, _READER),
    Route(_SEE, "/segmentation", Action.VIEWER, _READER),
    Route(_SEE, "/{file}", Action.FILE, _READER),
    Route(_SEE, "/{folder}/{file}", Action.FILE, _READER),
    Route(_SEE, "/{folder}/{folder}/{file}", Action.FILE, _READER),
    Route(_SEE, "/{folder}/{folder}/{folder}/{file}", Action.FILE, _READER),
)  # fmt: skip

#: Their query is the viewer's own, and goes to no server.
_QUERY_IS_LEFT_OUT = frozenset({Action.FILE, Action.VIEWER, Action.ALIVE})


def find(method: str, target: Target) -> Match:
    """The line of the list for a request, with what is to be passed on.

    Raises NoRouteError, WrongMethodError, BadQueryError.
    """
    known = False
    for route in ROUTES:
        parts = _parts(route, target.segments)
        if parts is None:
            continue
        known = True
        if method in route.methods:
            return Match(route, Target(target.segments, _query(route, target)), parts)
    raise WrongMethodError if known else NoRouteError


def _parts(route: Route, segments: tuple[str, ...]) -> dict[str, str] | None:
    wanted = [part for part in route.path.split("/") if part]
    if len(wanted) != len(segments):
        return None
    parts = {}
    for pattern, segment in zip(wanted, segments, strict=True):
        if not pattern.startswith("{"):
            if pattern != segment:
                return None
        elif _PATTERNS[pattern[1:-1]].fullmatch(segment) is None:
            return None
        else:
            parts[pattern[1:-1]] = segment
    return parts


def _query(route: Route, target: Target) -> tuple[tuple[str, str], ...]:
    if route.action in _QUERY_IS_LEFT_OUT:
        return ()
    for name, _ in target.query:
        if name not in route.query and name.upper() not in route.query:
            raise BadQueryError
    return target.query
