"""Delivery against everything that a PACS may answer: there once in the end, or held."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from router.records.errors import Code
from router.records.study import State
from tests.support.delivery_rig import DeliveryRig
from tests.support.faulty_pacs import HOLDING, HONEST, MENDING, PASSING, PAUSING, Fault, FaultyPacs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fake_pacs import FakePacs

#: Longer than the longest wait, and than a PACS may take to list what it took.
HOURS_S = 3 * 3600


@pytest.fixture
def pacs() -> Iterator[FaultyPacs]:
    with FaultyPacs() as made:
        yield made


@pytest.fixture
def bench(tmp_path: Path, pacs: FaultyPacs) -> Iterator[DeliveryRig]:
    made = DeliveryRig(tmp_path, cast("FakePacs", pacs))
    pacs.memory.clock = lambda: made.now
    yield made
    made.journal.close()


def _hours(bench: DeliveryRig) -> None:
    """Lets the loop work through hours, in steps that grow."""
    end = bench.now + HOURS_S
    while bench.now < end:
        bench.work(3)
        bench.now += 60


@pytest.mark.parametrize("fault", [*PASSING.values(), *MENDING.values()], ids=[*PASSING, *MENDING])
@pytest.mark.parametrize("times", [1, 2])
def test_what_passes_by_itself_leaves_each_instance_there_once(
    bench: DeliveryRig, pacs: FaultyPacs, fault: Fault, times: int
) -> None:
    copies = [bench.study(name) for name in ("one", "two")]
    pacs.script.extend([fault] * times)
    _hours(bench)
    assert [bench.state(name) for name in ("one", "two")] == [State.DELIVERED] * 2
    assert set(pacs.memory.files) == {copy.sop_uid for copy in copies}
    assert not pacs.memory.different.total()


@pytest.mark.parametrize("fault", HOLDING.values(), ids=HOLDING)
def test_a_refusal_for_good_holds_that_instance_and_no_other(
    bench: DeliveryRig, pacs: FaultyPacs, fault: Fault
) -> None:
    refused = bench.study("refused").sop_uid
    taken = bench.study("taken").sop_uid
    pacs.otherwise = lambda uids: fault if refused in uids else HONEST
    _hours(bench)
    assert bench.state("taken") is State.DELIVERED
    assert set(pacs.memory.files) == {taken}
    (held,) = bench.journal.holds.all()
    assert held.instance.copy is not None
    assert held.instance.copy.sop_uid == refused


@pytest.mark.parametrize("fault", PAUSING.values(), ids=PAUSING)
def test_a_refusal_of_everything_holds_nothing_and_goes_on_when_it_is_mended(
    bench: DeliveryRig, pacs: FaultyPacs, fault: Fault
) -> None:
    names = ("one", "two", "three")
    copies = [bench.study(name) for name in names]
    pacs.otherwise = lambda _: fault
    bench.work(30)
    assert bench.journal.holds.all() == []
    assert pacs.memory.files == {}
    pacs.otherwise = lambda _: HONEST
    _hours(bench)
    assert {bench.state(name) for name in names} == {State.DELIVERED}
    assert set(pacs.memory.files) == {copy.sop_uid for copy in copies}


def test_a_response_that_is_lost_after_receipt_costs_no_second_body(
    bench: DeliveryRig, pacs: FaultyPacs
) -> None:
    copy = bench.study("one")
    pacs.script.append(Fault(mute=True))
    bench.work(60)
    assert bench.state("one") is State.DELIVERED
    assert pacs.received[copy.sop_uid] == 1


@pytest.mark.parametrize("minutes", [1, 10])
def test_a_pacs_that_lists_minutes_later_is_not_sent_a_second_body(
    bench: DeliveryRig, pacs: FaultyPacs, minutes: int
) -> None:
    copy = bench.study("one")
    pacs.memory.lists_after_s = minutes * 60
    _hours(bench)
    assert bench.state("one") is State.DELIVERED
    assert pacs.received[copy.sop_uid] == 1


def test_a_pacs_that_fails_to_answer_the_read_back_is_asked_again(
    bench: DeliveryRig, pacs: FaultyPacs
) -> None:
    copy = bench.study("one")
    pacs.memory.readback_status = 500
    bench.work(30)
    assert bench.state("one") is State.ANALYSED
    pacs.memory.readback_status = 200
    _hours(bench)
    assert bench.state("one") is State.DELIVERED
    assert pacs.received[copy.sop_uid] == 1


def test_what_a_pacs_forgets_before_it_is_read_back_is_sent_again(
    bench: DeliveryRig, pacs: FaultyPacs
) -> None:
    copy = bench.study("one")
    pacs.memory.hidden.add(copy.sop_uid)
    bench.work(5)
    pacs.memory.forget(copy.sop_uid)
    pacs.memory.hidden.clear()
    _hours(bench)
    assert bench.state("one") is State.DELIVERED
    assert pacs.received[copy.sop_uid] == 2


def test_a_pacs_that_reports_another_digest_holds_the_instance(
    tmp_path: Path, pacs: FaultyPacs
) -> None:
    bench = DeliveryRig(
        tmp_path, cast("FakePacs", pacs), readback="orthanc", readback_url=pacs.root
    )
    copy = bench.study("one")
    other = bench.study("two")
    pacs.memory.clock = lambda: bench.now
    pacs.memory.wrong_digest.add(copy.sop_uid)
    bench.work(30)
    assert bench.state("two") is State.DELIVERED
    (held,) = bench.journal.holds.all()
    assert held.hold.code is Code.STORED_BYTES_DIFFER
    assert pacs.received == {copy.sop_uid: 1, other.sop_uid: 1}
    bench.journal.close()
