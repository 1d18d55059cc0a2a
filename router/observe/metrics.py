"""Every metric of the router, defined once. Labels are bounded; none holds a patient's identity."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics

import router

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


# Their creation times double the series and tell nothing that a restart does not.
disable_created_metrics()  # type: ignore[no-untyped-call]

#: From minutes in coverage to the days of a truck without any.
_DELIVERY_BUCKETS_S = (60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86_400, 3 * 86_400)
#: What takes time for each instance.
STEPS = ("anonymize", "analyse", "look", "send")
_STEP_BUCKETS_S = (0.03, 0.1, 0.3, 1, 3, 10, 60)
#: A truck has so many series at most. Of results and reasons that many have a name of their own;
#: what else there is counts as one, and logs and ``status`` on the truck have its code.
_MOST_RESULTS = 6
OTHER = "OTHER"


class Metrics:
    """The counters that the parts of the router write to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        Info("edge_router_build", "The router that runs.", registry=registry).info(
            {"version": router.__version__}
        )
        self._count_images(registry)
        self._count_delivery(registry)
        self._show_state(registry)
        self._count_work(registry)
        self._named: dict[tuple[str, ...], set[str]] = {}
        self._naming = threading.Lock()

    def _count_images(self, registry: CollectorRegistry) -> None:
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
            "Holds of instances, at one destination or at all, by reason code.",
            ["code"],
            registry=registry,
        )
        self.analyses = Counter(
            "edge_router_analyses_total",
            "Analyses by result: CAPTURED or the code that says why there is no capture; OTHER: any "
            "beyond the first six.",
            ["result"],
            registry=registry,
        )

    def _count_delivery(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter(
            "edge_router_delivery_attempts_total",
            "Tries to send an instance, by destination and result code; OTHER: any beyond the first six.",
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
        self.goodput = Gauge(
            "edge_router_link_throughput_bytes_per_second",
            "Bytes a second that a destination accepted, over all connections, last measured.",
            ["destination"],
            registry=registry,
        )
        self.saved_bytes = Counter(
            "edge_router_compression_saved_bytes_total",
            "Bytes that copies are smaller than what the scanner sent.",
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

    def _show_state(self, registry: CollectorRegistry) -> None:
        self.golden_moved = Gauge(
            "edge_router_golden_moved",
            "Golden images whose result has moved, as of the last weekly analysis.",
            ["algorithm"],
            registry=registry,
        )
        self.link_up = Gauge(
            "edge_router_link_up",
            "Whether a destination was reached and requests to it pass (1), or not (0).",
            ["destination"],
            registry=registry,
        )
        self.paused = Gauge(
            "edge_router_destination_paused",
            "Whether a destination that is there takes nothing from the router (1).",
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
        self.disk_full_seconds = Gauge(
            "edge_router_disk_full_seconds",
            "Seconds until the truck takes no more images, if it goes on like this; +Inf: it "
            "does not fill.",
            registry=registry,
        )
        self.disk_used_ratio = Gauge(
            "edge_router_disk_used_ratio",
            "How full the truck's storage is: 0 to 1, of the limit that is nearest.",
            registry=registry,
        )
        self.ingest_refused = Gauge(
            "edge_router_ingest_refused",
            "Whether the truck refuses the scanner's images, because all that is left on it is "
            "undelivered (1).",
            registry=registry,
        )

    def _count_work(self, registry: CollectorRegistry) -> None:
        self.purged = Counter(
            "edge_router_instances_purged_total",
            "Instances whose files left the truck, verified at every destination, or given up.",
            registry=registry,
        )
        self.duplicates = Counter(
            "edge_router_duplicates_total",
            "Images that the scanner sent again, by result: SAME (removed again) or the hold's code.",
            ["result"],
            registry=registry,
        )
        self.step_seconds = Histogram(
            "edge_router_step_seconds",
            "Time that a step took for one instance.",
            ["step"],
            buckets=_STEP_BUCKETS_S,
            registry=registry,
        )
        for step in STEPS:
            self.step_seconds.labels(step)

    def attempted(self, destination: str, result: str) -> None:
        """Counts a try to send an instance."""
        self.attempts.labels(destination, self._bounded(result, "attempts", destination)).inc()

    def analysed(self, result: str) -> None:
        """Counts an analysis."""
        self.analyses.labels(self._bounded(result, "analyses")).inc()

    def _bounded(self, value: str, *of: str) -> str:
        """The value as long as it is one of the first; a series that began must go on."""
        with self._naming:
            named = self._named.setdefault(of, set())
            if value not in named and len(named) >= _MOST_RESULTS:
                return OTHER
            named.add(value)
            return value

    def begin(self, destination: str) -> None:
        """Zeros of a destination from the start: what begins at its first event shows no increase."""
        for counter in (self.sent_bytes, self.wasted_bytes, self.delivery_seconds):
            counter.labels(destination)
