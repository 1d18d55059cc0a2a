"""The two ends of a call: the caller's connection, and Orthanc's."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Protocol, cast

from door import pdus
from door.figures import Reason
from door.progress import Progress
from door.sockets import prepare

if TYPE_CHECKING:
    from door.settings import Limits

#: Of the process, before the other side is asked to wait.
_BUFFER_BYTES = 128 * 1024


class Keeper(Protocol):
    """Who decides about calls."""

    limits: Limits

    def asked(self, call: Call, request: bytes) -> None:
        """A whole A-ASSOCIATE-RQ came."""

    def came(self, number: int) -> None:
        """So many more bytes (fewer, if negative) of requests that are not whole."""

    def answered(self, call: Call, *, accepted: bool) -> None:
        """Orthanc's answer to the request began."""

    def passed(self, to_orthanc: int, to_caller: int) -> None:
        """So many bytes were passed on."""

    def left(self, call: Call) -> None:
        """The call is over."""


class State(Enum):
    """Where a call is."""

    WAITING = 1  #: for the whole A-ASSOCIATE-RQ
    CONNECTING = 2  #: to Orthanc
    PASSING = 3
    OVER = 4


class Call(asyncio.Protocol):
    """A caller's connection, from its first byte to its end."""

    def __init__(self, keeper: Keeper, address: str, now: float, *, tls: bool = False) -> None:
        """``now``: of the event loop's clock."""
        self.address = address
        self.tls = tls
        self.began_at = now
        self.state = State.WAITING
        self.reason: Reason | None = None
        self.progress: Progress | None = None
        #: Ids of the presentation contexts that are refused whatever Orthanc says.
        self.unserved: frozenset[int] = frozenset()
        self._answer = bytearray()
        self._keeper = keeper
        self._asked = bytearray()
        self._transport: asyncio.Transport | None = None
        self._orthanc: OrthancSide | None = None

    # --- what asyncio calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_BUFFER_BYTES)
        if self.state is State.OVER:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.state is State.PASSING and self._orthanc is not None and self.progress is not None:
            try:
                self.progress.came(data, asyncio.get_running_loop().time())
            except pdus.Malformed:
                self.end(Reason.MALFORMED)
                return
            self._keeper.passed(len(data), 0)
            self._orthanc.send(data)
        elif self.state is State.WAITING:
            self._gather(data)

    def eof_received(self) -> bool:
        """Half of the connection is closed: the answers that are under way still come."""
        if self.state is State.PASSING and self._orthanc is not None:
            return self._orthanc.no_more() and not self.tls
        self.end(Reason.GONE)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        reason = Reason.ENDED if self.state is State.PASSING else Reason.GONE
        self.end(reason, abort=error is not None)

    def pause_writing(self) -> None:
        if self._orthanc is not None:
            self._orthanc.hold()

    def resume_writing(self) -> None:
        if self._orthanc is not None:
            self._orthanc.go_on()

    # --- before there is an association -------------------------------------------------------

    def _gather(self, data: bytes) -> None:
        self._asked += data
        self._keeper.came(len(data))
        try:
            length = pdus.request_length(bytes(self._asked[: pdus.HEADER_BYTES]))
        except pdus.Malformed:
            length = -1
        if length is None or length > len(self._asked):
            return
        if length < len(self._asked):  # or something came before this was answered
            self.end(Reason.NOT_DICOM)
        else:
            self.state = State.CONNECTING
            self.hold()  # whatever comes now has to wait
            asked = bytes(self._asked)
            self._forget_request()
            self._keeper.asked(self, asked)

    def _forget_request(self) -> None:
        self._keeper.came(-len(self._asked))
        self._asked.clear()

    def refuse(self, answer: bytes, reason: Reason) -> None:
        """Sends an A-ASSOCIATE-RJ or an A-ABORT, and hangs up."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)
            self._transport.close()
        self.end(reason, abort=False)

    def connected(self, orthanc: OrthancSide, request: bytes) -> None:
        """Orthanc took the connection: the call passes from now on."""
        if self.state is not State.CONNECTING:
            orthanc.hang_up()
            return
        now = asyncio.get_running_loop().time()
        self._orthanc = orthanc
        self.progress = Progress(self._keeper.limits, now)
        self.state = State.PASSING
        orthanc.send(request)
        self.go_on()

    # --- the association ----------------------------------------------------------------------

    def answer(self, data: bytes) -> None:
        """Passes on what Orthanc says."""
        if self._transport is None or self.progress is None or self.state is not State.PASSING:
            return
        if not self.progress.answered:
            self._keeper.answered(self, accepted=data[0] == pdus.Kind.ASSOCIATE_AC)
        self.progress.went(asyncio.get_running_loop().time())
        if self.unserved:
            data = self._refusing(data)
        self._keeper.passed(0, len(data))
        self._transport.write(data)

    def _refusing(self, data: bytes) -> bytes:
        """What is passed on of Orthanc's answer: nothing before all of it is there."""
        self._answer += data
        length = pdus.answer_length(bytes(self._answer[: pdus.HEADER_BYTES]))
        if length is None or len(self._answer) < length:
            return b""
        answer, rest = bytes(self._answer[:length]), bytes(self._answer[length:])
        self._answer.clear()
        ids, self.unserved = self.unserved, frozenset()
        if not length:
            return rest
        try:
            return pdus.refuse_contexts(answer, ids) + rest
        except pdus.Malformed:  # the caller is to see it as it is
            return answer + rest

    def hold(self) -> None:
        """Reads nothing from the caller until ``go_on``."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        if self.progress is not None:
            self.progress.held = True

    def go_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        if self.progress is not None:
            self.progress.held = False
            self.progress.restart(asyncio.get_running_loop().time())

    def orthanc_left(self) -> None:
        """Orthanc hung up: what it said last is still sent."""
        if self._transport is not None:
            self._transport.close()
        self.end(Reason.ENDED, abort=False)

    def end(self, reason: Reason, *, abort: bool = True) -> None:
        """Gives everything back; nothing happens the second time.

        ``abort``: at once. Else both sides still get what was said to them, until ``abort``.
        """
        if self.state is State.OVER:
            return
        self.state = State.OVER
        self.reason = reason
        self._forget_request()
        if abort:
            self.abort()
        elif self._orthanc is not None:
            self._orthanc.hang_up()
        self._keeper.left(self)

    def abort(self) -> None:
        """Ends what ``end`` let go on: the last bytes for somebody who does not read them."""
        if self._transport is not None:
            self._transport.abort()
        if self._orthanc is not None:
            self._orthanc.abort()

    @property
    def is_closed(self) -> bool:
        """Whether nothing of it is left."""
        buffered = 0 if self._transport is None else self._transport.get_write_buffer_size()
        if self._orthanc is not None:
            buffered += self._orthanc.unsent
        return self.state is State.OVER and not buffered


class OrthancSide(asyncio.Protocol):
    """The connection to Orthanc that belongs to one call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_BUFFER_BYTES)
        prepare(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        self._call.answer(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._call.orthanc_left()

    def pause_writing(self) -> None:
        self._call.hold()

    def resume_writing(self) -> None:
        self._call.go_on()

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def no_more(self) -> bool:
        """The caller sends nothing more. Whether Orthanc may still answer."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write_eof()
        return True

    def hold(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def unsent(self) -> int:
        """Bytes that Orthanc has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def hang_up(self) -> None:
        """Closes when all is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once."""
        if self._transport is not None:
            self._transport.abort()
