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
    Hold,
    LinkDown,
    OrthancError,
    ResourceMissing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.destinations import Destination
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
        except DeliveryDeferred as deferred:
            _log.warning(
                "the read-back is put off: %s",
                deferred.sentence,
                extra={"action": "verify", "destination": self.name, "code": deferred.code},
            )
            return _ORTHANC_DOWN_S
        except OrthancError as error:
            _log.warning(
                "the truck's Orthanc: %s",
                error.sentence,
                extra={"action": "send", "destination": self.name, "code": error.code},
            )
            return _ORTHANC_DOWN_S
        else:
            return 0.0 if sent or verified else 1.0
        return self.gate.wait_s(time.monotonic())

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
        doubtful = [receipt for receipt in due if receipt.begun_at is not None]
        arrived = self._read_back(doubtful)
        for receipt in due:
            if self._stopping():
                break
            if receipt.instance not in arrived:
                self._send(receipt)
        return len(due)

    def _send(self, receipt: Receipt) -> None:
        begun = time.monotonic()
        handed = 0

        def count(number: int) -> None:
            nonlocal handed
            handed += number

        result = "UNEXPECTED"
        try:
            with self._orthanc.file(receipt.copy.orthanc_id) as body:
                _check_digest(receipt, body)
                self._journal.begin_sending(receipt, self._now())
                stored = self._destination.send(Outgoing(receipt.copy, body.view, count))
            self._journal.sent(receipt, self._now())
            result = stored
            self._metrics.sent_bytes.labels(self.name).inc(receipt.copy.size)
            handed = 0
        except ResourceMissing:
            result = Code.RESOURCE_MISSING
            self._journal.make_again(receipt.instance, self._now())
        except DeliveryDeferred as deferred:
            result = deferred.code
            self._defer(receipt, deferred)
        except Hold as hold:
            result = hold.code
            self._hold(receipt, hold.code, hold.sentence)
        except (LinkDown, DestinationPaused) as error:
            result = error.code
            raise
        finally:
            self._metrics.attempts.labels(self.name, result).inc()
            self._metrics.wasted_bytes.labels(self.name).inc(handed)
            self._metrics.step_seconds.labels("send").observe(time.monotonic() - begun)

    def _defer(self, receipt: Receipt, deferred: DeliveryDeferred) -> None:
        tries = receipt.attempts + 1
        if deferred.code is Code.DESTINATION_ANSWER_UNCLEAR and tries >= MOST_TRIES:
            self._hold(receipt, Code.DESTINATION_REFUSED, deferred.sentence)
            return
        wait = max(backoff.delay_s(tries, self._draw()), deferred.retry_after_s or 0.0)
        self._journal.send_again(receipt, deferred.code, self._now() + wait, counts=True)
        _log.warning(
            "an instance is put off: %s",
            deferred.sentence,
            extra={
                "action": "send",
                "study": receipt.alias,
                "destination": self.name,
                "code": deferred.code,
                "attempt": tries,
            },
        )

    def _hold(self, receipt: Receipt, code: Code, detail: str) -> None:
        self._journal.hold(receipt.instance, code, f"{self.name}: {detail}", self._now())
        self._metrics.holds.labels(code).inc()
        _log.warning(
            "an instance is held: %s",
            detail,
            extra={
                "action": "hold",
                "study": receipt.alias,
                "destination": self.name,
                "code": code,
            },
        )
        self._settle(receipt.study, receipt.alias)

    # --- reading back -------------------------------------------------------------------------

    def _verify_sent(self) -> int:
        sent = self._journal.to_verify(self.name, self._now(), _BATCH * 4)
        arrived = self._read_back(sent)
        for receipt in sent:
            if receipt.instance not in arrived:
                self._not_there(receipt)
        return len(sent)

    def _read_back(self, receipts: Sequence[Receipt]) -> set[str]:
        """Asks the destination for instances; those that are decided (verified or held)."""
        decided: set[str] = set()
        by_study: dict[str, list[Receipt]] = defaultdict(list)
        for receipt in receipts:
            by_study[receipt.copy.study_uid].append(receipt)
        for members in by_study.values():
            answer = self._destination.verify([receipt.copy for receipt in members])
            for receipt in members:
                by = answer.verified.get(receipt.copy.sop_uid)
                if by is not None:
                    self._journal.verified(receipt, by, self._now())
                    self._metrics.verified.labels(self.name, by).inc()
                    decided.add(receipt.instance)
                elif receipt.copy.sop_uid in answer.different:
                    self._hold(receipt, Code.STORED_BYTES_DIFFER, "read back")
                    decided.add(receipt.instance)
            for study, alias in {(receipt.study, receipt.alias) for receipt in members}:
                self._settle(study, alias)
        return decided

    def _not_there(self, receipt: Receipt) -> None:
        """The destination said that it stored it, and does not hold it."""
        tries = receipt.attempts + 1
        if tries >= MOST_TRIES:
            self._hold(receipt, Code.NOT_FOUND_AFTER_SENDING, f"{tries} tries")
            return
        wait = backoff.delay_s(tries, self._draw())
        self._journal.send_again(
            receipt, Code.NOT_FOUND_AFTER_SENDING, self._now() + wait, counts=True
        )

    def _settle(self, study: str, alias: str) -> None:
        outcome = self._journal.settle(study, self._now())
        if outcome is not None:
            _log.info("ANALYSED %s", outcome, extra={"action": "move", "study": alias})


def _check_digest(receipt: Receipt, body: Body) -> None:
    if part10.digest(body.view) != receipt.copy.digest:
        raise Hold(Code.COPY_DIFFERS, "the stored copy has changed")
