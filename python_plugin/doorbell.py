"""What the plugin keeps in memory: the count that wakes the router, and whether the door is shut."""

from __future__ import annotations

import os
import threading
import time


class Doorbell:
    """Counts changes since the plugin was loaded, and lets HTTP clients wait for the next one."""

    def __init__(self) -> None:
        self._rings = 0
        self._closed = False
        self._changed = threading.Condition()
        #: A router that remembers a count of an earlier start must not wait for it.
        self.boot = f"{os.getpid()}-{time.time_ns()}"

    def ring(self) -> None:
        """Counts one more change, and wakes who waits."""
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Lets every waiting client go, so that Orthanc can stop at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self, boot: str, since: int, timeout_s: float) -> int:
        """The count, as soon as it differs from ``since`` or the time is over."""
        with self._changed:
            if boot == self.boot:
                self._changed.wait_for(lambda: self._closed or self._rings != since, timeout_s)
            return self._rings


class Door:
    """Refuses the scanner's images while the router says that the truck is full."""

    def __init__(self) -> None:
        self._closed_until = 0.0

    def close(self, seconds: float) -> None:
        """For so long, if the router does not say it again; 0 opens the door."""
        self._closed_until = time.monotonic() + seconds

    @property
    def is_closed(self) -> bool:
        """Whether the scanner's images are refused now."""
        return time.monotonic() < self._closed_until
