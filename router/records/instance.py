"""An instance on the truck. What destinations do to it is the table of ``router.records.receipt``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.records.copies import Copy
    from router.records.holds import HoldRecord


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
