"""Sends files the whole way: scanner, Orthanc on the truck, the router in this process, cloud."""

from __future__ import annotations

import sqlite3
import statistics
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unittest import mock

import pydicom
from pynetdicom import AE

from router.pipeline.anonymize.instance import Anonymizer
from router.truck.orthanc import instance_id
from tests.support.in_process import Router
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from router.deid.pseudonyms import Key
    from router.pipeline.anonymize.first_image import FirstImageBarrier
    from router.records.instance import Instance
    from router.records.study import Study
    from tests.support.orthancs import Orthanc

_REST = ("DELIVERED", "HELD", "PURGED", "DISCARDED")


@dataclass
class Came:
    """What became of files, by Orthanc's id of the original."""

    #: The bytes that are in the cloud.
    copies: dict[str, bytes] = field(default_factory=dict)
    #: Objects that the router made of an original.
    beside: list[tuple[str, bytes]] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    #: What the truck did not take, with its status.
    refused: list[str] = field(default_factory=list)
    #: Instances in the cloud that the journal does not answer for.
    surplus: int = 0
    #: From when to when each instance was fetched, planned, anonymized, gated and stored.
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def seconds(self) -> dict[str, float]:
        """How long each instance took. Two are under way at once."""
        return {instance: end - begun for instance, (begun, end) in self.spans.items()}

    @property
    def seconds_each(self) -> float:
        """From the first begin to the last end, over the number of instances."""
        begins, ends = zip(*self.spans.values(), strict=True)
        return float(max(ends) - min(begins)) / len(ends)


def original_id(dataset: pydicom.Dataset) -> str:
    """Orthanc's id of an instance."""
    keywords = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    patient, study, series, sop = (str(dataset.get(k, "")).strip() for k in keywords)
    return instance_id(patient, study, series, sop)


#: Contexts that one association may offer.
_CONTEXTS = 128
_NO_ANSWER = -1


def store(paths: Sequence[Path], port: int) -> list[int]:
    """The C-STORE status of each file, sent as it is; -1 where the truck broke off.

    As scanners do, it sends a file that got no answer once more.
    """
    kinds = [_kind(path) for path in paths]
    statuses: list[int] = []
    tried_again: set[Path] = set()
    while len(statuses) < len(paths):
        entity = AE(ae_title="SCANNER")
        for kind in list(dict.fromkeys(kinds[len(statuses) :]))[:_CONTEXTS]:
            entity.add_requested_context(*kind)
        association = entity.associate("127.0.0.1", port, ae_title="EDGETRUCK")
        assert association.is_established
        offered = {
            (str(c.abstract_syntax), str(c.transfer_syntax[0]))
            for c in association.accepted_contexts
        }
        for path, kind in zip(paths[len(statuses) :], kinds[len(statuses) :], strict=True):
            if kind not in offered:
                statuses.append(_NO_ANSWER)
                continue
            status = int(association.send_c_store(path).get("Status", _NO_ANSWER))
            if status == _NO_ANSWER and path not in tried_again:
                tried_again.add(path)
                break
            statuses.append(status)
            if status == _NO_ANSWER:
                break
        if association.is_established:
            association.release()
    return statuses


def _kind(path: Path) -> tuple[str, str]:
    meta = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[]).file_meta
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)


def compression(*, on: bool) -> str:
    """The settings with which all that can be compressed is, or nothing."""
    return f"[compression]\n{'always = true' if on else 'enabled = false'}\n"


#: The settings without a look at each image and without captures.
WITHOUT_ANALYSIS = "[analysis]\nenabled = false\n"


def through(
    truck: Orthanc, cloud: Orthanc, folder: Path, paths: Sequence[Path], settings: str = "",
    *, deadline_s: float = 900,
) -> Came:  # fmt: skip
    """Sends the files to an empty truck and waits until every study is at rest.

    ``settings``: of the router, beside where everything is.
    """
    truck.wipe()
    cloud.wipe()
    folder.mkdir(parents=True, exist_ok=True)
    router = Router(folder, truck.url, cloud.url)
    # How fast the link is lately shall not show in the bytes.
    router.write_config(truck.url, cloud.url, settings or compression(on=True))
    came = Came()
    with _timed(came.spans), router.running():
        statuses = store(paths, truck.dicom_port)
        taken = [path for path, status in zip(paths, statuses, strict=True) if status == 0]
        came.refused = [f"{p.stem} {s:#x}" for p, s in zip(paths, statuses, strict=True) if s]
        known = len({*original_ids(taken)})
        journal = folder / "journal.db"
        until(lambda: rested(journal, known), deadline_s, what="every study at rest")
    _collect(journal, cloud, came)
    return came


def original_ids(paths: Sequence[Path]) -> list[str]:
    """Orthanc's ids of the originals in files."""
    return [original_id(pydicom.dcmread(path, stop_before_pixels=True)) for path in paths]


def rested(journal: Path, known: int) -> bool:
    """Whether so many instances are known and every study is at rest."""
    if not journal.exists():
        return False
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
        (there,) = database.execute("SELECT count(*) FROM instance WHERE role='SOURCE'").fetchone()
        open_studies = database.execute(
            f"SELECT count(*) FROM study WHERE state NOT IN {_REST}"  # noqa: S608  (a constant)
        ).fetchone()[0]
    return there >= known and not open_studies


def _collect(journal: Path, cloud: Orthanc, came: Came) -> None:
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
        rows = database.execute(
            "SELECT orthanc_id, role, source, hold_code, hold_detail, copy_id FROM instance"
        ).fetchall()
    there = set(cloud.instances())
    answered = set()
    for orthanc_id, role, source, code, detail, copy in rows:
        if code is not None:
            came.held[orthanc_id] = f"{code} ({detail})"
        elif copy in there:
            answered.add(copy)
            if role == "SOURCE":
                came.copies[orthanc_id] = cloud.file(copy)
            else:
                came.beside.append((source, cloud.file(copy)))
    came.surplus = len(there - answered)


def _timed(spans: dict[str, tuple[float, float]]) -> mock._patch:  # type: ignore[type-arg]
    """Measures the step's work on each instance."""
    work = Anonymizer.anonymize

    def measured(
        self: Anonymizer, study: Study, instance: Instance, key: Key, first: FirstImageBarrier
    ) -> None:
        begun = time.perf_counter()
        work(self, study, instance, key, first)
        spans[instance.orthanc_id] = (begun, time.perf_counter())

    return mock.patch.object(Anonymizer, "anonymize", measured)


def median_ms(seconds: Iterable[float]) -> float:
    return 1000 * statistics.median(seconds)
