"""Opening an association (PS3.8, 7.1) with a peer, and what is left of one that was not opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pynetdicom import AE

from router import __version__
from router.destinations.dimse_refusals import raise_why_not
from router.records.errors import Code, LinkDown

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from ssl import SSLContext

    from pynetdicom.association import Association as PynetAssociation
    from pynetdicom.events import Event, EventType
    from pynetdicom.presentation import PresentationContext
    from pynetdicom.transport import AddressInformation, AssociationSocket

    from router.destinations.tls import TlsContext


@dataclass(frozen=True)
class Peer:
    """Who is called, by whom, and how long it may take."""

    host: str
    port: int
    called_aet: str
    calling_aet: str
    connect_timeout_s: float
    answer_timeout_s: float


class _Entity(AE):
    """Remembers its socket: pynetdicom leaves it open where it cannot connect."""

    opened: socket.socket | None = None

    def _create_socket(
        self,
        assoc: PynetAssociation,
        address: AddressInformation,
        tls_args: tuple[SSLContext, str] | None,
    ) -> AssociationSocket:
        made = super()._create_socket(assoc, address, tls_args)
        self.opened = made.socket
        return made


def establish(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    context: TlsContext | None,
    handlers: Sequence[tuple[EventType, Callable[[Event], None]]],
) -> PynetAssociation:
    """An association with the peer. Raises LinkDown, DestinationPaused."""
    entity = _Entity(ae_title=peer.calling_aet)
    entity.implementation_version_name = f"EDGEROUTER{__version__}"[:16]
    entity.connection_timeout = peer.connect_timeout_s
    entity.acse_timeout = entity.dimse_timeout = peer.answer_timeout_s
    # A long upload hears nothing from the peer; who is idle is closed by us or by the peer.
    entity.network_timeout = None
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.called_aet,
            tls_args=None if context is None else (context, peer.host),
            evt_handlers=list(handlers),
        )
    # Of a name that cannot be resolved; all else is told by what became of the association.
    except OSError as error:
        raise LinkDown(Code.LINK_DOWN, f"no connection ({type(error).__name__})") from None
    if not association.is_established:
        if entity.opened is not None:
            entity.opened.close()
        raise_why_not(association, context)
    return association
