"""The delivery loop of one destination: send, read back, and only then believe.

The link has a state and items do not pay for it: a transport error closes the link gate, a cheap
probe opens it, and being offline costs no attempts. Only a destination's own refusal of an
instance counts against that instance.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from router import backoff, part10
from router.destinations.base import Outgoing
from router.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    EdgeRouterError,
    Hold,
    JournalError,
    LinkDown,
    OrthancDenied,
    OrthancError,
    OrthancUnreachable,
    ResourceMissing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.destinations import Destination
    from router.destinations.base import ReadBack
    from router.journal import Journal
    from router.metrics import Metrics
    from router.orthanc import TruckOrthanc
    from router.spool import Body
    from router.study import Receipt

#: Refusals of one instance after which a person decides.
MOST_TRIES = 3
_BATCH = 64
_PROBE_S, _LONGEST_PROBE_S = 1.0, 5.0
#: Wrong credentials do not mend themselves within seconds, and servers lock those out who insist.
_PAUSED_PROBE_S = 30.0
_ORTHANC_DOWN_S = 2.0
_NO_ROOM_S = 30.0
#: A body that keeps breaking off is tried again at least this often.
_LONGEST_BREAK_S = 60.0
#: How long a destination may take to list what it has stored, and how often it is asked.
_INDEXING_S = 900.0
_ASK_AGAIN_S = 60.0
#: Failures that will not pass by themselves, and what the instance is then held for.
_HELD_AFTER_TRIES = {
    Code.DESTINATION_ANSWER_UNCLEAR: Code.DESTINATION_REFUSED,
    Code.UNEXPECTED: Code.UNEXPECTED,
}

_log = logging.getLogger(__name__)


class LinkGate:
    """Whether a destination can be reached. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.open = True
        self.code: Code | None = None
        self._probe_at = 0.0
        self._probes = 0

    def close(self, code: Code, *, paused: bool, now: float) -> None:
        self.open = False
        self.code = code
        wait = min(_PROBE_S * 2**self._probes, _LONGEST_PROBE_S)
        self._probe_at = now + (_PAUSED_PROBE_S if paused else wait)
        self._probes = min(self._probes + 1, 8)

    def opened(self) -> None:
        self.open, self.code, self._probes = True, None, 0

    def wait_s(self, now: float) -> float:
        """Seconds until the next probe."""
        return max(0.0, self._probe_at - now)


class Delivery:
    """Works on the receipts of one destination. One thread uses it."""

    def __init__(
        self,
        destination: Destination,
        orthanc: TruckOrthanc,
        journal: Journal,
        metrics: Metrics,
        now: Callable[[], float],
        draw: Callable[[], float],
        stopping: Callable[[], bool],
    ) -> None:
        self._destination = destination
        self._orthanc = orthanc
        self._journal = journal
        self._metrics = metrics
        self._now = now
        self._draw = draw
        self._stopping = stopping
        self.gate = LinkGate()
        self._show_gate()

    @property
    def name(self) -> str:
        return self._destination.name

    def work_once(self) -> float:
        """Sends and verifies what is due. Returns the seconds until there may be more to do.

        What goes wrong with one instance or one study puts off that one and not the others.
        Raises JournalError.
        """
        try:
            if not self.gate.open and (wait := self._probe()) > 0:
                return wait
            sent = self._send_due()
            verified = self._verify_sent()
        except LinkDown as down:
            self._close(down.code, paused=False)
        except DestinationPaused as pause:
            self._close(pause.code, paused=True)
        except (OrthancUnreachable, OrthancDenied) as error:
            self._warn("the truck's Orthanc: %s", error)
            return _ORTHANC_DOWN_S
        else:
            return 0.0 if sent or verified else 1.0
        return self.gate.wait_s(time.monotonic())

    def _warn(self, text: str, error: EdgeRouterError, receipt: Receipt | None = None) -> None:
        extra = {"action": "deliver", "destination": self.name, "code": error.code}
        if receipt is not None:
            extra |= {"study": receipt.alias}
        _log.warning(text, error.sentence, extra=extra)

    # --- the link -----------------------------------------------------------------------------

    def _probe(self) -> float:
        """Tries to open the gate; the seconds still to wait, 0: it is open."""
        wait = self.gate.wait_s(time.monotonic())
        if wait > 0:
            return wait
        self._destination.probe()
        self.gate.opened()
        self._show_gate()
        _log.info("the link is up", extra={"action": "link", "destination": self.name})
        return 0.0

    def _close(self, code: Code, *, paused: bool) -> None:
        if self.gate.code is not code:
            _log.warning(
                "the destination is paused" if paused else "the link is down",
                extra={"action": "link", "destination": self.name, "code": code},
            )
        self.gate.close(code, paused=paused, now=time.monotonic())
        self._show_gate(paused=paused)

    def _show_gate(self, *, paused: bool = False) -> None:
        self._metrics.link_up.labels(self.name).set(self.gate.open)
        self._metrics.paused.labels(self.name).set(paused)

    # --- sending ------------------------------------------------------------------------------

    def _send_due(self) -> int:
        due = self._journal.to_send(self.name, self._now(), _BATCH)
        # A try that was cut off may have arrived: asking costs less than sending, and sending
        # twice is what we promise not to do.
        settled = self._read_back([receipt for receipt in due if receipt.begun_at is not None])
        for receipt in due:
            if self._stopping():
                break
            if receipt.instance not in settled:
                self._try_send(receipt)
        return len(due)

    def _try_send(self, receipt: Receipt) -> None:
        """Sends one instance; what fails is put off, held or, where the link is at fault, raised."""
        begun = time.monotonic()
        handed = _Counter()
        result = str(Code.UNEXPECTED)
        try:
            result = self._send(receipt, handed)
            handed.bytes = 0  # accepted: nothing was wasted
        except (LinkDown, DestinationPaused, OrthancUnreachable, OrthancDenied) as error:
            result = error.code
            if handed.bytes and isinstance(error, LinkDown):
                self._broke_off(receipt, error)
            raise
        except JournalError:
            raise
        except Hold as hold:
            result = hold.code
            self._hold(receipt, hold.code, hold.sentence)
        except EdgeRouterError as error:
            result = error.code
            self._failed(receipt, error)
        except OSError as error:
            self._put_off(receipt, _no_room(error), _NO_ROOM_S, counts=False)
        # A fault of ours in one instance must not keep the others; it is counted, and then held.
        except Exception as error:  # noqa: BLE001
            _log.exception("sending failed", extra={"action": "deliver", "study": receipt.alias})
            self._failed(receipt, DeliveryDeferred(Code.UNEXPECTED, type(error).__name__))
        finally:
            self._metrics.attempts.labels(self.name, result).inc()
            self._metrics.wasted_bytes.labels(self.name).inc(handed.bytes)
            self._metrics.step_seconds.labels("send").observe(time.monotonic() - begun)

    def _send(self, receipt: Receipt, handed: _Counter) -> str:
        with self._orthanc.file(receipt.copy.orthanc_id) as body:
            _check_digest(receipt, body)
            self._journal.begin_sending(receipt, self._now())
            stored = self._destination.send(Outgoing(receipt.copy, body.view, handed.add))
        self._journal.sent(receipt, self._now())
        self._metrics.sent_bytes.labels(self.name).inc(receipt.copy.size)
        return stored

    def _broke_off(self, receipt: Receipt, error: LinkDown) -> None:
        """The link broke in the middle of this body: others go first the next time.

        Perhaps it is the body (too large for a proxy on the way) and not the link. It costs no
        attempts, and the wait stays short.
        """
        wait = backoff.delay_s(receipt.breaks + 1, self._draw(), longest_s=_LONGEST_BREAK_S)
        self._journal.broke_off(receipt, error.code, self._now() + wait)

    def _failed(self, receipt: Receipt, error: EdgeRouterError) -> None:
        """One more failure of this instance: tried again later, made again, or held."""
        tries = receipt.attempts + 1
        if isinstance(error, ResourceMissing) or (
            isinstance(error, OrthancError) and tries == MOST_TRIES
        ):
            self._journal.make_again(receipt.instance, self._now())
        elif isinstance(error, OrthancError) and tries > 2 * MOST_TRIES:
            self._hold(receipt, Code.COPY_DIFFERS, "the truck cannot read its copy")
            return
        elif error.code in _HELD_AFTER_TRIES and tries >= MOST_TRIES:
            self._hold(receipt, _HELD_AFTER_TRIES[error.code], error.sentence)
            return
        wait = backoff.delay_s(tries, self._draw())
        if isinstance(error, DeliveryDeferred):
            wait = max(wait, min(error.retry_after_s or 0.0, backoff.LONGEST_S))
        self._put_off(receipt, error, wait, counts=True)

    def _put_off(
        self, receipt: Receipt, error: EdgeRouterError, wait_s: float, *, counts: bool
    ) -> None:
        self._journal.put_off(receipt, error.code, self._now() + wait_s, counts=counts)
        self._warn("an instance is put off: %s", error, receipt)

    def _hold(self, receipt: Receipt, code: Code, detail: str) -> None:
        self._journal.hold(
            receipt.instance, code, f"{self.name}: {detail}", self._now(), destination=self.name
        )
        self._metrics.holds.labels(code).inc()
        self._warn("an instance is held: %s", Hold(code, detail), receipt)
        self._settle(receipt.study, receipt.alias)

    # --- reading back -------------------------------------------------------------------------

    def _verify_sent(self) -> int:
        sent = self._journal.to_verify(self.name, self._now(), _BATCH * 4)
        settled = self._read_back(sent)
        for receipt in sent:
            if receipt.instance not in settled:
                self._not_there(receipt)
        return len(sent)

    def _read_back(self, receipts: Sequence[Receipt]) -> set[str]:
        """Asks the destination for instances, study by study.

        Returns those that nothing more is to be done about now: verified, held, or asked about
        again later because the question failed.
        """
        settled: set[str] = set()
        by_study: dict[str, list[Receipt]] = defaultdict(list)
        for receipt in receipts:
            by_study[receipt.copy.study_uid].append(receipt)
        for members in by_study.values():
            try:
                answer = self._destination.verify([receipt.copy for receipt in members])
            except DeliveryDeferred as deferred:
                for receipt in members:
                    self._put_off(receipt, deferred, _ASK_AGAIN_S, counts=False)
                settled |= {receipt.instance for receipt in members}
                continue
            for receipt in members:
                if self._take_answer(receipt, answer):
                    settled.add(receipt.instance)
            for study, alias in {(receipt.study, receipt.alias) for receipt in members}:
                self._settle(study, alias)
        return settled

    def _take_answer(self, receipt: Receipt, answer: ReadBack) -> bool:
        """Whether the destination's answer decides about the instance."""
        by = answer.verified.get(receipt.copy.sop_uid)
        if by is not None:
            self._journal.verified(receipt, by, self._now())
            self._metrics.verified.labels(self.name, by).inc()
            waited = max(0.0, self._now() - receipt.received_at)
            self._metrics.delivery_seconds.labels(self.name).observe(waited)
        elif receipt.copy.sop_uid in answer.different:
            self._hold(receipt, Code.STORED_BYTES_DIFFER, "read back")
        else:
            return False
        return True

    def _not_there(self, receipt: Receipt) -> None:
        """The destination said that it stored it, and does not list it.

        Many index minutes later: so the question is repeated, and only then the image.
        """
        age = self._now() - (receipt.sent_at or 0.0)
        missing = DeliveryDeferred(Code.NOT_FOUND_AFTER_SENDING, f"not there after {age:.0f} s")
        if 0 <= age < _INDEXING_S:
            self._put_off(receipt, missing, min(max(age, 1.0), _ASK_AGAIN_S), counts=False)
        elif receipt.attempts + 1 >= MOST_TRIES:
            tries = receipt.attempts + 1
            self._hold(receipt, Code.NOT_FOUND_AFTER_SENDING, f"{tries} tries")
        else:
            self._journal.send_again(receipt, missing.code, self._now())

    def _settle(self, study: str, alias: str) -> None:
        outcome = self._journal.settle(study, self._now())
        if outcome is not None:
            _log.info("ANALYSED %s", outcome, extra={"action": "move", "study": alias})


class _Counter:
    """Bytes of a body that were handed to the link."""

    def __init__(self) -> None:
        self.bytes = 0

    def add(self, number: int) -> None:
        self.bytes += number


def _no_room(error: OSError) -> DeliveryDeferred:
    return DeliveryDeferred(Code.SPOOL_UNUSABLE, f"the spool folder: {error.strerror}")


def _check_digest(receipt: Receipt, body: Body) -> None:
    if part10.digest(body.view) != receipt.copy.digest:
        raise Hold(Code.COPY_DIFFERS, "the stored copy has changed")
