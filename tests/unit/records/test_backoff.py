from __future__ import annotations

import itertools

import pytest

from router.records import backoff

LAST_DRAW = 1 - 2**-53


@pytest.mark.parametrize(("attempts", "step"), [(1, 2.0), (2, 4.0), (3, 8.0), (9, 512.0)])
def test_a_wait_lies_in_the_upper_half_of_its_step(attempts: int, step: float) -> None:
    assert backoff.delay_s(attempts, 0.0) == step / 2
    assert backoff.delay_s(attempts, 0.5) == step * 0.75
    assert step * 0.99 < backoff.delay_s(attempts, LAST_DRAW) <= step


@pytest.mark.parametrize("draw", [0.0, 0.3, LAST_DRAW])
def test_waits_never_grow_shorter_with_more_failures(draw: float) -> None:
    waits = [backoff.delay_s(attempts, draw) for attempts in range(1, 40)]
    assert all(before <= after for before, after in itertools.pairwise(waits))


@pytest.mark.parametrize("attempts", [10, 17, 1_000, 10**9])
def test_no_wait_is_longer_than_the_longest(attempts: int) -> None:
    assert backoff.delay_s(attempts, 0.0) == 300.0
    assert backoff.delay_s(attempts, LAST_DRAW) <= 600.0


@pytest.mark.parametrize("attempts", [-1, 0])
def test_a_count_below_one_waits_like_the_first_failure(attempts: int) -> None:
    assert backoff.delay_s(attempts, 0.5) == backoff.delay_s(1, 0.5)


def test_the_first_and_the_longest_wait_can_be_given() -> None:
    assert backoff.delay_s(1, 0.0, first_s=10.0) == 5.0
    assert backoff.delay_s(8, 0.0, first_s=10.0, longest_s=30.0) == 15.0


def test_items_that_failed_together_do_not_come_back_together() -> None:
    waits = {backoff.delay_s(5, draw / 16) for draw in range(16)}
    assert len(waits) == 16
