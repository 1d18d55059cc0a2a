"""The truck's Orthanc, as the router uses it. The only importer of pyorthanc."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pyorthanc
from pydicom.uid import ExplicitVRLittleEndian

from router.dicom.mapped_bytes import pieces
from router.records.errors import OrthancError, ResourceMissing
from router.records.instance import Arrival
from router.truck.answers import check, check_status, coded, json_of, reading_again
from router.truck.plugin_calls import CONNECT_S, PluginCalls
from router.truck.spool import IN_MEMORY_BYTES, MemoryBody
from router.truck.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.truck.spool import Body, Spool

#: At most four requests at once, so that the scanner's images always find a free hand; and of
#: those with files, which take longest, too.
_CONNECTIONS = _FILES_AT_ONCE = 4
#: Orthanc closes a connection that was idle for a second (its KeepAliveTimeout). A request that
#: meets the closing would look like an Orthanc that died of it.
_IDLE_S = 0.5

_EXAMINATION = {
    "patient_id": "PatientID", "name": "PatientName", "birth_date": "PatientBirthDate",
    "sex": "PatientSex", "date": "StudyDate", "time": "StudyTime", "modality": "Modality",
    "description": "SeriesDescription", "series": "SeriesNumber", "image": "InstanceNumber",
}  # fmt: skip


@dataclass(frozen=True)
class Changes:
    """A page of Orthanc's list of changes."""

    #: Ids, in the order of the changes.
    new_instances: list[str]
    stable_studies: list[str]
    last: int
    done: bool


class TruckOrthanc(PluginCalls):
    """Thread-safe. Every method raises OrthancError or one of its kinds."""

    def __init__(self, url: str, user: str, password: str, timeout_s: float, spool: Spool) -> None:
        self._client = pyorthanc.Orthanc(
            url.rstrip("/"),
            user,
            password,
            return_raw_response=True,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=_CONNECTIONS + 1, keepalive_expiry=_IDLE_S),
            trust_env=False,
        )
        self._transport = Transport(
            url.rstrip("/"), user, password, CONNECT_S, timeout_s, _FILES_AT_ONCE,
            httpx.create_ssl_context(trust_env=False) if url.startswith("https:") else None,
        )  # fmt: skip
        self._user = user
        self._spool = spool
        self._series_study: dict[str, str] = {}

    def close(self) -> None:
        """Closes its connections; who waits at the doorbell is let go."""
        self._client.close()
        self._transport.close()

    # --- what is there ------------------------------------------------------------------------

    @reading_again
    def system(self) -> dict[str, Any]:
        """What Orthanc says of itself (``/system``)."""
        with coded():
            return dict(json_of(self._client.get_system()))

    def answers(self) -> bool:
        """Whether it answers now: then what just failed was of its item, and not of all."""
        try:
            self.system()
        except OrthancError:
            return False
        return True

    @reading_again
    def changes(self, since: int, limit: int) -> Changes:
        """The changes behind ``since``. ``last`` is the number to go on from."""
        with coded():
            page = json_of(
                self._client.get_changes(params={"since": str(since), "limit": str(limit)})
            )
        return Changes(
            [c["ID"] for c in page["Changes"] if c["ChangeType"] == "NewInstance"],
            [c["ID"] for c in page["Changes"] if c["ChangeType"] == "StableStudy"],
            int(page["Last"]),
            bool(page["Done"]),
        )

    @reading_again
    def last_change(self) -> int:
        """The number of Orthanc's last change."""
        with coded():
            return int(json_of(self._client.get_changes(params={"last": ""}))["Last"])

    @reading_again
    def instance_ids(self) -> list[str]:
        """The ids of all instances that it holds."""
        with coded():
            return list(json_of(self._client.get_instances()))

    @reading_again
    def arrival(self, instance: str) -> Arrival | None:
        """Where an instance belongs and comes from; ``None`` for what the router stored itself."""
        with coded():
            metadata = json_of(self._client.get_instances_id_metadata(instance, {"expand": ""}))
            if metadata.get("HttpUsername") == self._user:
                return None
            series = str(json_of(self._client.get_instances_id(instance))["ParentSeries"])
            if series not in self._series_study:
                parent = json_of(self._client.get_series_id(series))
                self._series_study[series] = str(parent["ParentStudy"])
        origin = metadata.get("RemoteAET") or metadata.get("HttpUsername") or "unknown"
        return Arrival(instance, self._series_study[series], str(origin))

    @reading_again
    def sop_uid(self, instance: str) -> str:
        """Its SOP Instance UID, as Orthanc's index has it."""
        with coded():
            tags = json_of(self._client.get_instances_id(instance))["MainDicomTags"]
        return str(tags["SOPInstanceUID"])

    @reading_again
    def examination(self, instance: str) -> dict[str, str]:
        """Whose an image is, when and by what it was made, as Orthanc's index has it.

        The file is not opened: it may be one that cannot be read.
        """
        with coded():
            image = json_of(self._client.get_instances_id(instance))
            series = json_of(self._client.get_series_id(str(image["ParentSeries"])))
            study = json_of(self._client.get_studies_id(str(series["ParentStudy"])))
        tags = {
            **study["PatientMainDicomTags"], **study["MainDicomTags"], **series["MainDicomTags"],
            **image["MainDicomTags"],
        }  # fmt: skip
        return {
            field: str(tags[tag]).strip()
            for field, tag in _EXAMINATION.items()
            if str(tags.get(tag, "")).strip()
        }

    @reading_again
    def is_stable(self, study: str) -> bool:
        """Whether nothing has come for the study for a while (StableAge)."""
        with coded():
            return bool(json_of(self._client.get_studies_id(study))["IsStable"])

    @reading_again
    def same_sop_uid(self, instance: str) -> list[str]:
        """The other instances that have its SOP Instance UID, under other patients or studies."""
        with coded():
            tags = json_of(self._client.get_instances_id(instance))["MainDicomTags"]
            found = json_of(
                self._client.post(
                    f"{self._client.url}/tools/lookup", content=tags["SOPInstanceUID"]
                )
            )
        return [
            str(one["ID"]) for one in found if one["Type"] == "Instance" and one["ID"] != instance
        ]

    @reading_again
    def transfer_syntax(self, instance: str) -> str | None:
        """Of a stored instance; ``None``: it is not there."""
        with coded():
            try:
                return self._text(f"/instances/{instance}/metadata/TransferSyntax")
            except ResourceMissing:
                return None

    # --- files --------------------------------------------------------------------------------

    @reading_again
    def file(self, instance: str, transcode: str | None = None) -> Body:
        """The whole file of an instance; ``transcode``: in this transfer syntax, if it can."""
        query = f"?transcode={transcode}" if transcode else ""
        with coded():
            return self._stream("GET", f"/instances/{instance}/file{query}", None)

    @reading_again
    def decoded_file(self, instance: str) -> Body:
        """The file with its pixels decoded by Orthanc, Explicit VR Little Endian.

        Orthanc answers with the file as it is where it has no codec.
        """
        with coded():
            path = f"/instances/{instance}/file?transcode={ExplicitVRLittleEndian}"
            return self._stream("GET", path, None)

    def anonymize(self, instance: str, plan: Mapping[str, object]) -> Body:
        """The anonymized file; Orthanc stores nothing."""
        with coded():
            return self._stream("POST", f"/instances/{instance}/anonymize", plan)

    def store(self, body: Body) -> tuple[str, bool]:
        """Stores a file as our own. Returns its id and whether Orthanc had it already."""
        with coded():
            headers = {"Content-Length": str(body.size), "Content-Type": "application/dicom"}
            with self._transport.request(
                "POST", "/instances", pieces(body.view), headers
            ) as response:
                check_status(response.status)
                answer = json.loads(response.text())
        return str(answer["ID"]), answer["Status"] == "AlreadyStored"

    def delete(self, instance: str, reason: str) -> None:
        """Deletes one instance; the plugin lets it pass for the reason."""
        with coded():
            check(
                self._client.delete(
                    f"{self._client.url}/instances/{instance}",
                    headers={"X-Edge-Router-Delete": reason},
                )
            )

    @reading_again
    def md5(self, instance: str) -> str:
        """MD5 of the stored file, hexadecimal."""
        with coded():
            return self._text(f"/instances/{instance}/attachments/dicom/md5")

    @reading_again
    def size(self, instance: str) -> int:
        """Bytes of the stored file."""
        with coded():
            return int(self._text(f"/instances/{instance}/attachments/dicom/size"))

    def _text(self, path: str) -> str:
        with self._transport.request("GET", path) as response:
            check_status(response.status)
            return response.text().strip()

    def _stream(self, method: str, path: str, body: Mapping[str, object] | None) -> Body:
        asked = None if body is None else json.dumps(body).encode()
        with self._transport.request(method, path, asked) as response:
            check_status(response.status)
            if response.size is not None and response.size <= IN_MEMORY_BYTES:
                return MemoryBody(response.whole())
            return self._spool.collect(response.pieces(), response.size)


def instance_id(patient: str, study_uid: str, series_uid: str, sop_uid: str) -> str:
    """Orthanc's id of an instance, as it is made from the identifiers."""
    joined = f"{patient}|{study_uid}|{series_uid}|{sop_uid}"
    digits = hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()
    return "-".join(digits[i : i + 8] for i in range(0, 40, 8))
