"""DICOMweb: STOW-RS over HTTPS (PS3.18, 10.5), one or several instances a request, the answer read per instance.

The status alone says little: Orthanc answers 400 although the good parts are stored, and 200 for a
duplicate whose bytes it threw away. So the body decides, and the read-back decides after it.
"""

from __future__ import annotations

import http
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, FilePath, HttpUrl, model_validator
from requests.auth import AuthBase, HTTPBasicAuth

from router.destinations.base import Outgoing, ReadBack, Stored
from router.destinations.connections import Connections, coded
from router.destinations.credentials import BearerToken, secret
from router.destinations.dicomweb_answers import (
    asked_for_s,
    check_certificate,
    check_service,
    list_of,
)
from router.destinations.multipart import Multipart
from router.destinations.retry_after import date_s
from router.destinations.stow_answers import send_outcome, value
from router.destinations.tls import LOOPBACK, TlsSettings
from router.records.errors import EdgeRouterError, StoreRefused
from router.records.receipt import VerifiedBy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import requests

    from router.records.copies import Copy

_DICOM_JSON = "application/dicom+json"

#: Some archives say so where there is nothing to list.
_NOTHING_LISTED = frozenset({http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_FOUND})
#: From here on a body is worth asking first where it may be refused: a round trip costs less.
_WORTH_ASKING_BYTES = 1 << 20
#: To connect, and for each part of the answer: seconds. A dead link is to be found out soon.
_PROBE_TIMEOUT = (3.0, 4.0)


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
        """The password; empty: there is none. Raises SettingsError (SECRET_UNREADABLE)."""
        return secret(self.password_file, self.name) if self.password_file else ""

    def credentials(self) -> AuthBase | None:
        """What is shown with each request. Raises SettingsError (SECRET_UNREADABLE)."""
        if self.token_file is not None:
            token = BearerToken(self.token_file, self.name)
            token.read()
            return token
        return HTTPBasicAuth(self.user, self.password()) if self.user else None


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
        #: The largest body that it took, and whether it refused something of the last one.
        self._largest = 0
        self._doubted = False

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
        """Reads the destination's Date (RFC 9110, 6.6.1); of whole seconds, so half of one is added."""
        there = date_s(response.headers.get("Date", ""))
        if there is not None:
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
        check_service(response, _NOTHING_LISTED)

    def send(self, outgoing: Outgoing) -> Stored:
        answer = self.send_together([outgoing])[outgoing.copy.sop_uid]
        if isinstance(answer, EdgeRouterError):
            raise answer
        return answer

    def send_together(self, outgoing: Sequence[Outgoing]) -> Mapping[str, Stored | EdgeRouterError]:
        response = self._store(outgoing)
        check_certificate(response, StoreRefused)
        wanted = asked_for_s(response)
        answers: dict[str, Stored | EdgeRouterError] = {}
        refused: list[StoreRefused] = []
        for file in outgoing:
            uid = file.copy.sop_uid
            try:
                answers[uid] = send_outcome(
                    response.status_code, response.content, wanted, uid, alone=len(outgoing) == 1
                )
            except EdgeRouterError as error:
                answers[uid] = error
                if isinstance(error, StoreRefused):
                    refused.append(error)
        self._doubted = any(isinstance(answer, EdgeRouterError) for answer in answers.values())
        if len(refused) == len(outgoing):
            raise refused[0]
        return answers

    def _store(self, outgoing: Sequence[Outgoing]) -> requests.Response:
        """Sends the files; first asks whether it may, where the body is large and may be refused.

        Raises LinkDown, DestinationPaused.
        """
        body = Multipart(outgoing)
        size = len(body)
        headers = {"Content-Type": body.content_type, "Accept": _DICOM_JSON}
        asks = size >= _WORTH_ASKING_BYTES and (self._doubted or size > self._largest)
        asks = asks and self._connections.hears_expectations
        url = f"{self._root}/studies/{outgoing[0].copy.study_uid}"
        expecting = {"Expect": "100-continue"} if asks else {}
        response = self._request("POST", url, data=body, headers=headers | expecting)
        if asks and response.status_code == http.HTTPStatus.EXPECTATION_FAILED:
            # RFC 9110, 10.1.1: the same request without it.
            self._connections.hears_expectations = False
            response = self._request("POST", url, data=body, headers=headers)
        if response.ok:
            self._largest = max(self._largest, size)
        return response

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
            for entry in list_of(response)
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
        if response.status_code in _NOTHING_LISTED:
            return set()
        return {str(value(entry, "00080018")) for entry in list_of(response)}

    def _request(self, method: str, url: str, **more: Any) -> requests.Response:  # noqa: ANN401
        """One request, never redirected: another host has not been chosen to get images.

        Raises LinkDown, DestinationPaused.
        """
        with self._connections.session() as session, coded():
            return session.request(
                method, url, timeout=self._timeout, allow_redirects=False, **more
            )
