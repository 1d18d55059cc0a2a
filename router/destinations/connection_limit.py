"""A limit of the requests that send to a destination at once, whoever asks for more."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from router.destinations.wrapper import Wrapper
from router.records.errors import Code, LinkDown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from router.destinations import Destination
    from router.destinations.base import Outgoing, Stored
    from router.records.errors import EdgeRouterError

#: Who waits says so often that it is no stall.
_TICK_S = 1.0


class ConnectionLimited(Wrapper):
    """Sends so many requests at once, and no more: the others wait.

    Delivery sends fewer where that carries more; this is what the settings promise the archive.
    """

    def __init__(self, inner: Destination, most: int) -> None:
        super().__init__(inner)
        self._most = most
        self._changed = threading.Condition()
        self._under_way = 0
        #: How often everything was broken off.
        self._aborts = 0

    def send(self, outgoing: Outgoing) -> Stored:
        with self._turn([outgoing]):
            return self._inner.send(outgoing)

    def send_together(self, outgoing: Sequence[Outgoing]) -> Mapping[str, Stored | EdgeRouterError]:
        with self._turn(outgoing):
            return self._inner.send_together(outgoing)

    def abort(self) -> None:
        with self._changed:
            self._aborts += 1
            self._changed.notify_all()
        self._inner.abort()

    @contextmanager
    def _turn(self, outgoing: Sequence[Outgoing]) -> Iterator[None]:
        """Waits until one more may send. Raises LinkDown where all was broken off meanwhile."""
        with self._changed:
            aborts = self._aborts
            while self._under_way >= self._most and self._aborts == aborts:
                for one in outgoing:
                    one.count(0)
                self._changed.wait(_TICK_S)
            if self._aborts != aborts:
                raise LinkDown(Code.LINK_DOWN, "it was broken off before it was sent")
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()
