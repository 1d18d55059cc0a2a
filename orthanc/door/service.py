# reason: one event loop holds who waits, who shakes hands and who passes; in two modules it would be shared state
"""The door itself: takes connections, decides who passes, and ends what does not move."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import TYPE_CHECKING

from door import callers, pdus
from door.figures import Figures, Reason, log
from door.places import Places
from door.relay import Call, OrthancSide
from door.settings import SettingsFault
from door.sockets import SOCKET_BYTES, dial, prepare, readable, tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine

    from door.settings import Settings

_LOOK_S = 0.25
_SAVE_S = 1.0
#: Host names of scanners are looked up again.
_REFRESH_S = 60.0
#: A caller that does not read its last bytes.
_FLUSH_S = 5.0
#: Of callers that are at their TLS handshake: each takes 0.3 MB.
_MOST_HANDSHAKES, _MOST_HANDSHAKES_EACH = 64, 48
_LOG_EVERY_S = 10.0
_BACKLOG = 1024
_REASONS = {
    pdus.CALLED_AE_NOT_RECOGNIZED: Reason.OTHER_CALLED_AE,
    pdus.CALLING_AE_NOT_RECOGNIZED: Reason.UNKNOWN_CALLER,
}


class Door:
    """Runs in one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsFault."""
        self.limits = limits = settings.limits
        self.figures = Figures()
        self._settings = settings
        self._register = _register(settings)
        self._callers = callers.Callers(settings.callers)
        self._waiting: Places[Call] = Places(limits.most_waiting, limits.most_waiting_each)
        #: The same, of those that have begun to speak TLS.
        self._shaking: Places[Call] = Places(_MOST_HANDSHAKES, _MOST_HANDSHAKES_EACH)
        self._passing: Places[Call] = Places(limits.most, limits.most_each)
        self._rooms = (self._waiting, self._shaking, self._passing)
        #: Over, but with bytes on their way, and since when.
        self._last_words: dict[Call, float] = {}
        self._names: dict[Call, tuple[str, str]] = {}
        self._begun: dict[Call, asyncio.Task[None]] = {}
        #: Connections that are not handed to their call yet.
        self._raw: dict[Call, socket.socket] = {}
        self._waiting_bytes = 0
        self._busy = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._listeners: list[socket.socket] = []
        self._server: asyncio.Server | None = None
        self._logged_at = -_LOG_EVERY_S
        self.figures.gauges = {
            "edge_door_waiting": lambda: len(self._waiting) + len(self._shaking),
            "edge_door_associations": lambda: len(self._passing),
            "edge_door_unknown_callers": self._callers.unknown,
        }

    # --- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listens. Raises SettingsFault where a certificate cannot be used, OSError."""
        settings = self._settings
        ports: list[tuple[int, ssl.SSLContext | None]] = [(settings.port, None)]
        if settings.tls is not None:
            ports.append((settings.tls.port, tls_context(settings.tls)))
        for port, context in ports:
            listener = socket.create_server((settings.host, port), backlog=_BACKLOG)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
            listener.setblocking(False)
            self._listeners.append(listener)
            self._tasks.append(asyncio.create_task(self._take(listener, context)))
        self._server = await self.figures.serve(settings.figures_host, settings.figures_port)
        self._tasks += [
            asyncio.create_task(self._watch()),
            asyncio.create_task(self._keep_list()),
            asyncio.create_task(self._show_figures()),
        ]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listeners[0].getsockname()[1])

    @property
    def tls_port(self) -> int:
        """Where it listens with TLS."""
        return int(self._listeners[1].getsockname()[1])

    @property
    def figures_port(self) -> int:
        """Where its figures are; 0 before ``start``."""
        return 0 if self._server is None else int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Ends every call."""
        await _end(self._tasks)
        for listener in self._listeners:
            listener.close()
        for call in [call for room in self._rooms for call in room.all()]:
            call.end(Reason.ENDED)
        await _end(list(self._begun.values()))
        if self._server is not None:
            self._server.close()
        self._save()

    # --- connections --------------------------------------------------------------------------

    async def _take(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, (host, *_) = await loop.sock_accept(listener)
            except OSError as error:  # of one connection, or no descriptor is free for now
                log("WARNING", "accept", type(error).__name__, errno=error.errno)
                await asyncio.sleep(_LOOK_S)
                continue
            self.figures.connections += 1
            call = Call(self, callers.plain(host), loop.time(), tls=context is not None)
            self._wait_in(self._waiting, call)
            self._raw[call] = connection
            self._begin(call, self._open(connection, call, context))

    @staticmethod
    def _wait_in(room: Places[Call], call: Call) -> None:
        """Gives a call a place, for which the oldest may have to go."""
        for one in room.crowd(call.address)[:1]:
            one.end(Reason.MADE_ROOM)
        room.take(call)

    def _begin(self, call: Call, work: Coroutine[None, None, None]) -> None:
        """Does what a call needs; ends with it."""
        self._busy.set()
        task = asyncio.create_task(work)
        self._begun[call] = task
        task.add_done_callback(lambda done: self._done(call, done))

    def _done(self, call: Call, task: asyncio.Task[None]) -> None:
        if self._begun.get(call) is task:
            del self._begun[call]
        # Of a task that was ended before it began, too.
        if (raw := self._raw.pop(call, None)) is not None and task.cancelled():
            raw.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            log("ERROR", "call", type(error).__name__, code="UNEXPECTED")
            call.end(Reason.ENDED)

    async def _open(
        self, connection: socket.socket, call: Call, context: ssl.SSLContext | None
    ) -> None:
        """Hands a connection to its call, behind its TLS handshake."""
        try:
            prepare(connection)
            if context is not None:
                await readable(connection)  # who says nothing is not worth the memory of TLS
                self._waiting.leave(call)
                self._wait_in(self._shaking, call)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: call,
                connection,
                ssl=context,
                ssl_handshake_timeout=None if context is None else self.limits.request_s,
            )
        except OSError:  # ssl.SSLError is one
            connection.close()
            call.end(Reason.GONE if context is None else Reason.NOT_DICOM)

    # --- calls --------------------------------------------------------------------------------

    def came(self, number: int) -> None:
        """So many more bytes (fewer, if negative) of requests that are not whole."""
        self._waiting_bytes += number
        while self._waiting_bytes > self.limits.most_waiting_bytes:
            rooms = (self._waiting, self._shaking)
            oldest = next((call for room in rooms for call in room.all()), None)
            if oldest is None:
                return
            oldest.end(Reason.MADE_ROOM)

    def asked(self, call: Call, request: bytes) -> None:
        """Decides about a whole A-ASSOCIATE-RQ."""
        for room in (self._waiting, self._shaking):
            room.leave(call)
        try:
            said = pdus.request(request)
        except pdus.Malformed:
            call.refuse(pdus.ABORT_INVALID, Reason.NOT_DICOM)
            return
        self._names[call] = said.calling, said.called
        rejection = said.rejection
        if rejection is not None:
            self._refuse(call, rejection, Reason.NOT_SUPPORTED)
            return
        rejection = self._register.decide(said.called, said.calling, call.address)
        if rejection is not None:
            self._refuse(call, rejection, _REASONS[rejection])
            return
        crowd = self._passing.crowd(call.address)
        if crowd and not self._make_room(crowd):
            self._refuse(call, pdus.LOCAL_LIMIT_EXCEEDED, Reason.TOO_MANY)
            return
        call.unserved = said.unserved
        self._passing.take(call)
        self._begin(call, self._connect(call, request))

    def _make_room(self, crowd: list[Call]) -> bool:
        """Ends the one that has been at rest longest, where one has been for long enough."""
        now = asyncio.get_running_loop().time()
        rests = {one: one.progress.rests(now) for one in crowd if one.progress is not None}
        longest = max(rests, key=lambda one: rests[one], default=None)
        if longest is None or rests[longest] < self.limits.yields_s:
            return False
        longest.refuse(pdus.ABORT, Reason.YIELDED)
        return True

    async def _connect(self, call: Call, request: bytes) -> None:
        side = OrthancSide(call)
        settings = self._settings
        try:
            async with asyncio.timeout(self.limits.connect_s):
                connection = await dial(settings.orthanc_host, settings.orthanc_port)
                await asyncio.get_running_loop().create_connection(lambda: side, sock=connection)
        except (OSError, TimeoutError):
            self._refuse(call, pdus.TEMPORARY_CONGESTION, Reason.ORTHANC_UNREACHABLE)
            return
        call.connected(side, request)

    def answered(self, call: Call, *, accepted: bool) -> None:
        """Orthanc took a call, or did not."""
        if accepted:
            self.figures.associations += 1
        self._note(call, "" if accepted else Reason.ORTHANC_REFUSED)

    def passed(self, to_orthanc: int, to_caller: int) -> None:
        """So many bytes were passed on."""
        self.figures.bytes_in += to_orthanc
        self.figures.bytes_out += to_caller

    def left(self, call: Call) -> None:
        """A call is over."""
        for room in self._rooms:
            room.leave(call)
        self._names.pop(call, None)
        task = self._begun.pop(call, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        if call.reason is not None:
            self.figures.ended[call.reason] += 1
        self._last_words[call] = asyncio.get_running_loop().time()

    def _refuse(self, call: Call, rejection: pdus.Rejection, reason: Reason) -> None:
        self._note(call, reason)
        call.refuse(rejection.pdu(), reason)

    def _note(self, call: Call, reason: str) -> None:
        calling, called = self._names.get(call, ("", ""))
        self._callers.note(calling, called, call.address, reason, time.time())
        now = asyncio.get_running_loop().time()
        if reason and now - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = now
            log("WARNING", "refuse", "a caller was refused", code=reason, address=call.address)

    # --- the watch ----------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Looks at all calls as long as there are any."""
        loop = asyncio.get_running_loop()
        while True:
            await self._busy.wait()
            looked_at = loop.time()
            await asyncio.sleep(_LOOK_S)
            now = loop.time()
            late = now - looked_at - _LOOK_S
            if late > _LOOK_S:
                # The machine did not let the door run: what came meanwhile has not been read.
                for room in (self._waiting, self._shaking):
                    for call in room.all():
                        call.began_at += late
            self._look(now)
            if not (any(map(len, self._rooms)) or self._last_words):
                self._busy.clear()

    def _look(self, now: float) -> None:
        for room in (self._waiting, self._shaking):
            for call in room.all():
                if now - call.began_at >= self.limits.request_s:
                    call.end(Reason.NO_REQUEST)
        for call in self._passing.all():
            fault = None if call.progress is None else call.progress.fault(now)
            if fault is not None:
                call.refuse(pdus.ABORT, fault)
        for call, since in list(self._last_words.items()):
            if call.is_closed or now - since > _FLUSH_S:
                call.abort()
                del self._last_words[call]

    async def _keep_list(self) -> None:
        """Writes the list of callers, and looks host names up again."""
        refreshed = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(_SAVE_S)
            self._save()
            now = asyncio.get_running_loop().time()
            if self._settings.check_host and now - refreshed >= _REFRESH_S:
                await asyncio.to_thread(self._register.refresh)
                refreshed = now

    async def _show_figures(self) -> None:
        """Writes them, for a metrics agent that has no way to a network that scanners are in."""
        while (path := self._settings.figures_file) is not None:
            try:
                self.figures.write(path)
            except OSError as error:
                log("WARNING", "figures", type(error).__name__, code="FIGURES_NOT_WRITTEN")
            await asyncio.sleep(self._settings.limits.figures_s)

    def _save(self) -> None:
        try:
            self._callers.save()
        except OSError as error:
            log("WARNING", "callers", type(error).__name__, code="CALLERS_NOT_WRITTEN")


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _register(settings: Settings) -> callers.Register:
    try:
        listed = callers.modalities(settings.modalities.read_text(encoding="utf-8"), os.environ)
    except (OSError, UnicodeDecodeError, callers.Unusable) as error:
        raise SettingsFault(f"{settings.modalities}: {error}") from None
    return callers.Register(settings.ae_title, listed, check_host=settings.check_host)
