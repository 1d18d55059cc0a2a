"""Whether a destination can be reached, and takes what it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.destinations.wrapper import Wrapper
from router.records import backoff
from router.records.errors import Code, LinkDown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.destinations import Destination
    from router.destinations.base import Outgoing, ReadBack, Stored
    from router.records.copies import Copy
    from router.records.errors import EdgeRouterError

#: A probe that hangs adds its own time: together they stay below five seconds.
_PROBE_S, _LONGEST_PROBE_S = 1.0, 2.0
#: A service that is there and has no time passes by itself: it is asked nearly as often.
_BUSY_PROBE_S, _LONGEST_BUSY_PROBE_S = 2.0, 5.0
#: Wrong credentials do not mend themselves within seconds, and servers lock those out who insist.
_PAUSED_PROBE_S = 30.0
#: After an image was answered with what every other would be: the first wait, and the longest. A
#: probe may go through all the time, and each try costs a body.
_REFUSED_S, _LONGEST_REFUSED_S = 2.0, 3600.0
_PASSING = frozenset({Code.DESTINATION_BUSY, Code.DESTINATION_FULL, Code.DESTINATION_REFUSES_ALL})


class CircuitBreaker:
    """Lets requests pass, or stops them until a probe got through. Times are monotonic seconds."""

    def __init__(self, draw: Callable[[], float] = lambda: 1.0) -> None:
        """``draw`` is uniform in [0, 1): trucks do not come back together."""
        self.passes = True
        #: Why nothing passes.
        self.code: Code | None = None
        self._draw = draw
        self._probe_at = 0.0
        self._probes = 0
        self._refusals = 0

    @property
    def is_trying(self) -> bool:
        """Whether it refused what it was sent last: then one image is tried, and no more."""
        return self._refusals > 0

    def trip(
        self, code: Code, *, paused: bool, now: float, retry_after_s: float | None = None
    ) -> None:
        """Stops everything until the next probe.

        ``paused``: it is there, and does not let us in; ``retry_after_s``: what it asks for.
        """
        first, longest = _PROBE_S, _LONGEST_PROBE_S
        if paused:
            first, longest = _PAUSED_PROBE_S, _PAUSED_PROBE_S
            if code in _PASSING:
                first, longest = _BUSY_PROBE_S, _LONGEST_BUSY_PROBE_S
        self._trip(code, min(first * 2**self._probes, longest), retry_after_s, now)
        self._probes = min(self._probes + 1, 8)

    def refused(self, code: Code, now: float, retry_after_s: float | None = None) -> None:
        """Stops everything because an image was answered as every other would be; the wait grows."""
        self._refusals += 1
        first = _REFUSED_S if code in _PASSING else _PAUSED_PROBE_S
        wait = backoff.delay_s(
            self._refusals, self._draw(), first_s=first, longest_s=_LONGEST_REFUSED_S
        )
        self._trip(code, wait, retry_after_s, now)

    def reset(self) -> None:
        """Lets requests pass again: a probe got through."""
        self.passes, self.code, self._probes = True, None, 0

    def served(self) -> None:
        """Notes that an instance went through."""
        self._refusals = 0

    def wait_s(self, now: float) -> float:
        """Seconds until the next probe."""
        return max(0.0, self._probe_at - now)

    def _trip(self, code: Code, wait_s: float, retry_after_s: float | None, now: float) -> None:
        """Stops everything for so long, or as long as a server asks for, within reason."""
        wait_s = max(wait_s, min(retry_after_s or 0.0, backoff.LONGEST_RETRY_AFTER_S))
        self.passes, self.code, self._probe_at = False, code, now + wait_s


class CircuitBroken(Wrapper):
    """Sends and asks only while its breaker lets requests pass; a probe that gets through resets it.

    Who calls it trips the breaker: of several requests that fail together one says most.
    """

    def __init__(self, inner: Destination, breaker: CircuitBreaker) -> None:
        super().__init__(inner)
        self._breaker = breaker

    def probe(self) -> None:
        self._inner.probe()
        self._breaker.reset()

    def send(self, outgoing: Outgoing) -> Stored:
        self._check()
        return self._inner.send(outgoing)

    def send_together(self, outgoing: Sequence[Outgoing]) -> Mapping[str, Stored | EdgeRouterError]:
        self._check()
        return self._inner.send_together(outgoing)

    def verify(self, copies: Sequence[Copy]) -> ReadBack:
        self._check()
        return self._inner.verify(copies)

    def _check(self) -> None:
        """Raises LinkDown while nothing passes."""
        if not self._breaker.passes:
            code = self._breaker.code or Code.LINK_DOWN
            raise LinkDown(code, "it is not tried before a probe got through")
