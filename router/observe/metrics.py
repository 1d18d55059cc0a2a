"""Every metric of the router, defined once. Labels are bounded; none holds a patient's identity."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

import router
from router.records.study import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from router.imaging.quality import Device, Total
    from router.records.errors import Code

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
_MOST_REASONS = 8
OTHER = "OTHER"


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
        self.golden_moved = Gauge(
            "edge_router_golden_moved",
            "Golden images whose result has moved, as of the last weekly analysis.",
            ["algorithm"],
            registry=registry,
        )
        self.link_up = Gauge(
            "edge_router_link_up",
            "Whether a destination was reached and its link gate is open (1), or not (0).",
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

        self._named: dict[tuple[str, ...], set[str]] = {}
        self._naming = threading.Lock()

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


class JournalFigures:
    """Gauges that are read from the journal when they are asked for, so they cannot drift."""

    def __init__(
        self,
        count_studies: Callable[[], Mapping[State, int]],
        count_held: Callable[[], Mapping[Code, int]],
        oldest_undelivered: Callable[[Sequence[str]], Mapping[str, float]],
        now: Callable[[], float],
        destinations: Iterable[str],
        count_refused: Callable[[], int],
    ) -> None:
        self._count_studies = count_studies
        self._count_held = count_held
        self._oldest_undelivered = oldest_undelivered
        self._now = now
        self._count_refused = count_refused
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
            "Instances that wait for a person, at one destination or at all, by reason code; OTHER: all "
            "but the eight most frequent.",
            labels=["code"],
        )
        counts: list[tuple[str, int]] = sorted(
            ((str(code), number) for code, number in self._count_held().items()),
            key=lambda one: (-one[1], one[0]),
        )
        shown, rest = counts[:_MOST_REASONS], counts[_MOST_REASONS:]
        if rest:
            shown.append((OTHER, sum(number for _, number in rest)))
        for code, number in shown:
            held.add_metric([code], number)
        yield held
        age = GaugeMetricFamily(
            "edge_router_oldest_undelivered_seconds",
            "Age of the oldest image that still waits to be verified at a destination; 0: none. What is held "
            "is counted as held.",
            labels=["destination"],
        )
        oldest = self._oldest_undelivered(self._destinations)
        for destination in self._destinations:
            since = oldest.get(destination)
            age.add_metric([destination], 0.0 if since is None else max(0.0, self._now() - since))
        yield age
        refused = GaugeMetricFamily(
            "edge_router_callers_refused",
            "Callers at the scanner's door, by AE title and address, whose last call was refused.",
        )
        refused.add_metric([], self._count_refused())
        yield refused


class QualityFigures:
    """Sums over the figures of images, from the journal: a fleet makes means and spreads of them.

    Sums may fall (HU, deviation index), so they are for ``delta()`` and not for ``rate()``.
    """

    def __init__(
        self,
        totals: Callable[[], Iterable[Total]],
        count_flags: Callable[[], Mapping[tuple[str, str, str], int]],
        devices: Callable[[], Iterable[Device]],
        count_missing: Callable[[], int],
    ) -> None:
        self._totals = totals
        self._count_flags = count_flags
        self._devices = devices
        self._count_missing = count_missing

    def collect(self) -> Iterable[Metric]:
        labels = ["device", "modality", "view", "feature"]
        sums = SummaryMetricFamily(
            "edge_router_qc_feature",
            "Figures of images and their exposure, by device, modality and view; count and sum.",
            labels=labels,
        )
        squares = GaugeMetricFamily(
            "edge_router_qc_feature_squares", "Sum of the squares of the same.", labels=labels
        )
        for row in self._totals():
            names = [row.device, row.modality, row.view, row.feature]
            sums.add_metric(names, row.number, row.total)
            squares.add_metric(names, row.squares)
        yield sums
        yield squares
        flags = CounterMetricFamily(
            "edge_router_qc_flags",
            "Images that were flagged to be looked at.",
            labels=["device", "flag", "modality"],
        )
        for (name, flag, modality), number in self._count_flags().items():
            flags.add_metric([name, flag, modality], number)
        yield flags
        info = GaugeMetricFamily(
            "edge_router_device_info",
            "What the devices of the last week are (always 1): known makers and models, else a keyed digest.",
            labels=["device", "modality", "manufacturer", "model", "software"],
        )
        for device in self._devices():
            said = [device.name, device.kind, device.manufacturer, device.model, device.software]
            info.add_metric(said, 1.0)
        yield info
        missing = GaugeMetricFamily(
            "edge_router_qc_studies_view_missing",
            "Studies of the last hours that have arrived and lack an expected view.",
        )
        missing.add_metric([], self._count_missing())
        yield missing
