"""How long router and Orthanc have run without a crash: one after a quiet minute is hardly chance."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Power that comes and goes, or an engine that starts everything anew, has come to an end by then.
QUIET_S = 60.0


class QuietPeriod:
    """Knows since when the router and the truck's Orthanc have both been running. Thread-safe."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """``now``: monotonic seconds. The router starts now."""
        self._now = now
        self._lock = threading.Lock()
        self._since = now()

    def broken(self) -> None:
        """Starts over: Orthanc broke off, or cannot be reached."""
        with self._lock:
            self._since = self._now()

    def remaining_s(self) -> float:
        """Seconds until both have run for QUIET_S without a crash; 0: they have."""
        with self._lock:
            return max(0.0, self._since + QUIET_S - self._now())
