"""One item fails, in whatever way: in each loop all the others go on.

Journal, worker, delivery and the loops' own parts are real; what they work with fails for one item.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import ExitStack, closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from router.deid.pseudonyms import Key
from router.dicom import part10
from router.imaging import quality
from router.imaging.analysis import density
from router.imaging.worker_process import Look
from router.journal import Journal, Pin
from router.observe.metrics import Metrics
from router.pipeline import regression_images
from router.pipeline.anonymize.quiet_period import QuietPeriod
from router.pipeline.deliver import Delivery
from router.pipeline.intake import Intake
from router.pipeline.purge import Purger, Watermarks
from router.pipeline.quality_check import QualityChecker
from router.pipeline.worker import Worker
from router.records import errors
from router.records.errors import Code, EdgeRouterError
from router.records.instance import Arrival
from router.records.study import Outcome, State
from router.truck.orthanc import Changes
from router.truck.plugin_calls import Space
from router.truck.spool import MemoryBody
from tests.support.delivery_world import LocalSteps, Pacs, Truck, instance, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from router.destinations.base import Outgoing, ReadBack, Stored
    from router.records.copies import Copy
    from router.records.study import Study

_ITEMS = 5
_ROUNDS = 12
#: Each example has a journal of its own; what a disk does is others' to test.
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
NOW = 1_000_000.0


def _tree(kind: type[EdgeRouterError]) -> Iterator[type[EdgeRouterError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _tree(one)


def _made(kind: type[EdgeRouterError]) -> Exception:
    try:
        return kind(Code.UNEXPECTED, "of this item")
    except TypeError:  # those that take more
        made: Exception = cast("Any", kind)(Code.UNEXPECTED, "of this item", 1.0)
        return made


#: Of the router's own tree, and what no module expects. ``TooBusy`` is made by the sender itself.
EXPECTED = sorted(
    {k for k in _tree(EdgeRouterError) if k.__module__ == errors.__name__}, key=lambda k: k.__name__
)
UNEXPECTED: tuple[Exception, ...] = (
    errors.IllegalTransition("x"), ValueError("x"), KeyError("x"), TypeError("x"),
    RuntimeError("x"), AssertionError("x"), RecursionError("x"), MemoryError("x"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), OSError(5, "x"), TimeoutError("x"),
    sqlite3.IntegrityError("x"), httpx.ReadTimeout("x"), StopIteration("x"), ZeroDivisionError("x"),
)  # fmt: skip
faults = st.sampled_from([*map(_made, EXPECTED), *UNEXPECTED])
places = st.integers(0, _ITEMS - 1)
quick = settings(deadline=None, max_examples=40)


@contextmanager
def journal() -> Iterator[Journal]:
    with (
        tempfile.TemporaryDirectory(dir=_MEMORY) as folder,
        closing(Journal(Path(folder) / "journal.db")) as made,
    ):
        yield made


def rounds(work: Callable[[], object], number: int = _ROUNDS) -> None:
    """As the thread of a loop does it: what it raises is logged, and it begins again."""
    for _ in range(number):
        try:
            work()
        except Exception:  # noqa: BLE001, S112  (the boundary of the thread)
            continue


class Failing:
    """Fails for one item and for no other."""

    def __init__(self, item: str, fault: Exception) -> None:
        self._item = item
        self._fault = fault
        self.done: set[str] = set()

    def at(self, item: str) -> None:
        if item == self._item:
            raise self._fault
        self.done.add(item)

    def answers(self) -> bool:
        """Orthanc is well: it is this item."""
        return True


def others(names: Sequence[str], at: int) -> set[str]:
    return {name for place, name in enumerate(names) if place != at}


NAMES = [name_of(f"S{number}", 0) for number in range(_ITEMS)]


class Orthanc(Failing):
    """What intake, looking and the keeper of space ask of it."""

    def system(self) -> dict[str, str]:
        return {"DatabaseServerIdentifier": "index"}

    def last_change(self) -> int:
        return _ITEMS

    def changes(self, since: int, _limit: int) -> Changes:
        return Changes([] if since else list(NAMES), [], _ITEMS, done=True)

    def instance_ids(self) -> list[str]:
        return list(NAMES)

    def arrival(self, name: str) -> Arrival:
        self.at(name)
        return Arrival(name, name, "SCANNER")

    def is_stable(self, _study: str) -> bool:
        return True

    def received(self) -> tuple[list[tuple[str, str]], int]:
        return [], 0

    def file(self, name: str) -> MemoryBody:
        self.at(name)
        return MemoryBody(instance(*_parsed(name))[0])

    def space(self, _capacity_mib: int) -> Space:
        return Space(95 << 30, 100 << 30)

    def close_door(self, _seconds: float) -> None:
        """There is none."""

    def delete(self, file: str, _reason: str) -> None:
        self.at(file)


class StoredContent:
    """What an image is."""

    def of_stored(self, name: str, _body: MemoryBody) -> str:
        return name


def _parsed(name: str) -> tuple[str, int]:
    study, _, number = name.partition("-")
    return study, int(number)


def arrived(known: Journal, *, stable: bool) -> None:
    pins = {name: Pin(name, "key", "basic-1") for name in NAMES}
    arrivals = [Arrival(name, name, "SCANNER") for name in NAMES]
    known.arrivals.take_in(arrivals, NAMES if stable else [], pins, None, NOW)


@quick
@given(faults, places)
def test_intake(fault: Exception, at: int) -> None:
    with journal() as known:
        keys = [Key("key", b"k" * 32)]
        orthanc = Orthanc(NAMES[at], fault)
        intake = Intake(
            cast("Any", orthanc), known, keys, "basic-1", Metrics(CollectorRegistry()),
            lambda: NOW, cast("Any", StoredContent()),
        )  # fmt: skip
        rounds(intake.follow_changes, 2)
        rounds(intake.reconcile)
        assert others(NAMES, at) <= {i.orthanc_id for s in known.studies.all(99)
                                     for i in known.instances.of_study(s.orthanc_id)}  # fmt: skip


class Steps(Failing):
    def take(self, study: Study) -> Outcome:
        self.at(study.orthanc_id)
        return Outcome.ALL_HELD


@quick
@given(faults, places)
def test_the_worker(fault: Exception, at: int) -> None:
    with journal() as known:
        arrived(known, stable=True)
        steps = Steps(NAMES[at], fault)
        worker = Worker(known, cast("Any", steps), ["cloud"], lambda: NOW, lambda: 0.0)
        rounds(worker.work_once)
        held = {s.orthanc_id for s in known.studies.all(99) if s.state is State.HELD}
        assert held == others(NAMES, at)


class Analyser(Failing):
    def __init__(self, item: str, fault: Exception) -> None:
        super().__init__(item, fault)
        self.asked = ""

    def look(self, _path: Path) -> Look:
        self.at(self.asked)
        return Look(ACQUISITION, {}, Code.NO_PIXELS)


ACQUISITION = quality.acquisition(part10.read(BytesIO(instance("S0", 0)[0])))


class Spool:
    """Files that nobody opens."""

    @contextmanager
    def as_file(self, _body: object) -> Iterator[Path]:
        yield Path("nowhere")


class Headers:
    def is_plain(self, _body: object) -> bool:
        return True


@quick
@given(faults, places, st.booleans())
def test_the_look_at_images(fault: Exception, at: int, of_the_file: bool) -> None:  # noqa: FBT001
    with journal() as known:
        arrived(known, stable=False)
        orthanc = Orthanc(NAMES[at] if of_the_file else "", fault)
        analyser = Analyser("" if of_the_file else NAMES[at], fault)
        plain = orthanc.file

        def file(name: str) -> MemoryBody:
            analyser.asked = name
            return plain(name)

        orthanc.file = file  # type: ignore[method-assign]
        quality_checker = QualityChecker(
            cast("Any", orthanc), known, cast("Any", Spool()), cast("Any", analyser),
            Metrics(CollectorRegistry()), lambda: NOW, cast("Any", Headers()), QuietPeriod(lambda: 0.0),
        )  # fmt: skip
        rounds(quality_checker.check_next)
        left = {name for name in NAMES if known.quality.count_unseen(name)}
        assert left <= {NAMES[at]}
        assert {n for n in NAMES if known.quality.shown(n)} >= others(NAMES, at)


@contextmanager
def delivered(pacs: Pacs, truck: Truck) -> Iterator[tuple[Journal, Delivery]]:
    """Studies of one image each that have passed the gate, and their delivery."""
    with journal() as known, ExitStack() as ending:
        known.destinations.adopt([pacs.name], NOW)
        arrived(known, stable=True)
        steps = LocalSteps(truck, known, NOW)
        worker = Worker(known, cast("Any", steps), [pacs.name], lambda: NOW, lambda: 0.0)
        while worker.work_once():
            pass
        delivery = Delivery(
            pacs, cast("Any", truck), known, Metrics(CollectorRegistry()), lambda: NOW,
            lambda: 0.0, lambda: False,
        )  # fmt: skip
        ending.callback(delivery.close)
        yield known, delivery


def uid_of(place: int) -> str:
    return instance(*_parsed(NAMES[place]))[1].sop_uid


class BadFor(Pacs):
    """A PACS that fails for one image, when it gets it or when it is asked about it."""

    def __init__(self, uid: str, fault: Exception, *, when: str) -> None:
        super().__init__()
        self._uid, self._fault, self._when = uid, fault, when

    def send(self, outgoing: Outgoing) -> Stored:
        if self._when == "sent" and outgoing.copy.sop_uid == self._uid:
            outgoing.count(10)
            raise self._fault
        return super().send(outgoing)

    def verify(self, copies: Sequence[Copy]) -> ReadBack:
        if self._when == "asked" and self._uid in {copy.sop_uid for copy in copies}:
            raise self._fault
        return super().verify(copies)


class BadTruck(Truck):
    """An Orthanc that fails for one copy."""

    def __init__(self, copy_id: str, fault: Exception) -> None:
        super().__init__()
        self._copy_id, self._fault = copy_id, fault

    def file(self, instance_id: str, transcode: str | None = None) -> Any:
        if instance_id == self._copy_id:
            raise self._fault
        return super().file(instance_id, transcode)


#: They are about a destination as a whole, by what they mean; it is asked again, and all wait.
_OF_ALL = (errors.LinkDown, errors.DestinationPaused, errors.JournalError)


@quick
@given(faults, places, st.sampled_from(["sent", "asked", "opened"]))
def test_delivery(fault: Exception, at: int, when: str) -> None:
    if isinstance(fault, _OF_ALL):
        return
    pacs = BadFor(uid_of(at), fault, when=when)
    copy_id = instance(*_parsed(NAMES[at]))[1].orthanc_id
    truck = BadTruck(copy_id, fault) if when == "opened" else Truck()
    with delivered(pacs, truck) as (known, delivery):
        rounds(delivery.work_once, 6)
        verified = {r.copy.sop_uid for s in known.studies.all(99)
                    for r in known.outbox.of_study(s.orthanc_id) if r.verified_at}  # fmt: skip
    assert verified >= {uid_of(place) for place in range(_ITEMS) if place != at}


@quick
@given(faults, places)
def test_purging(fault: Exception, at: int) -> None:
    pacs, truck = Pacs(), Truck()
    with delivered(pacs, truck) as (known, delivery):
        rounds(delivery.work_once, 4)
        orthanc = Orthanc(NAMES[at], fault)
        purger = Purger(
            cast("Any", orthanc), known, Metrics(CollectorRegistry()),
            Watermarks(80, 0, 90, 0, 1), lambda: NOW, lambda: 0.0, lambda: False,
            cast("Any", StoredContent()),
        )  # fmt: skip
        rounds(purger.look, 3)
        left = {i.instance for i in known.purges.candidates(99)}
    assert left <= {NAMES[at]}
    # Its copy may be gone; the original of the others is.
    assert orthanc.done >= others(NAMES, at)


@quick
@given(faults, places)
def test_golden_images(fault: Exception, at: int) -> None:
    class Golden(Failing):
        def run(self, task: Any) -> None:
            self.at(task.source.name)
            task.target.write_bytes(task.source.name.encode())

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for one in NAMES:
            (folder / one).write_bytes(one.encode())
        analyser = Golden(NAMES[at], fault)
        found = regression_images.check(
            folder,
            cast("Any", analyser),
            folder.parent / f"{folder.name}.work",
            density.ANALYSIS,
        )
    assert set(found.new) >= others(NAMES, at)
    if not isinstance(fault, errors.AnalysisSkipped):  # which is a result
        assert found.failed == (NAMES[at],)


def test_every_error_of_the_tree_is_tried() -> None:
    assert {kind.__name__ for kind in EXPECTED} >= {"Hold", "OrthancBrokeOff", "LinkDown"}
    with pytest.raises(EdgeRouterError):
        raise _made(errors.DeliveryDeferred)
