"""A short version of scripts/faults: kills, cuts, lies and refusals at three destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import refusing, scenarios, truck
from tests.faults.__main__ import Report, run_on

if TYPE_CHECKING:
    from pathlib import Path

_SOME = (
    scenarios.router_killed,
    scenarios.both_killed,
    scenarios.link_cut,
    scenarios.pacs_lies,
    refusing.refused_for_good,
    scenarios.change_list_cleared,
)


def test_kills_cuts_and_lies_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    report = Report()
    with (
        truck.cloud_pacs(tmp_path) as cloud,
        truck.started(tmp_path / "truck", cloud) as one,
    ):
        run_on(one, _SOME, scenarios.SHORT, 1, report)
    assert report.clean, report.line()
    assert report.scenarios == len(_SOME)
    assert report.kills >= 4
    assert report.cuts >= 4
    assert report.acknowledged > 30
    assert report.wasted_bodies_max == 1  # something was refused, and believed at once
