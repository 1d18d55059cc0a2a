"""The panels of the dashboards that are checked in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "monitoring/grafana/dashboards"


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each panel with the name of its dashboard."""
    for path in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for one in [panel, *panel.get("panels", [])]:
                if one["type"] != "row":
                    yield path.stem, one
