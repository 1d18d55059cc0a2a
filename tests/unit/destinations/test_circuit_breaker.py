"""The circuit breaker: tripped by the link or by refusals, reset by a probe, never an item's fault."""

from __future__ import annotations

import itertools

import pytest

from router.destinations.circuit_breaker import CircuitBreaker
from router.records.errors import Code


def test_requests_pass_at_first() -> None:
    assert CircuitBreaker().passes


def test_probes_come_every_second_or_two() -> None:
    breaker = CircuitBreaker()
    waits = []
    for _ in range(10):
        breaker.trip(Code.LINK_DOWN, paused=False, now=100.0)
        waits.append(breaker.wait_s(100.0))
    assert waits[0] == 1.0
    assert max(waits) == 2.0
    assert waits == sorted(waits)


def test_a_destination_that_refuses_us_is_asked_less_often() -> None:
    breaker = CircuitBreaker()
    breaker.trip(Code.DESTINATION_DENIED, paused=True, now=0.0)
    assert breaker.wait_s(0.0) == 30.0
    assert not breaker.passes


def test_a_destination_that_has_no_time_is_asked_within_seconds() -> None:
    breaker = CircuitBreaker()
    for _ in range(10):
        breaker.trip(Code.DESTINATION_BUSY, paused=True, now=0.0)
        assert 2.0 <= breaker.wait_s(0.0) <= 5.0


@pytest.mark.parametrize(("asked_s", "waits_s"), [(70.0, 70.0), (0.5, 2.0), (1e9, 3600.0)])
def test_what_it_asks_for_is_kept_to_within_reason(asked_s: float, waits_s: float) -> None:
    breaker = CircuitBreaker()
    breaker.trip(Code.DESTINATION_BUSY, paused=True, now=0.0, retry_after_s=asked_s)
    assert breaker.wait_s(0.0) == waits_s
    refused = CircuitBreaker()
    refused.refused(Code.DESTINATION_BUSY, 0.0, asked_s)
    assert refused.wait_s(0.0) == waits_s


def test_refused_images_make_the_wait_grow_to_an_hour_whatever_the_probe_says() -> None:
    breaker = CircuitBreaker()
    waits = []
    for _ in range(20):
        breaker.refused(Code.DESTINATION_BUSY, 0.0)
        waits.append(breaker.wait_s(0.0))
        breaker.reset()
        assert breaker.passes
        assert breaker.is_trying
    assert waits[0] == 2.0
    assert waits[-1] == 3600.0
    assert all(before <= after for before, after in itertools.pairwise(waits))
    breaker.served()
    assert not breaker.is_trying
    breaker.refused(Code.DESTINATION_BUSY, 0.0)
    assert breaker.wait_s(0.0) == 2.0


def test_refused_credentials_are_tried_less_often() -> None:
    breaker = CircuitBreaker()
    breaker.refused(Code.DESTINATION_DENIED, 0.0)
    assert breaker.wait_s(0.0) == 30.0


def test_a_breaker_that_was_reset_starts_over() -> None:
    breaker = CircuitBreaker()
    for _ in range(5):
        breaker.trip(Code.LINK_DOWN, paused=False, now=0.0)
    breaker.reset()
    assert (breaker.passes, breaker.code) == (True, None)
    breaker.trip(Code.LINK_DOWN, paused=False, now=0.0)
    assert breaker.wait_s(0.0) == 1.0
    assert breaker.wait_s(10.0) == 0.0
