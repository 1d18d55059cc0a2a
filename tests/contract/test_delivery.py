"""The delivery loop against a scripted PACS: what one instance does to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.pipeline.deliver import Limits
from router.records.errors import Code
from router.records.study import Priority, State
from tests.support.delivery_rig import CLOUD, LIMITS, DeliveryRig
from tests.support.fake_pacs import Answer, FakePacs, stored
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.records.copies import Copy


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    yield from FakePacs().serving()


@pytest.fixture
def bench(tmp_path: Path, pacs: FakePacs) -> Iterator[DeliveryRig]:
    made = DeliveryRig(tmp_path, pacs)
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
    bench: DeliveryRig, pacs: FakePacs
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
    bench: DeliveryRig, pacs: FakePacs
) -> None:
    bad, good = bench.study("bad"), bench.study("good")
    bench.outbox.broken.add(bad.orthanc_id)
    _taking(pacs, [good])
    bench.work(30)
    assert bench.state("good") is State.DELIVERED
    assert bench.state("bad") in {State.ANALYSED, State.RECEIVED}


def test_a_pacs_that_lists_a_minute_late_is_asked_again_and_not_sent_to_again(
    bench: DeliveryRig, pacs: FakePacs
) -> None:
    copy = bench.study("late")
    held = _taking(pacs, [copy])
    begun = bench.now
    pacs.listing = lambda asked: [asked] if asked in held and bench.now > begun + 60 else []
    bench.work(150)
    assert bench.state("late") is State.DELIVERED
    assert len(pacs.bodies) == 1


def test_what_a_pacs_took_and_lost_is_sent_again_and_held_in_the_end(
    bench: DeliveryRig, pacs: FakePacs
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
    bench: DeliveryRig, pacs: FakePacs
) -> None:
    copy = bench.study("gateway")
    pacs.answer_to = lambda _: Answer(504)
    pacs.listing = lambda asked: [asked] if asked and pacs.bodies else []
    bench.work(30)
    assert bench.state("gateway") is State.DELIVERED
    assert len(pacs.bodies) == 1
    assert copy.sop_uid


def test_a_retry_after_of_years_is_not_obeyed(bench: DeliveryRig, pacs: FakePacs) -> None:
    copy = bench.study("years")
    pacs.answer_to = lambda _: Answer(503, headers={"Retry-After": "315360000"})
    bench.work(2)
    (receipt,) = bench.journal.outbox.of_study("years")
    assert receipt.due_at <= bench.now + 600
    assert copy.sop_uid


def test_an_endpoint_that_is_gone_holds_nothing(bench: DeliveryRig, pacs: FakePacs) -> None:
    names = [f"s{n}" for n in range(5)]
    copies = [bench.study(name) for name in names]
    pacs.answer_to = lambda _: Answer(404)
    bench.delivery.work_once()
    assert not bench.delivery.breaker.passes
    assert bench.delivery.breaker.code is Code.ENDPOINT_WRONG
    assert bench.journal.holds.all() == []
    # What was under way when the first was answered: a body a connection.
    assert len(pacs.bodies) <= LIMITS.most_connections
    _taking(pacs, copies)
    bench.work(20)
    assert {bench.state(name) for name in names} == {State.DELIVERED}


def test_after_two_days_without_a_link_the_urgent_go_first_and_nothing_was_counted_against_any(
    tmp_path: Path, pacs: FakePacs
) -> None:
    bench = DeliveryRig(tmp_path, pacs, limits=Limits(most_connections=1))  # one body after another
    pacs.probe_status = 503
    pacs.answer_to = lambda _: Answer(cut=True)
    copies: list[Copy] = []
    for number in range(120):  # sixty a day
        priority = Priority.URGENT if number % 10 == 9 else Priority.NORMAL
        copies.append(bench.study(f"s{number}", priority))
        bench.delivery.work_once()
        assert not bench.delivery.breaker.passes
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
