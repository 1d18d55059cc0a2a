"""What every kind of destination is handed, and answers with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from router.records.errors import DestinationPaused, EdgeRouterError, LinkDown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.records.copies import Copy
    from router.records.receipt import VerifiedBy

#: Bytes handed to the socket at a time. With one large body the connect timeout would bound the
#: whole upload (measured); in pieces each piece has its own time.
PIECE_BYTES = 32 * 1024


class DestinationSettings(BaseModel):
    """What every kind of destination can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[
        str,
        Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="Its name in status and metrics"),
    ]
    connect_timeout_s: Annotated[float, Field(gt=0, description="To open a connection")] = 10.0
    answer_timeout_s: Annotated[
        float, Field(gt=0, description="For each piece sent, and for the answer")
    ] = 60.0
    most_connections: Annotated[
        int, Field(ge=1, le=4, description="So many at once, if more of them carry more")
    ] = 4
    rate_bps: Annotated[
        float, Field(ge=0, description="Never send faster than this; 0: as fast as the link goes")
    ] = 0.0
    compressed: Annotated[
        bool,
        Field(
            description="Send JPEG-LS; where the destination refuses it, Explicit VR Little Endian "
            "is sent by itself"
        ),
    ] = True


@dataclass(frozen=True)
class Outgoing:
    """One file on its way."""

    copy: Copy
    view: memoryview
    #: Called with the number of bytes of each piece that was handed to the link.
    count: Callable[[int], None]


class Stored(StrEnum):
    """What a destination said of an instance that it took."""

    STORED = "STORED"
    DUPLICATE = "DUPLICATE"  # it says that it has it already: verify before believing
    COERCED = "COERCED"  # it changed attributes while storing; recorded, never sent again


@dataclass(frozen=True)
class ReadBack:
    """What a destination holds of some copies, by SOP Instance UID; the rest it does not hold."""

    verified: Mapping[str, VerifiedBy]
    #: Held, but with other bytes than were sent.
    different: frozenset[str] = frozenset()


class OneByOne(ABC):
    """Sends several instances one by one: for kinds that take one in a request."""

    #: So many instances one request may carry.
    most_together = 1
    #: They do not tell the time.
    clock_offset_s: float | None = None

    @abstractmethod
    def send(self, outgoing: Outgoing) -> Stored:
        """As of ``router.destinations.Destination``."""

    def send_together(self, outgoing: Sequence[Outgoing]) -> Mapping[str, Stored | EdgeRouterError]:
        """What became of each, by SOP Instance UID. Raises LinkDown, DestinationPaused."""
        answers: dict[str, Stored | EdgeRouterError] = {}
        for one in outgoing:
            try:
                answers[one.copy.sop_uid] = self.send(one)
            except (LinkDown, DestinationPaused):
                raise
            except EdgeRouterError as error:
                answers[one.copy.sop_uid] = error
        return answers
