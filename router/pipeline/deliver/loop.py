"""The delivery loop of one destination: its workers, its circuit breaker, and the watch over both."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.destinations.circuit_breaker import CircuitBreaker, CircuitBroken
from router.pipeline.deliver.acceptance import Acceptance
from router.pipeline.deliver.batches import Batch, Queue
from router.pipeline.deliver.files import CopyFiles
from router.pipeline.deliver.link_state import LinkState
from router.pipeline.deliver.outcomes import DeliveryOutcomes
from router.pipeline.deliver.readback import Reader
from router.pipeline.deliver.send_slots import SendSlots
from router.pipeline.deliver.sender import Sender
from router.pipeline.deliver.store_answers import StoreAnswers
from router.pipeline.deliver.throughput import ThroughputController
from router.records.errors import DestinationPaused, LinkDown, OrthancDenied, OrthancUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.destinations import Destination
    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.truck.orthanc import TruckOrthanc

_IDLE_S = 1.0
_ORTHANC_DOWN_S = 2.0
#: Between two read-backs while more is being sent: each costs bytes.
_READ_EVERY_S = 5.0
#: A request whose bytes do not move is not waited for: a fresh connection is asked.
_STALL_S = 5.0
_TICK_S = 0.5
#: Bytes that are begun at once, besides the last body: a connection more gains nothing with large
#: bodies, and each lies in memory.
_MOST_UNDER_WAY = 24 * 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What a destination may be asked to bear."""

    most_connections: int = 4
    #: Whether it is sent JPEG-LS.
    compressed: bool = True


class Delivery:
    """Works on the receipts of one destination. One thread calls it; its workers are its own."""

    def __init__(
        self,
        destination: Destination,
        orthanc: TruckOrthanc,
        journal: Journal,
        metrics: Metrics,
        now: Callable[[], float],
        draw: Callable[[], float],
        stopping: Callable[[], bool],
        limits: Limits = Limits(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``now``: UTC; ``draw``: uniform in [0, 1); ``monotonic``: what the breaker's waits go by."""
        self.name = name = destination.name
        self._metrics = metrics
        self._stopping = stopping
        self.breaker = CircuitBreaker(draw)
        self._destination = CircuitBroken(destination, self.breaker)
        self._throughput = ThroughputController(limits.most_connections)
        self._slots = SendSlots(lambda: self._throughput.connections)
        self._queue = Queue(journal.outbox, name, now, destination.most_together)
        self._outcomes = outcomes = DeliveryOutcomes(name, journal, metrics, now, draw)
        self._reader = Reader(self._destination, journal, metrics, outcomes, now)
        self._acceptance = Acceptance(journal.outbox, name)
        files = CopyFiles(orthanc, journal.receipts, outcomes, compressed=limits.compressed)
        answers = StoreAnswers(outcomes, self._acceptance, self._slots, files, now)
        self._sender = Sender(
            self._destination, files, answers, outcomes, self._queue, self._slots, metrics
        )
        # Those that send, one that gets the next body ready, and one that reads back meanwhile.
        self._workers = ThreadPoolExecutor(
            limits.most_connections + 2, thread_name_prefix=f"deliver-{name}"
        )
        self._read_at = 0.0
        #: Bytes handed to the link that the throughput controller has been told of.
        self._told = 0
        metrics.begin(name)
        self._link = LinkState(
            self._destination, self.breaker, journal.links, metrics, now, monotonic
        )

    @property
    def is_fast(self) -> bool:
        """Whether the link has lately proven to be faster than compressing is."""
        return self._throughput.is_fast

    def close(self) -> None:
        """Ends the workers after the requests they are at. ``work_once`` has returned before."""
        self._workers.shutdown(wait=True)

    def work_once(self) -> float:
        """Sends and verifies all that is due. Returns the seconds until there may be more to do.

        What goes wrong with one instance or one study puts off that one and not the others.
        Raises JournalError.
        """
        try:
            if not self.breaker.passes and (left := self._link.probe()) > 0:
                return left
            worked = self._work()
            if not worked and self.breaker.is_trying and self._queue.is_empty:
                self._link.nothing_left()
            if not worked and not self._link.is_known_to_be_up:
                # Before there is anything to send: who looks before the first patient is to know.
                self._link.probe()
        except (LinkDown, DestinationPaused) as error:
            return self._link.failed(error)
        except (OrthancUnreachable, OrthancDenied) as error:
            self._outcomes.warn("the truck's Orthanc: %s", error)
            return _ORTHANC_DOWN_S
        return 0.0 if worked else _IDLE_S

    def _work(self) -> int:
        """Keeps the workers busy until nothing is due; how many batches and read-backs that were.

        Raises what trips the breaker, after every worker has finished.
        """
        self._slots.mend()
        running: dict[Future[None], Batch | None] = {}
        trouble: Exception | None = None
        begun = 0
        while True:
            self._note_handed()
            if trouble is None and not self._stopping():
                begun += self._fill(running)
            if not running:
                break
            trouble = _plainest(trouble, self._finished(running)) or self._watch()
            if trouble is not None:
                self._slots.break_off()
            if isinstance(trouble, LinkDown):
                self._throughput.link_failed()
                self._destination.abort()  # what still hangs would hang on after the outage
            if trouble is not None and running:
                trouble = _plainest(trouble, self._finished(running))
        self._throughput.idle()
        if trouble is not None:
            raise trouble
        return begun

    def _note_handed(self) -> None:
        """Tells the throughput controller what was handed to the link since the last time."""
        handed, self._told = self._told, self._sender.handed
        self._throughput.bytes_sent(self._told - handed, time.monotonic())
        self._metrics.goodput.labels(self.name).set(self._throughput.goodput)

    @staticmethod
    def _finished(running: dict[Future[None], Batch | None]) -> Exception | None:
        """Waits a little, and takes out what has come to an end; the first trouble of these."""
        trouble: Exception | None = None
        done, _ = wait(running, timeout=_TICK_S, return_when=FIRST_COMPLETED)
        for future in done:
            running.pop(future)
            error = future.exception()
            if isinstance(error, Exception):
                trouble = _plainest(trouble, error)
            elif error is not None:
                raise error
        return trouble

    def _fill(self, running: dict[Future[None], Batch | None]) -> int:
        """Begins what there is a free worker for; how many batches and read-backs that are."""
        before = len(running)
        reading = None in running.values()
        sending = len(running) - reading
        # One more than may send: it has its body ready when a connection is free.
        while sending <= (0 if self.breaker.is_trying else self._throughput.connections):
            if not _has_room(running):
                break
            avoided = self._acceptance.avoided if self.breaker.is_trying else None
            batch = self._queue.take(self._throughput.body_bytes, avoided)
            if batch is None:
                break
            if not batch.delivery_unknown:  # those are only asked about
                self._slots.expect(id(batch))
            running[self._workers.submit(self._send, batch)] = batch
            sending += 1
        if not reading and (not sending or time.monotonic() >= self._read_at):
            sent = self._reader.due()
            if sent:
                self._read_at = time.monotonic() + _READ_EVERY_S
                running[self._workers.submit(self._reader.verify, sent)] = None
        return len(running) - before

    def _send(self, batch: Batch) -> None:
        try:
            if batch.delivery_unknown:
                self._ask(batch)
                return
            sent, seconds = self._sender.send(batch)
        finally:
            self._queue.finished(batch)
            self._slots.forget(id(batch))
        if sent:
            self._link.served()
            self._throughput.went_through(sent, seconds, time.monotonic())

    def _ask(self, batch: Batch) -> None:
        """Asks whether a try that was cut off has arrived.

        Asking costs less than sending, and sending twice is what we promise not to do.
        """
        settled = self._reader.read_back(batch.receipts)
        self._queue.absent([r for r in batch.receipts if r.instance not in settled])

    def _watch(self) -> Exception | None:
        """Why the link is down, where bytes that should move do not; or None."""
        now = time.monotonic()
        still = [
            batch
            for batch in self._queue.batches()
            if batch.moved_at is not None and now - batch.moved_at > _STALL_S
        ]
        if not still:
            return None
        try:
            self._destination.probe()
        except (LinkDown, DestinationPaused) as error:
            return error
        for batch in still:  # it is only slow to answer
            batch.moved_at = time.monotonic()
        return None


def _has_room(running: dict[Future[None], Batch | None]) -> bool:
    """Whether one more body fits into the memory that bodies may take."""
    sizes = [batch.size for batch in running.values() if batch is not None]
    return not sizes or sum(sizes) < _MOST_UNDER_WAY


def _plainest(one: Exception | None, other: Exception | None) -> Exception | None:
    """Of two troubles the one that says most: an answer of the destination before a broken link.

    A destination that refuses us on one connection often breaks the others off.
    """
    if isinstance(other, DestinationPaused) and not isinstance(one, DestinationPaused):
        return other
    return one or other
