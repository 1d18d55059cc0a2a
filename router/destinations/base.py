"""What every kind of destination is handed, and answers with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.study import Copy, VerifiedBy

#: Bytes handed to the socket at a time. With one large body the connect timeout would bound the
#: whole upload (measured); in pieces each piece has its own time.
PIECE_BYTES = 32 * 1024


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
