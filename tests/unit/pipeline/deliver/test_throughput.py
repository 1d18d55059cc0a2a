"""How a link is used: bodies, connections, and the cap."""

from __future__ import annotations

from collections import Counter

import pytest

from router.destinations.rate_cap import RateCap
from router.pipeline.deliver.throughput import ThroughputController

MEGABYTE = 1_000_000


def _run(
    throughput: ThroughputController, rates: dict[int, float], requests: int, begun: float = 0.0
) -> Counter[int]:
    """A link that carries so many bytes a second over so many connections; how often each number."""
    now = begun
    used: Counter[int] = Counter()
    for _ in range(requests):
        connections = throughput.connections
        used[connections] += 1
        seconds = MEGABYTE / (rates[connections] / connections)
        now += seconds / connections
        throughput.went_through(MEGABYTE, seconds, now)
    return used


def test_each_instance_has_its_own_body_until_the_link_has_proven_good() -> None:
    throughput = ThroughputController(4)
    assert throughput.body_bytes == 0
    for _ in range(4):
        throughput.went_through(MEGABYTE, 0.01, 1.0)
    assert throughput.body_bytes == 4 * 1024 * 1024
    throughput.link_failed()
    assert throughput.body_bytes == 0


def test_on_a_poor_link_a_body_stays_smaller_than_a_slice() -> None:
    throughput = ThroughputController(4)
    for _ in range(20):
        throughput.went_through(200_000, 0.35, 1.0)
    assert 0 < throughput.body_bytes < 200_000


def _is_fast_after(throughput: ThroughputController, seconds: float, requests: int) -> bool:
    for _ in range(requests):
        throughput.went_through(MEGABYTE, seconds, 1.0)
    return throughput.is_fast


def test_a_link_is_fast_once_it_has_proven_so_and_until_it_breaks() -> None:
    throughput = ThroughputController(4)
    assert not _is_fast_after(throughput, 0.05, requests=0)
    assert _is_fast_after(throughput, 0.05, requests=1)
    throughput.link_failed()
    assert not _is_fast_after(throughput, 0.05, requests=0)
    assert not _is_fast_after(throughput, 1.7, requests=20)


def test_the_first_request_after_a_break_goes_ahead_alone() -> None:
    throughput = ThroughputController(4)
    assert throughput.connections == 4
    throughput.link_failed()
    assert throughput.connections == 1
    throughput.went_through(MEGABYTE, 1.0, 1.0)
    assert throughput.connections == 4


def test_a_link_that_is_no_bottleneck_gets_all_connections_at_once() -> None:
    throughput = ThroughputController(4)
    throughput.went_through(MEGABYTE, 0.05, 1.0)
    assert throughput.connections == 4


def test_all_connections_are_used_as_long_as_each_carries_more() -> None:
    throughput = ThroughputController(4)
    used = _run(throughput, {1: 0.5e6, 2: 1e6, 3: 1.5e6, 4: 2e6}, 800)
    assert used[4] > 0.9 * used.total()


def test_where_two_carry_as_much_as_four_two_are_used() -> None:
    throughput = ThroughputController(4)
    used = _run(throughput, {2: 1e6, 3: 1e6, 4: 1e6}, 800)
    assert used[2] > 0.8 * used.total()


def test_a_link_that_gets_worse_gets_its_connections_back() -> None:
    throughput = ThroughputController(4)
    _run(throughput, {2: 1e6, 3: 1e6, 4: 1e6}, 200)
    used = _run(throughput, {2: 0.3e6, 3: 0.45e6, 4: 0.6e6}, 200, begun=200.0)
    assert used[4] > 0.5 * used.total()


def _upload(
    throughput: ThroughputController, rates: dict[int, float], seconds: int
) -> Counter[int]:
    """A body that is not through before the end, over a link as in ``_run``."""
    used: Counter[int] = Counter()
    for now in range(seconds):
        used[throughput.connections] += 1
        throughput.bytes_sent(int(rates[throughput.connections]), float(now))
    return used


def test_large_bodies_that_never_end_keep_all_connections_if_each_carries_more() -> None:
    used = _upload(ThroughputController(4), {3: 450e3, 4: 600e3}, 600)
    assert used[4] > 0.8 * used.total()


def test_large_bodies_that_never_end_are_fewer_at_a_time_if_two_carry_as_much() -> None:
    used = _upload(ThroughputController(4), {2: 600e3, 3: 600e3, 4: 600e3}, 600)
    assert used[2] > 0.8 * used.total()


def test_a_link_that_took_a_good_part_of_a_body_after_a_break_has_proven_itself() -> None:
    throughput = ThroughputController(4)
    throughput.link_failed()
    throughput.bytes_sent(300_000, 1.0)  # what kernels take of a dead connection
    assert throughput.connections == 1
    throughput.bytes_sent(300_000, 2.0)
    assert throughput.connections == 4


def test_no_more_connections_than_the_settings_say() -> None:
    throughput = ThroughputController(1)
    _run(throughput, {1: 1e6}, 40)
    assert throughput.connections == 1


def test_a_cap_spreads_the_bytes_over_time() -> None:
    cap = RateCap(8_000)
    assert cap.wait_s(1000, 10.0) == 0.0
    assert cap.wait_s(1000, 10.0) == pytest.approx(1.0)
    assert cap.wait_s(1000, 12.5) == 0.0
    assert RateCap(0).wait_s(10**9, 0.0) == 0.0
