"""How many may send at once. Who waits for a slot has its next body ready already."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from router.errors import Code, LinkDown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Slots:
    """Thread-safe. ``most`` is asked each time: it changes with the link."""

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._taken = 0
        self._broken = False
        self._changed = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Waits for a slot and keeps it. Raises LinkDown where the link broke off meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._broken or self._taken < self._most())
            if self._broken:
                raise LinkDown(Code.LINK_DOWN, "the link broke off before it was sent")
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()

    def break_off(self) -> None:
        """Nobody begins to send any more."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()

    def mend(self) -> None:
        with self._changed:
            self._broken = False
