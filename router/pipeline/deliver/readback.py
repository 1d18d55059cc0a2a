"""Reading back: what a destination verifiably holds of what it was sent, or may have been."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from router.pipeline.deliver.outcomes import MOST_TRIES
from router.pipeline.one_item import one_item
from router.records import backoff
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    EdgeRouterError,
    JournalError,
    LinkDown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.destinations import Destination
    from router.destinations.base import ReadBack
    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.pipeline.deliver.outcomes import DeliveryOutcomes
    from router.records.receipt import Receipt

_MOST = 256
#: How long a destination may take to list what it has stored, and how often it is asked.
_INDEXING_S = 900.0
_log = logging.getLogger(__name__)
_FIRST_AGAIN_S, _ASK_AGAIN_S = 1.0, 60.0
#: Where it asks to be left alone.
_LONGEST_RETRY_AFTER_S = backoff.LONGEST_RETRY_AFTER_S


class Reader:
    """Asks one destination. Its methods may run in several threads."""

    def __init__(
        self,
        destination: Destination,
        journal: Journal,
        metrics: Metrics,
        outcomes: DeliveryOutcomes,
        now: Callable[[], float],
    ) -> None:
        self._destination = destination
        self._journal = journal
        self._metrics = metrics
        self._outcomes = outcomes
        self._now = now
        #: Questions in a row that were not answered; threads that count at once do no harm.
        self._unanswered = 0

    def due(self) -> list[Receipt]:
        """What was sent and is to be asked for."""
        return self._journal.outbox.to_verify(self._destination.name, self._now(), _MOST)

    def verify(self, sent: Sequence[Receipt]) -> None:
        """Asks for what was sent. Raises LinkDown, DestinationPaused, JournalError."""
        settled = self.read_back(sent)
        for receipt in sent:
            if receipt.instance not in settled:
                self._not_there(receipt)

    def read_back(self, receipts: Sequence[Receipt]) -> set[str]:
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
                answer = self._asked(members)
            except DeliveryDeferred as deferred:
                self._unanswered += 1
                wait = backoff.delay_s(
                    self._unanswered, 1.0, first_s=_FIRST_AGAIN_S, longest_s=_ASK_AGAIN_S
                )
                wait = max(wait, min(deferred.retry_after_s or 0.0, _LONGEST_RETRY_AFTER_S))
                for receipt in members:
                    self._outcomes.put_off(receipt, deferred, wait, counts=False)
                settled |= {receipt.instance for receipt in members}
                continue
            self._unanswered = 0
            settled |= self._take(members, answer)
            for study, alias in {(receipt.study, receipt.alias) for receipt in members}:
                self._outcomes.settle(study, alias)
        return settled

    def _asked(self, members: Sequence[Receipt]) -> ReadBack:
        """The answer about instances of one study.

        Raises DeliveryDeferred where this question failed, in whatever way; LinkDown,
        DestinationPaused, JournalError where it says nothing of the study.
        """
        try:
            with one_item("deliver"):
                return self._destination.verify([receipt.copy for receipt in members])
        except (DeliveryDeferred, LinkDown, DestinationPaused, JournalError):
            raise
        except EdgeRouterError as error:
            raise DeliveryDeferred(error.code, error.sentence) from None

    def _take(self, members: Sequence[Receipt], answer: ReadBack) -> set[str]:
        """Writes down what the destination's answer decides; the instances of these."""
        found = [(r, answer.verified[r.copy.sop_uid]) for r in members
                 if r.copy.sop_uid in answer.verified]  # fmt: skip
        self._journal.receipts.all_verified(found, self._now())
        now = self._now()
        for receipt, by in found:
            self._metrics.verified.labels(self._destination.name, by).inc()
            waited = max(0.0, now - receipt.received_at)
            self._metrics.delivery_seconds.labels(self._destination.name).observe(waited)
        different = [r for r in members if r.copy.sop_uid in answer.different]
        for receipt in different:
            self._outcomes.hold(receipt, Code.STORED_BYTES_DIFFER, "read back")
        return {receipt.instance for receipt in (*different, *(r for r, _ in found))}

    def _not_there(self, receipt: Receipt) -> None:
        """The destination said that it stored it, and does not list it.

        Many index minutes later: so the question is repeated, and only then the image.
        """
        age = self._now() - (receipt.sent_at or 0.0)
        missing = DeliveryDeferred(Code.NOT_FOUND_AFTER_SENDING, f"not there after {age:.0f} s")
        if 0 <= age < _INDEXING_S:
            wait = min(max(age, 1.0), _ASK_AGAIN_S)
            self._outcomes.put_off(receipt, missing, wait, counts=False)
        elif receipt.attempts + 1 >= MOST_TRIES:
            tries = receipt.attempts + 1
            self._outcomes.hold(receipt, Code.NOT_FOUND_AFTER_SENDING, f"{tries} tries")
        else:
            self._journal.receipts.send_again(receipt, missing.code, self._now())
