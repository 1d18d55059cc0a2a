from __future__ import annotations

import itertools

import pytest

from router.records.errors import IllegalTransition
from router.records.study import TABLE, Outcome, State, advance, rest


def reachable(start: State, *, without: State | None = None) -> set[State]:
    """Every state to which the table leads from ``start``, itself included."""
    seen = {start}
    frontier = [start]
    while frontier:
        here = frontier.pop()
        for (state, _), following in TABLE.items():
            if state is here and following is not without and following not in seen:
                seen.add(following)
                frontier.append(following)
    return seen


def test_every_state_is_reached_from_received() -> None:
    assert reachable(State.RECEIVED) == set(State)


def test_no_path_leads_to_delivered_around_anonymized() -> None:
    assert State.DELIVERED not in reachable(State.RECEIVED, without=State.ANONYMIZED)


def test_no_path_leads_to_delivered_around_analysed() -> None:
    assert State.DELIVERED not in reachable(State.RECEIVED, without=State.ANALYSED)


@pytest.mark.parametrize("start", [State.HELD, State.DISCARDED, State.PURGED])
def test_what_left_the_way_comes_back_only_through_anonymization(start: State) -> None:
    assert State.DELIVERED in reachable(start)
    assert State.DELIVERED not in reachable(start, without=State.ANONYMIZED)


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_way_out(state: State) -> None:
    assert reachable(state) - {state}


@pytest.mark.parametrize("state", State)
def test_from_every_state_a_study_can_still_be_delivered(state: State) -> None:
    assert State.DELIVERED in reachable(state)


def test_leaving_the_analysis_out_leads_on_like_doing_it() -> None:
    done = advance(State.ANONYMIZED, Outcome.DONE)
    assert advance(State.ANONYMIZED, Outcome.SKIP) is done is State.ANALYSED


def test_only_the_analysis_can_be_left_out() -> None:
    assert {state for state, outcome in TABLE if outcome is Outcome.SKIP} == {State.ANONYMIZED}


def test_only_what_is_delivered_or_discarded_is_purged() -> None:
    before = {state for (state, _), following in TABLE.items() if following is State.PURGED}
    assert before == {State.DELIVERED, State.DISCARDED}
    assert {o for (_, o), following in TABLE.items() if following is State.PURGED} == {
        Outcome.PURGE
    }


def test_what_was_purged_is_never_delivered_without_new_images() -> None:
    assert {outcome for state, outcome in TABLE if state is State.PURGED} == {
        Outcome.GREW, Outcome.RELEASE,
    }  # fmt: skip


@pytest.mark.parametrize("state", State)
def test_late_images_and_a_release_always_lead_to_the_start(state: State) -> None:
    for outcome in (Outcome.GREW, Outcome.RELEASE):
        if (state, outcome) in TABLE:
            assert advance(state, outcome) is State.RECEIVED
    assert (state, Outcome.GREW) in TABLE


@pytest.mark.parametrize(
    ("state", "outcome"),
    [pair for pair in itertools.product(State, Outcome) if pair not in TABLE],
)
def test_what_is_not_in_the_table_is_illegal(state: State, outcome: Outcome) -> None:
    with pytest.raises(IllegalTransition, match=f"{outcome} is not possible in {state}"):
        advance(state, outcome)


@pytest.mark.parametrize(("pair", "following"), TABLE.items())
def test_what_is_in_the_table_is_done(pair: tuple[State, Outcome], following: State) -> None:
    assert advance(*pair) is following


@pytest.mark.parametrize(
    ("sendable", "held", "outcome"),
    [
        (True, False, Outcome.DONE),
        (True, True, Outcome.DONE),
        (False, True, Outcome.ALL_HELD),
        (False, False, Outcome.DISCARD),
    ],
)
def test_one_instance_that_can_go_on_takes_its_study_along(
    *, sendable: bool, held: bool, outcome: Outcome
) -> None:
    assert rest(sendable=sendable, held=held) is outcome
    assert (State.RECEIVED, outcome) in TABLE
