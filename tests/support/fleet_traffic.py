"""What the trucks of ``fleet_sim`` would have sent: running totals, step by step, as remote write.

Images come between 8 and 18 h UTC, evenly. The names and labels are those of the router.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fleet_qc.records import Flags
from tests.support import remote_write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleet_qc.records import Build, Floats, History, Stream

DAY_S = 86_400
_FIRST_HOUR, _LAST_HOUR = 8, 18
#: What a truck had counted before the first day.
_EARLIER = 1000.0
_METRICS = (
    "edge_router_qc_feature_count",
    "edge_router_qc_feature_sum",
    "edge_router_qc_feature_squares",
)


def _without_views(flags: Flags) -> Flags:
    """As the router counts them: by device and modality."""
    devices = sorted({replace(stream, view="") for stream in flags.streams})
    flagged = np.zeros((len(devices), len(flags.names), len(flags.days)))
    images = np.zeros((len(devices), len(flags.days)))
    for row, stream in enumerate(flags.streams):
        place = devices.index(replace(stream, view=""))
        flagged[place] += flags.flagged[row]
        images[place] += flags.images[row]
    return Flags(tuple(devices), flags.names, flags.days, flagged, images)


class Traffic:
    """The running totals of a history."""

    def __init__(self, history: History, site: str = "depot") -> None:
        self._history = history
        self._site = site
        moments = history.moments
        #: (metrics, streams, features, days)
        self._added = np.stack([moments.count, moments.total, moments.squares])
        self._before = np.cumsum(self._added, axis=-1) - self._added
        usual = self._added[..., :1] / np.maximum(self._added[:1, ..., :1], 1)
        self._before += usual * _EARLIER
        self._labels = [
            [
                [
                    remote_write.labels(
                        {"__name__": metric, "feature": feature, **self._of(stream)}
                    )
                    for feature in moments.features
                ]
                for stream in moments.streams
            ]
            for metric in _METRICS
        ]
        self._flags_of = flags = _without_views(history.flags)
        self._flagged = np.cumsum(flags.flagged, axis=-1) - flags.flagged
        self._flag_labels = [
            [
                remote_write.labels(
                    {"__name__": "edge_router_qc_flags_total", "flag": flag, **self._of(stream)}
                )
                for flag in flags.names
            ]
            for stream in flags.streams
        ]

    @property
    def series(self) -> int:
        """How many series the fleet has at a time."""
        moments, flags = self._history.moments, self._flags_of
        return (
            3 * len(moments.streams) * len(moments.features)
            + len(flags.streams) * len(flags.names)
            + len(self._history.inventory.devices)
        )

    def between(self, first_s: int, last_s: int, step_s: int) -> Iterator[tuple[str, bytes, int]]:
        """Truck, TimeSeries and samples of each series, at every step from first to before last."""
        times = np.arange(first_s, last_s, step_s)
        frame = remote_write.stamps(times * 1000)
        day = times // DAY_S - int(self._history.moments.days[0])
        hours = times % DAY_S / 3600
        share = np.clip((hours - _FIRST_HOUR) / (_LAST_HOUR - _FIRST_HOUR), 0, 1)
        moments = self._history.moments
        for row, stream in enumerate(moments.streams):
            totals = self._before[:, row][..., day] + self._added[:, row][..., day] * share
            for metric in range(len(_METRICS)):
                for column in range(len(moments.features)):
                    labels = self._labels[metric][row][column]
                    one = remote_write.series(labels, frame, totals[metric, column])
                    yield stream.truck, one, len(times)
        yield from self._flags(frame, day, share)
        yield from self._devices(frame, day)

    def _flags(
        self, frame: np.typing.NDArray[np.uint8], day: np.typing.NDArray[np.int64], share: Floats
    ) -> Iterator[tuple[str, bytes, int]]:
        flags = self._flags_of
        for row, stream in enumerate(flags.streams):
            totals = self._flagged[row][:, day] + np.floor(flags.flagged[row][:, day] * share)
            for labels, values in zip(self._flag_labels[row], totals, strict=True):
                begun = values > 0  # a router has no series of a flag that it never raised
                if begun.any():
                    one = remote_write.series(labels, frame[begun], values[begun])
                    yield stream.truck, one, int(begun.sum())

    def _devices(
        self, frame: np.typing.NDArray[np.uint8], day: np.typing.NDArray[np.int64]
    ) -> Iterator[tuple[str, bytes, int]]:
        inventory = self._history.inventory
        for (truck, device), builds in zip(inventory.devices, inventory.builds, strict=True):
            said = [builds[number] for number in day]
            for build in sorted({b for b in said if b is not None}):
                at = np.array([b == build for b in said])
                labels = remote_write.labels(self._build(truck, device, build))
                one = remote_write.series(labels, frame[at], np.ones(int(at.sum())))
                yield truck, one, int(at.sum())

    def _of(self, stream: Stream) -> dict[str, str]:
        found = {
            "truck": stream.truck, "site": self._site, "device": stream.device,
            "modality": stream.modality,
        }  # fmt: skip
        return found | ({"view": stream.view} if stream.view else {})

    def _build(self, truck: str, device: str, build: Build) -> dict[str, str]:
        return {
            "__name__": "edge_router_device_info", "truck": truck, "site": self._site,
            "device": device, "modality": "MG", "manufacturer": build.manufacturer,
            "model": build.model, "software": build.software,
        }  # fmt: skip
