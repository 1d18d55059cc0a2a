"""mining_report.png: density against contrast of every device, groups, and who is out of line."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from fleet_qc import words

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
#: So many names stand one below the other beside a panel.
MOST_NAMES = 18


def draw(mined: Mined) -> bytes:
    """The figure as a PNG."""
    kept = io.BytesIO()
    figure(mined).savefig(kept, format="png", metadata={"Software": "edge-router fleet QC"})
    return kept.getvalue()


def figure(mined: Mined) -> Figure:
    """One panel for each modality and view."""
    groups = mined.clusters
    columns = max(min(len(groups), 2), 1)
    rows = max(-(-len(groups) // columns), 1)
    drawn = Figure(figsize=(8.6 * columns, 5.2 * rows + 0.6), dpi=110, layout="constrained")
    panels = drawn.subplots(rows, columns, squeeze=False).ravel()
    for panel, group in zip(panels, groups, strict=False):
        _draw(panel, group, mined.findings)
    for panel in panels[len(groups) :]:
        panel.set_axis_off()
    if not groups:
        panels[0].text(0.5, 0.5, "No images in this window.", ha="center")
    drawn.suptitle(
        f"{mined.trucks} trucks, {words.window(mined)}: "
        f"{len(words.devices(mined.findings))} devices out of line\n"
        "Each point is one device in one view, over its last week",
        fontsize=11,
    )
    return drawn


def _draw(panel: Axes, group: Clusters, findings: Iterable[Finding]) -> None:
    panel.set_title(f"{group.modality} {group.view}: {len(group.streams)} devices", fontsize=10)
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
            label=f"group {label + 1}: {int(of.sum())} devices",
        )  # fmt: skip
    worst = {
        row: finding
        for row, finding in _worst(group, findings).items()
        if np.isfinite(x[row]) and np.isfinite(y[row])
    }
    if worst:
        at = list(worst)
        panel.scatter(
            x[at], y[at], s=60, facecolors="none", edgecolors=_NAMED_COLOUR, linewidths=1.3,
            label=f"out of line, in whatever feature: {len(worst)}",
        )  # fmt: skip
        _name(panel, x, y, worst)
    panel.margins(0.08)
    panel.set_xlabel(words.meaning(group.features[across]) or group.features[across])
    panel.set_ylabel(words.meaning(group.features[up]) or group.features[up])
    # Below the panel: inside, it would lie over points.
    panel.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2, frameon=False)


def _worst(group: Clusters, findings: Iterable[Finding]) -> dict[int, Finding]:
    """The first finding of each row of the group; one without a view is of all of the device's."""
    place = {stream: row for row, stream in enumerate(group.streams)}
    of_device = {(stream.truck, stream.device): row for row, stream in enumerate(group.streams)}
    worst: dict[int, Finding] = {}
    for finding in findings:
        stream = finding.stream
        row = place.get(stream) if stream.view else of_device.get((stream.truck, stream.device))
        if row is not None:
            worst.setdefault(row, finding)
    return worst


def _name(
    panel: Axes,
    x: np.typing.NDArray[np.float64],
    y: np.typing.NDArray[np.float64],
    worst: dict[int, Finding],
) -> None:
    """Names beside the panel, from top to bottom as their points are: none lies over another."""
    named = sorted(list(worst)[:MOST_NAMES], key=lambda row: -y[row])
    for number, row in enumerate(named):
        finding = worst[row]
        panel.annotate(
            f"{finding.stream.truck} {finding.stream.device}: {finding.feature}",
            (x[row], y[row]), xytext=(1.03, 0.98 - number / MOST_NAMES),
            textcoords="axes fraction", fontsize=8, color=_NAMED_COLOUR, va="center",
            arrowprops={"arrowstyle": "-", "color": _NAMED_COLOUR, "linewidth": 0.5, "alpha": 0.6,
                        "relpos": (0, 0.5), "shrinkA": 1},
        )  # fmt: skip
    if len(worst) > len(named):
        panel.annotate(
            f"... and {len(worst) - len(named)} more", (1.03, -0.03), xycoords="axes fraction",
            fontsize=8, color=_NAMED_COLOUR, va="center",
        )  # fmt: skip


def _first(features: Sequence[str], wanted: Iterable[str]) -> int | None:
    return next((features.index(name) for name in wanted if name in features), None)
