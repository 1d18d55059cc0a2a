"""The Grafana dashboards, as code: ``python -m dashboards`` writes ``monitoring/grafana/dashboards``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import delivery, fleet, scanner, truck

if TYPE_CHECKING:
    from collections.abc import Callable

    from grafana_foundation_sdk.builders.dashboard import Dashboard

#: File name → what makes the dashboard.
ALL: dict[str, Callable[[], Dashboard]] = {
    "fleet.json": fleet.made,
    "truck.json": truck.made,
    "scanner.json": scanner.made,
    "delivery.json": delivery.made,
}


def text(name: str) -> str:
    """The JSON of a dashboard, as it is checked in."""
    board = json.loads(JSONEncoder().encode(ALL[name]().build()))
    for variable in board["templating"]["list"]:
        # The SDK gives every variable the fields of an interval, which a query has not.
        for key in ("auto", "auto_count", "auto_min"):
            variable.pop(key, None)
    return json.dumps(board, indent=1, sort_keys=True) + "\n"
