"""Delivery: how long from scan to cloud, and what it costs the link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.parts import board, lines, number, variable

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

    from dashboards.parts import Panel

_W = '{truck=~"$truck"}'


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{_W}[$__rate_interval]))"


def _quantile(share: float, window: str) -> str:
    rate = f"rate(edge_router_delivery_seconds_bucket{_W}[{window}])"
    return f"histogram_quantile({share}, sum by (le, destination) ({rate}))"


def made() -> Dashboard:
    """The board of the deliveries."""
    found = board("edge-delivery", "Delivery", "From the scan to the proof in the cloud.")
    found = found.with_variable(variable("truck", "Truck", "edge_router_build_info", every=True))
    for panel in (*_today(), *_over_time()):
        found = found.with_panel(panel)
    return found


def _today() -> list[Panel]:
    sent = f"sum(increase(edge_router_delivery_sent_bytes_total{_W}[1d]))"
    wasted = f"sum(increase(edge_router_delivery_wasted_bytes_total{_W}[1d]))"
    return [
        number(
            "Median today", "Arrival on the truck to proof at the destination.",
            _quantile(0.5, "1d").replace("le, destination", "le"), "s", limits=(3600, 21600),
        ),
        number(
            "95th percentile today", "The same.",
            _quantile(0.95, "1d").replace("le, destination", "le"), "s", limits=(21600, 86400),
        ),
        number(
            "Proven today", "Instances that were read back.",
            f"sum(increase(edge_router_instances_verified_total{_W}[1d]))", "none",
        ),
        number("Sent today", "Bytes that destinations accepted.", sent, "bytes"),
        number(
            "Saved today", "Bytes that compression did not have to send.",
            f"sum(increase(edge_router_compression_saved_bytes_total{_W}[1d]))", "bytes",
        ),
        number(
            "Wasted today", "Share of the bytes on the link that were not accepted.",
            f"{wasted} / ({wasted} + {sent} > 0)", "percentunit", limits=(0.1, 0.3),
        ),
        number(
            "Links open", "Share of the links to destinations.",
            f"avg(edge_router_link_up{_W})", "percentunit", limits=(0.5, 0.8), falling=True,
        ),
    ]  # fmt: skip


def _over_time() -> list[Panel]:
    return [
        lines(
            "From scan to cloud", "By destination.",
            [(_quantile(q, "1h"), "{{destination}} " + name)
             for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))],
            "s", limits=(21600, 86400),
        ),
        lines(
            "Instances proven", "By destination and kind of proof.",
            [(_rate("edge_router_instances_verified_total", "destination, verified_by"),
              "{{destination}} {{verified_by}}")],
            "cps", stacked=True,
        ),
        lines(
            "Attempts, by outcome", "STORED and DUPLICATE are successes.",
            [(_rate("edge_router_delivery_attempts_total", "result"), "{{result}}")],
            "cps", stacked=True,
        ),
        lines(
            "Bytes", "Accepted, and in vain.",
            [
                (_rate("edge_router_delivery_sent_bytes_total", "destination"),
                 "{{destination}} accepted"),
                (_rate("edge_router_delivery_wasted_bytes_total", "destination"),
                 "{{destination}} wasted"),
            ],
            "Bps",
        ),
        lines(
            "Oldest undelivered image", "The ten trucks that are furthest behind.",
            [(f"topk(10, max by (truck) (edge_router_oldest_undelivered_seconds{_W}))",
              "{{truck}}")],
            "s", limits=(21600, 86400),
        ),
        lines(
            "Links open", "Share of the trucks, by destination.",
            [(f"avg by (destination) (edge_router_link_up{_W})", "{{destination}}")],
            "percentunit", most=1,
        ),
    ]  # fmt: skip
