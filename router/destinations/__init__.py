"""Where studies go. To add a kind: write a settings type and a class with this contract in a file
of its own, and name it in KINDS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from router.destinations.stow import Stow, StowSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.destinations.base import Outgoing, ReadBack, Stored
    from router.study import Copy


class Destination(Protocol):
    """The contract. Every method may be called from one thread at a time."""

    name: str
    #: How far our clock was ahead when it last answered, in seconds; ``None``: it cannot tell.
    clock_offset_s: float | None

    def probe(self) -> None:
        """Asks cheaply whether the destination is there. Raises LinkDown, DestinationPaused."""

    def send(self, outgoing: Outgoing) -> Stored:
        """Sends one instance.

        Returns what the destination said of it. Raises LinkDown, DestinationPaused,
        DeliveryDeferred (later, this instance) or Hold (never, this instance).
        """

    def verify(self, copies: Sequence[Copy]) -> ReadBack:
        """Which of the copies (of one study, at least one) the destination holds.

        Raises LinkDown, DestinationPaused, DeliveryDeferred.
        """

    def close(self) -> None: ...


@dataclass(frozen=True)
class Kind:
    """A kind of destination: its settings and what makes it of them."""

    settings: type[StowSettings]
    make: type[Stow]


KINDS: dict[str, Kind] = {"stow": Kind(StowSettings, Stow)}
