"""The report: a picture (density against contrast, groups, outliers named) and a page."""

from __future__ import annotations

import base64
import html
import io
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from fleet_qc.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes

    from fleet_qc.records import Clusters, Finding, Mined

#: Okabe and Ito's colours: told apart by everyone.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442")
_NAMED_COLOUR = "#D55E00"
#: The axes are the first of each that the group has.
_ACROSS = ("contrast", "mean")
_UP = ("dense_fraction", "entropy", "standard_deviation", "noise")
_MOST_NAMES = 12
_MOST_ROWS = 500
_EPOCH = date(1970, 1, 1)


def picture(mined: Mined) -> bytes:
    """A PNG: one panel for each modality and view."""
    groups = mined.clusters
    columns = max(min(len(groups), 3), 1)
    rows = max(-(-len(groups) // columns), 1)
    figure = Figure(figsize=(6.4 * columns, 5.2 * rows), dpi=110, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, group in zip(panels, groups, strict=False):
        _draw(panel, group, mined.findings)
    for panel in panels[len(groups) :]:
        panel.set_axis_off()
    if not groups:
        panels[0].text(0.5, 0.5, "No images in this window.", ha="center")
    figure.suptitle(
        f"{mined.trucks} trucks, {mined.streams} devices and views, {_window(mined)}:\n"
        f"{len(_devices(mined.findings))} devices out of line",
        fontsize=11,
    )
    kept = io.BytesIO()
    figure.savefig(kept, format="png", metadata={"Software": "edge-router fleet QC"})
    return kept.getvalue()


def _draw(panel: Axes, group: Clusters, findings: Iterable[Finding]) -> None:
    across = _first(group.features, _ACROSS)
    up = _first(group.features, _UP)
    if across is None or up is None:
        panel.text(0.5, 0.5, "no density or contrast", ha="center", transform=panel.transAxes)
        return
    x, y = group.means[:, across], group.means[:, up]
    for label in range(group.number):
        of = group.labels == label
        panel.scatter(
            x[of], y[of], s=14, alpha=0.6, linewidths=0, color=_COLOURS[label % len(_COLOURS)],
            label=f"group {label + 1}: {int(of.sum())}",
        )  # fmt: skip
    place = {stream: index for index, stream in enumerate(group.streams)}
    worst: dict[int, Finding] = {}
    for finding in findings:
        index = place.get(finding.stream)
        if index is not None:
            worst.setdefault(index, finding)
    if worst:
        at = list(worst)
        panel.scatter(
            x[at], y[at], s=60, facecolors="none", edgecolors=_NAMED_COLOUR, linewidths=1.3,
            label=f"out of line: {len(worst)}",
        )  # fmt: skip
    panel.margins(0.12)
    centre = float(np.nanmedian(x))
    for number, (index, finding) in enumerate(list(worst.items())[:_MOST_NAMES]):
        if np.isfinite(x[index]) and np.isfinite(y[index]):
            right = x[index] > centre
            panel.annotate(
                f"{finding.stream.truck} {finding.stream.device}: {finding.feature}",
                (x[index], y[index]), xytext=(-12 if right else 12, 26 - 52 * (number % 2)),
                textcoords="offset points", fontsize=7.5, color=_NAMED_COLOUR,
                ha="right" if right else "left",
                arrowprops={"arrowstyle": "-", "color": _NAMED_COLOUR, "linewidth": 0.7},
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.85,
                      "linewidth": 0},
            )  # fmt: skip
    panel.set_xlabel(group.features[across])
    panel.set_ylabel(group.features[up])
    panel.set_title(f"{group.modality} {group.view} ({len(group.streams)})", fontsize=10)
    panel.legend(fontsize=7, loc="best")


def _first(features: Sequence[str], wanted: Iterable[str]) -> int | None:
    return next((features.index(name) for name in wanted if name in features), None)


def _window(mined: Mined) -> str:
    if not len(mined.days):
        return "no days"
    return f"{_day(int(mined.days[0]))} to {_day(int(mined.days[-1]))}"


def _day(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).isoformat()


def _devices(findings: Iterable[Finding]) -> set[tuple[str, str]]:
    return {(finding.stream.truck, finding.stream.device) for finding in findings}


_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
       color: #1b1f24; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
img { max-width: 100%; height: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d0d7de }
td { white-space: nowrap } td:nth-child(5), td:nth-child(6) { white-space: normal }
td.number { text-align: right; font-variant-numeric: tabular-nums }
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
    devices = _devices(mined.findings)
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>Fleet QC</title><style>{_STYLE}</style></head><body>",
        f"<h1>Fleet QC, {_window(mined)}</h1>",
        f"<p>{mined.trucks} trucks, {mined.streams} devices and views were compared.",
        f"<b>{len(devices)}</b> devices are out of line.</p>",
        "<img alt='Density against contrast of every device; those out of line are named'",
        f"src='data:image/png;base64,{base64.b64encode(png).decode()}'>",
        "<h2>Out of line</h2>",
        _findings(mined.findings),
        "<h2>Groups</h2>",
        _table(
            ("modality", "view", "devices", "groups", "why"),
            [(g.modality, g.view, len(g.streams), g.number, g.reason) for g in mined.clusters],
        ),
        "<h2>Distributions that moved</h2>",
        _shifts(mined),
        *(f"<p class='note'>{html.escape(note)}</p>" for note in mined.notes),
        "<p class='note'>Features are compared at the fleet's usual breast thickness.",
        "No image and no patient is behind this page, only daily sums.</p></body></html>",
    ]
    return "\n".join(parts)


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<p class='fine'>Nothing.</p>"
    rows = [
        (
            f.stream.truck, f.stream.device, f"{f.stream.modality} {f.stream.view}", f.feature,
            _MEANING[f.kind], f.detail, "" if f.since is None else _day(f.since),
            f"{f.deviation:+.1f}", _sure(f.confidence),
        )
        for f in findings[:_MOST_ROWS]
    ]  # fmt: skip
    heads = ("truck", "device", "images", "feature", "how", "detail", "since", "deviation", "sure")
    table = _table(heads, rows)
    more = len(findings) - _MOST_ROWS
    return table + (f"<p class='note'>… and {more} more.</p>" if more > 0 else "")


def _sure(confidence: float) -> str:
    return "> 99.99 %" if confidence > 0.9999 else f"{100 * confidence:.2f} %"  # noqa: PLR2004


def _shifts(mined: Mined) -> str:
    moved = [shift for shift in mined.shifts if shift.drifted][:_MOST_ROWS]
    if not moved:
        return "<p class='fine'>None.</p>"
    return _table(
        ("truck", "modality", "of", "PSI"),
        [(s.truck or "the fleet", s.modality, s.feature, f"{s.psi:.2f}") for s in moved],
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
