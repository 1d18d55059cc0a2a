"""Decides what a refusal is about: the answer's class says it first, and then what others met.

An answer about everything (503, 401, A700 …) pauses the destination and costs the image nothing. If
the same image meets it again after others went through, it is about the image. An answer about the
image that may mend (400, 0110, C000 …) costs it one of its tries. If every other image meets such
answers too, and none goes through, it is about the destination.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.pipeline.deliver.outcomes import MANY_BREAKS
from router.records.errors import Code, DeliveryDeferred, StoreRefused

if TYPE_CHECKING:
    from router.pipeline.deliver.acceptance import Acceptance
    from router.pipeline.deliver.outcomes import DeliveryOutcomes
    from router.records.errors import EdgeRouterError, LinkDown
    from router.records.receipt import Receipt

#: What a receipt's last code is after the destination answered with a refusal that is not final.
_ANSWERED = frozenset(
    {
        Code.DESTINATION_ANSWER_UNCLEAR,
        Code.DESTINATION_BUSY,
        Code.DESTINATION_FULL,
        Code.DESTINATION_DENIED,
        Code.DESTINATION_REFUSES_ALL,
        Code.ENDPOINT_WRONG,
    }
)


class Refusals:
    """Of one destination. Thread-safe."""

    def __init__(self, outcomes: DeliveryOutcomes, acceptance: Acceptance) -> None:
        self._outcomes = outcomes
        self._acceptance = acceptance

    def take(self, receipt: Receipt, error: EdgeRouterError) -> StoreRefused | None:
        """Writes a refusal of one instance down; what pauses the destination, or ``None``."""
        if isinstance(error, StoreRefused) and not self._is_its_own(receipt):
            self._acceptance.stopped_with(receipt)
            self._outcomes.broke_off(receipt, error.code)
            return error
        if isinstance(error, StoreRefused | DeliveryDeferred) and error.code in _ANSWERED:
            return self._may_mend(receipt, error)
        self._outcomes.failed(receipt, error)
        return None

    def link_broke(self, receipt: Receipt, error: LinkDown) -> None:
        """The link broke off in the middle of its body.

        Once or twice says nothing. Where it always does, and others went through since the last
        time, something on the way does not bear this body.
        """
        then = receipt.begun_at
        if receipt.breaks >= MANY_BREAKS and then and self._acceptance.took_since(then):
            self._outcomes.may_mend(receipt, error, counts=True)
        else:
            self._acceptance.stopped_with(receipt)
            self._outcomes.broke_off(receipt, error.code)

    def pauses(self, receipt: Receipt, error: object) -> bool:
        """Whether ``take`` would say at once that it is about every image."""
        return isinstance(error, StoreRefused) and not self._is_its_own(receipt)

    def _is_its_own(self, receipt: Receipt) -> bool:
        """Whether it was refused before, and others were taken after that."""
        if receipt.last_code not in _ANSWERED or receipt.begun_at is None:
            return False
        return receipt.attempts > 0 or self._acceptance.took_since(receipt.begun_at)

    def _may_mend(
        self, receipt: Receipt, error: StoreRefused | DeliveryDeferred
    ) -> StoreRefused | None:
        self._acceptance.refused(receipt)
        refuses_all = self._acceptance.refuses_all
        self._outcomes.may_mend(
            receipt, error, counts=not refuses_all, retry_after_s=error.retry_after_s
        )
        if not refuses_all:
            return None
        return StoreRefused(Code.DESTINATION_REFUSES_ALL, error.sentence, error.retry_after_s)
