"""The table of a receipt's life, searched as a graph."""

from __future__ import annotations

import itertools

import pytest

from router.records.errors import IllegalTransition
from router.records.receipt import (
    FINAL,
    OPEN,
    RECEIPT_TABLE,
    ReceiptOutcome,
    ReceiptState,
    advance_receipt,
    is_delivered,
    is_given_up,
)


def reachable(start: ReceiptState, *, without: frozenset[ReceiptState]) -> set[ReceiptState]:
    """Every state to which the table leads from ``start``, itself included."""
    seen, frontier = {start}, [start]
    while frontier:
        here = frontier.pop()
        for (state, _), following in RECEIPT_TABLE.items():
            if state is here and following not in without and following not in seen:
                seen.add(following)
                frontier.append(following)
    return seen


def test_every_state_is_reached_from_waiting() -> None:
    assert reachable(ReceiptState.WAITING, without=frozenset()) == set(ReceiptState)


@pytest.mark.parametrize("state", ReceiptState)
def test_every_state_that_is_not_final_has_a_way_to_each_final_one(state: ReceiptState) -> None:
    left = {here for here, _ in RECEIPT_TABLE}
    assert (state in left) is (state not in FINAL)
    if state in left:
        assert set(FINAL) <= reachable(state, without=frozenset())


def test_only_what_may_be_there_is_verified_and_only_by_reading_back() -> None:
    assert {pair for pair, following in RECEIPT_TABLE.items() if following is ReceiptState.VERIFIED} == {
        (ReceiptState.UNCERTAIN, ReceiptOutcome.VERIFIED),
        (ReceiptState.SENT, ReceiptOutcome.VERIFIED),
    }  # fmt: skip
    may_be_there = frozenset({ReceiptState.UNCERTAIN, ReceiptState.SENT})
    assert ReceiptState.VERIFIED not in reachable(ReceiptState.WAITING, without=may_be_there)


def test_the_destinations_word_alone_leads_to_no_final_state() -> None:
    for (_, outcome), following in RECEIPT_TABLE.items():
        if outcome is ReceiptOutcome.ACCEPTED:
            assert following not in FINAL


def test_what_is_held_goes_on_only_by_a_person() -> None:
    assert {outcome for state, outcome in RECEIPT_TABLE if state is ReceiptState.HELD} == {
        ReceiptOutcome.RELEASED, ReceiptOutcome.DISCARDED, ReceiptOutcome.REPLACED,
    }  # fmt: skip


def test_nothing_is_discarded_that_no_person_saw_held() -> None:
    by = {pair for pair, to in RECEIPT_TABLE.items() if to is ReceiptState.DISCARDED}
    # Or by one who saw what takes its place held, and said that this one is wrong.
    replaced = {pair for pair in by if pair[1] is ReceiptOutcome.REPLACED}
    assert {state for state, _ in by - replaced} == {ReceiptState.HELD}
    # What a destination may hold is never given up in silence: it arrives, and is rejected there.
    assert {state for state, _ in replaced} == {ReceiptState.WAITING, ReceiptState.HELD}


def test_whatever_is_on_its_way_can_be_held() -> None:
    for state in OPEN:
        assert advance_receipt(state, ReceiptOutcome.REFUSED) is ReceiptState.HELD


def test_what_was_released_is_asked_about_before_it_is_sent() -> None:
    assert advance_receipt(ReceiptState.HELD, ReceiptOutcome.RELEASED) is ReceiptState.UNCERTAIN


def test_each_outcome_leads_to_one_state_wherever_it_comes_from() -> None:
    for outcome in ReceiptOutcome:
        assert len({to for (_, found), to in RECEIPT_TABLE.items() if found is outcome}) == 1


@pytest.mark.parametrize(
    ("state", "outcome"),
    [p for p in itertools.product(ReceiptState, ReceiptOutcome) if p not in RECEIPT_TABLE],
)
def test_what_is_not_in_the_table_is_illegal(state: ReceiptState, outcome: ReceiptOutcome) -> None:
    with pytest.raises(IllegalTransition):
        advance_receipt(state, outcome)


def test_every_state_is_either_open_or_held_or_final() -> None:
    assert sorted([*OPEN, ReceiptState.HELD, *FINAL]) == sorted(ReceiptState)


@pytest.mark.parametrize(
    ("states", "delivered", "given_up"),
    [
        ([], False, False),
        ([ReceiptState.VERIFIED], True, False),
        ([ReceiptState.VERIFIED, ReceiptState.DISCARDED], True, False),
        ([ReceiptState.VERIFIED, ReceiptState.HELD], False, False),
        ([ReceiptState.VERIFIED, ReceiptState.SENT], False, False),
        ([ReceiptState.DISCARDED], False, True),
        ([ReceiptState.DISCARDED, ReceiptState.HELD], False, False),
    ],
)
def test_delivered_is_verified_somewhere_and_settled_everywhere(
    states: list[ReceiptState], *, delivered: bool, given_up: bool
) -> None:
    assert (is_delivered(states), is_given_up(states)) == (delivered, given_up)
