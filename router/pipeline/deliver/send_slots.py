"""How many may send at once, and in which order. Who waits for a slot has its body ready already."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from router.records.errors import Code, LinkDown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class SendSlots:
    """Hands out slots in order. Thread-safe. ``most``: asked each time, it changes with the link."""

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._taken = 0
        self._broken = False
        #: Who is to send, in the order in which it was handed out, and has not begun.
        self._coming: list[int] = []
        self._changed = threading.Condition()

    def expect(self, turn: int) -> None:
        """Notes that ``turn`` was handed out: nothing handed out later begins before it."""
        with self._changed:
            self._coming.append(turn)

    def forget(self, turn: int) -> None:
        """Forgets a turn that has come to an end, whether it has begun or not."""
        with self._changed:
            if turn in self._coming:
                self._coming.remove(turn)
                self._changed.notify_all()

    @contextmanager
    def one(self, turn: int) -> Iterator[None]:
        """Waits for a slot and keeps it. Raises LinkDown where the link broke off meanwhile."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._broken
                    or (self._taken < self._most() and self._coming[:1] in ([], [turn]))
                )
            )
            if self._broken:
                raise LinkDown(Code.LINK_DOWN, "the link broke off before it was sent")
            self._taken += 1
        self.forget(turn)
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()

    def break_off(self) -> None:
        """Lets no one begin to send any more; who waits for a slot gets LinkDown."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()

    def mend(self) -> None:
        """Lets them begin again."""
        with self._changed:
            self._broken = False
