"""A cap on the rate at which a destination is sent to."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from router.destinations.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.destinations import Destination
    from router.destinations.base import Outgoing, Stored
    from router.records.errors import EdgeRouterError

#: Who waits says so often that it is no stall.
_TICK_S = 1.0


class RateCap:
    """A bucket of bytes that fills at the rate of the cap. Thread-safe."""

    def __init__(self, bits_per_s: float) -> None:
        """``bits_per_s``: 0: no cap."""
        self._bytes_per_s = bits_per_s / 8
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait_s(self, number: int, now: float) -> float:
        """Seconds to wait before so many bytes may go; they count as gone. ``now``: monotonic."""
        if not self._bytes_per_s:
            return 0.0
        with self._lock:
            wait = max(0.0, self._free_at - now)
            self._free_at = max(self._free_at, now) + number / self._bytes_per_s
        return wait


class RateCapped(Wrapper):
    """Hands over bytes no faster than the cap, over all requests together."""

    def __init__(self, inner: Destination, bits_per_s: float) -> None:
        """``bits_per_s``: 0: no cap."""
        super().__init__(inner)
        self._cap = RateCap(bits_per_s)

    def send(self, outgoing: Outgoing) -> Stored:
        return self._inner.send(self._capped(outgoing))

    def send_together(self, outgoing: Sequence[Outgoing]) -> Mapping[str, Stored | EdgeRouterError]:
        return self._inner.send_together([self._capped(one) for one in outgoing])

    def _capped(self, outgoing: Outgoing) -> Outgoing:
        return replace(outgoing, count=self._waiting(outgoing.count))

    def _waiting(self, count: Callable[[int], None]) -> Callable[[int], None]:
        """Counts each piece when it may go; and nothing, now and then, while it waits."""

        def wait_and_count(number: int) -> None:
            pause = self._cap.wait_s(number, time.monotonic())
            while pause > 0:
                count(0)
                time.sleep(min(pause, _TICK_S))
                pause -= _TICK_S
            count(number)

        return wait_and_count
