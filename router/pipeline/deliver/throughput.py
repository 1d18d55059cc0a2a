"""How a link is used: how many connections, and how much in one body. The clock is an argument.

A cut wastes the bodies that are under way, so on a poor link each holds one instance. Where the
link has proven good, waiting for an answer costs more than a cut would: several small instances
share a body then.
"""

from __future__ import annotations

import threading

#: A body should be on its way no longer than this: seconds.
_BODY_S = 0.25
_LARGEST_BODY = 4 * 1024 * 1024
#: Requests in a row that went through before bodies are shared.
_PROVEN = 4
#: One sends while another waits for its answer.
_LEAST = 2
#: A look at whether another number of connections is better takes so many requests, and seconds.
_WINDOW_REQUESTS, _WINDOW_S = 8, 5.0
#: Where bodies are large it takes so many seconds, and bytes: more than the kernels' buffers hold,
#: which are counted as handed to the link.
_LONG_WINDOW_S, _LONG_WINDOW_BYTES = 10.0, 4_000_000
#: No kernel takes so much of a connection that is dead.
_ALIVE_BYTES = 512_000
#: Fewer connections waste less in a cut, so they stay if they carry nearly as much; what more of them
#: carry must be worth it. Where packets are lost the gain of the fourth is a fourth.
_NEARLY, _WORTH = 0.95, 1.05
#: Another number is tried so long after the last one was found to be worse.
_SETTLED_S = 60.0
_SMOOTHING = 0.3
#: Bytes a second of one connection above which the ends are the bottleneck, and not the link: they
#: gain from doing several things at once.
_FAST = 8e6


class ThroughputController:
    """Adapts to what went through, and to what was handed to the link. Thread-safe."""

    def __init__(self, most_connections: int) -> None:
        self._lock = threading.Lock()
        self._most = most_connections
        self._connections = most_connections
        #: Bytes a second over all connections, as last measured; 0.0: not yet.
        self.goodput = 0.0
        self._rate = 0.0
        self._in_a_row = 0
        self._broken = False
        self._since_break = 0
        #: What was carried before the number was changed, and by how much it was, on trial.
        self._before = 0.0
        self._step = 0
        self._next_step = -1
        self._settled_until = 0.0
        self._window_at: float | None = None
        self._window_bytes = 0
        self._window_requests = 0
        self._window_handed = 0

    @property
    def connections(self) -> int:
        """How many requests may run at once.

        After a break it is one, until that one succeeds or proves the connection alive.
        """
        if self._broken:
            return 1
        return self._most if self.is_fast else self._connections

    @property
    def is_fast(self) -> bool:
        """Whether the ends are the bottleneck: then compressing costs more time than it saves."""
        return self._rate > _FAST and not self._broken

    @property
    def body_bytes(self) -> int:
        """Instances may share a body up to this size; 0: each has its own."""
        if self._in_a_row < _PROVEN:
            return 0
        return min(int(self._rate * _BODY_S), _LARGEST_BODY)

    def went_through(self, size: int, seconds: float, now: float) -> None:
        """A request of ``size`` bytes took so long; ``now``: monotonic."""
        rate = size / max(seconds, 1e-6)
        with self._lock:
            self._rate += (rate - self._rate) * (_SMOOTHING if self._rate else 1.0)
            self._in_a_row += 1
            self._broken = False
            if self._window_at is None:
                self._window_at = now - seconds
            self._window_bytes += size
            self._window_requests += 1
            passed = now - self._window_at
            if self._window_requests >= _WINDOW_REQUESTS and passed >= _WINDOW_S:
                self._look(self._window_bytes / passed, now)

    def bytes_sent(self, size: int, now: float) -> None:
        """So many bytes were handed to the link since this was last said."""
        with self._lock:
            self._since_break += size
            if self._since_break >= _ALIVE_BYTES:
                self._broken = False
            if self._window_at is None:
                if size:
                    self._window_at = now
                return
            self._window_handed += size
            passed = now - self._window_at
            if self._window_handed >= _LONG_WINDOW_BYTES and passed >= _LONG_WINDOW_S:
                self._look(self._window_handed / passed, now)

    def link_failed(self) -> None:
        """The link broke off: it has to prove itself again."""
        with self._lock:
            self._in_a_row = 0
            self._broken = True
            self._since_break = self._step = 0
            self._forget()

    def idle(self) -> None:
        """There was nothing to send: what passed since then is no measure."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._window_at = None
        self._window_bytes = self._window_requests = self._window_handed = 0

    def _look(self, goodput: float, now: float) -> None:
        """Keeps the number of connections that was tried, or not; tries the next."""
        self.goodput = goodput
        self._forget()
        step, self._step = self._step, 0
        worse = step and goodput < self._before * (_WORTH if step > 0 else _NEARLY)
        if worse:
            self._connections -= step
        if worse or (step and not self._is_possible(step)):
            self._next_step, self._settled_until = -step, now + _SETTLED_S
        elif step or now >= self._settled_until:
            step = step or self._next_step
            self._try(step if self._is_possible(step) else -step, goodput)

    def _is_possible(self, step: int) -> bool:
        return min(_LEAST, self._most) <= self._connections + step <= self._most

    def _try(self, step: int, goodput: float) -> None:
        if self._is_possible(step):
            self._connections += step
            self._before, self._step = goodput, step
