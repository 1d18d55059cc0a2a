"""The link to one destination: its circuit breaker, and who is told of its state."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.records.errors import LinkDown, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.destinations import Destination
    from router.destinations.circuit_breaker import CircuitBreaker
    from router.journal.links import Links
    from router.observe.metrics import Metrics
    from router.records.errors import Code, DestinationPaused

_log = logging.getLogger(__name__)


class LinkState:
    """Trips and resets the breaker of one destination, and tells journal and metrics."""

    def __init__(
        self,
        destination: Destination,
        breaker: CircuitBreaker,
        links: Links,
        metrics: Metrics,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """``destination``: resets the breaker when its probe gets through.

        ``now``: UTC; ``monotonic``: what the breaker's waits go by.
        """
        self._destination = destination
        self._name = destination.name
        self._breaker = breaker
        self._links = links
        self._metrics = metrics
        self._now = now
        self._monotonic = monotonic
        known = links.all().get(self._name)
        #: Whether it ever answered as it should, and what the journal says is in the way.
        self._reached = known is not None and known.reached_at is not None
        self._in_the_way = known.code if known is not None else None
        self._show()

    @property
    def is_known_to_be_up(self) -> bool:
        """Whether it answered as it should when it was last asked or sent to."""
        return self._reached and self._in_the_way is None

    def wait_s(self) -> float:
        """Seconds until the next probe."""
        return self._breaker.wait_s(self._monotonic())

    def probe(self) -> float:
        """Asks whether the destination is there; the seconds still to wait before, 0: it is.

        Raises LinkDown, DestinationPaused.
        """
        left = self.wait_s()
        if left > 0:
            return left
        self._destination.probe()
        self.reached()
        self._show()
        _log.info("the link is up", extra={"action": "link", "destination": self._name})
        return 0.0

    def served(self) -> None:
        """Notes that an instance went through."""
        self.reached()
        self._breaker.served()
        self._show()

    def nothing_left(self) -> None:
        """Notes that nothing is left that the destination could refuse."""
        self._breaker.served()
        self._show()

    def failed(self, error: LinkDown | DestinationPaused) -> float:
        """Trips the breaker; the seconds until the next probe."""
        paused = not isinstance(error, LinkDown)
        if self._breaker.code is not error.code:
            _log.warning(
                "the destination is paused" if paused else "the link is down",
                extra={"action": "link", "destination": self._name, "code": error.code},
            )
        self._note_down(error.code)
        now = self._monotonic()
        if isinstance(error, StoreRefused):
            self._breaker.refused(error.code, now, error.retry_after_s)
        elif isinstance(error, LinkDown):
            self._breaker.trip(error.code, paused=False, now=now)
        else:
            self._breaker.trip(error.code, paused=True, now=now, retry_after_s=error.retry_after_s)
        self._show(paused=paused)
        return self.wait_s()

    def reached(self) -> None:
        """Writes it down for those who look at the journal from outside of this process."""
        if not self.is_known_to_be_up:
            self._links.reached(self._name, self._now())
            self._reached, self._in_the_way = True, None
            self._show()

    def _note_down(self, code: Code) -> None:
        if self._in_the_way is not code:
            self._links.closed(self._name, code, self._now())
            self._in_the_way = code

    def _show(self, *, paused: bool = False) -> None:
        """A destination that is being tried again is paused until it has taken an image."""
        up = self._breaker.passes and self._reached
        self._metrics.link_up.labels(self._name).set(up)
        self._metrics.paused.labels(self._name).set(paused or self._breaker.is_trying)
