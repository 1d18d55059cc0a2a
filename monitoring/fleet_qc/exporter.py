"""What the miner found, as metrics. Labels are bounded: devices and features, never images."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from fleet_qc.records import Finding, Mined

_DEVICE = ["truck", "device", "modality", "view", "feature", "kind"]
#: (name, help, labels) of every metric of the fleet's QC: the documents list them.
FAMILIES = {
    "outlier": (
        "fleet_qc_outlier",
        "A device that is out of line (1), by the feature and the way in which it is.",
        _DEVICE,
    ),
    "deviation": (
        "fleet_qc_outlier_deviation",
        "How far it is out of line, in robust standard deviations, signed.",
        _DEVICE,
    ),
    "confidence": (
        "fleet_qc_outlier_confidence_ratio",
        "How sure the finding is: 1 less the chance that any comparison shows it by accident.",
        _DEVICE,
    ),
    "since": (
        "fleet_qc_change_timestamp_seconds",
        "Beginning of the day since which a device is changed.",
        _DEVICE,
    ),
    "clusters": (
        "fleet_qc_clusters",
        "Kinds of scanner that the fleet has, by modality and view.",
        ["modality", "view"],
    ),
    "psi": (
        "fleet_qc_distribution_psi",
        "Population stability index of the last week against the weeks before, of the fleet.",
        ["modality", "feature"],
    ),
    "drifted": (
        "fleet_qc_distribution_drifted",
        "Whether a distribution of the fleet or a truck (empty: fleet) has drifted (1); only those.",
        ["truck", "modality", "feature"],
    ),
    "streams": ("fleet_qc_streams", "Devices and views that were looked at.", []),
    "run": (
        "fleet_qc_last_success_timestamp_seconds",
        "When the fleet was last looked at with success.",
        [],
    ),
    "seconds": ("fleet_qc_run_seconds", "How long the last look took.", []),
}
_DAY_S = 86_400


class Exporter:
    """A collector: register it; ``show`` replaces what it shows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: tuple[Mined, float, float] | None = None

    def show(self, mined: Mined, now: float, seconds: float) -> None:
        """Takes what was found as what is served from now on."""
        with self._lock:
            self._shown = (mined, now, seconds)

    def collect(self) -> Iterable[Metric]:
        """The metrics of what was found last."""
        families = {
            key: GaugeMetricFamily(name, text, labels=labels)
            for key, (name, text, labels) in FAMILIES.items()
        }
        with self._lock:
            shown = self._shown
        if shown is not None:
            mined, now, seconds = shown
            for finding in mined.findings:
                _add(families, finding)
            for group in mined.clusters:
                families["clusters"].add_metric([group.modality, group.view], group.number)
            for shift in mined.shifts:
                if not shift.truck:
                    families["psi"].add_metric([shift.modality, shift.feature], shift.psi)
                if shift.drifted:
                    labels = [shift.truck, shift.modality, shift.feature]
                    families["drifted"].add_metric(labels, 1.0)
            families["streams"].add_metric([], mined.streams)
            families["run"].add_metric([], now)
            families["seconds"].add_metric([], seconds)
        yield from families.values()


def _add(families: dict[str, GaugeMetricFamily], finding: Finding) -> None:
    stream = finding.stream
    labels = [
        stream.truck, stream.device, stream.modality, stream.view, finding.feature, finding.kind,
    ]  # fmt: skip
    families["outlier"].add_metric(labels, 1.0)
    families["deviation"].add_metric(labels, finding.deviation)
    families["confidence"].add_metric(labels, finding.confidence)
    if finding.since is not None:
        families["since"].add_metric(labels, float(finding.since * _DAY_S))
