"""A DICOM association with a destination (PS3.8), on pynetdicom.

pynetdicom's own C-STORE reads the whole file into memory and encodes it anew. Here the data set's
bytes go as they are, a window of PDUs at a time; what is in flight is bounded, and counted.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, build_context, evt
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from router import __version__
from router.destinations import tls
from router.destinations.peer_words import peer_words
from router.dicom import lossless
from router.dicom.mapped_bytes import PageReleaser
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    Hold,
    LinkDown,
    SyntaxRefused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from ssl import SSLContext

    from pynetdicom.association import Association as PynetAssociation
    from pynetdicom.dimse_primitives import DimseServiceType
    from pynetdicom.events import Event
    from pynetdicom.transport import AddressInformation, AssociationSocket

    from router.destinations.tls import TlsContext

# Its handlers write data sets into the log, and cost time with each PDU.
_config.LOG_HANDLER_LEVEL = "none"

#: The largest PDU we send, whatever the peer takes ("no limit" would be the whole file in one).
_LARGEST_PDU = 128 * 1024
#: PDUs between us and the socket.
_WINDOW = 16
#: In a P-DATA-TF PDU, before the fragment: PDU header, PDV length, context ID, control header
#: (PS3.8, table 9-22 and annex E.2).
_HEAD_BYTES = 12
_P_DATA = 0x04
_COMMAND = 0x01
_CONTROL = 11
_MEDIUM = 0x0000
_RELEASE_S = 2.0
_LARGEST_MESSAGE_ID = 0xFFFF
#: A context's result (PS3.8, table 9-18).
_ACCEPTED, _NO_ABSTRACT_SYNTAX, _NO_TRANSFER_SYNTAX = 0, 3, 4
#: Who rejects an association (PS3.8, table 9-21), and the reasons that pass by themselves.
_TRANSIENT = 2
_BY_PRESENTATION = 3
_CALLED_AET_UNKNOWN = (1, 7)
_PENDING = frozenset({0xFF00, 0xFF01})

#: SOP Class UID and Transfer Syntax UID.
Pair = tuple[str, str]


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


class _View(BytesIO):
    """A data set that is read where it lies: pynetdicom asks for its bytes, and slices them."""

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self._view = view

    def getvalue(self) -> memoryview:  # type: ignore[override]
        return self._view


class _Messages(DIMSEServiceProvider):
    """Leaves each answer to who waits for it.

    The association's own thread looks for requests of the peer, and would take our answers; so
    that it does not, pynetdicom stops it around each of its own services. A peer of ours has no
    requests.
    """

    def get_msg(self, block: bool = False) -> tuple[None, None] | tuple[int, DimseServiceType]:  # noqa: FBT001, FBT002  (of the base)
        return super().get_msg(block=True) if block else (None, None)

    @property
    def maximum_pdu_size(self) -> int:
        return min(super().maximum_pdu_size or _LARGEST_PDU, _LARGEST_PDU)


class _Window:
    """What is on its way to the socket, and whether that is still there."""

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
        """A PDU was handed to the socket."""
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


class Association:
    """An established association. One thread at a time uses it."""

    def __init__(self, peer: Peer, pairs: Iterable[Pair], context: TlsContext | None) -> None:
        """Opens it, with a presentation context for each pair, C-FIND and C-ECHO.

        Raises LinkDown, DestinationPaused.
        """
        self.pairs = frozenset(both for pair in pairs for both in (pair, _plain(pair)))
        self._peer = peer
        self._window = _Window()
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
        self._messages = _Messages(self._association)
        self._association.dimse = self._messages

    def _open(self, context: TlsContext | None) -> PynetAssociation:
        peer = self._peer
        entity = _Entity(ae_title=peer.calling_aet)
        entity.implementation_version_name = f"EDGEROUTER{__version__}"[:16]
        entity.connection_timeout = peer.connect_timeout_s
        entity.acse_timeout = entity.dimse_timeout = peer.answer_timeout_s
        # A long upload hears nothing from the peer; who is idle is closed by us or by the peer.
        entity.network_timeout = None
        pairs = sorted(self.pairs)
        contexts = [build_context(UID(c), UID(syntax)) for c, syntax in pairs]
        contexts += [
            build_context(
                StudyRootQueryRetrieveInformationModelFind,
                [ExplicitVRLittleEndian, ImplicitVRLittleEndian],
            ),
            build_context(Verification, ImplicitVRLittleEndian),
        ]
        try:
            association = entity.associate(
                peer.host,
                peer.port,
                contexts=contexts,
                ae_title=peer.called_aet,
                tls_args=None if context is None else (context, peer.host),
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, self._connected),
                    (evt.EVT_DATA_SENT, self._window.handed),
                    (evt.EVT_CONN_CLOSE, self._window.closed),
                ],
            )
        # Of a name that cannot be resolved; all else is told by what became of the association.
        except OSError as error:
            raise LinkDown(Code.LINK_DOWN, f"no connection ({type(error).__name__})") from None
        if not association.is_established:
            self._socket = self._socket or entity.opened
            self._close_socket()
            _why_not(association, context)
        return association

    def _connected(self, event: Event) -> None:
        """Nothing waits in the kernel for more to send, and nothing waits for ever."""
        wrapped = event.assoc.dul.socket
        if wrapped is not None and wrapped.socket is not None:
            self._socket = wrapped.socket
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(self._peer.answer_timeout_s)

    @property
    def alive(self) -> bool:
        return bool(self._association.is_established)

    def wait_at_most(self, answer_timeout_s: float) -> None:
        """From now on, for each answer."""
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
            raise _broken() from None
        finally:
            self._association.dimse_timeout = before
        if "Status" not in answer:
            raise _broken()

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
        request.DataSet = _View(data_set)
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        releaser = PageReleaser(data_set)
        try:
            for fragment in message.encode_msg(context_id, self._messages.maximum_pdu_size):
                if not self._window.enter(self._peer.answer_timeout_s):
                    raise _broken()
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
            raise _broken()
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
            raise _broken()
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
        """pynetdicom leaves a socket open that the peer has closed."""
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
        result = self._results.get(context_id, _NO_TRANSFER_SYNTAX)
        if result == _ACCEPTED:
            return context_id
        sop_class, syntax = pair
        name, way = UID(sop_class).name, UID(syntax).name
        if syntax != lossless.PLAIN_SYNTAX or result == _NO_TRANSFER_SYNTAX:
            # Whatever reason it gives: archives say "no such class" of a syntax, too.
            raise SyntaxRefused(Code.SYNTAX_REFUSED, f"it does not take {way} (result {result})")
        if result == _NO_ABSTRACT_SYNTAX:
            raise Hold(Code.DESTINATION_REFUSED, f"it does not take {name}")
        raise DeliveryDeferred(
            Code.DESTINATION_ANSWER_UNCLEAR,
            f"it refuses {name} in {way} without a reason (result {result})",
        )


def _plain(pair: Pair) -> Pair:
    """The pair without compression: asked for beside each, so that nothing else has to be opened."""
    return pair[0], lossless.PLAIN_SYNTAX


def _is_of(match: Dataset, study_uid: str) -> bool:
    """Whether a match is of the study: some peers do not look at every key."""
    return str(match.get("StudyInstanceUID") or study_uid) == study_uid


def _broken() -> LinkDown:
    return LinkDown(Code.LINK_DOWN, "the association broke off or was not answered")


def _why_not(association: PynetAssociation, context: TlsContext | None) -> None:
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
        raise _broken()
    result, source, reason = answer.result, answer.result_source, answer.diagnostic
    if result == _TRANSIENT or source == _BY_PRESENTATION:
        raise LinkDown(Code.DESTINATION_BUSY, f"it takes no association now ({source}/{reason})")
    if (source, reason) == _CALLED_AET_UNKNOWN:
        raise DestinationPaused(Code.ENDPOINT_WRONG, "it does not have the called AE title")
    raise DestinationPaused(
        Code.DESTINATION_DENIED, f"it rejects our associations ({source}/{reason})"
    )
