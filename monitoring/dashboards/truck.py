"""Truck: the way of a study through one truck."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.parts import board, filled, lines, number, row, variable

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

    from dashboards.parts import Part

_T = 'truck="$truck"'


def made() -> Dashboard:
    """The board of one truck."""
    found = board("edge-truck", "Truck", "One truck: stages, link, bytes, space, machine.")
    found = found.with_variable(variable("truck", "Truck", "edge_router_build_info"))
    return filled(found, (*_now(), *_door(), *_way(), *_link(), *_machine()))


def _rate(metric: str, more: str = "") -> str:
    return f"rate({metric}{{{_T}{more}}}[$__rate_interval])"


_STEPS = _rate("edge_router_step_seconds_bucket")
_CLOCK = f"edge_router_clock_offset_seconds{{{_T}}} or on (truck) node_timex_offset_seconds{{{_T}}}"
_IDLE = _rate("node_cpu_seconds_total", ',mode="idle"')


def _now() -> list[Part]:
    yes_no = {0: ("no", "red"), 1: ("yes", "green")}
    return [
        number(
            "Last seen", "Since its metrics arrived.",
            f"time() - truck:last_seen:timestamp_seconds{{{_T}}}", "s", limits=(600, 7200),
        ),
        number(
            "Orthanc answers", "The truck's image store.",
            f"edge_router_orthanc_up{{{_T}}}", "none", said=yes_no,
        ),
        number(
            "Link now", "Whether requests to every destination pass.",
            f"min(edge_router_link_up{{{_T}}})", "none",
            said={0: ("down", "red"), 1: ("up", "green")},
        ),
        number(
            "Held now", "Instances that wait for a person.",
            f"sum(edge_router_instances_held{{{_T}}}) or vector(0)", "none", limits=(1, 20),
        ),
        number(
            "Disk free", "Of the disk that holds images and journal.",
            f"edge_router_disk_free_bytes{{{_T}}} / edge_router_disk_size_bytes{{{_T}}}",
            "percentunit", limits=(0.1, 0.3), falling=True,
        ),
        number(
            "Clock ahead", "Of a destination's clock; of its own time source, where none tells.",
            f"max(edge_router_clock_offset_seconds{{{_T}}}) or max(node_timex_offset_seconds{{{_T}}})",
            "s",
        ),
    ]  # fmt: skip


def _door() -> list[Part]:
    return [
        row("The scanner's door"),
        lines(
            "Connections that were not let in", "By reason, in the last hour.",
            [(f"sum by (reason) (increase(edge_door_ended_total{{{_T}}}[1h])) > 0", "{{reason}}")],
            "none", stacked=True,
        ),
        lines(
            "In use",
            "Associations now, connections that have not said who they are, and callers that were never let in.",
            [
                (f"edge_door_associations{{{_T}}}", "associations"),
                (f"edge_door_waiting{{{_T}}}", "waiting"),
                (f"edge_door_unknown_callers{{{_T}}}", "unknown callers"),
            ],
            "none",
        ),
    ]  # fmt: skip


def _way() -> list[Part]:
    return [
        row("The way of a study"),
        lines(
            "Images", "Through the stages, per second.",
            [
                (f"sum({_rate('edge_router_instances_received_total')})", "received"),
                (f"sum({_rate('edge_router_instances_anonymized_total')})", "anonymized"),
                (f"sum by (destination) ({_rate('edge_router_instances_verified_total')})",
                 "proven at {{destination}}"),
            ],
            "cps",
        ),
        lines(
            "Studies by state", "All that the journal knows.",
            [(f"edge_router_studies{{{_T}}}", "{{state}}")], "none", stacked=True,
        ),
        lines(
            "Time of a step", "Of one instance: median and 95th percentile.",
            [
                (f"histogram_quantile({q}, sum by (le, step) ({_STEPS}))", "{{step}} " + name)
                for q, name in ((0.5, "p50"), (0.95, "p95"))
            ],
            "s",
        ),
        lines(
            "Held, by reason", "Instances that wait for a person now.",
            [(f"edge_router_instances_held{{{_T}}}", "{{code}}")], "none", stacked=True,
        ),
        lines(
            "Analyses", "By result: a capture, or why there is none.",
            [(f"sum by (result) ({_rate('edge_router_analyses_total')})", "{{result}}")], "cps",
        ),
        lines(
            "Found without an event", "Images that the comparison with Orthanc found, in all.",
            [(f"edge_router_reconcile_found_total{{{_T}}}", "found")], "none",
        ),
    ]  # fmt: skip


def _link() -> list[Part]:
    return [
        row("Link"),
        lines(
            "Link and credentials", "1: open, or refused.",
            [
                (f"edge_router_link_up{{{_T}}}", "{{destination}} up"),
                (f"edge_router_destination_paused{{{_T}}}", "{{destination}} refuses us"),
            ],
            "none", most=1,
        ),
        lines(
            "Bytes", "Accepted, and handed to the link in vain.",
            [
                (f"sum by (destination) ({_rate('edge_router_delivery_sent_bytes_total')})",
                 "{{destination}} accepted"),
                (f"sum by (destination) ({_rate('edge_router_delivery_wasted_bytes_total')})",
                 "{{destination}} wasted"),
            ],
            "Bps",
        ),
        lines(
            "Throughput", "As the router last measured it while it sent.",
            [(f"edge_router_link_throughput_bytes_per_second{{{_T}}}", "{{destination}}")], "Bps",
        ),
        lines(
            "Oldest undelivered image", "By destination.",
            [(f"edge_router_oldest_undelivered_seconds{{{_T}}}", "{{destination}}")], "s",
            limits=(21600, 86400),
        ),
        lines(
            "Metrics waiting on the truck", "vmagent's disk queue.",
            [(f"sum(vmagent_remotewrite_pending_data_bytes{{{_T}}})", "waiting")], "bytes",
        ),
    ]  # fmt: skip


def _machine() -> list[Part]:
    return [
        row("Machine"),
        lines(
            "Disk", "Free, and what Orthanc uses of it.",
            [
                (f"edge_router_disk_free_bytes{{{_T}}}", "free"),
                (f"orthanc_disk_size_mb{{{_T}}} * 1048576", "Orthanc"),
            ],
            "bytes",
        ),
        lines(
            "Processor", "Share of its time that is not idle.",
            [(f"1 - avg({_IDLE})", "busy")],
            "percentunit", most=1,
        ),
        lines(
            "Memory", "Of the router, and free on the machine.",
            [
                (f"process_resident_memory_bytes{{{_T},job='router'}}", "router"),
                (f"node_memory_MemAvailable_bytes{{{_T}}}", "available"),
            ],
            "bytes",
        ),
        lines(
            "Clock",
            "How far it is ahead of each destination's, or of its own time source.",
            [(_CLOCK, "{{destination}}")],
            "s", least=None,
        ),
    ]  # fmt: skip
