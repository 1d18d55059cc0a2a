"""The dashboards that are checked in: those of the code, each panel with a unit and a text."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dashboards import ALL, text
from tests.support.dashboard_panels import FOLDER, ROOT, panels

#: How scripts/dashboard-types says that there is no Node.js.
_NO_NODE = 77


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


def _checked(folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [ROOT / "scripts/dashboard-types", folder], capture_output=True, text=True, check=False
    )
    if done.returncode == _NO_NODE:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    return done


def test_the_dashboards_are_of_grafanas_types() -> None:
    done = _checked(FOLDER)
    assert done.returncode == 0, done.stdout


#: Where in a dashboard a wrong value is put.
_WRONG: dict[tuple[str | int, ...], object] = {
    ("timezon",): "utc",
    ("schemaVersion",): "41",
    ("templating", "list", 0, "refresh"): "often",
    ("panels", 0, "type"): "timeserie",
    ("panels", 0, "gridPos", "w"): "4",
    ("panels", 0, "targets", 0, "expr"): None,
    ("panels", 0, "targets", 0, "exp"): "up",
    ("panels", 0, "options", "graphMode"): "lines",
    ("panels", 0, "options", "graphmode"): "none",
    ("panels", 0, "fieldConfig", "defaults", "units"): "s",
    ("panels", 0, "fieldConfig", "defaults", "thresholds", "mode"): "relative",
    ("panels", 4, "fieldConfig", "defaults", "custom", "lineWidth"): "1",
    ("panels", 4, "options", "legend", "placement"): "left",
}


def test_every_wrong_field_is_told(tmp_path: Path) -> None:
    right = (FOLDER / "scanner.json").read_text()
    (tmp_path / "right.json").write_text(right)
    for number, (place, wrong) in enumerate(_WRONG.items()):
        board = json.loads(right)
        at = board
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = wrong
        (tmp_path / f"wrong{number}.json").write_text(json.dumps(board))
    done = _checked(tmp_path)
    told = {
        Path(line.partition("(")[0]).stem for line in done.stdout.splitlines() if "error TS" in line
    }
    assert done.returncode == 1
    assert told == {f"wrong{number}" for number in range(len(_WRONG))}
