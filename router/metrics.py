"""Every metric of the router, defined once. Labels are bounded; none holds a patient's identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily

import router
from router.study import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from router.errors import Code

# Their creation times double the series and tell nothing that a restart does not.
disable_created_metrics()  # type: ignore[no-untyped-call]

#: From minutes in coverage to the days of a truck without any.
_DELIVERY_BUCKETS_S = (60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86_400, 3 * 86_400)
_STEP_BUCKETS_S = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """The counters that the parts of the router write to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        Info("edge_router_build", "The router that runs.", registry=registry).info(
            {"version": router.__version__}
        )
        self.instances_received = Counter(
            "edge_router_instances_received_total",
            "Instances that were taken in from the truck's Orthanc.",
            registry=registry,
        )
        self.instances_anonymized = Counter(
            "edge_router_instances_anonymized_total",
            "Copies that passed the gate and are stored on the truck.",
            registry=registry,
        )
        self.holds = Counter(
            "edge_router_holds_total",
            "Instances that were held, by reason code.",
            ["code"],
            registry=registry,
        )
        self.analyses = Counter(
            "edge_router_analyses_total",
            "Analyses by result: CAPTURED or the code that says why there is no capture.",
            ["result"],
            registry=registry,
        )
        self.attempts = Counter(
            "edge_router_delivery_attempts_total",
            "Tries to send an instance, by destination and result code.",
            ["destination", "result"],
            registry=registry,
        )
        self.sent_bytes = Counter(
            "edge_router_delivery_sent_bytes_total",
            "Bytes of DICOM files that a destination accepted.",
            ["destination"],
            registry=registry,
        )
        self.wasted_bytes = Counter(
            "edge_router_delivery_wasted_bytes_total",
            "Bytes of DICOM files that were handed to the link without being accepted.",
            ["destination"],
            registry=registry,
        )
        self.verified = Counter(
            "edge_router_instances_verified_total",
            "Instances that were read back at a destination.",
            ["destination", "verified_by"],
            registry=registry,
        )
        self.delivery_seconds = Histogram(
            "edge_router_delivery_seconds",
            "Time from an image's arrival on the truck to its proof at a destination.",
            ["destination"],
            buckets=_DELIVERY_BUCKETS_S,
            registry=registry,
        )
        self.link_up = Gauge(
            "edge_router_link_up",
            "Whether the link gate of a destination is open (1) or closed (0).",
            ["destination"],
            registry=registry,
        )
        self.paused = Gauge(
            "edge_router_destination_paused",
            "Whether a destination refuses the router's credentials or certificate (1).",
            ["destination"],
            registry=registry,
        )
        self.orthanc_up = Gauge(
            "edge_router_orthanc_up",
            "Whether the truck's Orthanc answered the last time it was asked (1).",
            registry=registry,
        )
        self.reconcile_found = Counter(
            "edge_router_reconcile_found_total",
            "Instances that were found by the reconcile pass and not by an event.",
            registry=registry,
        )
        self.step_seconds = Histogram(
            "edge_router_step_seconds",
            "Time that a step took for one instance.",
            ["step"],
            buckets=_STEP_BUCKETS_S,
            registry=registry,
        )


class JournalFigures:
    """Gauges that are read from the journal when they are asked for, so they cannot drift."""

    def __init__(
        self,
        count_studies: Callable[[], Mapping[State, int]],
        count_held: Callable[[], Mapping[Code, int]],
        oldest_undelivered: Callable[[], Mapping[str, float]],
        now: Callable[[], float],
        destinations: Iterable[str],
    ) -> None:
        self._count_studies = count_studies
        self._count_held = count_held
        self._oldest_undelivered = oldest_undelivered
        self._now = now
        self._destinations = tuple(destinations)

    def collect(self) -> Iterable[Metric]:
        studies = GaugeMetricFamily(
            "edge_router_studies", "Studies in the journal, by state.", labels=["state"]
        )
        counted = self._count_studies()
        for state in State:  # a state without studies is 0, not unknown
            studies.add_metric([state], counted.get(state, 0))
        yield studies
        held = GaugeMetricFamily(
            "edge_router_instances_held",
            "Instances that wait for a person, by reason code.",
            labels=["code"],
        )
        for code, number in self._count_held().items():
            held.add_metric([code], number)
        yield held
        age = GaugeMetricFamily(
            "edge_router_oldest_undelivered_seconds",
            "Age of the oldest image that is not yet verified at a destination; 0: none.",
            labels=["destination"],
        )
        oldest = self._oldest_undelivered()
        for destination in self._destinations:
            since = oldest.get(destination)
            age.add_metric([destination], 0.0 if since is None else max(0.0, self._now() - since))
        yield age


class MachineFigures:
    """Gauges of the truck's disk and clock, read when they are asked for.

    ``disk`` returns size and free bytes; ``clock_offsets`` by destination how far this clock was
    ahead of the destination's, in seconds, when it last answered (``None``: it never did).
    """

    def __init__(
        self,
        disk: Callable[[], tuple[int, int]],
        clock_offsets: Callable[[], Mapping[str, float | None]],
    ) -> None:
        self._disk = disk
        self._clock_offsets = clock_offsets

    def collect(self) -> Iterable[Metric]:
        size, free = self._disk()
        yield GaugeMetricFamily(
            "edge_router_disk_size_bytes", "Size of the disk that holds the journal.", value=size
        )
        yield GaugeMetricFamily(
            "edge_router_disk_free_bytes", "What is free of it for the router.", value=free
        )
        clock = GaugeMetricFamily(
            "edge_router_clock_offset_seconds",
            "How far the truck's clock is ahead of a destination's, to about a second.",
            labels=["destination"],
        )
        for destination, offset in self._clock_offsets().items():
            if offset is not None:
                clock.add_metric([destination], offset)
        yield clock
