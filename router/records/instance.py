"""The life of an instance on the truck. What is not in the table cannot happen.

What destinations do to it is the table of ``router.records.receipt``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from router.records.errors import IllegalTransition

if TYPE_CHECKING:
    from router.records.copies import Copy
    from router.records.holds import HoldRecord


class Stage(StrEnum):
    """How far one instance has come on the truck."""

    RECEIVED = "RECEIVED"  # it has no copy that may be sent (yet)
    ANONYMIZED = (
        "ANONYMIZED"  # a copy that passed the gate is stored; the receipts say what follows
    )
    HELD = "HELD"  # it goes to no destination; a person decides
    DISCARDED = "DISCARDED"  # nothing more of it is sent


class Event(StrEnum):
    """What happened to an instance."""

    COPIED = "COPIED"  # its copy passed the gate, is stored and was read back
    HOLD = "HOLD"  # it must not go on
    RELEASE = "RELEASE"  # a person lets it try again, or what it was held for has gone
    DISCARD = "DISCARD"  # a person gave it up
    COPY_GONE = "COPY_GONE"  # the truck holds its copy no longer
    SUPERSEDED = "SUPERSEDED"  # a capture that is gone and was never sent: a new one is made
    REPLACED = "REPLACED"  # a corrected study takes the place of its own
    CAME_AGAIN = "CAME_AGAIN"  # the scanner sent another image in the place of a discarded one


INSTANCE_TABLE: dict[tuple[Stage, Event], Stage] = {
    (Stage.RECEIVED, Event.COPIED): Stage.ANONYMIZED,
    (Stage.RECEIVED, Event.HOLD): Stage.HELD,
    (Stage.RECEIVED, Event.COPY_GONE): Stage.RECEIVED,
    (Stage.RECEIVED, Event.SUPERSEDED): Stage.DISCARDED,
    (Stage.RECEIVED, Event.REPLACED): Stage.DISCARDED,
    # A capture is made again when the router stopped before it wrote that it was made.
    (Stage.ANONYMIZED, Event.COPIED): Stage.ANONYMIZED,
    (Stage.ANONYMIZED, Event.HOLD): Stage.HELD,
    (Stage.ANONYMIZED, Event.COPY_GONE): Stage.RECEIVED,
    (Stage.ANONYMIZED, Event.SUPERSEDED): Stage.ANONYMIZED,
    (Stage.ANONYMIZED, Event.REPLACED): Stage.DISCARDED,
    # What a loop finds out after somebody has decided changes nothing.
    (Stage.HELD, Event.COPIED): Stage.HELD,
    (Stage.HELD, Event.HOLD): Stage.HELD,
    (Stage.HELD, Event.COPY_GONE): Stage.HELD,
    (Stage.HELD, Event.SUPERSEDED): Stage.HELD,
    (Stage.HELD, Event.RELEASE): Stage.RECEIVED,
    (Stage.HELD, Event.DISCARD): Stage.DISCARDED,
    (Stage.HELD, Event.REPLACED): Stage.DISCARDED,
    (Stage.DISCARDED, Event.COPIED): Stage.DISCARDED,
    (Stage.DISCARDED, Event.HOLD): Stage.DISCARDED,
    (Stage.DISCARDED, Event.COPY_GONE): Stage.DISCARDED,
    (Stage.DISCARDED, Event.SUPERSEDED): Stage.DISCARDED,
    (Stage.DISCARDED, Event.CAME_AGAIN): Stage.RECEIVED,
}

#: The router does nothing more by itself about the instance: the receipts go on, or nothing does.
FINAL = (Stage.ANONYMIZED, Stage.DISCARDED)


def advance_instance(stage: Stage, event: Event) -> Stage:
    """The stage that follows. Raises IllegalTransition for what is not in the table."""
    try:
        return INSTANCE_TABLE[stage, event]
    except KeyError:
        message = f"{event} is not possible for an instance that is {stage}"
        raise IllegalTransition(message) from None


class Role(StrEnum):
    """Where an instance comes from."""

    SOURCE = "SOURCE"  # the scanner sent it
    CAPTURE = "CAPTURE"  # the router made it
    NOTE = "NOTE"  # the router made it: an archive is told to reject images of the study
    #: The scanner sent it under the SOP Instance UID of another one, which Orthanc has kept instead.
    REPEATED = "REPEATED"


#: Where the life of an instance begins.
ENTRY: dict[Role, Stage] = {
    Role.SOURCE: Stage.RECEIVED,
    Role.CAPTURE: Stage.RECEIVED,
    Role.NOTE: Stage.RECEIVED,
    Role.REPEATED: Stage.HELD,
}

#: The ``analysis`` of an instance that a capture was made of.
CAPTURED = "CAPTURED"
#: … of one whose capture was made and has gone from the truck: it is made again, of this one.
CAPTURE_GONE = "CAPTURE_GONE"


@dataclass(frozen=True)
class Arrival:
    """An instance that Orthanc holds and the journal does not know yet."""

    instance: str
    study: str
    #: Of the HTTP user, or the calling AE title: where it came from.
    origin: str


@dataclass(frozen=True)
class Instance:
    """An instance as the journal knows it."""

    orthanc_id: str
    study: str
    role: Role
    stage: Stage
    #: Failed tries to anonymize it.
    attempts: int
    copy: Copy | None
    #: ``None`` until decided; then CAPTURED or the code that says why there is no capture.
    analysis: str | None
    hold: HoldRecord | None
    #: The policy that a person released it under; empty: the shipped rules.
    policy: str
    #: Of the HTTP user, or the calling AE title: where it came from.
    origin: str = ""
    original_digest: str | None = None
    #: When its files left the truck; ``None``: they are there.
    purged_at: float | None = None
    #: How often a step died of it.
    crashes: int = 0
