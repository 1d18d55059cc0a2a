"""A journal, a truck's Orthanc in memory, and the loop that delivers from them to a destination."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, cast

import pydicom
from prometheus_client import CollectorRegistry

from router.destinations import KINDS
from router.destinations.stow import StowSettings
from router.dicom import part10
from router.journal import Identities, Journal, Pin
from router.observe.metrics import Metrics
from router.pipeline.deliver import Delivery, Limits
from router.records.copies import Copy, Route
from router.records.errors import Code, OrthancError
from router.records.instance import Arrival
from router.records.study import Outcome, Priority, State
from router.truck.spool import MemoryBody
from tests.support import data

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydicom import FileDataset

    from router.destinations import Destination
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Body
    from tests.support.fake_pacs import FakePacs

CLOUD = "cloud"
LIMITS = Limits()


class Outbox:
    """The truck's Orthanc as far as delivery needs it: copies by id."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.broken: set[str] = set()

    def file(self, instance: str, transcode: str | None = None) -> Body:
        if instance in self.broken:
            raise OrthancError(Code.ORTHANC_REFUSED, "answered 500")
        if transcode is None:
            return MemoryBody(self.files[instance])
        dataset = pydicom.dcmread(io.BytesIO(self.files[instance]))
        dataset.decompress(generate_instance_uid=False)
        return MemoryBody(data.file_bytes(dataset))


class DeliveryRig:
    """A journal with studies of one instance each, and the loop that delivers them."""

    def __init__(
        self,
        folder: Path,
        pacs: FakePacs | None = None,
        limits: Limits = LIMITS,
        destination: Destination | None = None,
        **settings: str,
    ) -> None:
        """Delivers to ``destination``, or by DICOMweb to ``pacs``."""
        self.now = 1000.0
        self.outbox = Outbox()
        if destination is None:
            assert pacs is not None
            made = StowSettings.model_validate(
                {"kind": "stow", "name": CLOUD, "url": pacs.url, "answer_timeout_s": 5, **settings}
            )
            destination = KINDS["stow"].make(made)
        self._destination, self._limits = destination, limits
        self._begin(folder)

    def _begin(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.db")
        self.metrics = CollectorRegistry()
        self.delivery = Delivery(
            self._destination, cast("TruckOrthanc", self.outbox), self.journal,
            Metrics(self.metrics), lambda: self.now, lambda: 0.0, lambda: False,
            self._limits, monotonic=lambda: self.now,
        )  # fmt: skip

    def restart(self, folder: Path) -> None:
        """Ends the loop, and begins another one with what the journal has."""
        self.delivery.close()
        self.journal.close()
        self._begin(folder)

    def study(self, name: str, priority: Priority = Priority.NORMAL) -> Copy:
        """A study of one instance, ready to be sent."""
        (dataset,) = data.ct_series(name, data.Patient.made(name), slices=1, size=32)
        (copy,) = self.images(name, [dataset], priority)
        return copy

    def images(
        self, name: str, datasets: Sequence[FileDataset], priority: Priority = Priority.NORMAL
    ) -> list[Copy]:
        """A study of these, ready to be sent."""
        copies = [self._copy(f"{name}-{n}", dataset) for n, dataset in enumerate(datasets)]
        names = [name, *(f"{name}-{n}" for n in range(1, len(copies)))]
        pins = {name: Pin(name, "key", "basic-1")}
        self.journal.arrivals.take_in(
            [Arrival(one, name, "S") for one in names], [name], pins, None, self.now
        )
        route = Route(rule="r", destinations=None, priority=priority, analyses=None, policy="")
        for one, copy in zip(names, copies, strict=True):
            self.journal.copies.begin(one, copy, Identities("key", {}), self.now, route)
            self.journal.copies.finish(one)
        for outcome in (Outcome.DONE, Outcome.SKIP):
            study = self.journal.studies.get(name)
            assert study is not None
            assert self.journal.studies.move(study, outcome, self.now, [self.delivery.name])
        return copies

    def _copy(self, name: str, dataset: FileDataset) -> Copy:
        raw = data.file_bytes(dataset)
        view = memoryview(raw)
        copy = Copy(
            orthanc_id=f"copy-{name}", study_uid=str(dataset.StudyInstanceUID),
            series_uid=str(dataset.SeriesInstanceUID), sop_uid=str(dataset.SOPInstanceUID),
            sop_class=str(dataset.SOPClassUID), modality=str(dataset.Modality),
            transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
            instance_number=int(dataset.InstanceNumber or 1),
            digest=part10.digest(view), md5=part10.md5(view), size=len(raw),
        )  # fmt: skip
        self.outbox.files[copy.orthanc_id] = raw
        return copy

    def state(self, name: str) -> State:
        study = self.journal.studies.get(name)
        assert study is not None
        return study.state

    def go_on(self, seconds: float, at_rest_s: float = 300.0) -> None:
        """Lets the loop work while so much time goes by; at rest it is asked now and then."""
        end = self.now + seconds
        while self.now < end:
            wait = self.delivery.work_once()
            self.now += max(wait, at_rest_s) if wait else 1.0

    def work(self, seconds: float) -> None:
        """Lets the loop work while so much time goes by, as if each probe went through at once."""
        end = self.now + seconds
        while self.now < end:
            self.delivery.breaker.reset()
            self.delivery.work_once()
            self.now += 1.0
