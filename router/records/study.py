"""The life of a study: its record, and the table that says what may follow what.

The table is the product. Read it from top to bottom: what is not in it cannot happen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from router.records.errors import IllegalTransition


class State(StrEnum):
    """How far a study has come."""

    RECEIVED = "RECEIVED"  # on the truck, identified
    ANONYMIZED = (
        "ANONYMIZED"  # every instance has a copy that passed the gate, and is sent; or held
    )
    ANALYSED = "ANALYSED"  # its captures are made and sent too, or left out
    DELIVERED = "DELIVERED"  # each receipt is verified, held or discarded, and one is verified
    PURGED = "PURGED"  # the verified images have left the truck; the receipts stay
    HELD = "HELD"  # no instance of it can go on; a person decides
    DISCARDED = "DISCARDED"  # a person has decided that nothing of it will be sent


class Outcome(StrEnum):
    """What happened to a study."""

    DONE = "DONE"  # the step did all it had to
    SKIP = "SKIP"  # the analysis could not be made: the images go on without it
    ALL_HELD = "ALL_HELD"  # no instance is left that could go on
    GREW = "GREW"  # the scanner sent more of it
    RELEASE = "RELEASE"  # a person sent held instances back to the start
    DISCARD = "DISCARD"  # a person gave up what was left of it
    PURGE = "PURGE"  # the space was needed


TABLE: dict[tuple[State, Outcome], State] = {
    (State.RECEIVED, Outcome.DONE): State.ANONYMIZED,
    (State.RECEIVED, Outcome.ALL_HELD): State.HELD,
    (State.RECEIVED, Outcome.GREW): State.RECEIVED,
    (State.RECEIVED, Outcome.RELEASE): State.RECEIVED,
    (State.RECEIVED, Outcome.DISCARD): State.DISCARDED,
    (State.ANONYMIZED, Outcome.DONE): State.ANALYSED,
    (State.ANONYMIZED, Outcome.SKIP): State.ANALYSED,
    (State.ANONYMIZED, Outcome.GREW): State.RECEIVED,
    (State.ANONYMIZED, Outcome.RELEASE): State.RECEIVED,
    (State.ANONYMIZED, Outcome.DISCARD): State.DISCARDED,
    (State.ANALYSED, Outcome.DONE): State.DELIVERED,
    (State.ANALYSED, Outcome.ALL_HELD): State.HELD,
    (State.ANALYSED, Outcome.GREW): State.RECEIVED,
    (State.ANALYSED, Outcome.RELEASE): State.RECEIVED,
    (State.ANALYSED, Outcome.DISCARD): State.DISCARDED,
    (State.DELIVERED, Outcome.GREW): State.RECEIVED,
    (State.DELIVERED, Outcome.RELEASE): State.RECEIVED,
    (State.DELIVERED, Outcome.PURGE): State.PURGED,
    (State.PURGED, Outcome.GREW): State.RECEIVED,
    (State.PURGED, Outcome.RELEASE): State.RECEIVED,
    (State.HELD, Outcome.GREW): State.RECEIVED,
    (State.HELD, Outcome.RELEASE): State.RECEIVED,
    (State.HELD, Outcome.DISCARD): State.DISCARDED,
    (State.DISCARDED, Outcome.GREW): State.RECEIVED,
    (State.DISCARDED, Outcome.PURGE): State.PURGED,
}


def advance(state: State, outcome: Outcome) -> State:
    """The state that follows. Raises IllegalTransition for what is not in the table."""
    try:
        return TABLE[state, outcome]
    except KeyError:
        message = f"{outcome} is not possible in {state}"
        raise IllegalTransition(message) from None


def rest(*, sendable: bool, held: bool) -> Outcome:
    """Outcome of a study once every instance is decided."""
    if sendable:
        return Outcome.DONE
    return Outcome.ALL_HELD if held else Outcome.DISCARD


class Priority(IntEnum):
    """How urgent a study is. It orders the transport, and nothing else."""

    LOW = -1
    NORMAL = 0
    HIGH = 1
    URGENT = 2


#: Seconds that one step of priority is worth: a study that has waited so much longer goes first,
#: so that a day full of urgent ones starves nobody. Longer than an outage is planned for.
HEAD_START_S = 3 * 86400.0


@dataclass(frozen=True)
class Study:
    """A study as the journal knows it. Times are UTC, in seconds since 1970."""

    #: Orthanc's id of the identified study; stays on the truck.
    orthanc_id: str
    #: Twelve hexadecimal digits that stand for the study in logs: keyed, tells nothing.
    alias: str
    state: State
    #: Grows by one with each GREW; a step of an older generation may not move the study.
    generation: int
    #: Failed tries of the present step.
    attempts: int
    #: When the next step may be tried; ``None`` while the scanner is still sending.
    due_at: float | None
    #: Why the present step is being retried; ``None``: it is not.
    last_code: str | None
    #: Which key and profile its pseudonyms and copies are made with, from its first intake on.
    key_id: str
    profile_id: str
    received_at: float
    changed_at: float
    priority: int = Priority.NORMAL
