"""The router's metrics: conventions, bounded labels, and what they cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from router.app import show_journal
from router.deid.planning import plan
from router.deid.pseudonyms import Key
from router.destinations.base import Stored
from router.imaging import quality
from router.imaging.quality import EXPORTED, Flag
from router.journal.quality import MOST_VIEWS
from router.observe.figures import JournalFigures
from router.observe.machine import MachineFigures
from router.observe.metrics import Metrics
from router.records.errors import Code
from router.records.holds import ADVICE
from router.records.receipt import VerifiedBy
from router.records.study import State
from tests import data
from tests.unit import apply_plan
from tests.unit import test_devices as devices
from tests.unit.test_gate import KEY, STATION, pair_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.journal import Journal

#: How often vmagent asks.
_SCRAPE_S = 30.0
_VIEWS = {
    "MG": ("CC", "MLO", "ML", "LM", "XCCL"), "DBT": ("CC", "MLO"), "CR": ("AP", "PA", "LL"),
    "DX": ("AP", "PA", "LL"),
}  # fmt: skip


def _filled() -> Metrics:
    metrics = Metrics(CollectorRegistry())
    _one_instance(metrics)
    return metrics


def _one_instance(metrics: Metrics) -> None:
    """All that is counted on the way of one instance."""
    metrics.instances_received.inc()
    metrics.instances_anonymized.inc()
    metrics.analysed("CAPTURED")
    for step in ("anonymize", "analyse", "send"):
        metrics.step_seconds.labels(step).observe(0.1)
    metrics.attempted("cloud", "STORED")
    metrics.sent_bytes.labels("cloud").inc(500_000)
    metrics.wasted_bytes.labels("cloud").inc(0)
    metrics.verified.labels("cloud", "DIGEST").inc()
    metrics.delivery_seconds.labels("cloud").observe(60)
    metrics.link_up.labels("cloud").set(1)
    metrics.paused.labels("cloud").set(0)
    metrics.golden_moved.labels("density-kmeans 1").set(0)


def every_metric() -> str:
    """What the router serves, with every metric in it."""
    metrics = _filled()
    metrics.holds.labels("UNREADABLE").inc()
    metrics.reconcile_found.inc()
    metrics.orthanc_up.set(1)
    metrics.registry.register(
        JournalFigures(
            lambda: {State.RECEIVED: 2},
            lambda: {Code.UNREADABLE: 1},
            lambda _: {},
            lambda: 0.0,
            ["cloud"],
            lambda: 2,
        )
    )
    metrics.registry.register(MachineFigures(lambda: (1000, 250), lambda: {"cloud": -3.5}))
    return generate_latest(metrics.registry).decode()


def _see_everything(journal: Journal) -> None:
    for modality in ("CT", "MR", "CR", "DX", "MG", "DBT", "PT", "OTHER"):
        for machine in ("first", "second"):
            for view in _VIEWS.get(modality, ("none",)):
                seen = devices.of(f"{machine} {modality}", modality, view)
                devices.see(journal, seen, *Flag)
    with journal._db.writing() as db:
        for code in ADVICE:
            db.execute(
                "UPDATE instance SET stage = 'HELD', hold_code = ?, held_at = 1 WHERE rowid ="
                " (SELECT min(rowid) FROM instance WHERE hold_code IS NULL)",
                (code,),
            )


def fullest(journal: Journal) -> str:
    """What a router serves that has seen everything: every code, flag and outcome, two
    destinations, two devices of each modality in all views.
    """
    registry = CollectorRegistry()
    for collector in (GCCollector, PlatformCollector, ProcessCollector):
        collector(registry=registry)
    metrics = Metrics(registry)
    codes = list(Code)
    of_analysis = codes[codes.index(Code.NOT_CHOSEN) : codes.index(Code.LINK_DOWN)]
    of_delivery = codes[codes.index(Code.LINK_DOWN) : codes.index(Code.NOT_IN_JOURNAL)]
    for code in ADVICE:
        metrics.holds.labels(code).inc()
    for result in ("CAPTURED", *of_analysis):
        metrics.analysed(result)
    metrics.golden_moved.labels("density-kmeans 1").set(0)
    for result in ("SAME", Code.SAME_UID_OTHER_BYTES):
        metrics.duplicates.labels(result).inc()
    destinations = ["cloud", "archive"]
    for destination in destinations:
        metrics.begin(destination)
        for outcome in (*Stored, *of_delivery):
            metrics.attempted(destination, outcome)
        for by in VerifiedBy:
            metrics.verified.labels(destination, by).inc()
        for gauge in (metrics.goodput, metrics.link_up, metrics.paused):
            gauge.labels(destination).set(1)
    show_journal(
        registry,
        journal,
        destinations,
        quality.EXPECTED_VIEWS,
        lambda: devices.NOW,
        Key("key", b"k" * 32).digest,
    )
    registry.register(MachineFigures(lambda: (1000, 250), lambda: dict.fromkeys(destinations, 1.0)))
    _see_everything(journal)
    text = generate_latest(registry).decode()
    assert text.count("edge_router_qc_feature_sum{") == MOST_VIEWS * len(EXPORTED)
    return text


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
    metrics = _filled()
    patient = data.Patient.made("metrics")
    pair = pair_of(next(data.ct_series("metrics", patient, slices=1, size=512)))

    def part_of_the_work() -> None:
        plan.make(apply_plan.read(pair.original), KEY, STATION)
        pair.check()

    counting = _processor_s(lambda: _one_instance(metrics), 200)
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
