"""The delivery loop against a scripted PACS: what one instance does to the others."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, cast

import pydicom
import pytest
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
from tests import data
from tests.contract.fake_pacs import Answer, FakePacs, stored
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydicom import FileDataset

    from router.destinations import Destination
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Body

CLOUD = "cloud"
_LIMITS = Limits()


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


class StepContext:
    """A journal with studies of one instance each, and the loop that delivers them."""

    def __init__(
        self,
        folder: Path,
        pacs: FakePacs | None = None,
        limits: Limits = _LIMITS,
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
            self.delivery.gate.opened()
            self.delivery.work_once()
            self.now += 1.0


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    yield from FakePacs().serving()


@pytest.fixture
def bench(tmp_path: Path, pacs: FakePacs) -> Iterator[StepContext]:
    made = StepContext(tmp_path, pacs)
    yield made
    made.journal.close()


def _taking(pacs: FakePacs, copies: list[Copy], refuse: bytes | None = None) -> set[str]:
    """Lets the PACS take and list these copies; those with ``refuse`` in them break the link."""
    held: set[str] = set()

    def answer(body: bytes) -> Answer:
        if refuse is not None and refuse in body:
            return Answer(cut=True)
        (sop_uid,) = (copy.sop_uid for copy in copies if copy.sop_uid.encode() in body)
        held.add(sop_uid)
        return Answer(200, stored(sop_uid))

    pacs.answer_to = answer
    pacs.listing = lambda asked: [asked] if asked in held else []
    return held


def test_an_instance_that_always_breaks_the_link_does_not_keep_the_others(
    bench: StepContext, pacs: FakePacs
) -> None:
    bad, *good = [bench.study(name) for name in ("bad", "one", "two")]
    _taking(pacs, good, refuse=bad.sop_uid.encode())
    bench.work(60)
    assert [bench.state(name) for name in ("bad", "one", "two")] == [
        State.ANALYSED, State.DELIVERED, State.DELIVERED,
    ]  # fmt: skip
    (receipt,) = bench.journal.outbox.of_study("bad")
    assert (receipt.attempts, receipt.last_code) == (0, Code.LINK_DOWN)
    assert receipt.breaks > 1


def test_a_copy_that_the_truck_cannot_read_does_not_keep_the_others(
    bench: StepContext, pacs: FakePacs
) -> None:
    bad, good = bench.study("bad"), bench.study("good")
    bench.outbox.broken.add(bad.orthanc_id)
    _taking(pacs, [good])
    bench.work(30)
    assert bench.state("good") is State.DELIVERED
    assert bench.state("bad") in {State.ANALYSED, State.RECEIVED}


def test_a_pacs_that_lists_a_minute_late_is_asked_again_and_not_sent_to_again(
    bench: StepContext, pacs: FakePacs
) -> None:
    copy = bench.study("late")
    held = _taking(pacs, [copy])
    begun = bench.now
    pacs.listing = lambda asked: [asked] if asked in held and bench.now > begun + 60 else []
    bench.work(150)
    assert bench.state("late") is State.DELIVERED
    assert len(pacs.bodies) == 1


def test_what_a_pacs_took_and_lost_is_sent_again_and_held_in_the_end(
    bench: StepContext, pacs: FakePacs
) -> None:
    copy = bench.study("lost")
    pacs.answer_to = lambda _: Answer(200, stored(copy.sop_uid))
    for _ in range(4):
        bench.work(30)
        bench.now += 900
    assert len(pacs.bodies) == 3
    (held,) = bench.journal.holds.all()
    assert held.destination == CLOUD
    assert held.hold.code is Code.NOT_FOUND_AFTER_SENDING


def test_an_instance_that_was_stored_behind_a_gateway_timeout_is_not_sent_twice(
    bench: StepContext, pacs: FakePacs
) -> None:
    copy = bench.study("gateway")
    pacs.answer_to = lambda _: Answer(504)
    pacs.listing = lambda asked: [asked] if asked and pacs.bodies else []
    bench.work(30)
    assert bench.state("gateway") is State.DELIVERED
    assert len(pacs.bodies) == 1
    assert copy.sop_uid


def test_a_retry_after_of_years_is_not_obeyed(bench: StepContext, pacs: FakePacs) -> None:
    copy = bench.study("years")
    pacs.answer_to = lambda _: Answer(503, headers={"Retry-After": "315360000"})
    bench.work(2)
    (receipt,) = bench.journal.outbox.of_study("years")
    assert receipt.due_at <= bench.now + 600
    assert copy.sop_uid


def test_an_endpoint_that_is_gone_holds_nothing(bench: StepContext, pacs: FakePacs) -> None:
    names = [f"s{n}" for n in range(5)]
    copies = [bench.study(name) for name in names]
    pacs.answer_to = lambda _: Answer(404)
    bench.delivery.work_once()
    assert not bench.delivery.gate.open
    assert bench.delivery.gate.code is Code.ENDPOINT_WRONG
    assert bench.journal.holds.all() == []
    # What was under way when the first was answered: a body a connection.
    assert len(pacs.bodies) <= _LIMITS.most_connections
    _taking(pacs, copies)
    bench.work(20)
    assert {bench.state(name) for name in names} == {State.DELIVERED}


def test_after_two_days_without_a_link_the_urgent_go_first_and_nothing_was_counted_against_any(
    tmp_path: Path, pacs: FakePacs
) -> None:
    bench = StepContext(tmp_path, pacs, limits=Limits(most_connections=1))  # one body after another
    pacs.probe_status = 503
    pacs.answer_to = lambda _: Answer(cut=True)
    copies: list[Copy] = []
    for number in range(120):  # sixty a day
        priority = Priority.URGENT if number % 10 == 9 else Priority.NORMAL
        copies.append(bench.study(f"s{number}", priority))
        bench.delivery.work_once()
        assert not bench.delivery.gate.open
        bench.now += 1440.0
    assert len(pacs.bodies) <= 1  # the link was tried once, and then only asked about
    tried = len(pacs.bodies)
    held = _taking(pacs, copies)
    pacs.probe_status = 200
    until(lambda: bench.delivery.work_once() >= 0 and len(held) == 120, 60, what="all of them")
    until(lambda: bench.journal.studies.count() == {State.DELIVERED: 120}, what="all verified")
    sent = [
        copy for body in pacs.bodies[tried:] for copy in copies if copy.sop_uid.encode() in body
    ]
    assert len(sent) == len(set(sent)) == 120
    # The one that was on its way is asked about when its turn comes, and sent after that.
    sent.remove(copies[0])
    assert sent == [*copies[9::10], *(copy for n, copy in enumerate(copies) if n and n % 10 != 9)]
    assert bench.journal.holds.count() == {}
    assert {r.attempts for n in range(120) for r in bench.journal.outbox.of_study(f"s{n}")} == {0}
    bench.journal.close()
