"""Where studies go. To add a kind: write a settings type and a class with this contract in a file
of its own, and name them in ``OneSettings`` and in KINDS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias

from pydantic import Field

from router.destinations.connection_limit import ConnectionLimited
from router.destinations.dimse import Dimse, DimseSettings
from router.destinations.rate_cap import RateCapped
from router.destinations.stow import Stow, StowSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.destinations.base import Outgoing, ReadBack, Stored
    from router.records.copies import Copy
    from router.records.errors import EdgeRouterError


class Destination(Protocol):
    """The contract. Every method may be called from several threads at once."""

    @property
    def name(self) -> str: ...

    @property
    def clock_offset_s(self) -> float | None:
        """How far our clock was ahead when it last answered, in seconds; ``None``: it cannot tell."""

    @property
    def most_together(self) -> int:
        """So many instances one request may carry."""

    def probe(self) -> None:
        """Asks cheaply, on a fresh connection, whether the destination is there.

        Answers within seconds, whatever the link does. Raises LinkDown, DestinationPaused.
        """

    def send(self, outgoing: Outgoing) -> Stored:
        """Sends one instance.

        Returns what the destination said of it. Raises LinkDown, DestinationPaused,
        DeliveryDeferred (later, this instance), SyntaxRefused (not in this transfer syntax) or
        Hold (never, this instance).
        """

    def send_together(self, outgoing: Sequence[Outgoing]) -> Mapping[str, Stored | EdgeRouterError]:
        """Sends up to ``most_together`` instances of one study in one request.

        Returns, by SOP Instance UID, what ``send`` would have returned or raised of each. Raises
        LinkDown, DestinationPaused.
        """

    def verify(self, copies: Sequence[Copy]) -> ReadBack:
        """Which of the copies (of one study, at least one) the destination holds.

        Raises LinkDown, DestinationPaused, DeliveryDeferred.
        """

    def abort(self) -> None:
        """Breaks off whatever is under way; who waits for it gets LinkDown."""

    def close(self) -> None: ...


#: The settings of any kind. To add one: name it here, and below in KINDS.
OneSettings: TypeAlias = StowSettings | DimseSettings
#: The same, as the settings file has them; ``kind`` tells which.
AnySettings: TypeAlias = Annotated[OneSettings, Field(discriminator="kind")]


@dataclass(frozen=True)
class Kind:
    """A kind of destination: its settings and what makes it of them."""

    settings: type[OneSettings]
    make: Callable[[Any], Destination]


KINDS: dict[str, Kind] = {
    "stow": Kind(StowSettings, Stow),
    "dimse": Kind(DimseSettings, Dimse),
}


def opened(settings: OneSettings) -> Destination:
    """The destination of its settings, which is sent no more at a time, and no faster, than they say.

    Raises SettingsError (SECRET_UNREADABLE).
    """
    made = KINDS[settings.kind].make(settings)
    return ConnectionLimited(RateCapped(made, settings.rate_bps), settings.most_connections)
