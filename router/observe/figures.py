"""Figures that are read from the journal when Prometheus asks for them, so that they cannot drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

from router.observe.metrics import OTHER
from router.records.study import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prometheus_client.core import Metric

    from router.imaging.quality import Device, Total
    from router.records.errors import Code

#: Of hold reasons so many have a name of their own; what else there is counts as one.
_MOST_REASONS = 8


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
        """The metrics, read now."""
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
        """The metrics, read now."""
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
