"""The models of the link, without a socket."""

from __future__ import annotations

import random

import pytest

from tests.link.conditions import (
    LTE_LONGEST_GAP_S,
    LTE_MEANS_BPS,
    SEGMENT_BYTES,
    Bottleneck,
    Conditions,
    Slot,
    longest_gap_s,
    lte_trace,
    mean_bps,
)
from tests.link.tcp import Sender, mathis_bps, retried_at


def test_a_bottleneck_carries_its_rate_whoever_sends() -> None:
    bottleneck = Bottleneck(Conditions(rate_bps=8e6), 0.0)
    for _ in range(1000):
        left_at = bottleneck.serialise(0.0, 1000)
    assert left_at == pytest.approx(1.0)
    assert bottleneck.serialise(5.0, 1000) == pytest.approx(5.001)


def test_a_trace_is_followed_through_its_gaps_and_again_from_the_first() -> None:
    trace = (Slot(1.0, 8000.0), Slot(2.0, 0.0), Slot(1.0, 16000.0))
    bottleneck = Bottleneck(Conditions(trace=trace), 0.0)
    assert bottleneck.serialise(0.0, 1000) == pytest.approx(1.0)
    assert bottleneck.serialise(1.5, 1000) == pytest.approx(3.5)
    assert bottleneck.serialise(3.5, 1500) == pytest.approx(4.5)


@pytest.mark.parametrize("mean", LTE_MEANS_BPS)
def test_an_lte_trace_has_the_published_mean_and_no_longer_gap(mean: float) -> None:
    trace = lte_trace(7, mean, 1200)
    assert trace == lte_trace(7, mean, 1200)
    assert trace != lte_trace(8, mean, 1200)
    assert mean_bps(trace) == pytest.approx(mean)
    assert 1.0 < longest_gap_s(trace) <= LTE_LONGEST_GAP_S


@pytest.mark.parametrize("loss", [0.005, 0.02, 0.05])
def test_loss_costs_one_connection_what_mathis_says(loss: float) -> None:
    sender = Sender(Conditions(rtt_s=0.08, loss=loss), random.Random(3).random)
    now, sent, last = 0.0, 0, 0.0
    while now < 300:
        now += sender.wait_s(now, SEGMENT_BYTES)
        if sender.wait_s(now, SEGMENT_BYTES) == 0:
            last = sender.send(now, SEGMENT_BYTES).deliver_at
            sent += SEGMENT_BYTES
    assert last < 310
    assert sent * 8 / 300 == pytest.approx(mathis_bps(0.08, loss), rel=0.35)


def test_a_lost_segment_is_carried_twice() -> None:
    sender = Sender(Conditions(rtt_s=0.08, loss=0.02), random.Random(1).random)
    wire = sum(sender.send(n * 0.1, SEGMENT_BYTES).wire_bytes for n in range(20_000))
    assert wire == pytest.approx(20_000 * SEGMENT_BYTES * 1.02, rel=0.005)


def test_a_sender_starts_with_ten_segments_and_doubles() -> None:
    sender = Sender(Conditions(rtt_s=0.1), random.Random(1).random)
    rounds = []
    now = 0.0
    for _ in range(3):
        sent = 0
        while sender.wait_s(now, SEGMENT_BYTES) == 0:
            sender.send(now, SEGMENT_BYTES)
            sent += 1
        rounds.append(sent)
        now += 0.1
    assert rounds == [10, 20, 40]


def test_a_long_outage_is_tried_again_late() -> None:
    assert retried_at(0.0, 0.0, 0.3) == 0.0
    assert retried_at(0.0, 1.0, 0.3) == pytest.approx(2.1)
    assert retried_at(0.0, 45.0, 0.3) == pytest.approx(76.5)
