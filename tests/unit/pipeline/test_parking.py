"""An image that Orthanc dies of is parked, and one that was only there when it died is not."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING, cast

import pytest
from prometheus_client import CollectorRegistry

from router.deid import policies
from router.deid.profile import BASIC
from router.deid.pseudonyms import Key
from router.imaging.worker_process import HeaderCheck
from router.journal import Journal, Pin
from router.observe.metrics import Metrics
from router.pipeline.anonymize.quiet_period import QUIET_S, QuietPeriod
from router.pipeline.quality_check import QualityChecker as QualityCheck
from router.pipeline.steps import PixelWork, Site, Tools, local_steps
from router.pipeline.worker import Worker
from router.records.errors import Code, OrthancBrokeOff, OrthancError, OrthancFull, ResourceMissing
from router.records.instance import Arrival
from router.rules.routing import Routing, Rule
from router.truck.spool import MemoryBody
from tests.support import data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.imaging.worker_process import Analyser
    from router.pipeline.anonymize.pixel_check import PixelCheck
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Body, Spool

STUDY = "study"
IMAGE = "image"


class Truck:
    """A router at one image, and an Orthanc that breaks off whenever it is asked for it."""

    def __init__(self, journal: Journal) -> None:
        self.now = 1000.0
        self.asked: list[float] = []
        self.journal = journal
        self.start()

    def start(self) -> None:
        """As a new process would."""
        self.journal.instances.count_crashes()
        self.quiet_period = QuietPeriod(lambda: self.now)
        tools = Tools(
            cast("TruckOrthanc", self), self.journal, cast("Spool", None), self.headers(),
            self.quiet_period, Metrics(CollectorRegistry()), lambda: self.now, lambda: False,
        )  # fmt: skip
        key = Key("key", b"k" * 32)
        pixels = PixelWork(cast("PixelCheck", None))
        site = Site("TRUCK1", {key.id: key}, self.routing(), policies.SHIPPED, frozenset())
        steps = local_steps(tools, site, pixels, lambda: False)
        self.worker = Worker(self.journal, steps, ["cloud"], lambda: self.now, lambda: 0.0)

    def headers(self) -> HeaderCheck:
        return HeaderCheck(cast("Spool", None))

    def routing(self) -> Routing:
        return cast("Routing", None)

    def file(self, instance: str) -> Body:
        assert instance == IMAGE
        self.asked.append(self.now)
        raise OrthancBrokeOff(Code.ORTHANC_UNREACHABLE, "broke off its answer")

    def work(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.worker.work_once()
            self.now += 0.5

    def held(self) -> dict[Code, int]:
        return dict(self.journal.holds.count())


@pytest.fixture
def truck(tmp_path: Path) -> Iterator[Truck]:
    journal = Journal(tmp_path / "journal.db")
    journal.profiles.enter(BASIC.id, BASIC.to_json())
    pin = Pin("alias", "key", BASIC.id)
    journal.arrivals.take_in(
        [Arrival(IMAGE, STUDY, "SCANNER")], [STUDY], {STUDY: pin}, None, 1000.0
    )
    yield Truck(journal)
    journal.close()


def test_what_orthanc_dies_of_again_and_again_is_parked(truck: Truck) -> None:
    truck.work(3 * QUIET_S)
    assert truck.held() == {Code.INSTANCE_CRASHES: 1}
    assert len(truck.asked) == 3


def test_the_third_try_waits_until_it_has_been_calm(truck: Truck) -> None:
    truck.work(QUIET_S / 2)
    assert len(truck.asked) == 2
    truck.quiet_period.broken()
    begun = truck.now
    truck.work(2 * QUIET_S)
    assert truck.asked[2] >= begun + QUIET_S


def test_an_image_is_not_blamed_for_a_router_that_is_killed_again_and_again(truck: Truck) -> None:
    for _ in range(2):
        truck.journal.instances.begin_step(IMAGE, truck.now)
        truck.start()  # it was killed in the step
    for _ in range(20):
        truck.work(QUIET_S / 3)
        truck.start()
    assert truck.asked == []
    assert truck.held() == {}
    truck.work(1.5 * QUIET_S)
    assert len(truck.asked) == 1


class ThreeImages(Truck):
    """An Orthanc that dies of one image, and with it of the answer to whoever else asks then."""

    FIRST, OTHER = "first", "other"

    def __init__(self, journal: Journal) -> None:
        self.order: list[str] = []
        self.both_ask = threading.Barrier(2, timeout=30)
        super().__init__(journal)

    def size(self, instance: str) -> int:
        return len(instance)

    def file(self, instance: str) -> Body:
        self.order.append(instance)
        if instance != self.FIRST and self.order.count(instance) == 1:
            self.both_ask.wait()  # both are under way when it dies
        elif instance != IMAGE:
            raise ResourceMissing(Code.RESOURCE_MISSING, "it lives, and has another answer")
        raise OrthancBrokeOff(Code.ORTHANC_UNREACHABLE, "broke off its answer")


@pytest.fixture
def three(tmp_path: Path) -> Iterator[ThreeImages]:
    journal = Journal(tmp_path / "three.db")
    journal.profiles.enter(BASIC.id, BASIC.to_json())
    names = (ThreeImages.FIRST, IMAGE, ThreeImages.OTHER)
    pin = Pin("alias", "key", BASIC.id)
    arrivals = [Arrival(name, STUDY, "SCANNER") for name in names]
    journal.arrivals.take_in(arrivals, [STUDY], {STUDY: pin}, None, 1000.0)
    yield ThreeImages(journal)
    journal.close()


def test_an_image_that_was_beside_what_orthanc_dies_of_is_tried_again_alone(
    three: ThreeImages,
) -> None:
    three.work(3 * QUIET_S)
    assert three.held() == {Code.INSTANCE_CRASHES: 1, Code.SOURCE_MISSING: 2}
    assert three.order.count(IMAGE) == 3
    assert three.order.count(ThreeImages.OTHER) == 2


class LargeHeaders(ThreeImages):
    """Every header is large; that of the first image is known last, when others are far ahead."""

    def __init__(self, journal: Journal) -> None:
        patient = data.Patient.made("large headers")
        images = data.ct_series("large headers", patient, slices=3, size=8)
        names = (self.FIRST, IMAGE, self.OTHER)
        self.files = dict(zip(names, map(data.file_bytes, images), strict=True))
        self.ahead = threading.Event()
        super().__init__(journal)

    def headers(self) -> HeaderCheck:
        truck = self

        class Checked(HeaderCheck):
            def is_plain(self, body: Body) -> bool:
                if bytes(body.view) == truck.files[truck.FIRST]:
                    truck.ahead.wait(30)
                    threading.Event().wait(0.5)  # time for another to take what there is one of
                truck.ahead.set()
                return False

        return Checked(cast("Spool", None))

    def routing(self) -> Routing:
        return Routing((), Rule("fallback", {}), ("cloud",))

    def file(self, instance: str) -> Body:
        return MemoryBody(self.files[instance])


def test_large_headers_wait_for_the_first_image_and_not_the_other_way_round(
    three: ThreeImages,
) -> None:
    truck = LargeHeaders(three.journal)
    working = threading.Thread(target=truck.work, args=(1.0,), daemon=True)
    working.start()
    working.join(30)
    assert not working.is_alive(), "they wait for each other"


class NoSizes(ThreeImages):
    """It cannot say how large an image is."""

    def size(self, instance: str) -> int:
        raise OrthancError(Code.ORTHANC_REFUSED, f"no size of {instance}")

    def file(self, instance: str) -> Body:
        self.order.append(instance)
        raise ResourceMissing(Code.RESOURCE_MISSING, "gone")


def test_an_image_whose_size_is_not_told_keeps_no_other(three: ThreeImages) -> None:
    truck = NoSizes(three.journal)
    truck.work(2.0)
    assert truck.held() == {Code.SOURCE_MISSING: 3}


class FullTruck(ThreeImages):
    """Its disk is full when an image is at work."""

    def __init__(self, journal: Journal) -> None:
        self.bodies: list[weakref.ref[Held]] = []
        super().__init__(journal)

    def file(self, instance: str) -> Body:
        body = Held()
        self.bodies.append(weakref.ref(body))
        raise OrthancFull(Code.TRUCK_FULL, f"no room for {instance}")


class Held:
    """What a frame holds when it raises."""


def test_what_an_error_went_through_is_not_kept(three: ThreeImages) -> None:
    full = FullTruck(three.journal)
    gc.disable()  # nothing here is to wait for it: in real life these are bodies of 27 MB
    try:
        full.work(60.0)
        assert full.bodies
        assert not any(body() for body in full.bodies)
    finally:
        gc.enable()


def _checker(truck: Truck) -> QualityCheck:
    return QualityCheck(
        cast("TruckOrthanc", truck), truck.journal, cast("Spool", None), cast("Analyser", None),
        Metrics(CollectorRegistry()), lambda: truck.now, HeaderCheck(cast("Spool", None)), truck.quiet_period,
    )  # fmt: skip


def test_what_the_quality_check_dies_of_is_parked_for_every_step(truck: Truck) -> None:
    for _ in range(3):
        truck.journal.instances.begin_look(IMAGE, truck.now)
        truck.start()  # it was killed at the image
    assert _checker(truck).check_next()
    assert not _checker(truck).check_next(), "it is tried again"
    truck.work(1.0)
    assert truck.asked == []
    assert truck.held() == {Code.INSTANCE_CRASHES: 1}


def test_orthanc_that_dies_of_the_quality_check_counts_too(truck: Truck) -> None:
    for _ in range(2):
        with pytest.raises(OrthancBrokeOff):
            _checker(truck).check_next()
    assert not _checker(truck).check_next(), "the third try does not wait until it is calm"
    truck.now += QUIET_S
    with pytest.raises(OrthancBrokeOff):
        _checker(truck).check_next()
    truck.work(1.0)
    assert len(truck.asked) == 3
    assert truck.held() == {Code.INSTANCE_CRASHES: 1}


@pytest.mark.parametrize("code", [Code.UNREADABLE, Code.BURNED_IN_TEXT])
def test_junk_waits_behind_what_is_sound_and_a_hold_for_privacy_delays_nobody(
    tmp_path: Path, code: Code
) -> None:
    journal = Journal(tmp_path / "junk.db")
    pin = Pin("alias", "key", BASIC.id)

    def arrives(name: str, sender: str, now: float) -> None:
        journal.arrivals.take_in([Arrival(name, name, sender)], [name], {name: pin}, None, now)

    arrives("junk", "FLOOD", 1000.0)
    journal.instances.hold("junk", code, "", 1001.0)
    arrives("more", "FLOOD", 1002.0)
    arrives("good", "SCANNER", 1030.0)
    arrives("late", "SCANNER", 1070.0)
    first = []
    for now in (1080.0, 1081.0, 1082.0, 1083.0):
        study = journal.studies.due(now)
        assert study is not None
        first.append(study.orthanc_id)
        journal.studies.postpone(study, Code.UNEXPECTED, now + 1e6, counts=False)
    journal.close()
    # Held for privacy, its sender is as good as any; else it waits, but for a minute at most.
    expected = (
        ["good", "junk", "more", "late"]
        if code is Code.UNREADABLE
        else ["junk", "more", "good", "late"]
    )
    assert first == expected
