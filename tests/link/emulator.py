"""The link: a TCP proxy that behaves like a mobile uplink, and fails like one when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Literal, Self

from tests.link.conditions import Bottleneck, Conditions
from tests.link.tcp import Sender, retried_at
from tests.link.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

#: What a sender's kernel may hand over before the link has carried it: the queue of a modem.
QUEUE_BYTES = 64 * 1024
_FASTEST_SLEEP_S = 0.0005
#: The bottleneck is handed the next bytes so long before it is free, so that it is never idle.
_AHEAD_S = 0.04
_WAITING_CHUNKS = 512
#: ``SO_LINGER`` with no time: closing sends RST.
_RST = struct.pack("ii", 1, 0)

#: How a cut shows: nothing at all, or RST on every connection.
How = Literal["silent", "reset"]


class Link(Traffic):
    """A link to one address. Use it in a ``with``; its controls may be called from any thread.

    ``up`` is from the connecting side to the target. ``up_bytes`` and ``down_bytes`` count what the
    link carried, retransmissions included.
    """

    def __init__(
        self,
        target: tuple[str, int],
        conditions: Conditions | None = None,
        *,
        seed: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__()
        self.target = target
        self.host = host
        self.connections = 0
        self.conditions = conditions or Conditions()
        self._chance = random.Random(seed)
        self._down = False
        self._cut_after: tuple[int, How] | None = None
        self._dummies: list[socket.socket] = []
        self._dummy_ports: set[int] = set()
        self._open: set[_Connection] = set()
        self._begin_conditions()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it: less waits in the proxy's own buffers.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES // 2)
        self._listener.bind((host, 0))
        self._listener.listen(128)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True, name="link")

    def _begin_conditions(self) -> None:
        begun = time.monotonic()
        self._bottlenecks = {up: Bottleneck(self.conditions, begun) for up in (True, False)}

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    # --- life ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, action: Coroutine[None, None, None]) -> None:
        done: Future[None] = asyncio.run_coroutine_threadsafe(action, self._loop)
        done.result(30)

    async def _start(self) -> None:
        self._turns = {True: asyncio.Lock(), False: asyncio.Lock()}
        self._passable = asyncio.Event()
        self._passable.set()
        self._loop.add_reader(self._listener, self._accept)

    async def _end(self) -> None:
        self._loop.remove_reader(self._listener)
        await self._reset_all()
        for dummy in self._dummies:
            dummy.close()
        self._listener.close()

    # --- controls -----------------------------------------------------------------------------

    def cut(self, how: How = "silent") -> None:
        """Nothing passes any more. ``silent``: no one is told; new connections are not answered."""
        self._call(self._cut(how))

    def restore(self) -> None:
        """The link is back; what slept through the cut is tried again when its timer says so."""
        self._call(self._restore())

    def reset(self) -> None:
        """RST on every connection; the link stays up."""
        self._call(self._reset_all())

    def cut_after(self, size: int, how: How = "silent") -> None:
        """The link is cut as soon as it has carried so many more bytes up."""
        self._cut_after = (self.up_bytes + size, how)

    def change(self, conditions: Conditions) -> None:
        """Other conditions from now on, for new connections and the bottleneck."""
        self.conditions = conditions
        self._begin_conditions()

    @property
    def is_cut(self) -> bool:
        return self._down

    async def _cut(self, how: How) -> None:
        self._cut_after = None
        if self._down:
            return
        self._down = True
        self._has_been_cut()
        self._passable.clear()
        self._loop.remove_reader(self._listener)
        if how == "reset":
            await self._reset_all()
        self._fill_queue()

    def _fill_queue(self) -> None:
        """Fills the queue of new connections: further SYNs are dropped without an answer."""
        self._listener.listen(0)
        for _ in range(3):
            dummy = socket.socket()
            dummy.setblocking(False)
            dummy.connect_ex((self.host, self.port))
            self._dummies.append(dummy)
        self._dummy_ports = {dummy.getsockname()[1] for dummy in self._dummies}

    async def _restore(self) -> None:
        if not self._down:
            return
        for dummy in self._dummies:
            dummy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            dummy.close()
        self._dummies.clear()
        self._listener.listen(128)
        self._down = False
        self._has_been_restored()
        self._passable.set()
        self._loop.add_reader(self._listener, self._accept)

    async def _reset_all(self) -> None:
        for connection in list(self._open):
            connection.abort()
        await asyncio.gather(*(c.task for c in self._open if c.task), return_exceptions=True)

    # --- connections --------------------------------------------------------------------------

    def _accept(self) -> None:
        """Takes every new connection that waits."""
        while True:
            try:
                client, (_, port) = self._listener.accept()
            except BlockingIOError:
                return
            if port in self._dummy_ports:
                client.close()
                continue
            client.setblocking(False)
            connection = _Connection(self, client)
            self._open.add(connection)
            connection.task = asyncio.create_task(connection.serve())
            connection.task.add_done_callback(partial(self._forget, connection))

    def _forget(self, connection: _Connection, _: object) -> None:
        self._open.discard(connection)
        connection.close()  # a task that was cancelled before it began has closed nothing

    def sender(self) -> Sender:
        """The model of a TCP sender on this link."""
        return Sender(self.conditions, self._chance.random)

    async def carry(self, size: int, *, up: bool) -> float:
        """Waits for the turn of so many bytes at the bottleneck; when the last bit will have left."""
        async with self._turns[up]:
            left_at = self._bottlenecks[up].serialise(time.monotonic(), size)
            await sleep_until(left_at - _AHEAD_S)
        return left_at

    async def count(self, size: int, *, up: bool) -> None:
        """Counts bytes that the link carried; the cut that was asked for comes here."""
        self._has_carried(size, up=up)
        if up and self._cut_after is not None and self.up_bytes >= self._cut_after[0]:
            _, how = self._cut_after
            self._cut_after = None
            # Not awaited: a reset would wait for the very task that is here.
            self._cutting = asyncio.create_task(self._cut(how))
            await asyncio.sleep(0)

    async def passes(self, timer_s: float) -> bool:
        """Waits while the link is cut, and then for the sender's timer; whether it was cut."""
        was_cut = False
        while self._down:
            was_cut = True
            since = time.monotonic()
            await self._passable.wait()
            await sleep_until(retried_at(since, time.monotonic(), timer_s))
        return was_cut


class _Connection:
    """One connection through the link: two directions, two tasks each."""

    def __init__(self, link: Link, client: socket.socket) -> None:
        self.task: asyncio.Task[None] | None = None
        self._link = link
        self._client = client
        self._target = socket.socket()
        self._target.setblocking(False)

    def abort(self) -> None:
        """RST to both ends."""
        for end in (self._client, self._target):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        if self.task is not None:
            self.task.cancel()

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        link = self._link
        try:
            await loop.sock_connect(self._target, link.target)
            link.connections += 1
            for end in (self._client, self._target):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The handshake that the proxy answered at once costs a round trip.
            opened = time.monotonic() + link.conditions.rtt_s
            await together(
                _Direction(link, self._client, self._target, up=True).run(opened),
                _Direction(link, self._target, self._client, up=False).run(opened),
            )
        except (OSError, asyncio.CancelledError):
            # One end broke off, or the link was told to: so it looks from the other end, too.
            for end in (self._client, self._target):
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)

    def close(self) -> None:
        self._client.close()
        self._target.close()


class _Direction:
    """One direction of one connection: a reader that meets the bottleneck, a writer that is late."""

    def __init__(
        self, link: Link, source: socket.socket, target: socket.socket, *, up: bool
    ) -> None:
        self._link = link
        self._source = source
        self._target = target
        self._up = up
        self._sender = link.sender()
        self._waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING_CHUNKS)

    async def run(self, opened: float) -> None:
        await together(self._read(opened), self._write())

    async def _read(self, opened: float) -> None:
        loop, link, sender = asyncio.get_running_loop(), self._link, self._sender
        size = link.conditions.quantum_bytes
        while True:
            data = await loop.sock_recv(self._source, size)
            await sleep_until(opened)
            if not data:
                await self._waiting.put((0.0, data))
                return
            await link.passes(sender.timer_s)
            await self._room(len(data))
            left_at = await link.carry(len(data), up=self._up)
            sent = sender.send(left_at, len(data))
            await link.count(sent.wire_bytes, up=self._up)
            if sent.wire_bytes > len(data):
                await link.carry(sent.wire_bytes - len(data), up=self._up)
            await self._waiting.put((sent.deliver_at, data))

    async def _room(self, size: int) -> None:
        """Waits until the sender's window has room."""
        while True:
            wait = self._sender.wait_s(time.monotonic(), size)
            if wait <= 0:
                return
            await asyncio.sleep(wait)

    async def _write(self) -> None:
        loop, link = asyncio.get_running_loop(), self._link
        while True:
            deliver_at, data = await self._waiting.get()
            await sleep_until(deliver_at)
            if await link.passes(self._sender.timer_s):
                # It was on its way when the link was cut: it is carried once more.
                if data:
                    await link.carry(len(data), up=self._up)
                    await link.count(len(data), up=self._up)
                await asyncio.sleep(link.conditions.rtt_s / 2)
            if not data:
                with contextlib.suppress(OSError):
                    self._target.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(self._target, data)


async def together(*actions: Coroutine[None, None, None]) -> None:
    """Does all at once; the first that fails ends the others, and none is left behind."""
    tasks = [asyncio.create_task(action) for action in actions]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def sleep_until(moment: float) -> None:
    """Until a monotonic time; what is less than a timer's grain is not slept."""
    wait = moment - time.monotonic()
    if wait > _FASTEST_SLEEP_S:
        await asyncio.sleep(wait)
