"""A DICOM association with a destination (PS3.8), on pynetdicom.

pynetdicom's own C-STORE encodes a file anew, or hands all of its PDUs to the socket's queue at once.
Here the data set's bytes go as they are, a window of PDUs at a time.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import _config, build_context, evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from router.destinations.dimse_opening import Peer, establish
from router.destinations.dimse_refusals import (
    ACCEPTED,
    NO_TRANSFER_SYNTAX,
    broken,
    context_refusal,
)
from router.destinations.dimse_stream import Messages, View, Window
from router.destinations.peer_words import peer_words
from router.dicom import lossless
from router.dicom.mapped_bytes import PageReleaser
from router.records.errors import (
    Code,
    DestinationPaused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pynetdicom.association import Association as PynetAssociation
    from pynetdicom.events import Event
    from pynetdicom.presentation import PresentationContext

    from router.destinations.tls import TlsContext

# Its handlers write data sets into the log, and cost time with each PDU.
_config.LOG_HANDLER_LEVEL = "none"

_MEDIUM = 0x0000
_RELEASE_S = 2.0
_LARGEST_MESSAGE_ID = 0xFFFF
_PENDING = frozenset({0xFF00, 0xFF01})

#: SOP Class UID and Transfer Syntax UID.
Pair = tuple[str, str]


class Association:
    """An established association. One thread at a time uses it."""

    def __init__(
        self,
        peer: Peer,
        pairs: Iterable[Pair],
        context: TlsContext | None,
        *,
        only_stores: bool = False,
    ) -> None:
        """Opens it, with a presentation context for each pair, for each without compression, for
        C-FIND and for C-ECHO; ``only_stores``: for the pairs alone.

        Raises LinkDown, DestinationPaused.
        """
        self.pairs = frozenset(pairs)
        self._services: list[PresentationContext] = []
        if not only_stores:
            # So that nothing else has to be opened where the peer takes no compression.
            self.pairs |= {_plain(pair) for pair in self.pairs}
            self._services = [
                build_context(
                    StudyRootQueryRetrieveInformationModelFind,
                    [ExplicitVRLittleEndian, ImplicitVRLittleEndian],
                ),
                build_context(Verification, ImplicitVRLittleEndian),
            ]
        self._peer = peer
        self._window = Window()
        self._message_id = 0
        self._socket: socket.socket | None = None
        self.used_at = time.monotonic()
        self._association = self._open(context)
        #: By what was asked for. A context that was refused has no syntax (PS3.8, 9.3.3.2): what
        #: the peer writes there says nothing, so a context is told by its number alone.
        self._ids = {
            (str(asked.abstract_syntax), str(asked.transfer_syntax[0])): int(asked.context_id or 0)
            for asked in self._association.requestor.requested_contexts
        }
        self._results = {
            int(answered.context_id or 0): answered.result
            for answered in (
                *self._association.accepted_contexts,
                *self._association.rejected_contexts,
            )
        }
        self._messages = Messages(self._association)
        self._association.dimse = self._messages

    def _open(self, context: TlsContext | None) -> PynetAssociation:
        contexts = [build_context(UID(c), UID(syntax)) for c, syntax in sorted(self.pairs)]
        handlers = [
            (evt.EVT_CONN_OPEN, self._connected),
            (evt.EVT_DATA_SENT, self._window.handed),
            (evt.EVT_CONN_CLOSE, self._window.closed),
        ]
        try:
            return establish(self._peer, contexts + self._services, context, handlers)
        except BaseException:
            self._close_socket()
            raise

    def _connected(self, event: Event) -> None:
        """Sets up the socket: nothing waits in the kernel for more to send, nor for ever."""
        wrapped = event.assoc.dul.socket
        if wrapped is not None and wrapped.socket is not None:
            self._socket = wrapped.socket
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(self._peer.answer_timeout_s)

    @property
    def alive(self) -> bool:
        """Whether it is still established."""
        return bool(self._association.is_established)

    def wait_at_most(self, answer_timeout_s: float) -> None:
        """Sets how long each answer is waited for from now on."""
        self._peer = replace(self._peer, answer_timeout_s=answer_timeout_s)
        self._association.acse_timeout = self._association.dimse_timeout = answer_timeout_s
        if self._socket is not None:
            self._socket.settimeout(answer_timeout_s)

    def echo(self, timeout_s: float | None = None) -> None:
        """C-ECHO (PS3.7, 9.1.5); a peer that takes none has answered by accepting us.

        ``timeout_s``: for the answer, where it is to be known soon. Raises LinkDown.
        """
        if not self._accepted(Verification):
            return
        before = self._association.dimse_timeout
        self._association.dimse_timeout = before if timeout_s is None else timeout_s
        try:
            answer = self._association.send_c_echo(self._next_id())
        except (RuntimeError, ValueError):  # it has ended meanwhile
            raise broken() from None
        finally:
            self._association.dimse_timeout = before
        if "Status" not in answer:
            raise broken()

    def store(
        self, pair: Pair, sop_uid: str, data_set: memoryview, count: Callable[[int], None]
    ) -> tuple[int, str]:
        """C-STORE (PS3.7, 9.1.1) of an encoded data set, byte for byte.

        Returns the status and the words beside it (Error Comment). ``count`` gets the bytes of each
        fragment that was handed to the socket. Raises LinkDown, SyntaxRefused, DeliveryDeferred,
        Hold.
        """
        context_id = self._context_id(pair)
        request = C_STORE()
        request.MessageID = self._next_id()
        request.AffectedSOPClassUID = UID(pair[0])
        request.AffectedSOPInstanceUID = UID(sop_uid)
        request.Priority = _MEDIUM
        request.DataSet = View(data_set)
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        releaser = PageReleaser(data_set)
        try:
            for fragment in message.encode_msg(context_id, self._messages.maximum_pdu_size):
                if not self._window.enter(self._peer.answer_timeout_s):
                    raise broken()
                self._association.dul.send_pdu(fragment)
                if handed := self._window.taken():
                    count(handed)  # may take its time: there is a cap on the rate
                    releaser.passed(handed)
            _, answer = self._messages.get_msg(block=True)
        finally:
            count(self._window.taken())
        if (
            not isinstance(answer, C_STORE)
            or not answer.is_valid_response
            or answer.MessageIDBeingRespondedTo != request.MessageID
        ):
            raise broken()
        self.used_at = time.monotonic()
        comment = str(getattr(answer, "ErrorComment", None) or "")
        return int(answer.Status or 0), peer_words(comment)

    def find(self, study_uid: str, series_uid: str, sop_uids: Sequence[str]) -> set[str]:
        """SOP Instance UIDs that C-FIND at IMAGE level lists of those asked for (PS3.4, C.4.1).

        Raises LinkDown, DestinationPaused, LookupError (the peer could not answer).
        """
        if not self._accepted(StudyRootQueryRetrieveInformationModelFind):
            raise DestinationPaused(
                Code.ENDPOINT_WRONG, "it takes no C-FIND: what is sent could not be verified"
            )
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "IMAGE"
        identifier.StudyInstanceUID = study_uid
        identifier.SeriesInstanceUID = series_uid
        identifier.SOPInstanceUID = list(sop_uids)
        asked = set(sop_uids)
        found: set[str] = set()
        status = None
        for answer, match in self._association.send_c_find(
            identifier, StudyRootQueryRetrieveInformationModelFind, self._next_id()
        ):
            status = answer.get("Status")
            if status in _PENDING and match is not None and _is_of(match, study_uid):
                found.add(str(match.get("SOPInstanceUID", "")))
        if status is None:
            raise broken()
        if status != 0:
            raise LookupError(f"{status:04X}")
        self.used_at = time.monotonic()
        return found & asked

    def close(self) -> None:
        """Releases it; does not wait long for a peer that is silent."""
        if self.alive:
            self._association.acse_timeout = _RELEASE_S
            self._association.release()
        self.cut()

    def shut(self) -> None:
        """Breaks it off, from any thread; who waits for an answer gets LinkDown."""
        if self._socket is not None:
            # Of the socket itself: a TLS session is not to say goodbye over a dead link.
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def cut(self) -> None:
        """Ends it without another word: what is at the other end does not answer."""
        self.shut()
        if self._association.is_alive():
            self._association.abort()
        self._close_socket()

    def _close_socket(self) -> None:
        """Closes the socket: pynetdicom leaves it open where the peer has closed it."""
        if self._socket is not None:
            self._socket.close()

    def _next_id(self) -> int:
        self._message_id = self._message_id % _LARGEST_MESSAGE_ID + 1
        return self._message_id

    def _accepted(self, sop_class: str) -> bool:
        return any(c.abstract_syntax == sop_class for c in self._association.accepted_contexts)

    def _context_id(self, pair: Pair) -> int:
        """The presentation context of exactly this pair: nothing is encoded in another way.

        Raises SyntaxRefused, Hold, DeliveryDeferred.
        """
        context_id = self._ids[pair]
        result = self._results.get(context_id, NO_TRANSFER_SYNTAX)
        if result == ACCEPTED:
            return context_id
        raise context_refusal(*pair, result)


def _plain(pair: Pair) -> Pair:
    """The pair without compression."""
    return pair[0], lossless.PLAIN_SYNTAX


def _is_of(match: Dataset, study_uid: str) -> bool:
    """Whether a match is of the study: some peers do not look at every key."""
    return str(match.get("StudyInstanceUID") or study_uid) == study_uid
