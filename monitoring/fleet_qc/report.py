"""The report's page: who is out of line and how, the groups, the distributions that moved."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

from fleet_qc import words
from fleet_qc.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet_qc.records import Finding, Mined

_MOST_DEVICES = 500
_MOST_ROWS = 500
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
       color: #1b1f24; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
img { max-width: 100%; height: auto }
div { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .6rem; vertical-align: top }
tbody, thead { border-bottom: 1px solid #d0d7de }
td { white-space: nowrap } td:nth-last-child(-n+5) { white-space: normal }
table.plain tr { border-bottom: 1px solid #d0d7de }
small { color: #57606a; display: block }
p.fine { color: #116329 } p.note { color: #57606a }
"""
_MEANING = {
    Kind.OUTLIER: "far from the devices like it, over the last week",
    Kind.STEP: "jumped against its own past",
    Kind.DRIFT: "moves away from its own past, day by day",
    Kind.FLAGS: "more of its images are flagged than before",
    Kind.SOFTWARE: "runs what hardly any device of its model runs",
}


def page(mined: Mined, png: bytes) -> str:
    """An HTML page of its own: nothing is loaded from elsewhere."""
    devices = words.devices(mined.findings)
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>Fleet QC</title><style>{_STYLE}</style></head><body>",
        f"<h1>Fleet QC, {words.window(mined)}</h1>",
        f"<p>{mined.trucks} trucks were compared, {mined.streams} times a device in a view.",
        f"<b>{len(devices)}</b> devices are out of line.</p>",
        "<img alt='Density against contrast of every device; those out of line are named'",
        f"src='data:image/png;base64,{base64.b64encode(png).decode()}'>",
        "<h2>Out of line</h2>",
        _findings(devices),
        "<h2>Groups</h2>",
        _table(
            ("modality", "view", "devices", "groups", "why so many"),
            [(g.modality, g.view, len(g.streams), g.number, g.reason) for g in mined.clusters],
        ),
        "<h2>Distributions that moved</h2>",
        _shifts(mined),
        *(f"<p class='note'>{html.escape(note)}</p>" for note in mined.notes),
        "<p class='note'>Features are compared at the fleet's usual breast thickness.",
        "No image and no patient is behind this page, only daily sums.</p></body></html>",
    ]
    return "\n".join(parts)


def _findings(devices: dict[tuple[str, str], list[Finding]]) -> str:
    """A block for each device, so that one that is wrong in many ways does not hide others."""
    if not devices:
        return "<p class='fine'>Nothing.</p>"
    heads = ("truck", "device", "images", "feature", "how", "since", "deviation", "sure")
    blocks = []
    for (truck, device), findings in list(devices.items())[:_MOST_DEVICES]:
        span = f"<td rowspan='{len(findings)}'>"
        names = f"{span}{html.escape(truck)}</td>{span}{html.escape(device)}</td>"
        rows = [names + _cells(findings[0]), *map(_cells, findings[1:])]
        blocks.append(f"<tbody><tr>{'</tr><tr>'.join(rows)}</tr></tbody>")
    more = len(devices) - _MOST_DEVICES
    return (
        f"<div><table>{_head(heads)}{''.join(blocks)}</table></div>"
        + (f"<p class='note'>… and {more} more devices.</p>" if more > 0 else "")
        + "<p class='note'>Deviation: from what is usual, in robust standard deviations; from 5 on a"
        " device is named, and software by how few run it. Sure: 1 less the chance that any of all"
        " comparisons shows as much by accident.</p>"
    )


def _cells(finding: Finding) -> str:
    since = "" if finding.since is None else words.day(finding.since)
    cells = (
        (f"{finding.stream.modality} {finding.stream.view}", ""),
        (finding.feature, words.meaning(finding.feature)),
        (_MEANING[finding.kind], finding.detail),
        (since, ""),
        (f"{finding.deviation:+.1f}", ""),
        (_sure(finding.confidence), ""),
    )
    return "".join(
        f"<td>{html.escape(text)}{f'<small>{html.escape(more)}</small>' if more else ''}</td>"
        for text, more in cells
    )


def _sure(confidence: float) -> str:
    return "> 99.99 %" if confidence > 0.9999 else f"{100 * confidence:.2f} %"  # noqa: PLR2004


def _shifts(mined: Mined) -> str:
    moved = [shift for shift in mined.shifts if shift.drifted]
    if not moved:
        return "<p class='fine'>None.</p>"
    moved.sort(key=lambda shift: (bool(shift.truck), -shift.psi))  # the fleet's first
    table = _table(
        ("truck", "modality", "of", "meaning", "PSI"),
        [
            (
                s.truck or "the fleet",
                s.modality,
                s.feature,
                words.meaning(s.feature),
                f"{s.psi:.2f}",
            )
            for s in moved[:_MOST_ROWS]
        ],
    )
    more = len(moved) - _MOST_ROWS
    return (
        table
        + (f"<p class='note'>… and {more} more.</p>" if more > 0 else "")
        + "<p class='note'>PSI: population stability index of the last week against the days"
        " before; 0.1 is a small shift, 0.25 a large one.</p>"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<div><table class='plain'>{_head(heads)}<tbody>{body}</tbody></table></div>"


def _head(heads: Sequence[str]) -> str:
    return f"<thead><tr>{''.join(f'<th>{html.escape(name)}</th>' for name in heads)}</tr></thead>"
