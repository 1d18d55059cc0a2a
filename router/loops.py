"""Loops that run beside each other until the router stops: a name, some work, and what wakes it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from router.records.errors import EdgeRouterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: From a failure to the next try.
RETRY_S = 2.0
#: How long a loop may finish what it is at when the router is stopped.
_JOIN_S = 20.0

_log = logging.getLogger(__name__)


class Loop:
    """Repeats its work in a thread of its own. Thread-safe.

    A failure of the work is logged and does not end the loop: what failed is retried by its entry
    in the journal.
    """

    def __init__(self, name: str, work: Callable[[], float], retry_s: float = RETRY_S) -> None:
        """``work``: returns the seconds until there may be more to do; 0: there may be now."""
        self.name = name
        self._work = work
        self._retry_s = retry_s
        self._stopped = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begins the first round of work; returns at once."""
        self._thread.start()

    def wake(self) -> None:
        """Ends the wait for the next round; a round that is under way is followed by another."""
        self._woken.set()

    def stop(self) -> None:
        """Ends the loop after the round it is at; returns at once."""
        self._stopped.set()
        self._woken.set()

    def join(self, timeout_s: float = _JOIN_S) -> bool:
        """Waits for the end of a loop that was stopped; whether it has come."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs. Only what no program survives ends it before it is stopped."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while True:
            # In this order: what comes during the work is not forgotten, nor is the end.
            self._woken.clear()
            if self._stopped.is_set():
                return
            wait_s = self._try_work()
            if wait_s is None:
                # Not to be woken: what wakes it comes many times a second.
                self._stopped.wait(self._retry_s)
            elif wait_s > 0:
                self._woken.wait(wait_s)

    def _try_work(self) -> float | None:
        """Seconds until the next round; ``None``: this one failed."""
        try:
            return self._work()
        except EdgeRouterError as error:
            if not self._stopped.is_set():
                extra = {"action": self.name, "code": error.code}
                _log.error("%s: %s", self.name, error.sentence, extra=extra)
        # The outermost boundary of a thread: a fault must not end the router silently.
        except Exception:  # noqa: BLE001
            if not self._stopped.is_set():
                _log.exception("%s failed", self.name, extra={"action": self.name})
        return None


def all_alive(loops: Sequence[Loop]) -> bool:
    """Whether every loop still runs: what /health/live answers."""
    return all(loop.is_alive for loop in loops)


def wake_all(loops: Sequence[Loop]) -> None:
    """Ends the wait of each."""
    for loop in loops:
        loop.wake()
