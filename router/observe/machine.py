"""The truck's disk and clock as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.core import Metric


class MachineFigures:
    """Gauges that are read when they are asked for.

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
        """The metrics, read now."""
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
