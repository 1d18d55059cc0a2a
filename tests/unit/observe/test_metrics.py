"""The router's metrics: conventions, bounded labels, and what they cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client import (
    CollectorRegistry,
    generate_latest,
)

from router.deid.planning import plan
from router.observe.figures import JournalFigures
from router.observe.machine import MachineFigures
from router.observe.metrics import Metrics
from router.records.holds import ADVICE
from router.records.study import State
from tests.support import apply_plan, data
from tests.support.every_metric import count_one_instance, filled
from tests.support.pairs import KEY, STATION, pair_of

if TYPE_CHECKING:
    from collections.abc import Callable


#: How often vmagent asks.
_SCRAPE_S = 30.0


def test_of_results_the_first_have_names_and_go_on_to_have_them() -> None:
    metrics = Metrics(CollectorRegistry())
    for _ in range(2):
        for number in range(10):
            metrics.attempted("cloud", f"R{number}")
    metrics.attempted("archive", "R9")
    text = generate_latest(metrics.registry).decode()
    tries = "edge_router_delivery_attempts_total"
    for number in range(6):
        assert f'{tries}{{destination="cloud",result="R{number}"}} 2.0' in text
    assert f'{tries}{{destination="cloud",result="OTHER"}} 8.0' in text
    assert f'{tries}{{destination="archive",result="R9"}} 1.0' in text


def test_of_what_is_held_the_most_frequent_reasons_have_names_and_the_sum_is_right() -> None:
    registry = CollectorRegistry()
    held = {code: number for number, code in enumerate(list(ADVICE)[:10], 1)}
    registry.register(JournalFigures(dict, lambda: held, lambda _: {}, lambda: 0.0, [], int))
    text = generate_latest(registry).decode()
    shown = [line.split() for line in text.splitlines() if "instances_held{" in line]
    assert [float(value) for _, value in shown] == [10, 9, 8, 7, 6, 5, 4, 3, 1 + 2]
    assert shown[-1][0] == 'edge_router_instances_held{code="OTHER"}'


def _processor_s(work: Callable[[], object], times: int) -> float:
    """Of one call, at its best: what else the machine does is not its cost."""
    rounds = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - begun) / times)
    return min(rounds)


@pytest.mark.alone
def test_counting_costs_at_most_a_hundredth_of_the_routers_time() -> None:
    """Measured beside a part of the work, in the same run: the plan for a CT slice, and the gate."""
    metrics = filled()
    patient = data.Patient.made("metrics")
    pair = pair_of(next(data.ct_series("metrics", patient, slices=1, size=512)))

    def part_of_the_work() -> None:
        plan.make(apply_plan.read(pair.original), KEY, STATION)
        pair.check()

    counting = _processor_s(lambda: count_one_instance(metrics), 200)
    share = counting / _processor_s(part_of_the_work, 5)
    scrape = _processor_s(lambda: generate_latest(metrics.registry), 20)
    assert share + scrape / _SCRAPE_S < 0.01


def test_the_age_of_the_oldest_image_is_shown_for_each_destination() -> None:
    registry = CollectorRegistry()
    registry.register(
        JournalFigures(
            lambda: {State.RECEIVED: 2}, dict, lambda _: {"cloud": 40.0}, lambda: 100.0,
            ["cloud", "archive"], int,
        )
    )  # fmt: skip
    text = generate_latest(registry).decode()
    assert 'edge_router_oldest_undelivered_seconds{destination="cloud"} 60.0' in text
    assert 'edge_router_oldest_undelivered_seconds{destination="archive"} 0.0' in text


def test_the_disk_and_the_clock_are_read_when_they_are_asked_for() -> None:
    registry = CollectorRegistry()
    registry.register(MachineFigures(lambda: (1000, 250), lambda: {"cloud": -3.5, "archive": None}))
    text = generate_latest(registry).decode()
    assert "edge_router_disk_size_bytes 1000.0" in text
    assert "edge_router_disk_free_bytes 250.0" in text
    assert 'edge_router_clock_offset_seconds{destination="cloud"} -3.5' in text
    assert "archive" not in text
