"""One batch from the truck's disk to the destination's answer. Several threads use it at once."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from router.pipeline.one_item import one_item
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    EdgeRouterError,
    LinkDown,
    StoreRefused,
    Unforeseen,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.destinations import Destination
    from router.destinations.base import Outgoing, Stored
    from router.observe.metrics import Metrics
    from router.pipeline.deliver.batches import Batch, Queue
    from router.pipeline.deliver.files import CopyFiles
    from router.pipeline.deliver.outcomes import DeliveryOutcomes
    from router.pipeline.deliver.send_slots import SendSlots
    from router.pipeline.deliver.store_answers import StoreAnswers
    from router.records.receipt import Receipt

_log = logging.getLogger(__name__)


class Sender:
    """Sends to one destination. Thread-safe."""

    def __init__(
        self,
        destination: Destination,
        files: CopyFiles,
        answers: StoreAnswers,
        outcomes: DeliveryOutcomes,
        queue: Queue,
        slots: SendSlots,
        metrics: Metrics,
    ) -> None:
        self._destination = destination
        self._files = files
        self._answers = answers
        self._outcomes = outcomes
        self._queue = queue
        self._slots = slots
        self._metrics = metrics
        self._lock = threading.Lock()
        #: Bytes of all bodies that were handed to the link since the start.
        self.handed = 0

    def send(self, batch: Batch) -> tuple[int, float]:
        """Sends a batch when it has a slot.

        Returns the bytes that were accepted, and the seconds that they were on their way.

        Raises LinkDown, DestinationPaused, OrthancUnreachable, OrthancDenied,
        JournalError: what says nothing of the instances.
        """
        begun = time.monotonic()
        accepted: list[Receipt] = []
        try:
            with ExitStack() as bodies:
                outgoing = dict(self._files.opened(batch, bodies, self._counter(batch)))
                if outgoing:
                    with self._slots.one(id(batch)):
                        begun = time.monotonic()
                        accepted = self._send(batch, outgoing)
        finally:
            batch.moved_at = None
            size = sum(receipt.copy.size for receipt in accepted)
            self._metrics.wasted_bytes.labels(self._destination.name).inc(
                max(0, batch.handed - size)
            )
            self._metrics.step_seconds.labels("send").observe(time.monotonic() - begun)
        return size, time.monotonic() - begun

    def _counter(self, batch: Batch) -> Callable[[int], None]:
        def count(number: int) -> None:
            batch.count(number)
            with self._lock:
                self.handed += number

        return count

    def _send(
        self, batch: Batch, outgoing: Mapping[str, tuple[Receipt, Outgoing]]
    ) -> list[Receipt]:
        """Sends the files in one request, and writes down what became of each."""
        receipts = [receipt for receipt, _ in outgoing.values()]
        self._outcomes.begin_sending(receipts)
        self._queue.begun(receipts)
        batch.count(0)
        try:
            answers = self._ask_to_store(outgoing)
        except (LinkDown, DestinationPaused) as error:
            self._slots.break_off()  # before the next one begins
            self._outcomes.attempted(error.code)
            if not batch.handed:
                self._outcomes.not_sent(receipts)
            elif isinstance(error, LinkDown):
                self._answers.link_broke(receipts, error)
            raise
        return self._answers.take(outgoing, answers)

    def _ask_to_store(
        self, outgoing: Mapping[str, tuple[Receipt, Outgoing]]
    ) -> Mapping[str, Stored | EdgeRouterError]:
        """By SOP Instance UID; what was answered to the whole request is the answer to each."""
        files = [one for _, one in outgoing.values()]
        failed: EdgeRouterError
        try:
            with one_item("deliver"):
                if len(files) > 1:
                    return self._destination.send_together(files)
                (sop_uid,) = outgoing
                return {sop_uid: self._destination.send(files[0])}
        except StoreRefused as error:
            return dict.fromkeys(outgoing, error)
        except (LinkDown, DestinationPaused):
            raise
        except Unforeseen as error:
            sentence = error.sentence
            failed = DeliveryDeferred(error.code, sentence)
        except EdgeRouterError as error:
            failed, sentence = error, error.sentence
        if len(files) > 1:  # nobody knows whose it is: each goes alone the next time
            failed = DeliveryDeferred(Code.DESTINATION_ANSWER_UNCLEAR, sentence)
        return dict.fromkeys(outgoing, failed)
