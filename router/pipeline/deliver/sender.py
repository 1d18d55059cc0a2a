"""One flight from the truck's disk to the destination's answer. Several lanes use it at once."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from router.destinations.base import Outgoing
from router.dicom import lossless, part10
from router.pipeline.deliver.refusals import Refusals
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    EdgeRouterError,
    Hold,
    JournalError,
    LinkDown,
    OrthancDenied,
    OrthancUnreachable,
    StoreRefused,
    SyntaxRefused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from router.destinations import Destination
    from router.destinations.base import Stored
    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.pipeline.deliver.acceptance import Acceptance
    from router.pipeline.deliver.batches import Batch, Queue
    from router.pipeline.deliver.outcomes import DeliveryOutcomes
    from router.pipeline.deliver.readback import Reader
    from router.pipeline.deliver.send_slots import SendSlots
    from router.pipeline.deliver.throughput import RateCap
    from router.records.copies import Copy
    from router.records.receipt import Receipt
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Body

#: These say nothing of an instance, and concern all that go there.
_NOT_THE_ITEMS = (LinkDown, DestinationPaused, OrthancUnreachable, OrthancDenied, JournalError)

_log = logging.getLogger(__name__)


class Sender:
    """Thread-safe."""

    def __init__(
        self,
        destination: Destination,
        orthanc: TruckOrthanc,
        journal: Journal,
        metrics: Metrics,
        outcomes: DeliveryOutcomes,
        queue: Queue,
        reader: Reader,
        acceptance: Acceptance,
        now: Callable[[], float],
        cap: RateCap,
        slots: SendSlots,
        *,
        compressed: bool,
    ) -> None:
        self._slots = slots
        self._destination = destination
        self._orthanc = orthanc
        self._journal = journal
        self._metrics = metrics
        self._outcomes = outcomes
        self._queue = queue
        self._reader = reader
        self._acceptance = acceptance
        self._refusals = Refusals(outcomes, acceptance)
        self._now = now
        self._cap = cap
        self._lock = threading.Lock()
        #: Bytes of all bodies that were handed to the link since the start.
        self.handed = 0
        self._compressed = compressed
        #: SOP classes and transfer syntaxes that this destination was seen to refuse.
        self._refused: set[tuple[str, str]] = set()

    def send(self, batch: Batch) -> tuple[int, float]:
        """Sends a flight, or asks whether it has arrived before.

        Returns the bytes that were accepted, and the seconds that they were on their way.

        Raises LinkDown, DestinationPaused, OrthancUnreachable, OrthancDenied,
        JournalError: what says nothing of the instances.
        """
        if batch.delivery_unknown:
            # A try that was cut off may have arrived: asking costs less than sending, and
            # sending twice is what we promise not to do.
            settled = self._reader.read_back(batch.receipts)
            self._queue.absent([r for r in batch.receipts if r.instance not in settled])
            return 0, 0.0
        begun = time.monotonic()
        accepted: list[Receipt] = []
        try:
            with ExitStack() as bodies:
                outgoing = dict(self._opened(batch, bodies))
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

    # --- from the truck -----------------------------------------------------------------------

    def _opened(
        self, batch: Batch, bodies: ExitStack
    ) -> Iterator[tuple[str, tuple[Receipt, Outgoing]]]:
        """The files of a flight, by SOP Instance UID; what cannot be read is put off alone."""
        for receipt in batch.receipts:
            try:
                outgoing = self._open(receipt, batch, bodies)
            except (LinkDown, DestinationPaused, JournalError):
                raise
            except (OrthancUnreachable, OrthancDenied) as error:
                if not self._orthanc.answers():
                    raise
                self._put_off(receipt, error)
            except OSError as error:
                self._outcomes.no_room(receipt, error)
            except EdgeRouterError as error:
                self._put_off(receipt, error)
            # A fault of ours in one instance must not keep the others; it is counted, then held.
            except Exception as error:  # noqa: BLE001
                _log.exception("a copy cannot be opened", extra={"action": "deliver"})
                self._put_off(receipt, DeliveryDeferred(Code.UNEXPECTED, type(error).__name__))
            else:
                yield receipt.copy.sop_uid, (receipt, outgoing)

    def _put_off(self, receipt: Receipt, error: EdgeRouterError) -> None:
        self._count(error.code)
        self._outcomes.failed(receipt, error)

    def _open(self, receipt: Receipt, batch: Batch, bodies: ExitStack) -> Outgoing:
        copy = receipt.copy
        if receipt.syntax is None and self._goes_as_it_is(copy):
            body = bodies.enter_context(self._orthanc.file(copy.orthanc_id))
            if part10.digest(body.view) != copy.digest:
                raise Hold(Code.COPY_DIFFERS, "the stored copy has changed")
            return Outgoing(copy, body.view, self._counter(batch))
        body = bodies.enter_context(
            self._orthanc.file(copy.orthanc_id, transcode=lossless.PLAIN_SYNTAX)
        )
        return Outgoing(self._as_plain(receipt, body), body.view, self._counter(batch))

    def _goes_as_it_is(self, copy: Copy) -> bool:
        if not self._compressed and copy.transfer_syntax == lossless.SYNTAX:
            return False
        return (copy.sop_class, copy.transfer_syntax) not in self._refused

    def _as_plain(self, receipt: Receipt, body: Body) -> Copy:
        """The copy in Explicit VR Little Endian, with a digest of its own in the receipt."""
        if part10.read(body.stream()).file_meta.TransferSyntaxUID != lossless.PLAIN_SYNTAX:
            raise Hold(Code.DESTINATION_REFUSED, "it takes another transfer syntax only")
        copy = replace(
            receipt.copy,
            transfer_syntax=lossless.PLAIN_SYNTAX,
            digest=part10.digest(body.view),
            md5=part10.md5(body.view),
            size=body.size,
        )
        self._journal.receipts.send_as(receipt, copy)
        return copy

    def _counter(self, batch: Batch) -> Callable[[int], None]:
        def count(number: int) -> None:
            with self._lock:
                pause = self._cap.wait_s(number, time.monotonic())
            while pause > 0:  # a wait by choice is no stall
                batch.count(0)
                time.sleep(min(pause, 1.0))
                pause -= 1.0
            batch.count(number)
            with self._lock:
                self.handed += number

        return count

    # --- to the destination -------------------------------------------------------------------

    def _send(
        self, batch: Batch, outgoing: Mapping[str, tuple[Receipt, Outgoing]]
    ) -> list[Receipt]:
        """Sends the files in one request, and writes down what became of each."""
        receipts = [receipt for receipt, _ in outgoing.values()]
        self._journal.receipts.begin_sending(receipts, self._now())
        self._queue.begun(receipts)
        batch.count(0)
        try:
            answers = self._answers(outgoing)
        except (LinkDown, DestinationPaused) as error:
            self._slots.break_off()  # before the next one begins
            self._count(error.code)
            if not batch.handed:
                self._journal.receipts.not_sent(receipts)
            elif isinstance(error, LinkDown):
                for receipt in receipts:
                    self._refusals.link_broke(receipt, error)
            raise
        return self._judge(outgoing, answers)

    def _answers(
        self, outgoing: Mapping[str, tuple[Receipt, Outgoing]]
    ) -> Mapping[str, Stored | EdgeRouterError]:
        """By SOP Instance UID; what was answered to the whole request is the answer to each."""
        files = [one for _, one in outgoing.values()]
        try:
            if len(files) > 1:
                return self._destination.send_together(files)
            (sop_uid,) = outgoing
            return {sop_uid: self._destination.send(files[0])}
        except StoreRefused as error:
            return dict.fromkeys(outgoing, error)
        except (LinkDown, DestinationPaused):
            raise
        except EdgeRouterError as error:
            failed, sentence = error, error.sentence
        # A fault of ours in one instance must not keep the others; it is counted, and then held.
        except Exception as error:  # noqa: BLE001
            _log.exception("sending failed", extra={"action": "deliver"})
            sentence = type(error).__name__
            failed = DeliveryDeferred(Code.UNEXPECTED, sentence)
        if len(files) > 1:  # nobody knows whose it is: each goes alone the next time
            failed = DeliveryDeferred(Code.DESTINATION_ANSWER_UNCLEAR, sentence)
        return dict.fromkeys(outgoing, failed)

    def _judge(
        self,
        outgoing: Mapping[str, tuple[Receipt, Outgoing]],
        answers: Mapping[str, Stored | EdgeRouterError],
    ) -> list[Receipt]:
        """Raises StoreRefused where the destination would answer every other image so, too."""
        taken = any(not isinstance(answer, EdgeRouterError) for answer in answers.values())
        if not taken and any(
            self._refusals.pauses(receipt, answers[uid]) for uid, (receipt, _) in outgoing.items()
        ):
            self._slots.break_off()  # before the next one begins
        accepted: list[Receipt] = []
        paused: StoreRefused | None = None
        for sop_uid, (receipt, file) in outgoing.items():
            answer = answers[sop_uid]
            if not isinstance(answer, EdgeRouterError):
                self._count(answer)
                accepted.append(replace(receipt, copy=file.copy))
                continue
            self._count(answer.code)
            if isinstance(answer, SyntaxRefused):
                self._refuse(receipt, file, answer)
            elif len(outgoing) > 1 and answer.code is Code.DESTINATION_ANSWER_UNCLEAR:
                self._outcomes.send_alone(receipt, answer.code)
            else:
                paused = self._refusals.take(receipt, answer) or paused
        self._journal.receipts.sent(accepted, self._now())
        size = sum(receipt.copy.size for receipt in accepted)
        self._metrics.sent_bytes.labels(self._destination.name).inc(size)
        if accepted:
            self._acceptance.took(self._now())
        elif paused is not None:
            self._slots.break_off()
            raise paused
        return accepted

    def _refuse(self, receipt: Receipt, file: Outgoing, error: SyntaxRefused) -> None:
        """Once refused, a class is not tried again in this syntax, until a restart."""
        if file.copy.transfer_syntax == lossless.PLAIN_SYNTAX:
            self._outcomes.hold(receipt, Code.DESTINATION_REFUSED, error.sentence)
            return
        with self._lock:
            self._refused.add((file.copy.sop_class, file.copy.transfer_syntax))
        self._journal.receipts.plain_next(receipt, error.code, self._now())
        self._outcomes.warn("it is sent uncompressed: %s", error, receipt)

    def _count(self, result: str) -> None:
        self._metrics.attempted(self._destination.name, result)
