"""A data set on its way through pynetdicom: read where it lies, a window of PDUs at a time.

pynetdicom's own C-STORE reads the whole file into memory, or hands all of its PDUs to the socket's
queue at once. Here what is under way is bounded, and counted.
"""

from __future__ import annotations

import threading
from io import BytesIO
from typing import TYPE_CHECKING

from pynetdicom.dimse import DIMSEServiceProvider

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import DimseServiceType
    from pynetdicom.events import Event

#: The largest PDU we send, whatever the peer takes ("no limit" would be the whole file in one).
LARGEST_PDU = 128 * 1024
#: PDUs between us and the socket.
_WINDOW = 16
#: In a P-DATA-TF PDU, before the fragment: PDU header, PDV length, context ID, control header
#: (PS3.8, table 9-22 and annex E.2).
_HEAD_BYTES = 12
_P_DATA = 0x04
_COMMAND = 0x01
_CONTROL = 11


class View(BytesIO):
    """A data set that is read where it lies: pynetdicom asks for its bytes, and slices them."""

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self._view = view

    def getvalue(self) -> memoryview:  # type: ignore[override]
        return self._view


class Messages(DIMSEServiceProvider):
    """Leaves each answer to the thread that waits for it.

    The association's own thread looks for requests of the peer, and would take our answers; so
    that it does not, pynetdicom stops it around each of its own services. A peer of ours has no
    requests.
    """

    def get_msg(self, block: bool = False) -> tuple[None, None] | tuple[int, DimseServiceType]:  # noqa: FBT001, FBT002  (of the base)
        return super().get_msg(block=True) if block else (None, None)

    @property
    def maximum_pdu_size(self) -> int:
        return min(super().maximum_pdu_size or LARGEST_PDU, LARGEST_PDU)


class Window:
    """Bounds and counts what is on its way to the socket; told when that is closed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting = 0
        self._handed = 0
        self._gone = False

    def enter(self, timeout_s: float) -> bool:
        """Waits for room for one more PDU; whether there is some."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting < _WINDOW or self._gone, timeout_s):
                return False
            self._waiting += 1
            return not self._gone

    def taken(self) -> int:
        """Bytes of data sets that were handed to the socket since it was last asked."""
        with self._changed:
            handed, self._handed = self._handed, 0
            return handed

    def handed(self, event: Event) -> None:
        """Counts a PDU that was handed to the socket."""
        pdu = event.data
        if pdu[0] != _P_DATA:
            return
        with self._changed:
            self._waiting = max(0, self._waiting - 1)
            if not pdu[_CONTROL] & _COMMAND:
                self._handed += len(pdu) - _HEAD_BYTES
            self._changed.notify_all()

    def closed(self, _: Event) -> None:
        with self._changed:
            self._gone = True
            self._changed.notify_all()
