"""What the router serves when all of it was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from router.app import show_journal
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
from tests.support import seen_devices as devices

if TYPE_CHECKING:
    from router.journal import Journal

_VIEWS = {
    "MG": ("CC", "MLO", "ML", "LM", "XCCL"), "DBT": ("CC", "MLO"), "CR": ("AP", "PA", "LL"),
    "DX": ("AP", "PA", "LL"),
}  # fmt: skip


def filled() -> Metrics:
    metrics = Metrics(CollectorRegistry())
    count_one_instance(metrics)
    return metrics


def count_one_instance(metrics: Metrics) -> None:
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
    metrics = filled()
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
