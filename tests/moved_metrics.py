"""Which of the router's metrics the router itself moved while the tests ran.

A metric that nothing moves looks like good news on a dashboard. As a plugin of pytest this notes each
metric that code of ``router`` moves; as a program it says which were never moved by any test:

python -m tests.moved_metrics FOLDER
"""

from __future__ import annotations

import os
import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

#: Where the notes of all processes are kept; without it nothing is noted.
FOLDER = "MOVED_METRICS"
_moved: set[str] = set()


def _noting(move: Callable[..., None]) -> Callable[..., None]:
    @wraps(move)
    def noted(metric: MetricWrapperBase, *arguments: Any, **named: Any) -> None:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if str(caller).startswith("router."):
            _moved.add(metric._name)
        move(metric, *arguments, **named)

    return noted


def pytest_configure() -> None:
    if os.environ.get(FOLDER):
        for kind, names in ((Counter, ["inc"]), (Gauge, ["inc", "set"]), (Histogram, ["observe"])):
            for name in names:
                setattr(kind, name, _noting(getattr(kind, name)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    folder = os.environ.get(FOLDER)
    if folder and _moved:
        note = Path(folder) / f"{os.getpid()}-{session.name or 'tests'}"
        note.write_text("\n".join(sorted(_moved)), encoding="utf-8")


def declared() -> set[str]:
    """The metrics that the parts of the router write to, by name."""
    from router.observe.metrics import Metrics  # noqa: PLC0415  (not while it is being noted)

    metrics = vars(Metrics(CollectorRegistry())).values()
    return {metric._name for metric in metrics if isinstance(metric, MetricWrapperBase)}


def main() -> int:
    noted = {
        name
        for path in Path(sys.argv[1]).iterdir()
        for name in path.read_text(encoding="utf-8").split()
    }
    still = sorted(declared() - noted)
    for name in still:
        print(f"moved_metrics: nothing of the router moved {name} in any test", file=sys.stderr)
    print(f"moved_metrics: metrics={len(declared())} moved={len(declared()) - len(still)}")
    return bool(still)


if __name__ == "__main__":
    sys.exit(main())
