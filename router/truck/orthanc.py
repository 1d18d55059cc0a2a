"""The truck's Orthanc, as the router uses it. The only importer of pyorthanc."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pyorthanc
from pydicom.uid import ExplicitVRLittleEndian
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from router.dicom.mapped_bytes import pieces
from router.records.errors import (
    Code,
    OrthancBrokeOff,
    OrthancDenied,
    OrthancError,
    OrthancFull,
    OrthancUnreachable,
    ResourceMissing,
)
from router.records.instance import Arrival
from router.truck.spool import IN_MEMORY_BYTES, MemoryBody
from router.truck.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.truck.spool import Body, Spool

_CONNECT_S = 5.0
#: At most four requests at once, so that the scanner's images always find a free hand; and of
#: those with files, which take longest, too.
_CONNECTIONS = _FILES_AT_ONCE = 4
#: Orthanc closes a connection that was idle for a second (its KeepAliveTimeout). A request that
#: meets the closing would look like an Orthanc that died of it.
_IDLE_S = 0.5
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _FULL = 401, 403, 404, 507

_EXAMINATION = {
    "patient_id": "PatientID", "name": "PatientName", "birth_date": "PatientBirthDate",
    "sex": "PatientSex", "date": "StudyDate", "time": "StudyTime", "modality": "Modality",
    "description": "SeriesDescription", "series": "SeriesNumber", "image": "InstanceNumber",
}  # fmt: skip
# Reading changes nothing, so a broken connection is simply tried again.
_reading_again = retry(
    retry=retry_if_exception_type(OrthancUnreachable),
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(multiplier=0.1, max=1.0),
    reraise=True,
)


@dataclass(frozen=True)
class Ring:
    """What the plugin's doorbell says: its start, and the changes it has counted since."""

    boot: str
    rings: int


@dataclass(frozen=True)
class Space:
    """Bytes that images take, or that are taken on their disk, of those that there are."""

    used: int
    total: int


@dataclass(frozen=True)
class Changes:
    """A page of Orthanc's list of changes."""

    #: Ids, in the order of the changes.
    new_instances: list[str]
    stable_studies: list[str]
    last: int
    done: bool


class TruckOrthanc:
    """Thread-safe. Every method raises OrthancError or one of its kinds."""

    def __init__(self, url: str, user: str, password: str, timeout_s: float, spool: Spool) -> None:
        self._client = pyorthanc.Orthanc(
            url.rstrip("/"),
            user,
            password,
            return_raw_response=True,
            timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=_CONNECTIONS + 1, keepalive_expiry=_IDLE_S),
            trust_env=False,
        )
        self._transport = Transport(
            url.rstrip("/"), user, password, _CONNECT_S, timeout_s, _FILES_AT_ONCE,
            httpx.create_ssl_context(trust_env=False) if url.startswith("https:") else None,
        )  # fmt: skip
        self._user = user
        self._spool = spool
        self._series_study: dict[str, str] = {}

    def close(self) -> None:
        self._client.close()
        self._transport.close()

    # --- what is there ------------------------------------------------------------------------

    @_reading_again
    def system(self) -> dict[str, Any]:
        with _coded():
            return dict(_json(self._client.get_system()))

    def answers(self) -> bool:
        """Whether it answers now: then what just failed was of its item, and not of all."""
        try:
            self.system()
        except OrthancError:
            return False
        return True

    def wait(self, ring: Ring | None, timeout_s: float) -> Ring | None:
        """Waits at the plugin's doorbell for a change; ``None``: there is no plugin."""
        query = {"timeout": f"{timeout_s:.1f}"}
        if ring is not None:
            query |= {"boot": ring.boot, "since": str(ring.rings)}
        with _coded():
            response = self._client.get(
                f"{self._client.url}/edge-router/wait",
                params=query,
                timeout=httpx.Timeout(timeout_s + 10.0, connect=_CONNECT_S),
            )
            if response.status_code == _NOT_FOUND:
                return None
            answer = _json(response)
        return Ring(str(answer["boot"]), int(answer["rings"]))

    @_reading_again
    def changes(self, since: int, limit: int) -> Changes:
        """The changes behind ``since``. ``last`` is the number to go on from."""
        with _coded():
            page = _json(
                self._client.get_changes(params={"since": str(since), "limit": str(limit)})
            )
        return Changes(
            [c["ID"] for c in page["Changes"] if c["ChangeType"] == "NewInstance"],
            [c["ID"] for c in page["Changes"] if c["ChangeType"] == "StableStudy"],
            int(page["Last"]),
            bool(page["Done"]),
        )

    @_reading_again
    def last_change(self) -> int:
        with _coded():
            return int(_json(self._client.get_changes(params={"last": ""}))["Last"])

    @_reading_again
    def instance_ids(self) -> list[str]:
        with _coded():
            return list(_json(self._client.get_instances()))

    @_reading_again
    def arrival(self, instance: str) -> Arrival | None:
        """Where an instance belongs and comes from; ``None`` for what the router stored itself."""
        with _coded():
            metadata = _json(self._client.get_instances_id_metadata(instance, {"expand": ""}))
            if metadata.get("HttpUsername") == self._user:
                return None
            series = str(_json(self._client.get_instances_id(instance))["ParentSeries"])
            if series not in self._series_study:
                parent = _json(self._client.get_series_id(series))
                self._series_study[series] = str(parent["ParentStudy"])
        origin = metadata.get("RemoteAET") or metadata.get("HttpUsername") or "unknown"
        return Arrival(instance, self._series_study[series], str(origin))

    @_reading_again
    def sop_uid(self, instance: str) -> str:
        """Its SOP Instance UID, as Orthanc's index has it."""
        with _coded():
            tags = _json(self._client.get_instances_id(instance))["MainDicomTags"]
        return str(tags["SOPInstanceUID"])

    @_reading_again
    def examination(self, instance: str) -> dict[str, str]:
        """Whose an image is, when and by what it was made, as Orthanc's index has it.

        The file is not opened: it may be one that cannot be read.
        """
        with _coded():
            image = _json(self._client.get_instances_id(instance))
            series = _json(self._client.get_series_id(str(image["ParentSeries"])))
            study = _json(self._client.get_studies_id(str(series["ParentStudy"])))
        tags = {
            **study["PatientMainDicomTags"], **study["MainDicomTags"], **series["MainDicomTags"],
            **image["MainDicomTags"],
        }  # fmt: skip
        return {
            field: str(tags[tag]).strip()
            for field, tag in _EXAMINATION.items()
            if str(tags.get(tag, "")).strip()
        }

    @_reading_again
    def is_stable(self, study: str) -> bool:
        with _coded():
            return bool(_json(self._client.get_studies_id(study))["IsStable"])

    # --- the door -----------------------------------------------------------------------------

    @_reading_again
    def space(self, capacity_mib: int = 0) -> Space:
        """Of the limits that there are, the one that is nearest.

        ``capacity_mib``: one of our own; 0: none. Without any limit, and without the plugin, the
        total is infinite for practical purposes.
        """
        with _coded():
            limit = int(_json(self._client.get_system()).get("MaximumStorageSize") or 0)
            stored = int(_json(self._client.get_statistics())["TotalDiskSize"])
            limits = [Space(stored, mib << 20) for mib in (limit, capacity_mib) if mib]
            response = self._client.get(f"{self._client.url}/edge-router/space")
            if response.status_code != _NOT_FOUND:
                disk = _json(response)
                limits.append(Space(int(disk["total"]) - int(disk["free"]), int(disk["total"])))
        unlimited = Space(stored, 1 << 62)
        return max(limits, key=lambda space: space.used / max(space.total, 1), default=unlimited)

    def close_door(self, seconds: float) -> None:
        """Lets the plugin refuse the scanner's images for so long; 0: no longer."""
        with _coded():
            response = self._client.post(
                f"{self._client.url}/edge-router/door", content=f"{seconds:.0f}"
            )
            if response.status_code != _NOT_FOUND:
                _check(response)

    @_reading_again
    def received(self) -> tuple[list[tuple[str, str]], int]:
        """What the scanner sent, as (SOP Instance UID, SHA-256); and what to say when it is noted."""
        with _coded():
            response = self._client.get(f"{self._client.url}/edge-router/received")
            if response.status_code == _NOT_FOUND:
                return [], 0
            _check(response)
            # The last line may be half written.
            whole = response.text[: response.text.rfind("\n") + 1]
            lines = [line.split(" ") for line in whole.splitlines()]
        return [(line[0], line[1]) for line in lines if len(line) == 2], len(whole)  # noqa: PLR2004

    def forget_received(self, until: int) -> None:
        """What ``received`` told is written down."""
        with _coded():
            _check(
                self._client.post(f"{self._client.url}/edge-router/received", content=str(until))
            )

    @_reading_again
    def repeated_file(self, digest: str) -> Body | None:
        """A file that came under the UID of an earlier one, by its digest; ``None``: not kept."""
        with _coded():
            try:
                return self._stream("GET", f"/edge-router/repeated/{digest}", None)
            except ResourceMissing:
                return None

    def forget_repeated(self, digest: str) -> None:
        """What it is has been written down."""
        with _coded():
            response = self._client.post(f"{self._client.url}/edge-router/repeated/{digest}")
            if response.status_code != _NOT_FOUND:
                _check(response)

    @_reading_again
    def same_sop_uid(self, instance: str) -> list[str]:
        """The other instances that have its SOP Instance UID, under other patients or studies."""
        with _coded():
            tags = _json(self._client.get_instances_id(instance))["MainDicomTags"]
            found = _json(
                self._client.post(
                    f"{self._client.url}/tools/lookup", content=tags["SOPInstanceUID"]
                )
            )
        return [
            str(one["ID"]) for one in found if one["Type"] == "Instance" and one["ID"] != instance
        ]

    @_reading_again
    def transfer_syntax(self, instance: str) -> str | None:
        """Of a stored instance; ``None``: it is not there."""
        with _coded():
            try:
                return self._text(f"/instances/{instance}/metadata/TransferSyntax")
            except ResourceMissing:
                return None

    # --- files --------------------------------------------------------------------------------

    @_reading_again
    def file(self, instance: str, transcode: str | None = None) -> Body:
        """The whole file of an instance; ``transcode``: in this transfer syntax, if it can."""
        query = f"?transcode={transcode}" if transcode else ""
        with _coded():
            return self._stream("GET", f"/instances/{instance}/file{query}", None)

    @_reading_again
    def decoded_file(self, instance: str) -> Body:
        """The file with its pixels decoded by Orthanc, Explicit VR Little Endian.

        Orthanc answers with the file as it is where it has no codec.
        """
        with _coded():
            path = f"/instances/{instance}/file?transcode={ExplicitVRLittleEndian}"
            return self._stream("GET", path, None)

    def anonymize(self, instance: str, plan: Mapping[str, object]) -> Body:
        """The anonymized file; Orthanc stores nothing."""
        with _coded():
            return self._stream("POST", f"/instances/{instance}/anonymize", plan)

    def store(self, body: Body) -> tuple[str, bool]:
        """Stores a file as our own. Returns its id and whether Orthanc had it already."""
        with _coded():
            headers = {"Content-Length": str(body.size), "Content-Type": "application/dicom"}
            with self._transport.ask("POST", "/instances", pieces(body.view), headers) as response:
                _check_status(response.status)
                answer = json.loads(response.text())
        return str(answer["ID"]), answer["Status"] == "AlreadyStored"

    def delete(self, instance: str, reason: str) -> None:
        """Deletes one instance; the plugin lets it pass for the reason."""
        with _coded():
            _check(
                self._client.delete(
                    f"{self._client.url}/instances/{instance}",
                    headers={"X-Edge-Router-Delete": reason},
                )
            )

    @_reading_again
    def md5(self, instance: str) -> str:
        """MD5 of the stored file, hexadecimal."""
        with _coded():
            return self._text(f"/instances/{instance}/attachments/dicom/md5")

    @_reading_again
    def size(self, instance: str) -> int:
        """Bytes of the stored file."""
        with _coded():
            return int(self._text(f"/instances/{instance}/attachments/dicom/size"))

    def _text(self, path: str) -> str:
        with self._transport.ask("GET", path) as response:
            _check_status(response.status)
            return response.text().strip()

    def _stream(self, method: str, path: str, body: Mapping[str, object] | None) -> Body:
        asked = None if body is None else json.dumps(body).encode()
        with self._transport.ask(method, path, asked) as response:
            _check_status(response.status)
            if response.size is not None and response.size <= IN_MEMORY_BYTES:
                return MemoryBody(response.whole())
            return self._spool.collect(response.pieces(), response.size)


def instance_id(patient: str, study_uid: str, series_uid: str, sop_uid: str) -> str:
    """Orthanc's id of an instance, as it is made from the identifiers."""
    joined = f"{patient}|{study_uid}|{series_uid}|{sop_uid}"
    digits = hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()
    return "-".join(digits[i : i + 8] for i in range(0, 40, 8))


def _json(response: Any) -> Any:  # noqa: ANN401  (JSON; pyorthanc answers a union)
    _check(response)
    return response.json()


def _check(response: httpx.Response) -> None:
    _check_status(response.status_code)


def _check_status(status: int) -> None:
    if httpx.codes.is_success(status):
        return
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        raise OrthancDenied(
            Code.ORTHANC_DENIED,
            f"The truck's Orthanc refused the router ({status}): check its user and password.",
        )
    if status == _NOT_FOUND:
        raise ResourceMissing(Code.RESOURCE_MISSING, "The truck's Orthanc does not hold it.")
    if status == _FULL:
        raise OrthancFull(Code.TRUCK_FULL, "The truck's disk is full.")
    raise OrthancError(Code.ORTHANC_REFUSED, f"The truck's Orthanc answered {status}.")


@contextmanager
def _coded() -> Iterator[None]:
    """Third parties' texts can hold identifiers: only the type of their exceptions goes on."""
    try:
        yield
    except (httpx.ReadError, httpx.RemoteProtocolError) as error:
        raise OrthancBrokeOff(
            Code.ORTHANC_UNREACHABLE,
            f"The truck's Orthanc broke off its answer ({type(error).__name__}).",
        ) from None
    except httpx.HTTPError as error:
        raise OrthancUnreachable(
            Code.ORTHANC_UNREACHABLE,
            f"The truck's Orthanc cannot be reached ({type(error).__name__}).",
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise OrthancError(
            Code.ORTHANC_REFUSED,
            f"The truck's Orthanc gave no usable answer ({type(error).__name__}).",
        ) from None
