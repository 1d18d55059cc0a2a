"""The report's page: who is out of line and how, the groups, the distributions that moved."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

from fleet_qc import words
from fleet_qc.records import Kind

if TYPE_CHECKING:
    from jinja2 import Template

    from fleet_qc.records import Finding, Mined

#: Rows of a table; beyond it the page says how many more there are.
_MOST = 500
_MEANING = {
    Kind.OUTLIER: "far from the devices like it, over the last week",
    Kind.STEP: "jumped against its own past",
    Kind.DRIFT: "moves away from its own past, day by day",
    Kind.FLAGS: "more of its images are flagged than before",
    Kind.SOFTWARE: "runs what hardly any device of its model runs",
}


@dataclass(frozen=True)
class _Device:
    """What is wrong with one device: a block of rows, so that it does not hide others."""

    truck: str
    name: str
    #: A row a finding: text and the small print below it, cell by cell.
    rows: list[list[tuple[str, str]]]


def page(mined: Mined, png: bytes) -> str:
    """An HTML page of its own: nothing is loaded from elsewhere, and every value is escaped."""
    moved = [shift for shift in mined.shifts if shift.drifted]
    moved.sort(key=lambda shift: (bool(shift.truck), -shift.psi))  # the fleet's first
    return _template().render(
        mined=mined,
        window=words.window(mined),
        devices=[
            _Device(truck, name, [_row(finding) for finding in findings])
            for (truck, name), findings in words.devices(mined.findings).items()
        ],
        moved=moved,
        meaning=words.meaning,
        png=base64.b64encode(png).decode(),
        most=_MOST,
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    text = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    return environment.from_string(text)


def _row(finding: Finding) -> list[tuple[str, str]]:
    since = "" if finding.since is None else words.day(finding.since)
    return [
        (f"{finding.stream.modality} {finding.stream.view}", ""),
        (finding.feature, words.meaning(finding.feature)),
        (_MEANING[finding.kind], finding.detail),
        (since, ""),
        (f"{finding.deviation:+.1f}", ""),
        (_sure(finding.confidence), ""),
    ]


def _sure(confidence: float) -> str:
    return "> 99.99 %" if confidence > 0.9999 else f"{100 * confidence:.2f} %"  # noqa: PLR2004
