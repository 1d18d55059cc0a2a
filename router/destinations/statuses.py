"""What a status of the Storage Service Class means for an instance.

C-STORE answers with it (PS3.4, B.2.3; PS3.7, annex C); STOW-RS has it as Failure Reason and Warning
Reason (PS3.18, table I.2-2). One policy for both.
"""

from __future__ import annotations

from router.destinations.base import Stored
from router.errors import Code, DeliveryDeferred, DestinationPaused, Hold, SyntaxRefused

_SUCCESS = 0x0000
_PROCESSING_FAILURE = 0x0110
_DUPLICATE = 0x0111
_NOT_AUTHORIZED = 0x0124
_SYNTAX_NOT_SUPPORTED = 0xC122
_NO_RESOURCES = range(0xA700, 0xA800)
#: Stored, and attributes were changed, left out or doubted.
_COERCED = frozenset({0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)})


def judge(status: int) -> Stored:
    """What became of an instance that was answered with this status.

    Raises DestinationPaused, SyntaxRefused, DeliveryDeferred or Hold (DESTINATION_REFUSED).
    """
    if status == _SUCCESS:
        return Stored.STORED
    if status == _DUPLICATE:
        return Stored.DUPLICATE
    if status in _COERCED:
        return Stored.COERCED
    text = f"status {status:04X}"
    if status in _NO_RESOURCES:
        raise DeliveryDeferred(Code.DESTINATION_FULL, text)
    if status == _PROCESSING_FAILURE:
        raise DeliveryDeferred(Code.DESTINATION_BUSY, text)
    if status == _NOT_AUTHORIZED:
        raise DestinationPaused(Code.DESTINATION_DENIED, f"it does not let us store ({text})")
    if status == _SYNTAX_NOT_SUPPORTED:
        raise SyntaxRefused(Code.SYNTAX_REFUSED, text)
    raise Hold(Code.DESTINATION_REFUSED, text)
