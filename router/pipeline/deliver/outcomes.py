"""What becomes of an instance after a try: sent, put off, sent another way, made again, or held."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.records import backoff
from router.records.errors import (
    Code,
    DeliveryDeferred,
    EdgeRouterError,
    Hold,
    OrthancError,
    ResourceMissing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.records.receipt import Receipt

#: Refusals of one instance after which a person decides.
MOST_TRIES = 3
_NO_ROOM_S = 30.0
#: A body that keeps breaking off is tried again at least this often; and from so many times on.
_LONGEST_BREAK_S = 60.0
MANY_BREAKS = 10
#: What is wrong with what would be sent, whoever would get it.
_OF_THE_COPY = frozenset({Code.COPY_DIFFERS})

_log = logging.getLogger(__name__)


class DeliveryOutcomes:
    """Writes into the journal what a try came to. Thread-safe."""

    def __init__(
        self,
        destination: str,
        journal: Journal,
        metrics: Metrics,
        now: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self.destination = destination
        self._journal = journal
        self._metrics = metrics
        self._now = now
        self._draw = draw

    def warn(self, text: str, error: EdgeRouterError, receipt: Receipt | None = None) -> None:
        """Logs ``text`` with the error's sentence, and the study of the receipt."""
        extra = {"action": "deliver", "destination": self.destination, "code": error.code}
        if receipt is not None:
            extra |= {"study": receipt.alias}
        _log.warning(text, error.sentence, extra=extra)

    def attempted(self, result: str) -> None:
        """Counts a try by what it came to."""
        self._metrics.attempted(self.destination, result)

    def begin_sending(self, receipts: Sequence[Receipt]) -> None:
        """Notes, before the first byte, that the destination may hold the instances."""
        self._journal.receipts.begin_sending(receipts, self._now())

    def not_sent(self, receipts: Sequence[Receipt]) -> None:
        """Notes that a try ended before the first byte: if it was the first, nothing can be there."""
        self._journal.receipts.not_sent(receipts)

    def sent(self, receipts: Sequence[Receipt]) -> None:
        """Notes that the destination says it stored the instances; they are still to be read back."""
        self._journal.receipts.sent(receipts, self._now())
        size = sum(receipt.copy.size for receipt in receipts)
        self._metrics.sent_bytes.labels(self.destination).inc(size)

    def send_plain(self, receipt: Receipt, error: EdgeRouterError) -> None:
        """Sends it uncompressed the next time: its transfer syntax was refused."""
        self._journal.receipts.plain_next(receipt, error.code, self._now())
        self.warn("it is sent uncompressed: %s", error, receipt)

    def broke_off(self, receipt: Receipt, code: Code) -> None:
        """Puts off an instance whose link broke in the middle of its body: others go first.

        Perhaps it is the body (too large for a proxy on the way) and not the link. It costs no
        attempts, and the wait stays short at first.
        """
        longest_s = _LONGEST_BREAK_S if receipt.breaks < MANY_BREAKS else backoff.LONGEST_S
        wait = backoff.delay_s(receipt.breaks + 1, self._draw(), longest_s=longest_s)
        self._journal.receipts.broke_off(receipt, code, self._now() + wait)

    def send_alone(self, receipt: Receipt, code: Code) -> None:
        """Sends it once more, in a body of its own: the answer to a shared one said nothing of it."""
        self._journal.receipts.broke_off(receipt, code, self._now())

    def failed(self, receipt: Receipt, error: EdgeRouterError) -> None:
        """Counts a failure of this instance: it is tried again later, made again, or held."""
        if isinstance(error, Hold):
            self.hold(receipt, error.code, error.sentence)
            return
        tries = receipt.attempts + 1
        if isinstance(error, ResourceMissing) or (
            isinstance(error, OrthancError) and tries == MOST_TRIES
        ):
            self._journal.copies.make_again(receipt.instance, self._now())
        elif isinstance(error, OrthancError) and tries > 2 * MOST_TRIES:
            self.hold(receipt, Code.COPY_DIFFERS, "the truck cannot read its copy")
            return
        elif error.code is Code.UNEXPECTED and tries >= MOST_TRIES:
            self.hold(receipt, Code.UNEXPECTED, error.sentence)
            return
        self.put_off(receipt, error, backoff.delay_s(tries, self._draw()), counts=True)

    def may_mend(
        self,
        receipt: Receipt,
        error: EdgeRouterError,
        *,
        counts: bool,
        retry_after_s: float | None = None,
    ) -> None:
        """Puts off a refused instance by about an hour; after three tries that count it is held.

        ``counts``: the destination took other images meanwhile, so the refusal is about this one.
        ``retry_after_s``: what the destination asks for.
        """
        tries = receipt.attempts + 1
        if counts and tries >= MOST_TRIES:
            self.hold(receipt, Code.DESTINATION_REFUSED, f"{error.sentence}, {tries} times")
            return
        wait = backoff.mend_s(self._draw(), retry_after_s)
        self.put_off(receipt, error, wait, counts=counts)

    def no_room(self, receipt: Receipt, error: OSError) -> None:
        """Puts off an instance because the spool folder is full or gone."""
        shown = DeliveryDeferred(Code.SPOOL_UNUSABLE, f"the spool folder: {error.strerror}")
        self.put_off(receipt, shown, _NO_ROOM_S, counts=False)

    def put_off(
        self, receipt: Receipt, error: EdgeRouterError, wait_s: float, *, counts: bool
    ) -> None:
        """Tries an instance again after so many seconds; ``counts``: this was one of its tries."""
        self._journal.receipts.put_off(receipt, error.code, self._now() + wait_s, counts=counts)
        self.warn("an instance is put off: %s", error, receipt)

    def hold(self, receipt: Receipt, code: Code, detail: str) -> None:
        """Holds an instance for a person: at this destination, and the others still get it.

        Where it is the truck's own copy that cannot be sent, it goes nowhere.
        """
        if code in _OF_THE_COPY:
            self._journal.instances.hold(receipt.instance, code, detail, self._now())
        else:
            self._journal.receipts.hold(receipt, code, f"{self.destination}: {detail}", self._now())
        self._metrics.holds.labels(code).inc()
        self.warn("an instance is held: %s", Hold(code, detail), receipt)
        self.settle(receipt.study, receipt.alias)

    def settle(self, study: str, alias: str) -> None:
        """Moves the study, where this was the last that it waited for."""
        outcome = self._journal.studies.settle(study, self._now())
        if outcome is not None:
            _log.info("ANALYSED %s", outcome, extra={"action": "move", "study": alias})
