"""Associations with one peer that are kept and used again, and how many it takes at a time."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from router.destinations.association import Association
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    Hold,
    LinkDown,
    SyntaxRefused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.destinations.association import Pair
    from router.destinations.dimse_opening import Peer
    from router.destinations.tls import TlsContext

#: Pairs that an association is asked for at most. Each is asked for without compression, too; there
#: can be 128 presentation contexts, and two are for C-FIND and C-ECHO.
_MOST_PAIRS = 60
#: An association that was idle for longer is not trusted: networks forget connections in silence.
_IDLE_S = 20.0
#: So long a peer may take to accept an association beside others of ours; it may take one only, and
#: leave the others waiting without a word.
_BESIDE_S = 4.0
#: Who waits for an association says so often that it is no stall.
_TURN_S = 0.5


class AssociationPool:
    """Lends associations. Several threads may use it; each has one of its own while it does."""

    def __init__(self, peer: Peer, most: int, context: Callable[[], TlsContext | None]) -> None:
        """``most``: so many are open at a time, as far as the peer takes them.

        ``context``: makes what TLS goes by, for each association. Raises DestinationPaused.
        """
        self._peer = peer
        self._most_wanted = most
        self._context = context
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        #: So many associations the peer takes at a time, as far as is known; found out.
        self._most = most
        #: Who waits for one, and associations that are being opened.
        self._waiting = 0
        self._opening = 0
        self._idle: list[Association] = []
        self._busy: set[Association] = set()
        #: What was sent so far, the newest last: what an association is opened for.
        self._pairs: dict[Pair, None] = {}

    def close(self) -> None:
        """Releases those that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for association in idle:
            association.close()

    def abort(self) -> None:
        """Breaks off those in use; who waits for an answer gets LinkDown."""
        with self._lock:
            busy = list(self._busy)
        for association in busy:
            association.shut()

    def probe(self, timeout_s: float) -> None:
        """C-ECHO with little time for it: over an association that is there, or one of its own.

        A peer that takes no more than it has from us would leave another one waiting. Raises
        LinkDown, DestinationPaused.
        """
        with self._lock:
            idle, self._idle = self._idle, []
            full = bool(self._busy) and len(self._busy) + self._opening >= self._most
        if idle and _echoes(idle[-1], timeout_s):
            for association in idle:
                self._give_back(association)
            return
        for association in idle:
            association.cut()
        if full:
            self._knock(timeout_s)
            return
        association = Association(_hasty(self._peer, timeout_s), (), self._context())
        try:
            association.echo()
        finally:
            association.close()

    def _knock(self, timeout_s: float) -> None:
        """Returns if its port answers, where nothing more can be asked. Raises LinkDown."""
        try:
            socket.create_connection((self._peer.host, self._peer.port), timeout_s).close()
        except OSError as error:
            raise LinkDown(Code.LINK_DOWN, f"no connection ({type(error).__name__})") from None

    @contextmanager
    def lent(
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
                    self._most = self._most_wanted
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
        """One that is free, or opened now, or comes free in time. Raises LinkDown, DestinationPaused."""
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
        """Whether another one may be opened: beside others one at a time."""
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
        peer = _hasty(self._peer, _BESIDE_S) if beside else self._peer
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


def _hasty(peer: Peer, seconds: float) -> Peer:
    """The peer, waited for no longer than this."""
    return replace(
        peer,
        connect_timeout_s=min(peer.connect_timeout_s, seconds),
        answer_timeout_s=min(peer.answer_timeout_s, seconds),
    )


def _echoes(association: Association, timeout_s: float) -> bool:
    try:
        association.echo(timeout_s)
    except LinkDown:
        return False
    return True
