"""What a destination did with images lately: whether it takes some, or refuses every one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from router.journal.outbox import Outbox
    from router.records.receipt import Receipt

#: So many different images in a row that were refused, and none taken: that is no image's fault.
_MOST_IN_A_ROW = 3


class Avoided(NamedTuple):
    """Images that a destination refused, and the studies that they belong to."""

    instances: frozenset[str]
    studies: frozenset[str]


class Acceptance:
    """Remembers what one destination took and refused, also before this start. Thread-safe."""

    def __init__(self, outbox: Outbox, destination: str) -> None:
        self._lock = threading.Lock()
        self._took_at = outbox.last_sent(destination)
        #: Instance → study of what was refused since it last took one.
        self._refused = outbox.refused_since(destination, self._took_at)
        #: The same of what it was at when it was paused or the link broke: perhaps because of it.
        self._stopped_with: dict[str, str] = {}

    def took(self, now: float) -> None:
        """Notes that it took an image."""
        with self._lock:
            self._took_at = now
            self._refused.clear()
            self._stopped_with.clear()

    def refused(self, receipt: Receipt) -> None:
        """Notes that it refused this image with an answer that can be about this one alone."""
        with self._lock:
            self._refused[receipt.instance] = receipt.study

    def stopped_with(self, receipt: Receipt) -> None:
        """Notes that a word about everything, or a broken link, came with this image.

        The image may be all that it was about: others are tried first when it goes on.
        """
        with self._lock:
            self._stopped_with[receipt.instance] = receipt.study

    def took_since(self, then: float) -> bool:
        """Whether it took an image at that time or later (UTC, in seconds since 1970)."""
        with self._lock:
            return self._took_at is not None and self._took_at >= then

    @property
    def refuses_all(self) -> bool:
        """Whether it refused several different images in a row, and took none."""
        with self._lock:
            return len(self._refused) >= _MOST_IN_A_ROW

    @property
    def avoided(self) -> Avoided:
        """What it refused since it last took an image: others tell more."""
        with self._lock:
            both = self._refused | self._stopped_with
        return Avoided(frozenset(both), frozenset(both.values()))
