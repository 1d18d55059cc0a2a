"""What the entrance counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """One registry each, so that tests build their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.decisions = Counter(
            "edge_entrance_decisions", "Requests by what was decided", ["status"],
            registry=self.registry,
        )  # fmt: skip
        self.wrong_passwords = Counter(
            "edge_entrance_wrong_passwords", "Wrong passwords by account; unknown: of nobody",
            ["account"], registry=self.registry,
        )  # fmt: skip
        self.refused_files = Counter(
            "edge_entrance_refused_files", "Images that were not passed on to the archive",
            ["truck", "reason"], registry=self.registry,
        )  # fmt: skip
        self.refused_samples = Counter(
            "edge_entrance_refused_samples",
            "Samples that were not passed on to Prometheus: future, label, name, form, series",
            ["truck", "reason"], registry=self.registry,
        )  # fmt: skip
        self.future_seconds = Gauge(
            "edge_entrance_clock_ahead_seconds",
            "How far ahead of this clock the refused sample of a truck was that was furthest",
            ["truck"], registry=self.registry,
        )  # fmt: skip
