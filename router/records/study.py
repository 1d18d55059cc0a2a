"""The life of a study: its records, and the table that says what may follow what.

The table is the product. Read it from top to bottom: what is not in it cannot happen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from router.records.errors import Code, IllegalTransition
from router.records.receipt import ReceiptState


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
    """What a study comes to whose instances are all decided."""
    if sendable:
        return Outcome.DONE
    return Outcome.ALL_HELD if held else Outcome.DISCARD


class Stage(StrEnum):
    """How far one instance has come. Progress beyond ANONYMIZED, and holds, are in its receipts."""

    RECEIVED = "RECEIVED"
    ANONYMIZED = "ANONYMIZED"  # a copy that passed the gate is stored on the truck
    HELD = "HELD"
    DISCARDED = "DISCARDED"


class Role(StrEnum):
    """Where an instance comes from."""

    SOURCE = "SOURCE"  # the scanner sent it
    CAPTURE = "CAPTURE"  # the router made it
    NOTE = "NOTE"  # the router made it: an archive is told to reject images of the study
    #: The scanner sent it under the SOP Instance UID of another one, which Orthanc has kept instead.
    REPEATED = "REPEATED"


class Priority(IntEnum):
    """How urgent a study is. It orders the transport, and nothing else."""

    LOW = -1
    NORMAL = 0
    HIGH = 1
    URGENT = 2


#: Seconds that one step of priority is worth: a study that has waited so much longer goes first,
#: so that a day full of urgent ones starves nobody. Longer than an outage is planned for.
HEAD_START_S = 3 * 86400.0


class Rank(IntEnum):
    """The order inside a study."""

    CAPTURE = 0
    PREVIEW = 1  # one image, to be looked at while the others are on their way
    PRESENTATION = 2
    PROCESSING = 3  # for other machines; nobody reads them


class VerifiedBy(StrEnum):
    """How it is known that a destination holds an instance."""

    DIGEST = "DIGEST"  # the destination reports the digest of the very bytes that were sent
    COMMITMENT = "COMMITMENT"  # the destination answered a storage commitment
    PRESENCE = "PRESENCE"  # the destination lists the instance


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


@dataclass(frozen=True)
class Route:
    """What the routing rules decided of one instance, by the header that the scanner sent."""

    #: The name of the rule that took it.
    rule: str
    #: Names; ``None``: every destination, also one that is added later.
    destinations: tuple[str, ...] | None
    priority: Priority
    #: The de-identification policy that it goes under.
    policy: str
    #: Names of the analyses that captures are made by; ``None``: every one.
    analyses: tuple[str, ...] | None


@dataclass(frozen=True)
class Original:
    """What the scanner sent."""

    rank: Rank
    #: SHA-256 of its data set without group 0002, hexadecimal.
    digest: str
    #: Bytes of the whole file.
    size: int


@dataclass(frozen=True)
class Arrival:
    """An instance that Orthanc holds and the journal does not know yet."""

    instance: str
    study: str
    #: Of the HTTP user, or the calling AE title: where it came from.
    origin: str


@dataclass(frozen=True)
class Copy:
    """The anonymized copy of an instance (or a capture), stored in the truck's Orthanc.

    It is what will be sent, byte for byte.
    """

    #: Orthanc's id of the copy: SHA-1 of its pseudonymous identifiers.
    orthanc_id: str
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    modality: str
    transfer_syntax: str
    #: None where the object has none.
    instance_number: int | None
    #: SHA-256 of the data set without group 0002, hexadecimal.
    digest: str
    #: MD5 of the whole file, hexadecimal, as Orthanc reports it.
    md5: str
    #: Bytes of the whole file.
    size: int


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


@dataclass(frozen=True)
class HoldRecord:
    """Why an instance stays on the truck, or does not go to one destination."""

    code: Code
    #: What a person needs besides the code; never a value of an identifying attribute.
    detail: str
    since: float


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


#: The ``analysis`` of an instance that a capture was made of.
CAPTURED = "CAPTURED"
#: … of one whose capture was made and has gone from the truck: it is made again, of this one.
CAPTURE_GONE = "CAPTURE_GONE"
#: SOP classes of images that are meant for machines; the same images come FOR PRESENTATION.
FOR_PROCESSING = (
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray
    "1.2.840.10008.5.1.4.1.1.1.2.1",  # Digital Mammography X-Ray
    "1.2.840.10008.5.1.4.1.1.1.3.1",  # Digital Intra-Oral X-Ray
    "1.2.840.10008.5.1.4.1.1.13.1.5",  # Breast Projection X-Ray
)
