"""What answers do to images over hours and days: the policy of refusals, on a clock of its own."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import pytest

from router.pipeline.deliver import Limits
from router.records.errors import Code
from router.records.receipt import ReceiptState
from router.records.study import State
from tests.support import data
from tests.support.delivery_rig import DeliveryRig
from tests.support.faulty_pacs import HONEST, Fault, FaultyPacs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.fake_pacs import FakePacs

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
_PAUSED = "edge_router_destination_paused"


def _http(status: int, body: bytes = b"") -> Fault:
    return Fault(status, body, stores=0)


def _reason(reason: int, status: int = 409) -> Fault:
    return Fault(status, stores=0, reason=reason)


#: Their class says that the image alone may be meant, and that it may be taken later.
MAY_MEND = {
    "400": _http(400), "409": _http(409), "424": _http(424), "477, of no list": _http(477),
    "0110": _reason(0x0110), "C000": _reason(0xC000), "of no list": _reason(0x4711),
    "0110 in a 200": _reason(0x0110, 200),
}  # fmt: skip
#: Their class says that it is the way or all of the destination.
EVERYTHING = {
    **{str(code): _http(code) for code in (302, 401, 404, 423, 460, 500, 501, 509, 522, 561)},
    "A700": _reason(0xA700), "0124": _reason(0x0124),
}  # fmt: skip
FINAL = {
    "413": _http(413), "415 in any syntax": _http(415), "0122": _reason(0x0122),
    "A900": _reason(0xA900), "A9FE": _reason(0xA9FE), "A770": _reason(0xA770),
    "A771": _reason(0xA771), "C122 in any syntax": _reason(0xC122), "0117": _reason(0x0117),
}  # fmt: skip


class Archive(FaultyPacs):
    """Writes down when which instance came."""

    def __init__(self) -> None:
        super().__init__()
        self.came: dict[str, list[float]] = defaultdict(list)
        self.now: Callable[[], float] = lambda: 0.0

    def next_fault(self, uids: list[str]) -> Fault:
        for uid in uids:
            self.came[uid].append(self.now())
        return super().next_fault(uids)


@pytest.fixture
def pacs() -> Iterator[Archive]:
    with Archive() as made:
        yield made


@pytest.fixture
def bench(tmp_path: Path, pacs: Archive) -> Iterator[DeliveryRig]:
    made = DeliveryRig(tmp_path, cast("FakePacs", pacs))
    pacs.memory.clock = pacs.now = lambda: made.now
    yield made
    made.delivery.close()
    made.journal.close()


def _held(bench: DeliveryRig, name: str) -> tuple[Code, str] | None:
    """Why the only image of a study is held."""
    (receipt,) = bench.journal.outbox.of_study(name)
    if receipt.state is not ReceiptState.HELD:
        return None
    assert receipt.hold is not None
    return receipt.hold.code, receipt.hold.detail


@pytest.mark.parametrize("fault", MAY_MEND.values(), ids=MAY_MEND)
def test_what_may_mend_is_tried_three_times_hours_apart_and_then_held(
    bench: DeliveryRig, pacs: Archive, fault: Fault
) -> None:
    refused, taken = bench.study("refused").sop_uid, bench.study("taken").sop_uid
    pacs.otherwise = lambda uids: fault if refused in uids else HONEST
    bench.go_on(2.5 * DAY_S)
    first, second, third = pacs.came[refused]
    assert min(second - first, third - second) >= HOUR_S
    held = _held(bench, "refused")
    assert held is not None
    assert held[0] is Code.DESTINATION_REFUSED
    assert pacs.came[taken] == [first]
    assert bench.state("taken") is State.DELIVERED


@pytest.mark.parametrize(
    "fault", [_http(400), _reason(0x0110), *EVERYTHING.values()], ids=["400", "0110", *EVERYTHING]
)
def test_a_destination_that_refuses_everything_is_paused_and_costs_no_image_anything(
    bench: DeliveryRig, pacs: Archive, fault: Fault
) -> None:
    names = [f"s{n}" for n in range(6)]
    copies = [bench.study(name) for name in names]
    pacs.otherwise = lambda _: fault
    bench.go_on(8 * HOUR_S)
    assert {_held(bench, name) for name in names} == {None}
    assert not bench.delivery.breaker.passes or bench.delivery.breaker.is_trying
    assert bench.journal.links.all()["cloud"].code is not None
    # One try an hour in the end, of all that wait there (half of it: the draw is 0).
    assert pacs.requests <= 40
    late = [at for came in pacs.came.values() for at in came if at > bench.now - 4 * HOUR_S]
    assert len(late) <= 8
    pacs.otherwise = lambda _: HONEST
    bench.go_on(6 * HOUR_S)
    assert {bench.state(name) for name in names} == {State.DELIVERED}
    assert set(pacs.memory.files) == {copy.sop_uid for copy in copies}
    assert not pacs.memory.different.total()
    assert bench.journal.links.all()["cloud"].code is None


@pytest.mark.parametrize("status", [403, 423, 500, 503])
def test_an_image_that_alone_meets_what_speaks_of_everything_is_held_in_the_end(
    bench: DeliveryRig, pacs: Archive, status: int
) -> None:
    fault = _http(status)
    refused = bench.study("refused").sop_uid
    pacs.otherwise = lambda uids: fault if refused in uids else HONEST
    names = [f"s{n}" for n in range(12)]
    for name in names:
        bench.study(name)
        bench.go_on(HOUR_S)
    held = _held(bench, "refused")
    assert held is not None
    assert held[0] is Code.DESTINATION_REFUSED
    assert str(status) in held[1]
    # The first counts nothing: it could have been everything.
    assert len(pacs.came[refused]) <= 4
    later = pacs.came[refused][1:]
    assert all(after - before >= HOUR_S for before, after in pairwise(later))
    assert {bench.state(name) for name in names} == {State.DELIVERED}


@pytest.fixture
def one_at_a_time(tmp_path: Path, pacs: Archive) -> Iterator[DeliveryRig]:
    made = DeliveryRig(tmp_path, cast("FakePacs", pacs), Limits(most_connections=1))
    pacs.memory.clock = pacs.now = lambda: made.now
    yield made
    made.delivery.close()
    made.journal.close()


@pytest.mark.parametrize("status", [423, 503])
def test_an_image_that_alone_meets_it_keeps_no_other_where_one_goes_at_a_time(
    one_at_a_time: DeliveryRig, pacs: Archive, status: int
) -> None:
    rig = one_at_a_time
    # The smallest: a destination that refuses everything is asked with that one.
    small = data.ct_series("refused", data.Patient.made("refused"), slices=1, size=16)
    refused = rig.images("refused", list(small))[0].sop_uid
    pacs.otherwise = lambda uids: _http(status) if refused in uids else HONEST
    names = [f"s{n}" for n in range(4)]
    for name in names:
        rig.study(name)
    rig.go_on(HOUR_S / 2)
    assert {rig.state(name) for name in names} == {State.DELIVERED}
    rig.go_on(8 * HOUR_S)
    for name in names:  # it is held only while others go through
        rig.study(f"later {name}")
        rig.go_on(HOUR_S)
    held = _held(rig, "refused")
    assert held is not None
    assert held[0] is Code.DESTINATION_REFUSED
    assert len(pacs.came[refused]) <= 4


def test_an_image_that_alone_meets_it_keeps_no_other_of_its_study(
    one_at_a_time: DeliveryRig, pacs: Archive
) -> None:
    rig = one_at_a_time
    images = data.ct_series("study", data.Patient.made("study"), slices=4, size=32)
    copies = rig.images("study", list(images))
    refused = copies[0].sop_uid
    pacs.otherwise = lambda uids: _http(503) if refused in uids else HONEST
    rig.go_on(HOUR_S / 2)
    taken = {copy.sop_uid for copy in copies} - {refused}
    assert set(pacs.memory.files) == taken


def test_an_image_that_always_breaks_the_link_keeps_no_other_where_one_goes_at_a_time(
    one_at_a_time: DeliveryRig, pacs: Archive
) -> None:
    rig = one_at_a_time
    small = data.ct_series("refused", data.Patient.made("refused"), slices=1, size=16)
    refused = rig.images("refused", list(small))[0].sop_uid
    pacs.otherwise = lambda uids: Fault(mute=True, stores=0) if refused in uids else HONEST
    names = [f"s{n}" for n in range(4)]
    others = {rig.study(name).sop_uid for name in names}
    rig.go_on(HOUR_S)
    assert set(pacs.memory.files) == others


def test_an_image_that_always_breaks_the_link_is_held_in_the_end(
    bench: DeliveryRig, pacs: Archive
) -> None:
    refused = bench.study("refused").sop_uid
    pacs.otherwise = lambda uids: Fault(mute=True, stores=0) if refused in uids else HONEST
    names = [f"s{n}" for n in range(10)]
    for name in names:
        bench.study(name)
        bench.go_on(HOUR_S)
    held = _held(bench, "refused")
    assert held is not None
    assert held[0] is Code.DESTINATION_REFUSED
    assert len(pacs.came[refused]) <= 30
    assert {bench.state(name) for name in names} == {State.DELIVERED}


@pytest.mark.parametrize("fault", FINAL.values(), ids=FINAL)
def test_what_is_final_costs_one_body(bench: DeliveryRig, pacs: Archive, fault: Fault) -> None:
    refused = bench.study("refused").sop_uid
    bench.study("taken")
    pacs.otherwise = lambda uids: fault if refused in uids else HONEST
    bench.go_on(DAY_S)
    held = _held(bench, "refused")
    assert held is not None
    assert held[0] is Code.DESTINATION_REFUSED
    assert len(pacs.came[refused]) == 1
    assert bench.state("taken") is State.DELIVERED


def test_a_restart_in_between_neither_hurries_nor_forgets_a_try(
    tmp_path: Path, bench: DeliveryRig, pacs: Archive
) -> None:
    refused = bench.study("refused").sop_uid
    bench.study("taken")
    pacs.otherwise = lambda uids: _reason(0x0110) if refused in uids else HONEST
    for _ in range(20):
        bench.go_on(0.2 * HOUR_S)
        bench.restart(tmp_path)
        bench.journal.studies.cap_due_times(bench.now)
    first, second, third = pacs.came[refused]
    assert min(second - first, third - second) >= HOUR_S
    assert _held(bench, "refused") is not None


def test_an_image_that_mends_on_its_second_try_is_delivered(
    bench: DeliveryRig, pacs: Archive
) -> None:
    refused = bench.study("refused").sop_uid
    bench.study("taken")
    pacs.otherwise = lambda uids: (
        _reason(0xC000) if refused in uids and len(pacs.came[refused]) == 1 else HONEST
    )
    bench.go_on(3 * HOUR_S)
    assert bench.state("refused") is State.DELIVERED
    assert len(pacs.came[refused]) == 2


def test_the_peers_words_are_in_the_hold_as_a_code_and_no_name(
    bench: DeliveryRig, pacs: Archive
) -> None:
    refused = bench.study("refused").sop_uid
    page = b"<html><title>Conflict</title>Study of MUSTERMANN^ERIKA 123-4 is locked</html>"
    pacs.otherwise = lambda uids: _http(409, page) if refused in uids else HONEST
    bench.go_on(4 * HOUR_S)
    held = _held(bench, "refused")
    assert held == (Code.DESTINATION_REFUSED, "cloud: HTTP 409 (conflict study locked), 3 times")


def test_what_another_study_meets_does_not_keep_the_others(
    bench: DeliveryRig, pacs: Archive
) -> None:
    """Three refusals in a row pause the destination, and then another study is tried."""
    bad = [bench.study(f"bad{n}").sop_uid for n in range(9)]
    pacs.otherwise = lambda uids: _http(400) if set(uids) & set(bad) else HONEST
    bench.study("good")
    begun = bench.now
    bench.go_on(HOUR_S / 2, at_rest_s=30.0)
    assert bench.state("good") is State.DELIVERED
    (receipt,) = bench.journal.outbox.of_study("good")
    assert receipt.verified_at is not None
    assert receipt.verified_at - begun < 600


def test_a_destination_is_no_longer_paused_once_nothing_waits_for_it(
    bench: DeliveryRig, pacs: Archive
) -> None:
    """A person has taken away what it refused."""
    bench.study("refused")
    pacs.otherwise = lambda _: _http(503)
    bench.go_on(HOUR_S)
    assert bench.metrics.get_sample_value(_PAUSED, {"destination": "cloud"}) == 1.0
    (receipt,) = bench.journal.outbox.of_study("refused")
    bench.journal.receipts.hold(receipt, Code.DESTINATION_REFUSED, "by hand", bench.now)
    bench.go_on(2 * HOUR_S)
    assert bench.metrics.get_sample_value(_PAUSED, {"destination": "cloud"}) == 0.0
