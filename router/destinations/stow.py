"""DICOMweb: STOW-RS over HTTPS (PS3.18, 10.5), one instance a request, the answer read per instance.

The status alone says little: Orthanc answers 400 although the good parts are stored, and 200 for a
duplicate whose bytes it threw away. So the body decides, and the read-back decides after it.
"""

from __future__ import annotations

import http
import json
import time
import uuid
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, FilePath, HttpUrl, model_validator
from requests.auth import AuthBase, HTTPBasicAuth

from router.destinations import statuses
from router.destinations.base import PIECE_BYTES, Outgoing, ReadBack, Stored
from router.destinations.connections import Connections, coded
from router.destinations.credentials import BearerToken, secret
from router.destinations.tls import LOOPBACK, TlsSettings
from router.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    EdgeRouterError,
    Hold,
    LinkDown,
    SyntaxRefused,
)
from router.passing import pieces
from router.study import Copy, VerifiedBy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import requests

_LINE_END = b"\r\n"
_DICOM_JSON = "application/dicom+json"

_TRY_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_FULL = 507
_DENIED = frozenset({401, 403})
_UNCLEAR = frozenset({400, 409})
_NO_ENDPOINT = frozenset({404, 405, 410})
#: To connect, and for each part of the answer: seconds. A dead link is to be found out soon.
_PROBE_TIMEOUT = (3.0, 4.0)
_UNSUPPORTED_MEDIA = 415
#: What nginx's own pages say where a client's certificate is missing or refused.
_NGINX_ON_CERTIFICATES = (b"No required SSL certificate was sent", b"The SSL certificate error")
_SHORT_PAGE_BYTES = 1000


class StowSettings(TlsSettings):
    """A destination of kind ``stow``."""

    kind: Literal["stow"]
    url: Annotated[HttpUrl, Field(description="Root of the DICOMweb service, `…/dicom-web`")]
    user: Annotated[str, Field(description="User for Basic authentication; empty: none")] = ""
    password_file: Annotated[
        FilePath | None, Field(description="File with the password of that user")
    ] = None
    token_file: Annotated[
        FilePath | None,
        Field(description="File with a bearer token, instead of a user; read for each request"),
    ] = None
    readback: Annotated[
        Literal["qido", "orthanc"],
        Field(
            description="How an instance is verified: `qido` asks whether it is listed (QIDO-RS); "
            "`orthanc` compares its MD5 over Orthanc's REST API at `readback_url`"
        ),
    ] = "qido"
    readback_url: Annotated[
        HttpUrl | None, Field(description='Root of Orthanc\'s REST API, for `readback = "orthanc"`')
    ] = None

    @model_validator(mode="after")
    def _consistent(self) -> StowSettings:
        if self.url.scheme != "https" and self.url.host not in LOOPBACK and not self.insecure:
            message = "plain http to another machine needs insecure = true"
            raise ValueError(message)
        if self.readback == "orthanc" and self.readback_url is None:
            message = 'readback = "orthanc" needs readback_url'
            raise ValueError(message)
        if self.user and self.password_file is None:
            message = "user needs password_file"
            raise ValueError(message)
        if self.user and self.token_file is not None:
            message = "user and token_file exclude each other"
            raise ValueError(message)
        return self

    def password(self) -> str:
        """Raises SettingsError (SECRET_UNREADABLE)."""
        return secret(self.password_file, self.name) if self.password_file else ""

    def credentials(self) -> AuthBase | None:
        """What is shown with each request. Raises SettingsError (SECRET_UNREADABLE)."""
        if self.token_file is not None:
            token = BearerToken(self.token_file, self.name)
            token.read()
            return token
        return HTTPBasicAuth(self.user, self.password()) if self.user else None


class _Multipart:
    """DICOM files as multipart/related, streamed piece by piece with a known length."""

    def __init__(self, files: Sequence[Outgoing]) -> None:
        self._files = files
        # Fresh for each request, so that no file can hold it.
        boundary = uuid.uuid4().hex
        self.content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
        self._head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        between = (len(self._files) - 1) * len(_LINE_END)
        parts = sum(len(self._head) + len(file.view) for file in self._files)
        return parts + between + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        for number, file in enumerate(self._files):
            yield _LINE_END + self._head if number else self._head
            for piece in pieces(file.view, PIECE_BYTES):
                file.count(len(piece))
                yield bytes(piece)
        yield self._tail


class Stow:
    """A DICOMweb destination; see ``router.destinations.Destination`` for the contract."""

    most_together = 32

    def __init__(self, settings: StowSettings) -> None:
        """Raises SettingsError (SECRET_UNREADABLE)."""
        self.name = settings.name
        #: How far our clock was ahead when the destination last answered, in seconds.
        self.clock_offset_s: float | None = None
        self._settings = settings
        self._root = str(settings.url).rstrip("/")
        self._readback_root = str(settings.readback_url or "").rstrip("/")
        self._timeout = (settings.connect_timeout_s, settings.answer_timeout_s)
        self._auth = settings.credentials()
        settings.check_tls()
        self._connections = Connections(self._configure)

    def _configure(self, session: requests.Session) -> None:
        settings = self._settings
        session.verify = str(settings.ca_file) if settings.ca_file else True
        if settings.client_certificate_file and settings.client_key_file:
            session.cert = (str(settings.client_certificate_file), str(settings.client_key_file))
        session.auth = self._auth
        session.hooks["response"].append(self._read_clock)

    def abort(self) -> None:
        self._connections.abort()

    def close(self) -> None:
        self._connections.close()

    def _read_clock(self, response: requests.Response, **_: object) -> None:
        """The destination's Date (RFC 9110, 6.6.1) has whole seconds: half of one is added."""
        try:
            there = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
        except ValueError:
            return
        self.clock_offset_s = time.time() - there - 0.5

    def probe(self) -> None:
        with self._connections.fresh() as session, coded():
            response = session.get(
                f"{self._root}/studies",
                params={"limit": "1"},
                headers={"Accept": _DICOM_JSON, "Connection": "close"},
                timeout=_PROBE_TIMEOUT,
                allow_redirects=False,
            )
        _check_certificate(response)
        if response.status_code in _DENIED:
            raise _denied(response.status_code)
        if response.is_redirect:
            raise _no_service(response.status_code)
        if not response.ok:
            raise LinkDown(Code.LINK_DOWN, f"the probe was answered with {response.status_code}")

    def send(self, outgoing: Outgoing) -> Stored:
        answer = self.send_together([outgoing])[outgoing.copy.sop_uid]
        if isinstance(answer, EdgeRouterError):
            raise answer
        return answer

    def send_together(self, outgoing: Sequence[Outgoing]) -> Mapping[str, Stored | EdgeRouterError]:
        body = _Multipart(outgoing)
        response = self._request(
            "POST",
            f"{self._root}/studies/{outgoing[0].copy.study_uid}",
            data=body,
            headers={"Content-Type": body.content_type, "Accept": _DICOM_JSON},
        )
        retry_after = response.headers.get("Retry-After")
        answers: dict[str, Stored | EdgeRouterError] = {}
        for file in outgoing:
            uid = file.copy.sop_uid
            try:
                answers[uid] = judge(
                    response.status_code, response.content, retry_after, uid,
                    alone=len(outgoing) == 1,
                )  # fmt: skip
            except DestinationPaused:
                raise
            except EdgeRouterError as error:
                answers[uid] = error
        return answers

    def verify(self, copies: Sequence[Copy]) -> ReadBack:
        if self._settings.readback == "orthanc":
            return self._verify_by_digest(copies)
        return self._verify_by_presence(copies)

    def _verify_by_digest(self, copies: Sequence[Copy]) -> ReadBack:
        # A list of UIDs (PS3.4, C.2.2.2.2): the answer is as long as the question.
        query = {
            "StudyInstanceUID": copies[0].study_uid,
            "SOPInstanceUID": "\\".join(copy.sop_uid for copy in copies),
        }
        response = self._request(
            "POST",
            f"{self._readback_root}/tools/find",
            json={
                "Level": "Instance",
                "Query": query,
                "ResponseContent": ["Attachments", "MainDicomTags"],
            },
        )
        found = {
            entry["MainDicomTags"]["SOPInstanceUID"]: entry["Attachments"]
            for entry in _json_of(response)
        }
        verified, different = {}, set()
        for copy in copies:
            attachments = found.get(copy.sop_uid)
            if attachments is None:
                continue
            if any(copy.md5 == attachment.get("UncompressedMD5") for attachment in attachments):
                verified[copy.sop_uid] = VerifiedBy.DIGEST
            else:
                different.add(copy.sop_uid)
        return ReadBack(verified, frozenset(different))

    def _verify_by_presence(self, copies: Sequence[Copy]) -> ReadBack:
        by_series: dict[str, list[Copy]] = {}
        for copy in copies:
            by_series.setdefault(copy.series_uid, []).append(copy)
        verified: dict[str, VerifiedBy] = {}
        for series_uid, members in by_series.items():
            path = f"{self._root}/studies/{members[0].study_uid}/series/{series_uid}/instances"
            listed = self._listed(path, {}) if len(members) > 1 else set()
            for copy in members:
                # Servers answer with so many instances and no more: a missing one is asked for.
                if copy.sop_uid in listed or copy.sop_uid in self._listed(
                    path, {"SOPInstanceUID": copy.sop_uid}
                ):
                    verified[copy.sop_uid] = VerifiedBy.PRESENCE
        return ReadBack(verified)

    def _listed(self, path: str, query: dict[str, str]) -> set[str]:
        """SOP Instance UIDs that QIDO-RS lists (PS3.18, 10.6)."""
        response = self._request("GET", path, params=query, headers={"Accept": _DICOM_JSON})
        if response.status_code in {http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_FOUND}:
            return set()
        return {str(_value(entry, "00080018")) for entry in _json_of(response)}

    def _request(self, method: str, url: str, **more: Any) -> requests.Response:  # noqa: ANN401
        """One request, never redirected: another host has not been chosen to get images.

        Raises LinkDown, DestinationPaused.
        """
        with self._connections.session() as session, coded():
            response = session.request(
                method, url, timeout=self._timeout, allow_redirects=False, **more
            )
        _check_certificate(response)
        if response.is_redirect or (response.status_code in _NO_ENDPOINT and method == "POST"):
            raise _no_service(response.status_code)
        return response


def judge(
    status: int, content: bytes, retry_after: str | None, sop_uid: str, *, alone: bool = True
) -> Stored:
    """What an answer means for one instance; ``alone``: it was the only one of its request.

    Reads the body whatever the status (202 and 400 come with instances that were stored). Raises
    DestinationPaused, DeliveryDeferred, SyntaxRefused or Hold (DESTINATION_REFUSED).
    """
    if status in _DENIED:
        raise _denied(status)
    stored, failure = _read_answer(content, sop_uid, alone=alone)
    if stored is not None:
        return stored
    if failure is not None:
        return statuses.judge(failure)
    if status in _TRY_LATER or status == _FULL:
        code = Code.DESTINATION_FULL if status == _FULL else Code.DESTINATION_BUSY
        raise DeliveryDeferred(code, f"answered {status}", _seconds(retry_after))
    if status < http.HTTPStatus.BAD_REQUEST:
        return Stored.STORED  # without a word on it: the read-back will tell
    if status == _UNSUPPORTED_MEDIA:
        raise SyntaxRefused(Code.SYNTAX_REFUSED, f"answered {status}")
    if status in _UNCLEAR or not alone:
        raise DeliveryDeferred(
            Code.DESTINATION_ANSWER_UNCLEAR, f"answered {status} without a word on it"
        )
    raise Hold(Code.DESTINATION_REFUSED, f"HTTP {status}")


def _read_answer(content: bytes, sop_uid: str, *, alone: bool) -> tuple[Stored | None, int | None]:
    """What the Store Instances Response (PS3.18, I.2) says of one instance: stored, or the reason."""
    try:
        answer = json.loads(content)
    except ValueError:
        return None, None
    if isinstance(answer, list):
        answer = answer[0] if answer else {}
    for item in _items(answer, "00081199"):
        if _value(item, "00081155") == sop_uid:
            coerced = _value(item, "00081196") is not None
            return (Stored.COERCED if coerced else Stored.STORED), None
    for item in _items(answer, "00081198"):
        if _value(item, "00081155") in ({sop_uid, None} if alone else {sop_uid}):
            reason = _value(item, "00081197")
            return None, reason if isinstance(reason, int) else None
    return None, None


def _items(answer: object, tag: str) -> list[Any]:
    element = answer.get(tag) if isinstance(answer, dict) else None
    return list(element.get("Value") or []) if isinstance(element, dict) else []


def _value(item: object, tag: str) -> Any:  # noqa: ANN401  (JSON of a foreign server)
    values = _items(item, tag)
    return values[0] if values else None


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, needs both clocks right and is left out."""
    return float(retry_after) if retry_after and retry_after.strip().isdigit() else None


def _json_of(response: requests.Response) -> list[Any]:
    if response.status_code in _DENIED:
        raise _denied(response.status_code)
    if not response.ok:
        raise DeliveryDeferred(
            Code.DESTINATION_BUSY, f"the read-back was answered {response.status_code}"
        )
    try:
        return list(response.json())
    except (ValueError, TypeError):
        raise DeliveryDeferred(
            Code.DESTINATION_ANSWER_UNCLEAR, "the read-back's answer is no list"
        ) from None


def _no_service(status: int) -> DestinationPaused:
    return DestinationPaused(
        Code.ENDPOINT_WRONG, f"there is no DICOMweb service at its URL ({status})"
    )


def _check_certificate(response: requests.Response) -> None:
    """A proxy that misses our certificate says so behind the handshake, by a 400 like any other.

    Raises DestinationPaused.
    """
    if response.status_code == http.HTTPStatus.BAD_REQUEST and any(
        text in response.content[:_SHORT_PAGE_BYTES] for text in _NGINX_ON_CERTIFICATES
    ):
        raise DestinationPaused(Code.DESTINATION_DENIED, "it does not accept our certificate")


def _denied(status: int) -> DestinationPaused:
    return DestinationPaused(Code.DESTINATION_DENIED, f"it refused our credentials ({status})")
