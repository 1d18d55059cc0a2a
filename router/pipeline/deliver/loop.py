"""The delivery loop of one destination: its lanes, its gate, and the watch over both."""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.pipeline.deliver.acceptance import Acceptance
from router.pipeline.deliver.batches import Batch, Queue
from router.pipeline.deliver.circuit_breaker import CircuitBreaker
from router.pipeline.deliver.outcomes import DeliveryOutcomes
from router.pipeline.deliver.readback import Reader
from router.pipeline.deliver.send_slots import SendSlots
from router.pipeline.deliver.sender import Sender
from router.pipeline.deliver.throughput import RateCap, ThroughputController
from router.records.errors import (
    Code,
    DestinationPaused,
    LinkDown,
    OrthancDenied,
    OrthancUnreachable,
    StoreRefused,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.destinations import Destination
    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.truck.orthanc import TruckOrthanc

_ORTHANC_DOWN_S = 2.0
#: Between two read-backs while more is being sent: each costs bytes.
_READ_EVERY_S = 5.0
#: A request whose bytes do not move is not waited for: a fresh connection is asked.
_STALL_S = 5.0
_TICK_S = 0.5
#: Bytes that are begun at once, besides the last body: a connection more gains nothing with large
#: bodies, and each lies in memory.
_MOST_IN_FLIGHT = 24 * 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a destination may be asked to bear."""

    most_connections: int = 4
    #: Bits a second; 0: no cap.
    rate_bps: float = 0.0
    #: Whether it is sent JPEG-LS.
    compressed: bool = True


class Delivery:
    """Works on the receipts of one destination. One thread calls it; its lanes are its own."""

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
        """``now``: UTC; ``draw``: uniform in [0, 1); ``monotonic``: what the gate's waits go by."""
        self._destination = destination
        self._metrics = metrics
        self._links = journal.links
        self._now = now
        self._stopping = stopping
        self._monotonic = monotonic
        self._throughput = ThroughputController(limits.most_connections)
        self._slots = SendSlots(lambda: self._throughput.connections)
        self._queue = Queue(journal.outbox, destination.name, now, destination.most_together)
        self._outcomes = DeliveryOutcomes(destination.name, journal, metrics, now, draw)
        self._reader = Reader(destination, journal, metrics, self._outcomes, now)
        self._acceptance = Acceptance(journal.outbox, destination.name)
        self._sender = Sender(
            destination,
            orthanc,
            journal,
            metrics,
            self._outcomes,
            self._queue,
            self._reader,
            self._acceptance,
            now,
            RateCap(limits.rate_bps),
            self._slots,
            compressed=limits.compressed,
        )
        # The lanes, one that gets the next body ready, and one that reads back meanwhile.
        self._lanes = ThreadPoolExecutor(
            limits.most_connections + 2, thread_name_prefix=f"lane-{destination.name}"
        )
        self._read_at = 0.0
        #: Bytes handed to the link that the pace knows of.
        self._told = 0
        self.gate = CircuitBreaker(draw)
        known = journal.links.all().get(destination.name)
        #: Whether it ever answered as it should, and what the journal says is in the way.
        self._reached = known is not None and known.reached_at is not None
        self._in_the_way = known.code if known is not None else None
        metrics.begin(destination.name)
        self._show_gate()

    @property
    def name(self) -> str:
        return self._destination.name

    @property
    def is_fast(self) -> bool:
        """Whether the link has lately proven to be faster than compressing is."""
        return self._throughput.is_fast

    def close(self) -> None:
        """Ends the lanes after the requests they are at. ``work_once`` has returned before."""
        self._lanes.shutdown(wait=True)

    def work_once(self) -> float:
        """Sends and verifies all that is due. Returns the seconds until there may be more to do.

        What goes wrong with one instance or one study puts off that one and not the others.
        Raises JournalError.
        """
        try:
            if not self.gate.open and (left := self._probe()) > 0:
                return left
            worked = self._work()
            if not worked and self.gate.is_trying and self._queue.is_empty:
                self.gate.served()  # nothing is left that could be refused
                self._show_gate()
            if not worked and not (self._reached and self._in_the_way is None):
                # Before there is anything to send: who looks before the first patient is to know.
                self._probe()
        except LinkDown as down:
            self._close(down.code, paused=False)
        except StoreRefused as refusal:
            self._say_closed(refusal.code, paused=True)
            self.gate.refused(refusal.code, self._monotonic(), refusal.retry_after_s)
            self._show_gate(paused=True)
        except DestinationPaused as pause:
            self._close(pause.code, paused=True, retry_after_s=pause.retry_after_s)
        except (OrthancUnreachable, OrthancDenied) as error:
            self._outcomes.warn("the truck's Orthanc: %s", error)
            return _ORTHANC_DOWN_S
        else:
            return 0.0 if worked else 1.0
        return self.gate.wait_s(self._monotonic())

    # --- the lanes ----------------------------------------------------------------------------

    def _work(self) -> int:
        """Keeps the lanes full until nothing is due; how many flights and read-backs that were.

        Raises what closes the gate, after every lane has landed.
        """
        self._slots.mend()
        running: dict[Future[None], Batch | None] = {}
        trouble: Exception | None = None
        begun = 0
        while True:
            self._keep_pace()
            if trouble is None and not self._stopping():
                begun += self._fill(running)
            if not running:
                break
            trouble = _plainest(trouble, self._landed(running)) or self._watch()
            if trouble is not None:
                self._slots.break_off()
            if isinstance(trouble, LinkDown):
                self._throughput.link_failed()
                self._destination.abort()  # what still hangs would hang on after the outage
            if trouble is not None and running:
                trouble = _plainest(trouble, self._landed(running))
        self._throughput.idle()
        if trouble is not None:
            raise trouble
        return begun

    def _keep_pace(self) -> None:
        """Tells the pace what was handed to the link since the last time."""
        handed, self._told = self._told, self._sender.handed
        self._throughput.bytes_sent(self._told - handed, time.monotonic())
        self._metrics.goodput.labels(self.name).set(self._throughput.goodput)

    @staticmethod
    def _landed(running: dict[Future[None], Batch | None]) -> Exception | None:
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
        """Begins what there is a free lane for."""
        before = len(running)
        reading = None in running.values()
        sending = len(running) - reading
        # One more than may send: it has its body ready when a connection is free.
        while sending <= (0 if self.gate.is_trying else self._throughput.connections):
            if not _has_room(running):
                break
            avoided = self._acceptance.refused_studies if self.gate.is_trying else None
            batch = self._queue.take(self._throughput.body_bytes, avoided)
            if batch is None:
                break
            if not batch.delivery_unknown:  # those are only asked about
                self._slots.expect(id(batch))
            running[self._lanes.submit(self._fly, batch)] = batch
            sending += 1
        if not reading and (not sending or time.monotonic() >= self._read_at):
            sent = self._reader.due()
            if sent:
                self._read_at = time.monotonic() + _READ_EVERY_S
                running[self._lanes.submit(self._reader.verify, sent)] = None
        return len(running) - before

    def _fly(self, batch: Batch) -> None:
        try:
            sent, seconds = self._sender.send(batch)
        finally:
            self._queue.finished(batch)
            self._slots.forget(id(batch))
        if sent:
            self._note_reached()
            self.gate.served()
            self._show_gate()
            now = time.monotonic()
            self._throughput.went_through(sent, seconds, now)

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

    # --- the link -----------------------------------------------------------------------------

    def _probe(self) -> float:
        """Tries to open the gate; the seconds still to wait, 0: it is open."""
        left = self.gate.wait_s(self._monotonic())
        if left > 0:
            return left
        self._destination.probe()
        self.gate.opened()
        self._note_reached()
        self._show_gate()
        _log.info("the link is up", extra={"action": "link", "destination": self.name})
        return 0.0

    def _close(self, code: Code, *, paused: bool, retry_after_s: float | None = None) -> None:
        self._say_closed(code, paused=paused)
        self.gate.close(code, paused=paused, now=self._monotonic(), retry_after_s=retry_after_s)
        self._show_gate(paused=paused)

    def _say_closed(self, code: Code, *, paused: bool) -> None:
        if self.gate.code is not code:
            _log.warning(
                "the destination is paused" if paused else "the link is down",
                extra={"action": "link", "destination": self.name, "code": code},
            )
        self._note_closed(code)

    def _note_reached(self) -> None:
        """For those who look at the journal from outside of this process."""
        if not self._reached or self._in_the_way is not None:
            self._links.reached(self.name, self._now())
            self._reached, self._in_the_way = True, None
            self._show_gate()

    def _note_closed(self, code: Code) -> None:
        if self._in_the_way is not code:
            self._links.closed(self.name, code, self._now())
            self._in_the_way = code

    def _show_gate(self, *, paused: bool = False) -> None:
        """A destination that is being tried again is paused until it has taken an image."""
        self._metrics.link_up.labels(self.name).set(self.gate.open and self._reached)
        self._metrics.paused.labels(self.name).set(paused or self.gate.is_trying)


def _has_room(running: dict[Future[None], Batch | None]) -> bool:
    """Whether one more body fits into the memory that bodies may take."""
    sizes = [batch.size for batch in running.values() if batch is not None]
    return not sizes or sum(sizes) < _MOST_IN_FLIGHT


def _plainest(one: Exception | None, other: Exception | None) -> Exception | None:
    """Of two troubles the one that says most: an answer of the destination before a broken link.

    A destination that refuses us in one lane often breaks the others off.
    """
    if isinstance(other, DestinationPaused) and not isinstance(one, DestinationPaused):
        return other
    return one or other
