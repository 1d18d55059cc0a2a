"""The link packet by packet, between two TCPs of this machine's kernel.

The proxy of ``emulator`` ends the sender's TCP and has to model it; here the sender's own TCP meets
the delay and the loss, with the congestion control that it has chosen. A TUN device carries what is
sent to an address that nobody has; this end of it is a queue, a rate, a delay and a loss. What comes
out of them goes back into the device with its two addresses exchanged, so that this machine takes it
for a connection from that address. (Exchanging them leaves every checksum right.)

Needs Linux, root, ``/dev/net/tun`` and ``ip`` (Debian's iproute2). IPv4 and TCP only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self

from tests.link.conditions import Bottleneck, Conditions
from tests.link.emulator import QUEUE_BYTES
from tests.link.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

_TUN = "/dev/net/tun"
_NAME = "edgelink{}"
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_MTU = 1500
_PIECE_BYTES = 256 * 1024
_IP_BYTES, _TCP = 20, 6
#: ``prctl``: this thread's timers may be late by no more than so many nanoseconds.
_PR_SET_TIMERSLACK, _SLACK_NS = 29, 50_000
_TICK_S = 0.2


def is_possible() -> bool:
    """Whether this machine lets us make such a device."""
    try:
        with contextlib.ExitStack() as ends:
            _first_free(ends)
            return shutil.which("ip") is not None
    except OSError:
        return False


def _first_free(ends: contextlib.ExitStack) -> tuple[int, int]:
    """The number of a device, and its file. Raises OSError."""
    for number in range(255):
        try:
            return number, ends.enter_context(_device(_NAME.format(number)))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


@contextlib.contextmanager
def _device(name: str) -> Iterator[int]:
    descriptor = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    try:
        request = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
        yield descriptor
    finally:
        os.close(descriptor)


class PacketLink(Traffic):
    """A link to one address. Use it in a ``with``; its controls may be called from any thread.

    ``up_bytes`` and ``down_bytes`` count TCP's payload as the link took it, what it then lost and
    what was sent again included. As in ``emulator`` the rate is of the payload.
    """

    def __init__(self, target: tuple[str, int], conditions: Conditions, *, seed: int = 0) -> None:
        super().__init__()
        self.target = target
        self.conditions = conditions
        self._chance = random.Random(seed)
        self._down = False
        self._cut_after: int | None = None
        begun = time.monotonic()
        self._bottlenecks = {up: Bottleneck(conditions, begun) for up in (True, False)}
        #: When the last packet that was let in leaves the bottleneck, by direction.
        self._free_at = {True: begun, False: begun}
        #: (when, order, packet): what is on its way.
        self._under_way: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._ends = contextlib.ExitStack()
        self._stopping = False
        #: Sockets of connections behind the link.
        self._ends_open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ends:
            number, self._tun = _first_free(ends)
            name = _NAME.format(number)
            near, self.host = f"10.213.{number}.1", f"10.213.{number}.2"
            for arguments in (
                ("addr", "add", f"{near}/30", "dev", name),
                ("link", "set", name, "up", "mtu", str(_MTU)),
            ):
                subprocess.run(["ip", *arguments], check=True, capture_output=True)
            self._listener = ends.enter_context(socket.create_server((near, 0)))
            self.port = int(self._listener.getsockname()[1])
            for work in (self._carry, self._accept):
                thread = threading.Thread(target=work, daemon=True, name=name)
                thread.start()
                ends.callback(thread.join)
            ends.callback(self._end)
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _end(self) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for end in self._ends_open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    # --- controls -----------------------------------------------------------------------------

    @property
    def is_cut(self) -> bool:
        return self._down

    def cut(self) -> None:
        """Every packet is lost from now on; nobody is told."""
        with self._lock:
            self._cut()

    def cut_after(self, size: int) -> None:
        """The link is cut as soon as it has carried so many more bytes up."""
        self._cut_after = self.up_bytes + size

    def restore(self) -> None:
        with self._lock:
            if self._down:
                self._down = False
                self._has_been_restored()

    def _cut(self) -> None:
        self._cut_after = None
        if self._down:
            return
        self._down = True
        self._has_been_cut()

    # --- packets ------------------------------------------------------------------------------

    def _carry(self) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _SLACK_NS)
        while not self._stopping:
            now = time.monotonic()
            while self._under_way and self._under_way[0][0] <= now:
                packet = heapq.heappop(self._under_way)[2]
                with self._lock:
                    lost = self._down
                if not lost:
                    with contextlib.suppress(BlockingIOError):
                        os.write(self._tun, packet)
            wait = self._under_way[0][0] - now if self._under_way else _TICK_S
            if select.select([self._tun], [], [], max(0.0, min(wait, _TICK_S)))[0]:
                self._take_all()

    def _take_all(self) -> None:
        while True:
            try:
                packet = os.read(self._tun, 2 * _MTU)
            except BlockingIOError:
                return
            if packet[0] >> 4 == 4 and packet[9] == _TCP:
                with self._lock:
                    self._take(packet, time.monotonic())

    def _take(self, packet: bytes, now: float) -> None:
        tcp = packet[_IP_BYTES:]
        up = int.from_bytes(tcp[2:4], "big") == self.port
        size = len(tcp) - (tcp[12] >> 4) * 4
        rate = self.conditions.rate_bps
        waiting = (self._free_at[up] - now) * rate / 8 if rate else 0.0
        if self._down or waiting > QUEUE_BYTES:
            return
        left_at = self._free_at[up] = self._bottlenecks[up].serialise(now, size)
        self._has_carried(size, up=up)
        if up and self._cut_after is not None and self.up_bytes >= self._cut_after:
            self._cut()
        if self._chance.random() < self.conditions.loss:
            return
        arrives = left_at + self.conditions.rtt_s / 2
        if self.conditions.jitter_s:
            arrives += self.conditions.jitter_s * self._chance.random()
        swapped = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
        heapq.heappush(self._under_way, (arrives, next(self._order), swapped))

    # --- behind the link ----------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._stopping:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target)
            except OSError:
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._ends_open |= {near, far}
            threading.Thread(target=self._serve, args=(near, far), daemon=True).start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()
        with self._lock:
            self._ends_open -= {near, far}
        near.close()
        far.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_PIECE_BYTES):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side has broken off: so does the other
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
