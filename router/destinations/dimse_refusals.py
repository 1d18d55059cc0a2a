"""What a peer's rejections mean: of an association, and of a presentation context."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pydicom.uid import UID

from router.destinations import tls
from router.dicom import lossless
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    EdgeRouterError,
    Hold,
    LinkDown,
    SyntaxRefused,
)

if TYPE_CHECKING:
    from pynetdicom.association import Association as PynetAssociation

    from router.destinations.tls import TlsContext

#: A context's result (PS3.8, table 9-18).
ACCEPTED, _NO_ABSTRACT_SYNTAX, NO_TRANSFER_SYNTAX = 0, 3, 4
#: Who rejects an association (PS3.8, table 9-21), and the reasons that pass by themselves.
_TRANSIENT = 2
_BY_PRESENTATION = 3
_CALLED_AET_UNKNOWN = (1, 7)


def broken() -> LinkDown:
    """The error of an association that ended without an answer."""
    return LinkDown(Code.LINK_DOWN, "the association broke off or was not answered")


def context_refusal(sop_class: str, syntax: str, result: int | None) -> EdgeRouterError:
    """The error of a presentation context that was not accepted, by its result."""
    name, way = UID(sop_class).name, UID(syntax).name
    if syntax != lossless.PLAIN_SYNTAX or result == NO_TRANSFER_SYNTAX:
        # Whatever reason it gives: archives say "no such class" of a syntax, too.
        return SyntaxRefused(Code.SYNTAX_REFUSED, f"it does not take {way} (result {result})")
    if result == _NO_ABSTRACT_SYNTAX:
        return Hold(Code.DESTINATION_REFUSED, f"it does not take {name}")
    return DeliveryDeferred(
        Code.DESTINATION_ANSWER_UNCLEAR,
        f"it refuses {name} in {way} without a reason (result {result})",
    )


def raise_why_not(association: PynetAssociation, context: TlsContext | None) -> NoReturn:
    """Raises what kept an association from being established."""
    if context is not None and context.trouble is not None:
        tls.pause_for(context.trouble)
    if association.is_rejected:
        _rejected(association)
    if association.rejected_contexts and not association.accepted_contexts:
        raise DestinationPaused(
            Code.ENDPOINT_WRONG, "it takes nothing of what is offered: it is no archive"
        )
    raise LinkDown(Code.LINK_DOWN, "no association")


def _rejected(association: PynetAssociation) -> None:
    """Raises what a rejection (PS3.8, 9.3.4) means."""
    answer = association.acceptor.primitive
    if answer is None:
        raise broken()
    result, source, reason = answer.result, answer.result_source, answer.diagnostic
    if result == _TRANSIENT or source == _BY_PRESENTATION:
        raise LinkDown(Code.DESTINATION_BUSY, f"it takes no association now ({source}/{reason})")
    if (source, reason) == _CALLED_AET_UNKNOWN:
        raise DestinationPaused(Code.ENDPOINT_WRONG, "it does not have the called AE title")
    raise DestinationPaused(
        Code.DESTINATION_DENIED, f"it rejects our associations ({source}/{reason})"
    )
