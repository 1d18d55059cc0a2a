"""The dashboards that are checked in: those of the code, each panel with a unit and a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboards import ALL, text

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent.parent.parent / "monitoring/grafana/dashboards"


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each panel with the name of its dashboard."""
    for path in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for one in [panel, *panel.get("panels", [])]:
                if one["type"] != "row":
                    yield path.stem, one


def test_the_dashboards_that_are_checked_in_are_those_of_the_code() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(ALL)
    for name in ALL:
        assert (FOLDER / name).read_text() == text(name), "run: python -m dashboards"


def test_every_panel_says_what_it_shows_and_in_which_unit() -> None:
    for board, panel in panels():
        where = (board, panel["title"])
        assert panel["description"], where
        assert panel["datasource"]["uid"] == "fleet", where
        unit = panel["fieldConfig"]["defaults"].get("unit")
        columns = [
            p
            for o in panel["fieldConfig"]["overrides"]
            for p in o["properties"]
            if p["id"] == "unit"
        ]
        assert unit or columns, where
