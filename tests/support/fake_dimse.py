"""A DICOM archive that answers by script: the fake is at the wire, not inside."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from pynetdicom.events import Event

CALLED, CALLING = "ARCHIVE", "EDGEROUTER"
_PENDING = 0xFF00


@dataclass(frozen=True)
class Kept:
    """An instance as it came."""

    data_set: bytes
    study_uid: str
    series_uid: str
    transfer_syntax: str


@dataclass
class Answer:
    """One scripted answer to a C-STORE request."""

    status: int = 0x0000
    #: Close the connection instead of answering.
    cut: bool = False
    #: Abort the association instead of answering.
    abort: bool = False
    #: Answer never.
    silent: bool = False
    #: Keep the instance all the same.
    keep: bool = True


class FakeScp:
    """Keeps what it is sent, unless an answer in its script says otherwise."""

    def __init__(self, syntaxes: tuple[str, ...] = (ExplicitVRLittleEndian,)) -> None:
        self.kept: dict[str, Kept] = {}
        self.answers: list[Answer] = []
        #: Close the connection after so many bytes of an association.
        self.cut_after: int | None = None
        #: Read no more after so many bytes of an association.
        self.stall_after: int | None = None
        #: What C-FIND ends with.
        self.find_status = 0x0000
        self.takes_lists = True
        self.most_matches = 1000
        self.questions: list[list[str]] = []
        self.associations = 0
        self.received = 0
        self._over = threading.Event()
        self.entity = AE(ae_title=CALLED)
        self.entity.require_called_aet = True
        self.entity.require_calling_aet = [CALLING]
        self.entity.add_supported_context(CTImageStorage, list(syntaxes))
        self.entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        self.entity.add_supported_context(Verification)
        self.port = 0

    @classmethod
    def of_any_class(cls) -> FakeScp:
        """Takes each storage SOP class, uncompressed or in JPEG-LS."""
        scp = cls()
        for context in StoragePresentationContexts:
            scp.entity.add_supported_context(
                str(context.abstract_syntax), [ExplicitVRLittleEndian, JPEGLSLossless]
            )
        return scp

    @contextmanager
    def serving(self, context: ssl.SSLContext | None = None) -> Iterator[FakeScp]:
        server = self.entity.start_server(
            ("127.0.0.1", self.port),
            block=False,
            ssl_context=context,
            evt_handlers=[
                (evt.EVT_ESTABLISHED, self._established),
                (evt.EVT_DATA_RECV, self._data),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_C_FIND, self._find),
            ],
        )
        assert server is not None
        self.port = int(server.server_address[1])
        try:
            yield self
        finally:
            self._over.set()
            for association in server.active_associations:
                association.abort()
            server.shutdown()
            server.server_close()

    def _established(self, _: Event) -> None:
        self.associations += 1
        self.received = 0

    def _data(self, event: Event) -> None:
        self.received += len(event.data)
        if self.cut_after is not None and self.received > self.cut_after:
            _cut(event)
        if self.stall_after is not None and self.received > self.stall_after:
            self._over.wait(60)

    def _store(self, event: Event) -> int:
        answer = self.answers.pop(0) if self.answers else Answer()
        request: Any = event.request
        if answer.keep:
            data_set = event.dataset
            self.kept[str(request.AffectedSOPInstanceUID)] = Kept(
                request.DataSet.getvalue(),
                str(data_set.StudyInstanceUID),
                str(data_set.SeriesInstanceUID),
                str(event.context.transfer_syntax),
            )
        if answer.silent:
            self._over.wait(60)
        if answer.cut:
            _cut(event)
        if answer.abort:
            event.assoc.abort()
        return answer.status

    def _find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        uids = asked.SOPInstanceUID
        uids = [str(uids)] if isinstance(uids, str) else [str(uid) for uid in uids]
        self.questions.append(uids)
        if self.find_status:
            yield self.find_status, None
            return
        matches = 0
        for uid in uids if self.takes_lists or len(uids) == 1 else []:
            kept = self.kept.get(uid)
            if (
                kept is None
                or (kept.study_uid, kept.series_uid)
                != (asked.StudyInstanceUID, asked.SeriesInstanceUID)
                or matches == self.most_matches
            ):
                continue
            matches += 1
            match = Dataset()
            match.QueryRetrieveLevel = "IMAGE"
            match.StudyInstanceUID = kept.study_uid
            match.SeriesInstanceUID = kept.series_uid
            match.SOPInstanceUID = UID(uid)
            yield _PENDING, match


def _cut(event: Event) -> None:
    wrapped = event.assoc.dul.socket
    if wrapped is not None:
        wrapped.close()
