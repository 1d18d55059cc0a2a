"""Whether a destination can be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router import backoff

if TYPE_CHECKING:
    from router.errors import Code

#: A probe that hangs adds its own time: together they stay below five seconds.
_PROBE_S, _LONGEST_PROBE_S = 1.0, 2.0
#: Wrong credentials do not mend themselves within seconds, and servers lock those out who insist.
_PAUSED_PROBE_S = 30.0
#: A destination that wants no more for now is left alone this long, and then longer.
_BUSY_S, _LONGEST_BUSY_S = 2.0, 60.0


class LinkGate:
    """Times are monotonic seconds."""

    def __init__(self) -> None:
        self.open = True
        self.code: Code | None = None
        self._probe_at = 0.0
        self._probes = 0
        self._busy = 0

    def close(self, code: Code, *, paused: bool, now: float) -> None:
        """``paused``: it is there, and does not let us in."""
        wait = min(_PROBE_S * 2**self._probes, _LONGEST_PROBE_S)
        self._close(code, _PAUSED_PROBE_S if paused else wait, now)
        self._probes = min(self._probes + 1, 8)

    def close_busy(self, code: Code, retry_after_s: float | None, draw: float, now: float) -> None:
        """It is there, and wants nothing for now: for as long as it says, within reason."""
        self._busy += 1
        wait = backoff.delay_s(self._busy, draw, first_s=_BUSY_S, longest_s=_LONGEST_BUSY_S)
        self._close(code, max(wait, min(retry_after_s or 0.0, backoff.LONGEST_S)), now)

    def opened(self) -> None:
        self.open, self.code, self._probes = True, None, 0

    def served(self) -> None:
        """An instance went through."""
        self._busy = 0

    def wait_s(self, now: float) -> float:
        """Seconds until the next probe."""
        return max(0.0, self._probe_at - now)

    def _close(self, code: Code, wait_s: float, now: float) -> None:
        self.open, self.code, self._probe_at = False, code, now + wait_s
