"""Every metric, as its collectors tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from fleet_qc.exporter import FAMILIES
from router.observe.figures import JournalFigures, QualityFigures
from router.observe.machine import MachineFigures
from router.observe.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric


def table() -> str:
    """Every metric of the router, of the fleet's QC, and what else a truck sends."""
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for family in sorted(_families(), key=lambda row: row[0]):
        name, kind, labels, text = family
        rows.append(f"| `{name}` | {kind} | {', '.join(f'`{x}`' for x in labels)} | {text} |")
    return "\n".join(rows)


def _families() -> Iterator[tuple[str, str, list[str], str]]:
    metrics = Metrics(CollectorRegistry())
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            yield from _shown(metric.describe(), metric._labelnames)  # noqa: SLF001
    yield "edge_router_build_info", "gauge", ["version"], "The router that runs."
    journal = JournalFigures(dict, dict, lambda _: {}, float, [], int)
    machine = MachineFigures(lambda: (0, 0), dict)
    quality = QualityFigures(list, dict, list, int)
    for collector in (journal, machine, quality):
        for family in collector.collect():
            yield from _shown([family], family._labelnames)  # type: ignore[attr-defined]  # noqa: SLF001
    for name, text, labels in FAMILIES.values():
        yield name, "gauge", labels, text


def _shown(
    families: Iterable[Metric], labels: Iterable[str]
) -> Iterator[tuple[str, str, list[str], str]]:
    for family in families:
        suffix = "_total" if family.type == "counter" else ""
        yield f"{family.name}{suffix}", family.type, list(labels), family.documentation
