"""What is sent next, and what is under way: which instances share a request."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.records.receipt import ReceiptState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.journal.outbox import Outbox
    from router.pipeline.deliver.acceptance import Avoided
    from router.records.receipt import Receipt

#: How far ahead of what is under way the queue is looked at.
_AHEAD = 48
_MOST_TOGETHER = 32


@dataclass
class Batch:
    """One request with one or more instances of a study. One thread sends it."""

    receipts: list[Receipt]
    #: They may have arrived in an earlier try: the destination is asked before they are sent.
    delivery_unknown: bool = False
    #: Bytes of its bodies that were handed to the link.
    handed: int = 0
    #: When the link last took a piece of it, monotonic; ``None``: nothing is to move yet.
    moved_at: float | None = None

    def count(self, number: int) -> None:
        """Notes that so many bytes were handed to the link; 0: it waits by choice."""
        self.handed += number
        self.moved_at = time.monotonic()

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(receipt.copy.size for receipt in self.receipts)


class Queue:
    """Hands out what is due, in the journal's order; nothing twice at a time."""

    def __init__(
        self, outbox: Outbox, destination: str, now: Callable[[], float], together: int
    ) -> None:
        """``together``: so many instances the destination takes in one request."""
        self._outbox = outbox
        self._destination = destination
        self._now = now
        self._together = min(together, _MOST_TOGETHER)
        self._lock = threading.Lock()
        self._under_way: dict[str, Batch] = {}
        #: Asked for, and not there: they can be sent.
        self._absent: set[str] = set()

    def take(self, body_bytes: int, avoided: Avoided | None = None) -> Batch | None:
        """The next batch; ``body_bytes``: what instances that share a body may come to.

        It is looked up each time, so an urgent study waits for no more than what is under way.
        ``avoided``: the destination refuses these images, perhaps every image: the smallest other
        one is tried, of another study if there is one.
        """
        with self._lock:
            if avoided is not None:
                return self._take_one(avoided)
            due = self._outbox.to_send(
                self._destination, self._now(), len(self._under_way) + _AHEAD
            )
            free = [receipt for receipt in due if receipt.instance not in self._under_way]
            if not free:
                return None
            if self._is_delivery_unknown(free[0]):
                same = [
                    r for r in free if self._is_delivery_unknown(r) and r.study == free[0].study
                ]
                batch = Batch(same, delivery_unknown=True)
            else:
                batch = Batch(self._sharing(free, body_bytes))
            self._under_way |= dict.fromkeys((r.instance for r in batch.receipts), batch)
            return batch

    def _take_one(self, avoided: Avoided) -> Batch | None:
        due = self._outbox.to_send(self._destination, self._now(), _AHEAD, avoided.studies)
        due = due or self._outbox.to_send(self._destination, self._now(), _AHEAD)
        free = [receipt for receipt in due if receipt.instance not in self._under_way]
        if not free:
            return None
        others = [receipt for receipt in free if receipt.instance not in avoided.instances]
        chosen = min(others or free, key=lambda receipt: receipt.copy.size)
        batch = Batch([chosen], delivery_unknown=self._is_delivery_unknown(chosen))
        self._under_way[chosen.instance] = batch
        return batch

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be sent, be it due or not."""
        return not self._outbox.to_send(self._destination, math.inf, 1)

    def finished(self, batch: Batch) -> None:
        """Notes that a batch is no longer under way."""
        with self._lock:
            for receipt in batch.receipts:
                self._under_way.pop(receipt.instance, None)

    def absent(self, receipts: Sequence[Receipt]) -> None:
        """Notes that the destination was asked and does not hold them."""
        with self._lock:
            self._absent.update(receipt.instance for receipt in receipts)

    def begun(self, receipts: Sequence[Receipt]) -> None:
        """Notes that they are being sent: from now on they may be there."""
        with self._lock:
            self._absent.difference_update(receipt.instance for receipt in receipts)

    def batches(self) -> list[Batch]:
        """Those under way."""
        with self._lock:
            return list({id(batch): batch for batch in self._under_way.values()}.values())

    def _is_delivery_unknown(self, receipt: Receipt) -> bool:
        return receipt.state is ReceiptState.UNCERTAIN and receipt.instance not in self._absent

    def _sharing(self, free: Sequence[Receipt], body_bytes: int) -> list[Receipt]:
        """The first, and those behind it that go with it. What failed before goes alone."""
        first, size = free[0], free[0].copy.size
        chosen = [first]
        if first.attempts or first.breaks:
            return chosen
        for receipt in free[1:]:
            size += receipt.copy.size
            if (
                len(chosen) == self._together
                or size > body_bytes
                or receipt.study != first.study
                or receipt.copy.study_uid != first.copy.study_uid
                or receipt.attempts
                or receipt.breaks
                or self._is_delivery_unknown(receipt)
            ):
                break
            chosen.append(receipt)
        return chosen
