"""The whole as a state machine: whatever happens in whatever order, never lost and never doubled."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from prometheus_client import CollectorRegistry

from router.delivery import Delivery
from router.journal import Cursor, Journal, Pin
from router.metrics import Metrics
from router.receipt import FINAL, ReceiptState
from router.study import Arrival, Stage, State
from router.worker import Worker
from tests.property.delivery_world import (
    FAULTS,
    PER_STUDY,
    Killed,
    LocalSteps,
    Pacs,
    Truck,
    instance,
    is_report,
    name_of,
    parse,
)

if TYPE_CHECKING:
    from router.orthanc import TruckOrthanc
    from router.steps import Steps

STUDIES = ("s1", "s2", "s3")
DAY_S = 86400.0
#: Every wait of the router is over by then: its longest backoffs, and a PACS' slow index.
_LONG_S, _ROUNDS = 700.0, 60

originals = st.builds(name_of, st.sampled_from(STUDIES), st.integers(0, PER_STUDY - 1))


class DeliveryModel(RuleBasedStateMachine):
    """Journal, worker and delivery are real; Orthanc, the PACS and the clock are the model's."""

    @initialize()
    def begin(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.now = 1_000_000.0
        self.truck = Truck()
        self.pacs = Pacs()
        #: What a person gave up.
        self.discarded: set[str] = set()
        self.sequence = 0
        self._start()

    def _start(self) -> None:
        self.journal = Journal(Path(self._folder.name) / "journal.db")
        self.journal.adopt_destinations([self.pacs.name], self.now)
        self.journal.cap_due_times(self.now)
        self.steps = LocalSteps(self.truck, self.journal, self.now)
        self.worker = Worker(
            self.journal, cast("Steps", self.steps), [self.pacs.name], lambda: self.now, lambda: 0.0
        )
        self.delivery = Delivery(
            self.pacs, cast("TruckOrthanc", self.truck), self.journal,
            Metrics(CollectorRegistry()), lambda: self.now, lambda: 0.0, lambda: False,
        )  # fmt: skip

    def _end(self) -> None:
        self.delivery.close()
        self.journal.close()

    # --- the scanner and the truck's Orthanc ----------------------------------------------------

    @rule(original=originals, told=st.booleans(), stable=st.booleans())
    def arrive(self, original: str, *, told: bool, stable: bool) -> None:
        """The scanner stores an image. ``told``: its change is seen; otherwise it is lost."""
        study, _ = parse(original)
        self.truck.originals[original] = study
        if told:
            self._take_in([original], [study] if stable else [])

    @rule()
    def reconcile(self) -> None:
        unknown = self.journal.unknown([*self.truck.originals, *self.truck.copies])
        assert not set(unknown) & set(self.truck.copies), "a copy of ours was not known as ours"
        self._take_in(unknown, [*self.journal.arriving(), *map(self._study, unknown)])

    def _study(self, original: str) -> str:
        return parse(original)[0]

    def _take_in(self, names: list[str], stable: list[str]) -> None:
        self.sequence += 1
        arrivals = [Arrival(name, self._study(name), "S") for name in names]
        pins = {arrival.study: Pin(arrival.study, "key", "basic-1") for arrival in arrivals}
        cursor = Cursor("index", self.sequence)
        self.journal.take_in(arrivals, stable, pins, cursor, self.now)

    # --- the router -----------------------------------------------------------------------------

    @rule(steps=st.integers(1, 4), killed_after=st.sampled_from([-1, -1, -1, 1, 2]))
    def work(self, steps: int, killed_after: int) -> None:
        self.steps.now = self.now
        self.steps.killed_after = killed_after
        try:
            for _ in range(steps):
                self.worker.work_once()
        except Killed:
            self._killed()
        self.steps.killed_after = -1

    @rule()
    def deliver(self) -> None:
        self.delivery.gate.opened()  # its probes run on the real clock
        try:
            self.delivery.work_once()
        except Killed:
            self._killed()

    @rule()
    def kill(self) -> None:
        self._killed()

    def _killed(self) -> None:
        self.pacs.dead = True
        self._end()
        self.pacs.dead = False
        self._start()

    # --- the link, the PACS, the clock ------------------------------------------------------------

    @rule(up=st.booleans())
    def link(self, *, up: bool) -> None:
        self.pacs.link_up = up

    @rule(faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3))
    def trouble(self, faults: list[str]) -> None:
        self.pacs.script.extend(faults)

    @rule()
    def list_all(self) -> None:
        self.pacs.hidden.clear()

    @rule(seconds=st.sampled_from([1.0, 30.0, 700.0, DAY_S, -DAY_S]))
    def clock(self, seconds: float) -> None:
        self.now = max(1000.0, self.now + seconds)
        self.journal.cap_due_times(self.now)

    # --- a person ---------------------------------------------------------------------------------

    @rule(pick=st.integers(0, 20))
    def release(self, pick: int) -> None:
        if held := self.journal.held():
            chosen = held[pick % len(held)]
            name = chosen.instance.orthanc_id
            if chosen.destination is None:
                self.journal.release(name, self.now, "retry")
            else:
                self.journal.release_at(name, chosen.destination, self.now)

    @rule(pick=st.integers(0, 20))
    def discard(self, pick: int) -> None:
        if held := self.journal.held():
            chosen = held[pick % len(held)]
            name = chosen.instance.orthanc_id
            if chosen.destination is None:
                assert self.journal.discard(name, self.now)
            else:
                assert self.journal.discard_at(name, chosen.destination, self.now)
            self.discarded.add(name)

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def nothing_is_doubled_or_foreign(self) -> None:
        known = {
            copy.sop_uid: copy.digest
            for _, copy in (instance(*parse(name)) for name in self.truck.originals)
        }
        assert self.pacs.different == 0
        assert self.pacs.stored.items() <= known.items()

    @invariant()
    def what_must_be_held_never_leaves(self) -> None:
        for name in self.truck.originals:
            study, number = parse(name)
            if is_report(number):
                assert instance(study, number)[1].sop_uid not in self.pacs.stored

    @invariant()
    def a_verified_receipt_is_true_and_delivered_means_all_of_them(self) -> None:
        for study in self.journal.studies():
            receipts = {r.instance: r for r in self.journal.receipts(study.orthanc_id)}
            for receipt in receipts.values():
                if receipt.verified_at is not None:
                    assert self.pacs.stored[receipt.copy.sop_uid] == receipt.copy.digest
            if study.state is State.DELIVERED:
                for found in self.journal.instances(study.orthanc_id):
                    receipt_ = receipts.get(found.orthanc_id)
                    assert found.stage in {Stage.HELD, Stage.DISCARDED} or (
                        receipt_ is not None and receipt_.state in {*FINAL, ReceiptState.HELD}
                    )

    # --- the end ----------------------------------------------------------------------------------

    def teardown(self) -> None:
        """All trouble ends, time goes by: then everything is there once, or a person has it."""
        if not hasattr(self, "journal"):
            return
        self.pacs.script.clear()
        self.pacs.hidden.clear()
        self.pacs.link_up = True
        try:
            for _ in range(_ROUNDS):
                self.reconcile()
                self.work(8, -1)
                self.deliver()
                self.clock(_LONG_S / 10)
                if self._at_rest():
                    break
            self._account()
        finally:
            self._end()
            self._folder.cleanup()

    def _at_rest(self) -> bool:
        resting = {State.DELIVERED, State.HELD, State.DISCARDED}
        return all(study.state in resting for study in self.journal.studies())

    def _account(self) -> None:
        assert self._at_rest(), [(s.orthanc_id, s.state) for s in self.journal.studies()]
        held = {found.instance.orthanc_id for found in self.journal.held()}
        for name in self.truck.originals:
            there = instance(*parse(name))[1].sop_uid in self.pacs.stored
            assert there or name in held or name in self.discarded, name


DeliveryModel.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestDeliveryModel = DeliveryModel.TestCase
