"""The link gate: closed by the link or by refusals, opened by a probe, and never an item's fault."""

from __future__ import annotations

import itertools

import pytest

from router.pipeline.deliver import CircuitBreaker
from router.records.errors import Code


def test_a_gate_is_open_at_first() -> None:
    assert CircuitBreaker().open


def test_probes_come_every_second_or_two() -> None:
    gate = CircuitBreaker()
    waits = []
    for _ in range(10):
        gate.close(Code.LINK_DOWN, paused=False, now=100.0)
        waits.append(gate.wait_s(100.0))
    assert waits[0] == 1.0
    assert max(waits) == 2.0
    assert waits == sorted(waits)


def test_a_destination_that_refuses_us_is_asked_less_often() -> None:
    gate = CircuitBreaker()
    gate.close(Code.DESTINATION_DENIED, paused=True, now=0.0)
    assert gate.wait_s(0.0) == 30.0
    assert not gate.open


def test_a_destination_that_has_no_time_is_asked_within_seconds() -> None:
    gate = CircuitBreaker()
    for _ in range(10):
        gate.close(Code.DESTINATION_BUSY, paused=True, now=0.0)
        assert 2.0 <= gate.wait_s(0.0) <= 5.0


@pytest.mark.parametrize(("asked_s", "waits_s"), [(70.0, 70.0), (0.5, 2.0), (1e9, 3600.0)])
def test_what_it_asks_for_is_kept_to_within_reason(asked_s: float, waits_s: float) -> None:
    gate = CircuitBreaker()
    gate.close(Code.DESTINATION_BUSY, paused=True, now=0.0, retry_after_s=asked_s)
    assert gate.wait_s(0.0) == waits_s
    refused = CircuitBreaker()
    refused.refused(Code.DESTINATION_BUSY, 0.0, asked_s)
    assert refused.wait_s(0.0) == waits_s


def test_refused_images_make_the_wait_grow_to_an_hour_whatever_the_probe_says() -> None:
    gate = CircuitBreaker()
    waits = []
    for _ in range(20):
        gate.refused(Code.DESTINATION_BUSY, 0.0)
        waits.append(gate.wait_s(0.0))
        gate.opened()
        assert gate.open
        assert gate.is_trying
    assert waits[0] == 2.0
    assert waits[-1] == 3600.0
    assert all(before <= after for before, after in itertools.pairwise(waits))
    gate.served()
    assert not gate.is_trying
    gate.refused(Code.DESTINATION_BUSY, 0.0)
    assert gate.wait_s(0.0) == 2.0


def test_refused_credentials_are_tried_less_often() -> None:
    gate = CircuitBreaker()
    gate.refused(Code.DESTINATION_DENIED, 0.0)
    assert gate.wait_s(0.0) == 30.0


def test_an_opened_gate_starts_over() -> None:
    gate = CircuitBreaker()
    for _ in range(5):
        gate.close(Code.LINK_DOWN, paused=False, now=0.0)
    gate.opened()
    assert (gate.open, gate.code) == (True, None)
    gate.close(Code.LINK_DOWN, paused=False, now=0.0)
    assert gate.wait_s(0.0) == 1.0
    assert gate.wait_s(10.0) == 0.0
