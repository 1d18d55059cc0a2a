"""Fleet: which truck is behind, cut off, full, or scanning badly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.parts import Column, board, joined, lines, number, variable

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import table
    from grafana_foundation_sdk.builders.dashboard import Dashboard

    from dashboards.parts import Panel

_SILENT_S = 7200
_SITE = '{site=~"$site"}'
_SENT = f"rate(edge_router_delivery_sent_bytes_total{_SITE}[$__rate_interval])"
_BEHIND = (
    'sum by (truck) (edge_router_studies{site=~"$site",state=~"RECEIVED|ANONYMIZED|ANALYSED"})'
)


def made() -> Dashboard:
    """The board of all trucks."""
    found = board("edge-fleet", "Fleet", "A row for each truck. Click on one for its detail.")
    found = found.with_variable(
        variable("site", "Site", "truck:last_seen:timestamp_seconds", every=True)
    )
    seen = f"truck:last_seen:timestamp_seconds{_SITE}"
    for panel in _now(seen):
        found = found.with_panel(panel)
    found = found.with_panel(_trucks(seen))
    found = found.with_panel(
        lines(
            "Oldest undelivered image", "The ten trucks that are furthest behind.",
            [(f"topk(10, max by (truck) (edge_router_oldest_undelivered_seconds{_SITE}))",
              "{{truck}}")],
            "s", limits=(21600, 86400),
        )
    )  # fmt: skip
    return found.with_panel(
        lines(
            "Bytes sent", "What destinations accepted, of the ten busiest trucks.",
            [(f"topk(10, sum by (truck) ({_SENT}))", "{{truck}}")],
            "Bps",
        )
    )  # fmt: skip


def _now(seen: str) -> list[Panel]:
    return [
        number("Trucks", "Heard of within the last two weeks.", f"count({seen})", "none"),
        number(
            "Silent", "Not heard of for two hours.",
            f"count(time() - {seen} > {_SILENT_S}) or vector(0)", "none", limits=(1, 5),
        ),
        number(
            "Oldest image", "Age of the oldest image that is not proven at a destination.",
            f"max(edge_router_oldest_undelivered_seconds{_SITE})", "s", limits=(21600, 86400),
        ),
        number(
            "Held", "Instances that wait for a person.",
            f"sum(edge_router_instances_held{_SITE}) or vector(0)", "none", limits=(1, 50),
        ),
        number(
            "Scanners out of line", "Devices that the fleet's QC names.",
            "count(count by (truck, device) (fleet_qc_outlier)) or vector(0)", "none",
            limits=(1, 5),
        ),
        number(
            "Alerts", "That fire now.",
            'count(ALERTS{alertstate="firing"}) or vector(0)', "none", limits=(1, 10),
        ),
    ]  # fmt: skip


def _trucks(seen: str) -> table.Panel:
    open_closed = {0: ("down", "red"), 1: ("up", "green")}
    columns = [
        Column("Last seen", f"time() - max by (truck) ({seen})", "s", (600, _SILENT_S)),
        Column("Studies behind", _BEHIND, "none", (5, 50)),
        Column(
            "Oldest", f"max by (truck) (edge_router_oldest_undelivered_seconds{_SITE})", "s",
            (21600, 86400),
        ),
        Column(
            "Link", f"min by (truck) (edge_router_link_up{_SITE})", "none", said=open_closed
        ),
        Column(
            "Disk free",
            f"min by (truck) (edge_router_disk_free_bytes{_SITE} / edge_router_disk_size_bytes"
            f"{_SITE})", "percentunit", (0.1, 0.3), falling=True,
        ),
        Column(
            "Full in", f"min by (truck) (edge_router_disk_full_seconds{_SITE})", "s",
            (86400, 604800), falling=True,
        ),
        Column("Held", f"sum by (truck) (edge_router_instances_held{_SITE})", "none", (1, 20)),
        Column(
            "Flagged today",
            f"sum by (truck) (increase(edge_router_qc_flags_total{_SITE}[1d]))", "none", (5, 20),
        ),
        Column(
            "QC findings",
            f"count by (truck) (fleet_qc_outlier) or 0 * max by (truck) ({seen})", "none", (1, 3),
        ),
    ]  # fmt: skip
    return joined(
        "Trucks", "Sorted by who was silent the longest.", "truck", columns,
        ("Detail of this truck", "/d/edge-truck?var-truck=${__value.raw}"), sort="Last seen",
    )  # fmt: skip
