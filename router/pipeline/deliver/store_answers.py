"""What a destination answered to a request: written down for each instance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from router.dicom import lossless
from router.pipeline.deliver.refusals import Refusals
from router.records.errors import Code, EdgeRouterError, LinkDown, StoreRefused, SyntaxRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.destinations.base import Outgoing, Stored
    from router.pipeline.deliver.acceptance import Acceptance
    from router.pipeline.deliver.files import CopyFiles
    from router.pipeline.deliver.outcomes import DeliveryOutcomes
    from router.pipeline.deliver.send_slots import SendSlots
    from router.records.receipt import Receipt


class StoreAnswers:
    """Of one destination. Thread-safe."""

    def __init__(
        self,
        outcomes: DeliveryOutcomes,
        acceptance: Acceptance,
        slots: SendSlots,
        files: CopyFiles,
        now: Callable[[], float],
    ) -> None:
        self._outcomes = outcomes
        self._acceptance = acceptance
        self._refusals = Refusals(outcomes, acceptance)
        self._slots = slots
        self._files = files
        self._now = now

    def link_broke(self, receipts: Sequence[Receipt], error: LinkDown) -> None:
        """The link broke off in the middle of their body."""
        for receipt in receipts:
            self._refusals.link_broke(receipt, error)

    def take(
        self,
        outgoing: Mapping[str, tuple[Receipt, Outgoing]],
        answers: Mapping[str, Stored | EdgeRouterError],
    ) -> list[Receipt]:
        """Writes down what became of each; the receipts of what was accepted.

        Raises StoreRefused where the destination would answer every other image so, too;
        JournalError.
        """
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
                self._outcomes.attempted(answer)
                accepted.append(replace(receipt, copy=file.copy))
                continue
            self._outcomes.attempted(answer.code)
            if isinstance(answer, SyntaxRefused):
                self._refuse_syntax(receipt, file, answer)
            elif len(outgoing) > 1 and answer.code is Code.DESTINATION_ANSWER_UNCLEAR:
                self._outcomes.send_alone(receipt, answer.code)
            else:
                paused = self._refusals.take(receipt, answer) or paused
        self._outcomes.sent(accepted)
        if accepted:
            self._acceptance.took(self._now())
        elif paused is not None:
            self._slots.break_off()
            raise paused
        return accepted

    def _refuse_syntax(self, receipt: Receipt, file: Outgoing, error: SyntaxRefused) -> None:
        """Sends it uncompressed the next time, or holds what was uncompressed already."""
        if file.copy.transfer_syntax == lossless.PLAIN_SYNTAX:
            self._outcomes.hold(receipt, Code.DESTINATION_REFUSED, error.sentence)
            return
        self._files.refuses(file.copy)
        self._outcomes.send_plain(receipt, error)
