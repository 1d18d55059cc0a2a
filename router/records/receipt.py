"""The life of a receipt: of one instance at one destination. What is not in the table cannot happen.

What happens to an instance before it is sent is the table of ``router.records.instance``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from router.records.errors import IllegalTransition

if TYPE_CHECKING:
    from collections.abc import Collection

    from router.records.copies import Copy
    from router.records.holds import HoldRecord


class ReceiptState(StrEnum):
    """What is known of an instance at a destination."""

    WAITING = "WAITING"  # nothing of it was sent: it goes when its turn comes
    UNCERTAIN = "UNCERTAIN"  # the destination may hold it, and is asked before it is sent again
    SENT = "SENT"  # the destination said that it stored it; not yet delivery
    VERIFIED = "VERIFIED"  # read back: the destination holds it
    HELD = "HELD"  # it cannot go on here; a person decides
    DISCARDED = "DISCARDED"  # a person has decided that it will not be sent here


class ReceiptOutcome(StrEnum):
    """What happened to an instance at a destination."""

    BEGUN = "BEGUN"  # the first byte of a try is about to be sent
    NOT_SENT = "NOT_SENT"  # … and was not: the try ended before
    ACCEPTED = "ACCEPTED"  # the destination said that it stored it
    VERIFIED = "VERIFIED"  # the destination was asked, and holds it
    MISSING = "MISSING"  # it was accepted, and is not there long after
    OTHER_SYNTAX = "OTHER_SYNTAX"  # its transfer syntax is not taken: it is sent in another one
    REFUSED = "REFUSED"  # this destination will not take it, or holds something else
    RELEASED = "RELEASED"  # a person lets it try again
    DISCARDED = "DISCARDED"  # a person gave it up at this destination
    REPLACED = "REPLACED"  # a corrected study takes the place of its own


RECEIPT_TABLE: dict[tuple[ReceiptState, ReceiptOutcome], ReceiptState] = {
    (ReceiptState.WAITING, ReceiptOutcome.BEGUN): ReceiptState.UNCERTAIN,
    (ReceiptState.WAITING, ReceiptOutcome.REFUSED): ReceiptState.HELD,
    (ReceiptState.WAITING, ReceiptOutcome.REPLACED): ReceiptState.DISCARDED,
    (ReceiptState.UNCERTAIN, ReceiptOutcome.BEGUN): ReceiptState.UNCERTAIN,
    (ReceiptState.UNCERTAIN, ReceiptOutcome.NOT_SENT): ReceiptState.WAITING,
    (ReceiptState.UNCERTAIN, ReceiptOutcome.ACCEPTED): ReceiptState.SENT,
    (ReceiptState.UNCERTAIN, ReceiptOutcome.VERIFIED): ReceiptState.VERIFIED,
    (ReceiptState.UNCERTAIN, ReceiptOutcome.OTHER_SYNTAX): ReceiptState.WAITING,
    (ReceiptState.UNCERTAIN, ReceiptOutcome.REFUSED): ReceiptState.HELD,
    (ReceiptState.SENT, ReceiptOutcome.VERIFIED): ReceiptState.VERIFIED,
    (ReceiptState.SENT, ReceiptOutcome.MISSING): ReceiptState.WAITING,
    (ReceiptState.SENT, ReceiptOutcome.REFUSED): ReceiptState.HELD,
    (ReceiptState.HELD, ReceiptOutcome.RELEASED): ReceiptState.UNCERTAIN,
    (ReceiptState.HELD, ReceiptOutcome.DISCARDED): ReceiptState.DISCARDED,
    (ReceiptState.HELD, ReceiptOutcome.REPLACED): ReceiptState.DISCARDED,
}

#: The router still has something to do about it by itself.
OPEN = (ReceiptState.WAITING, ReceiptState.UNCERTAIN, ReceiptState.SENT)
#: Nothing more will happen to it.
FINAL = (ReceiptState.VERIFIED, ReceiptState.DISCARDED)


def advance_receipt(state: ReceiptState, outcome: ReceiptOutcome) -> ReceiptState:
    """The state that follows. Raises IllegalTransition for what is not in the table."""
    try:
        return RECEIPT_TABLE[state, outcome]
    except KeyError:
        message = f"{outcome} is not possible for a receipt that is {state}"
        raise IllegalTransition(message) from None


def is_delivered(states: Collection[ReceiptState]) -> bool:
    """Whether an instance with receipts in these states has arrived, and nothing of it is open."""
    return ReceiptState.VERIFIED in states and all(state in FINAL for state in states)


def is_given_up(states: Collection[ReceiptState]) -> bool:
    """Whether a person gave an instance up at each of its destinations."""
    return bool(states) and all(state is ReceiptState.DISCARDED for state in states)


class VerifiedBy(StrEnum):
    """How it is known that a destination holds an instance."""

    DIGEST = "DIGEST"  # the destination reports the digest of the very bytes that were sent
    COMMITMENT = "COMMITMENT"  # the destination answered a storage commitment
    PRESENCE = "PRESENCE"  # the destination lists the instance


@dataclass(frozen=True)
class Receipt:
    """What is known of one instance at one destination. Times are UTC, in seconds since 1970."""

    instance: str
    study: str
    alias: str
    destination: str
    copy: Copy
    #: When the truck got the image, or the router made the capture.
    received_at: float
    #: Tries that the destination answered with a refusal of this very instance.
    attempts: int
    due_at: float
    #: When the first byte of a try was sent; from then on the destination may hold it.
    begun_at: float | None
    #: When the destination said that it stored it. Not yet delivery.
    sent_at: float | None
    verified_at: float | None
    verified_by: VerifiedBy | None
    last_code: str | None
    #: How often the link broke in the middle of it since it last went through.
    breaks: int
    #: The transfer syntax that the destination gets instead of the copy's; ``None``: the copy's.
    #: ``copy`` has the digests and the size of what it gets.
    syntax: str | None = None
    state: ReceiptState = ReceiptState.WAITING
    #: Why it does not go on at this destination; there exactly while it is HELD.
    hold: HoldRecord | None = None
