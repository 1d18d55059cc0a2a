"""DICOM network: C-STORE (PS3.4, annex B), read back by C-FIND at IMAGE level, over DICOM TLS.

An association is kept and used again. It is asked for one presentation context for each SOP class
and transfer syntax, so that the peer's answer is about exactly what will be sent. A peer that takes
fewer associations at a time than we would open is noticed, and then not asked for more.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from router.destinations.association import Association, Peer
from router.destinations.base import OneByOne, Outgoing, ReadBack, Stored
from router.destinations.statuses import store_outcome
from router.destinations.tls import LOOPBACK, TlsSettings, make_context
from router.dicom import part10
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    Hold,
    LinkDown,
    SettingsError,
    SyntaxRefused,
)
from router.records.receipt import VerifiedBy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from router.destinations.association import Pair
    from router.destinations.tls import TlsContext
    from router.records.copies import Copy

#: Pairs that an association is asked for at most. Each is asked for without compression, too; there
#: can be 128 presentation contexts, and two are for C-FIND and C-ECHO.
_MOST_PAIRS = 60
#: An association that was idle for longer is not trusted: networks forget connections in silence.
_IDLE_S = 20.0
#: For each part of a probe: a dead link is to be found out soon.
_PROBE_S = 3.0
#: So long a peer may take to accept an association beside others of ours; it may take one only, and
#: leave the others waiting without a word.
_BESIDE_S = 4.0
#: Who waits for an association says so often that it is no stall.
_TURN_S = 0.5
#: SOP Instance UIDs in one question.
_ASKED_AT_ONCE = 64
_AET = r"^[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?$"


class DimseSettings(TlsSettings):
    """A destination of kind ``dimse``."""

    kind: Literal["dimse"]
    host: Annotated[str, Field(min_length=1, description="Name or address of the archive")]
    port: Annotated[int, Field(ge=1, le=65535, description="Its port")] = 2762
    called_aet: Annotated[str, Field(pattern=_AET, description="AE title of the archive")]
    calling_aet: Annotated[
        str, Field(pattern=_AET, description="AE title that the router calls itself")
    ] = "EDGEROUTER"
    tls: Annotated[bool, Field(description="Speak DICOM TLS (BCP 195 profile, PS3.15 B.12)")] = True

    # DCMTK's archive loses images of associations that store in the same second (tried with its own
    # storescu: 4 files in parallel left 3), and answers "stored".
    most_connections: Annotated[
        int,
        Field(
            ge=1,
            le=4,
            description="Associations that send at once, if more of them carry more; some archives "
            "lose images then",
        ),
    ] = 1

    @model_validator(mode="after")
    def _consistent(self) -> DimseSettings:
        if not self.tls and self.host not in LOOPBACK and not self.insecure:
            message = "tls = false to another machine needs insecure = true"
            raise ValueError(message)
        if not self.tls and (self.ca_file or self.client_certificate_file):
            message = "tls = false uses no certificates"
            raise ValueError(message)
        return self


class Dimse(OneByOne):
    """A destination by DICOM network; see ``router.destinations.Destination`` for the contract.

    Several threads may use it; each has an association of its own while it does.
    """

    def __init__(self, settings: DimseSettings) -> None:
        """Raises SettingsError (SECRET_UNREADABLE)."""
        self.name = settings.name
        self._settings = settings
        if settings.tls:
            settings.check_tls()
        self._peer = Peer(
            settings.host,
            settings.port,
            settings.called_aet,
            settings.calling_aet,
            settings.connect_timeout_s,
            settings.answer_timeout_s,
        )
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        #: So many associations the peer takes at a time, as far as is known; found out.
        self._most = settings.most_connections + 1
        #: Who waits for one, and associations that are being opened.
        self._waiting = 0
        self._opening = 0
        self._idle: list[Association] = []
        self._busy: set[Association] = set()
        #: What was sent so far, the newest last: what an association is opened for.
        self._pairs: dict[Pair, None] = {}
        #: Whether the peer takes a list of UIDs (PS3.4, C.2.2.2.2); found out.
        self._takes_lists = True

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for association in idle:
            association.close()

    def abort(self) -> None:
        with self._lock:
            busy = list(self._busy)
        for association in busy:
            association.shut()

    def probe(self) -> None:
        """C-ECHO with little time for it: over an association that is there, or one of its own.

        A peer that takes no more than it has from us would leave another one waiting.
        """
        with self._lock:
            idle, self._idle = self._idle, []
            full = bool(self._busy) and len(self._busy) + self._opening >= self._most
        if idle and self._echoes(idle[-1]):
            for association in idle:
                self._give_back(association)
            return
        for association in idle:
            association.cut()
        if full:
            self._knock()
        else:
            association = Association(self._hasty(_PROBE_S), (), self._context())
            try:
                association.echo()
            finally:
                association.close()

    def _echoes(self, association: Association) -> bool:
        """Whether it answers in time."""
        try:
            association.echo(_PROBE_S)
        except LinkDown:
            return False
        return True

    def _knock(self) -> None:
        """Whether its port answers, where nothing more can be asked. Raises LinkDown."""
        try:
            socket.create_connection((self._peer.host, self._peer.port), _PROBE_S).close()
        except OSError as error:
            raise LinkDown(Code.LINK_DOWN, f"no connection ({type(error).__name__})") from None

    def _hasty(self, seconds: float) -> Peer:
        return replace(
            self._peer,
            connect_timeout_s=min(self._peer.connect_timeout_s, seconds),
            answer_timeout_s=min(self._peer.answer_timeout_s, seconds),
        )

    def send(self, outgoing: Outgoing) -> Stored:
        copy = outgoing.copy
        pair = (copy.sop_class, copy.transfer_syntax)
        data_set = outgoing.view[part10.dataset_offset(outgoing.view) :]
        with self._association(pair, outgoing.count) as association:
            return store_outcome(*association.store(pair, copy.sop_uid, data_set, outgoing.count))

    def verify(self, copies: Sequence[Copy]) -> ReadBack:
        by_series: dict[str, list[str]] = {}
        for copy in copies:
            by_series.setdefault(copy.series_uid, []).append(copy.sop_uid)
        study_uid = copies[0].study_uid
        verified: dict[str, VerifiedBy] = {}
        try:
            with self._association() as association:
                for series_uid, sop_uids in by_series.items():
                    found = self._listed(association, study_uid, series_uid, sop_uids)
                    verified |= dict.fromkeys(found, VerifiedBy.PRESENCE)
        except LookupError as status:
            raise DeliveryDeferred(Code.DESTINATION_BUSY, f"C-FIND was answered {status}") from None
        return ReadBack(verified)

    def _listed(
        self, association: Association, study_uid: str, series_uid: str, sop_uids: list[str]
    ) -> set[str]:
        """Many at once; what is not among the answers is asked for alone, and then believed.

        A peer may know no lists, or answer with so many and no more.
        """
        found: set[str] = set()
        if self._takes_lists and len(sop_uids) > 1:
            for start in range(0, len(sop_uids), _ASKED_AT_ONCE):
                asked = sop_uids[start : start + _ASKED_AT_ONCE]
                found |= association.find(study_uid, series_uid, asked)
        by_list = len(found)
        for sop_uid in sop_uids:
            if sop_uid not in found:
                found |= association.find(study_uid, series_uid, [sop_uid])
        if not by_list and len(found) > 1:
            self._takes_lists = False
        return found

    @contextmanager
    def _association(
        self, pair: Pair | None = None, count: Callable[[int], None] = lambda _: None
    ) -> Iterator[Association]:
        """An association that was asked about the pair; kept for the next where it is still good.

        ``count``: called now and then while another one has to end first. Raises LinkDown,
        DestinationPaused.
        """
        association = self._take(pair, count)
        good = False
        try:
            yield association
            good = True
        # The peer answered, and what it said has nothing to do with the association.
        except (Hold, DeliveryDeferred, DestinationPaused, SyntaxRefused, LookupError):
            good = True
            raise
        finally:
            if good and association.alive:
                self._give_back(association)
            else:
                with self._lock:
                    self._busy.discard(association)
                    # What looked like a peer that takes no more was perhaps this link.
                    self._most = self._settings.most_connections + 1
                    self._freed.notify_all()
                association.cut()

    def _give_back(self, association: Association) -> None:
        """Keeps it for the next. A peer that takes few is not kept from others by an idle one."""
        with self._lock:
            self._busy.discard(association)
            keeps = self._most > 1 or self._waiting > 0
            if keeps:
                self._idle.append(association)
            self._freed.notify_all()
        if not keeps:
            association.close()

    def _take(self, pair: Pair | None, count: Callable[[int], None]) -> Association:
        """Raises LinkDown, DestinationPaused."""
        end = time.monotonic() + self._peer.answer_timeout_s
        while True:
            association = self._kept(pair)
            if association is None and self._may_open():
                association = self._opened()
            if association is not None:
                return association
            if time.monotonic() > end:
                raise LinkDown(Code.DESTINATION_BUSY, "its associations did not come free")
            count(0)
            with self._lock:
                self._waiting += 1
                self._freed.wait(_TURN_S)
                self._waiting -= 1

    def _may_open(self) -> bool:
        """Beside others one at a time: what comes free meanwhile is used instead."""
        with self._lock:
            if self._opening or len(self._busy) >= self._most:
                return False
            self._opening += 1
            return True

    def _opened(self) -> Association | None:
        """A new one, and busy; ``None``: the peer takes no more beside those that there are.

        Raises LinkDown, DestinationPaused.
        """
        with self._lock:
            pairs = list(self._pairs)[-_MOST_PAIRS:]
            beside = len(self._busy)
        peer = self._hasty(_BESIDE_S) if beside else self._peer
        try:
            association = Association(peer, pairs, self._context())
        except LinkDown:
            with self._lock:
                self._opening -= 1
                alive = sum(other.alive for other in (*self._busy, *self._idle))
                self._freed.notify_all()
                if not beside or not alive:
                    raise
                self._most = min(self._most, alive)
            return None
        except BaseException:
            with self._lock:
                self._opening -= 1
            raise
        association.wait_at_most(self._peer.answer_timeout_s)
        with self._lock:
            self._opening -= 1
            self._busy.add(association)
            self._freed.notify_all()
        return association

    def _kept(self, pair: Pair | None) -> Association | None:
        """An idle association that is still good for the pair, or for questions; closes others.

        What it returns is busy.
        """
        with self._lock:
            if pair is not None:
                self._pairs.pop(pair, None)
                self._pairs[pair] = None
        while True:
            with self._lock:
                if not self._idle:
                    return None
                association = self._idle.pop()
                idle_s = time.monotonic() - association.used_at
                known = pair is None or pair in association.pairs
                if association.alive and idle_s < _IDLE_S and known:
                    self._busy.add(association)
                    return association
            association.close()

    def _context(self) -> TlsContext | None:
        if not self._settings.tls:
            return None
        try:
            return make_context(self._settings)
        except SettingsError as error:
            raise DestinationPaused(error.code, error.sentence) from None
