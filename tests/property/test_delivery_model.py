"""The whole as a state machine: whatever happens in whatever order, never lost and never doubled.

Three destinations that are down, lie and refuse each for itself. The old hold, which belonged to the
image and not to the receipt, is kept as a mutant: the machine must find it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from prometheus_client import CollectorRegistry

from router.journal import Cursor, Journal, Pin
from router.observe.metrics import Metrics
from router.operator import status
from router.pipeline.deliver import Delivery
from router.pipeline.worker import Worker
from router.records.instance import Arrival
from router.records.study import State
from tests.support.delivery_world import (
    FAULTS,
    PER_STUDY,
    Killed,
    LocalSteps,
    Pacs,
    SentInVain,
    Truck,
    instance,
    is_report,
    name_of,
    parse,
)

if TYPE_CHECKING:
    from router.journal import Held
    from router.pipeline.steps import Steps
    from router.records.errors import Code
    from router.records.receipt import Receipt
    from router.truck.orthanc import TruckOrthanc

STUDIES = ("s1", "s2", "s3")
DESTINATIONS = ("archive", "cloud", "research")
DAY_S = 86400.0
#: Longer than any wait of the router; and so many of them as its tries and a PACS' slow index take.
_LONG_S, _ROUNDS = 4000.0, 60
_IN_MEMORY = Path("/dev/shm")  # noqa: S108  (only its speed is wanted)
_RESTING = {State.DELIVERED, State.HELD, State.DISCARDED, State.PURGED}

originals = st.builds(name_of, st.sampled_from(STUDIES), st.integers(0, PER_STUDY - 1))
destinations = st.sampled_from(DESTINATIONS)


def _uid(name: str) -> str:
    return instance(*parse(name))[1].sop_uid


class DeliveryModel(RuleBasedStateMachine):
    """Journal, worker and delivery are real; Orthanc, the PACS and the clock are the model's."""

    @initialize()
    def begin(self) -> None:
        folder = _IN_MEMORY if _IN_MEMORY.is_dir() else None
        self._folder = tempfile.TemporaryDirectory(dir=folder)
        self.now = 1_000_000.0
        self.truck = Truck()
        self.there = {name: Pacs(name) for name in DESTINATIONS}
        #: All that the scanner ever stored.
        self.made: set[str] = set()
        #: What a person gave up, and where; None: everywhere.
        self.discarded: set[tuple[str, str | None]] = set()
        self.sequence = 0
        self._start()

    def _start(self) -> None:
        self.journal = Journal(Path(self._folder.name) / "journal.db")
        self.journal.destinations.adopt(DESTINATIONS, self.now)
        self.journal.studies.cap_due_times(self.now)
        self.steps = LocalSteps(self.truck, self.journal, self.now)
        self.worker = Worker(
            self.journal, cast("Steps", self.steps), DESTINATIONS, lambda: self.now, lambda: 0.0
        )
        self.deliveries = {
            name: Delivery(
                pacs, cast("TruckOrthanc", self.truck), self.journal,
                Metrics(CollectorRegistry()), lambda: self.now, lambda: 0.0, lambda: False,
            )
            for name, pacs in self.there.items()
        }  # fmt: skip

    def _end(self) -> None:
        for delivery in self.deliveries.values():
            delivery.close()
        self.journal.close()

    # --- the scanner and the truck's Orthanc ----------------------------------------------------

    @rule(original=originals, told=st.booleans(), stable=st.booleans())
    def arrive(self, original: str, *, told: bool, stable: bool) -> None:
        """The scanner stores an image. ``told``: its change is seen; otherwise it is lost."""
        if original in self.made and original not in self.truck.originals:
            return  # purged: that it comes again is the keeper's affair
        study, _ = parse(original)
        self.made.add(original)
        self.truck.originals[original] = study
        if told:
            self._take_in([original], [study] if stable else [])

    @rule()
    def reconcile(self) -> None:
        unknown = self.journal.arrivals.unknown([*self.truck.originals, *self.truck.copies])
        assert not set(unknown) & set(self.truck.copies), "a copy of ours was not known as ours"
        self._take_in(unknown, [*self.journal.studies.arriving(), *map(self._study, unknown)])

    def _study(self, original: str) -> str:
        return parse(original)[0]

    def _take_in(self, names: list[str], stable: list[str]) -> None:
        self.sequence += 1
        arrivals = [Arrival(name, self._study(name), "S") for name in names]
        pins = {arrival.study: Pin(arrival.study, "key", "basic-1") for arrival in arrivals}
        cursor = Cursor("index", self.sequence)
        self.journal.arrivals.take_in(arrivals, stable, pins, cursor, self.now)

    @rule()
    def purge(self) -> None:
        """The truck needs room: what may go goes."""
        gone = self.journal.purges.candidates(100)
        for one in gone:
            for name in DESTINATIONS:
                assert self._is_settled(one.instance, name), (one.instance, name)
            self.truck.originals.pop(one.instance)
            self.truck.copies.pop(f"copy-{one.instance}", None)
        self.journal.purges.purged(gone, self.now)

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

    @rule(name=destinations)
    def deliver(self, name: str) -> None:
        self.deliveries[name].breaker.reset()  # its probes run on the real clock
        try:
            self.deliveries[name].work_once()
        except Killed:
            self._killed()

    @rule()
    def kill(self) -> None:
        self._killed()

    def _killed(self) -> None:
        for pacs in self.there.values():
            pacs.dead = True
        self._end()
        for pacs in self.there.values():
            pacs.dead = False
        self._start()

    # --- the link, the PACS, the clock ------------------------------------------------------------

    @rule(name=destinations, up=st.booleans())
    def link(self, name: str, *, up: bool) -> None:
        self.there[name].link_up = up

    @rule(name=destinations, faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3))
    def trouble(self, name: str, faults: list[str]) -> None:
        self.there[name].script.extend(faults)

    @rule(original=originals, names=st.sets(destinations, min_size=1))
    def refuse(self, original: str, names: set[str]) -> None:
        """Some destinations will never take an image; each finds out for itself."""
        for name in names:
            self.there[name].refuses.add(_uid(original))

    @rule(name=destinations)
    def list_all(self, name: str) -> None:
        self.there[name].hidden.clear()

    @rule(seconds=st.sampled_from([1.0, 30.0, 700.0, _LONG_S, DAY_S, -DAY_S]))
    def clock(self, seconds: float) -> None:
        self.now = max(1000.0, self.now + seconds)
        self.journal.studies.cap_due_times(self.now)

    # --- a person ---------------------------------------------------------------------------------

    def _some_held(self, pick: int) -> Held | None:
        held = self.journal.holds.all()
        return held[pick % len(held)] if held else None

    @rule(pick=st.integers(0, 20), mended=st.booleans())
    def release(self, pick: int, *, mended: bool) -> None:
        """``mended``: the destination will take it now."""
        if (held := self._some_held(pick)) is None:
            return
        name = held.instance.orthanc_id
        if held.destination is None:
            assert self.journal.decisions.release(name, self.now, "retry")
            return
        pacs = self.there[held.destination]
        pacs.refused.discard(_uid(name))
        if mended:
            pacs.refuses.discard(_uid(name))
        assert self.journal.decisions.release_at(name, held.destination, self.now)

    @rule(pick=st.integers(0, 20))
    def discard(self, pick: int) -> None:
        if (held := self._some_held(pick)) is None:
            return
        name = held.instance.orthanc_id
        if held.destination is None:
            assert self.journal.decisions.discard(name, self.now)
        else:
            assert self.journal.decisions.discard_at(name, held.destination, self.now)
        self.discarded.add((name, held.destination))

    # --- what always holds ------------------------------------------------------------------------

    def _is_settled(self, name: str, destination: str) -> bool:
        """Whether the image is there, or a person gave it up: what the destination itself has."""
        return (
            _uid(name) in self.there[destination].stored
            or (name, destination) in self.discarded
            or (name, None) in self.discarded
        )

    @invariant()
    def nothing_is_doubled_or_foreign(self) -> None:
        known = {copy.sop_uid: copy.digest for _, copy in (instance(*parse(n)) for n in self.made)}
        for pacs in self.there.values():
            assert pacs.different == 0
            assert pacs.stored.items() <= known.items()

    @invariant()
    def what_must_be_held_never_leaves(self) -> None:
        for name in self.made:
            if is_report(parse(name)[1]):
                assert not any(_uid(name) in pacs.stored for pacs in self.there.values())

    @invariant()
    def a_verified_receipt_is_true_and_at_rest_nothing_is_on_its_way(self) -> None:
        waits = {(h.instance.orthanc_id, h.destination) for h in self.journal.holds.all()}
        for study in self.journal.studies.all():
            for receipt in self.journal.outbox.of_study(study.orthanc_id):
                if receipt.verified_at is not None:
                    stored = self.there[receipt.destination].stored
                    assert stored[receipt.copy.sop_uid] == receipt.copy.digest
            if study.state not in _RESTING:
                continue
            for found in self.journal.instances.of_study(study.orthanc_id):
                name = found.orthanc_id
                for destination in DESTINATIONS:
                    assert (
                        self._is_settled(name, destination)
                        or {(name, None), (name, destination)} & waits
                    ), (study.state, name, destination)

    @invariant()
    def whoever_looks_is_told_the_truth(self) -> None:
        known = set(self.made) - set(self.journal.arrivals.unknown(self.made))
        held = self.journal.holds.all()
        waits = {(h.instance.orthanc_id, h.destination) for h in held}
        open_at = {
            destination
            for name in known
            for destination in DESTINATIONS
            if not self._is_settled(name, destination)
            and not {(name, None), (name, destination)} & waits
        }
        assert open_at <= self.journal.outbox.oldest_undelivered(DESTINATIONS).keys()
        seen = status.overview(self.journal, (), DESTINATIONS)
        if seen["safe"]:
            assert not held
            assert not open_at
        assert bool(held) == any(study["held"] for study in seen["studies"])

    # --- the end ----------------------------------------------------------------------------------

    def teardown(self) -> None:
        """All trouble ends, time goes by: then everything is there once, or a person has it."""
        if not hasattr(self, "journal"):
            return
        for pacs in self.there.values():
            pacs.script.clear()
            pacs.hidden.clear()
            pacs.link_up = True
        try:
            for _ in range(_ROUNDS):
                self.reconcile()
                self.work(8, -1)
                for name in DESTINATIONS:
                    self.deliver(name)
                self.clock(_LONG_S)
                if self._at_rest():
                    break
            self._account()
        finally:
            self._end()
            self._folder.cleanup()

    def _at_rest(self) -> bool:
        return all(study.state in _RESTING for study in self.journal.studies.all())

    def _account(self) -> None:
        assert self._at_rest(), [(s.orthanc_id, s.state) for s in self.journal.studies.all()]
        waits = {(h.instance.orthanc_id, h.destination) for h in self.journal.holds.all()}
        for name in self.made:
            for destination in DESTINATIONS:
                assert (
                    self._is_settled(name, destination)
                    or {(name, None), (name, destination)} & waits
                ), (name, destination)


class OldHold(DeliveryModel):
    """As it was: the first destination's refusal held the image, and a second one's was forgotten."""

    def _start(self) -> None:
        super()._start()
        outbox, hold = self.journal.outbox, self.journal.receipts.hold

        def hold_once(receipt: Receipt, code: Code, detail: str, now: float) -> None:
            of_it = [r for r in outbox.of_study(receipt.study) if r.instance == receipt.instance]
            if not any(r.hold for r in of_it):
                hold(receipt, code, detail, now)

        self.journal.receipts.hold = hold_once  # type: ignore[method-assign]


_SETTINGS = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
DeliveryModel.TestCase.settings = _SETTINGS
TestDeliveryModel = DeliveryModel.TestCase


def test_the_machine_finds_the_old_hold_at_once() -> None:
    with pytest.raises(SentInVain):
        run_state_machine_as_test(
            OldHold,
            settings=settings(
                _SETTINGS, phases=[Phase.generate], derandomize=True, report_multiple_bugs=False
            ),
        )
