"""What delay and loss do to a TCP sender, segment by segment.

A proxy ends the sender's own TCP: the sender sees neither the delay nor the loss of the link behind
it. So the link keeps a sender of its own for each direction of each connection, modelled on Linux'
CUBIC as it is at the rates of mobile links (its TCP-friendly region, RFC 9438, 4.3):

* the window starts at ten segments, doubles each round trip until it has lost something, and then
  grows by 0.53 segments a round trip; after a pause it starts at ten again;
* a lost segment costs its retransmission (bytes), holds back what follows it for one round trip
  (TCP delivers in order), and shrinks the window to 0.7, at most once a round trip;
* a loss with fewer than four segments on their way has no duplicate acknowledgements: two round
  trips (tail loss probe, RFC 8985); a retransmission that is lost too waits for the timer
  (round trip + 200 ms) and starts over with one segment.

The mean rate of one connection then follows Mathis et al. (1997):

    rate = MSS / RTT * sqrt(3 / 2) / sqrt(loss)

which the tests check. Several connections get several times that, up to the rate of the link.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.link.conditions import SEGMENT_BYTES, Conditions

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_WINDOW = 10 * SEGMENT_BYTES
_SHRINK = 0.7
_GROWTH = 3 * (1 - _SHRINK) / (1 + _SHRINK)
_LEAST_TIMER_S = 0.2
_LONGEST_TIMER_S = 120.0
_DUPLICATE_ACKS = 4


@dataclass(frozen=True)
class Sent:
    """What became of some bytes."""

    #: When they may be handed to the receiver.
    deliver_at: float
    #: Bytes that the link carried for them, retransmissions included.
    wire_bytes: int


class Sender:
    """The sending side of one connection in one direction. Times are seconds."""

    def __init__(self, conditions: Conditions, draw: Callable[[], float]) -> None:
        self._conditions = conditions
        self._draw = draw
        self._window: float = _FIRST_WINDOW
        self._threshold = math.inf
        #: (when it is acknowledged, bytes): a heap, because a late segment holds back no others'.
        self._on_way: list[tuple[float, int]] = []
        self._in_flight = 0
        self._recovers_until = -math.inf
        self._delivered_at = -math.inf
        self._last_sent = -math.inf

    @property
    def timer_s(self) -> float:
        """After how long without an acknowledgement a segment is sent again."""
        return self._conditions.rtt_s + _LEAST_TIMER_S

    def wait_s(self, now: float, size: int) -> float:
        """Seconds until the window has room for so many bytes."""
        if not self._conditions.rtt_s:
            return 0.0
        self._acknowledge(now)
        if not self._in_flight and now - self._last_sent > self.timer_s:
            self._window = min(self._window, _FIRST_WINDOW)
        if not self._in_flight or self._in_flight + size <= self._window:
            return 0.0
        return max(self._on_way[0][0] - now, 1e-4)

    def send(self, left_at: float, size: int) -> Sent:
        """Bytes whose last bit left the bottleneck at ``left_at``."""
        conditions = self._conditions
        late = 0.0
        wire = size
        segments = math.ceil(size / SEGMENT_BYTES)
        if conditions.loss and self._draw() > (1 - conditions.loss) ** segments:
            late = self._lose(left_at)
            wire += min(size, SEGMENT_BYTES)
        if conditions.jitter_s:
            late += conditions.jitter_s * self._draw()
        arrives = left_at + conditions.rtt_s / 2 + late
        if conditions.rtt_s:
            heapq.heappush(self._on_way, (arrives + conditions.rtt_s / 2, size))
            self._in_flight += size
        self._last_sent = left_at
        self._delivered_at = max(self._delivered_at, arrives)
        return Sent(self._delivered_at, wire)

    def _lose(self, now: float) -> float:
        """Shrinks the window; the seconds by which the segment is late."""
        round_trip = self._conditions.rtt_s
        late = round_trip if self._in_flight >= _DUPLICATE_ACKS * SEGMENT_BYTES else 2 * round_trip
        if now >= self._recovers_until:
            self._threshold = max(self._window * _SHRINK, 2.0 * SEGMENT_BYTES)
            self._window = self._threshold
            self._recovers_until = now + round_trip
        while self._draw() < self._conditions.loss:  # the retransmission, too
            late += self.timer_s
            self._window = float(SEGMENT_BYTES)
        return late

    def _acknowledge(self, now: float) -> None:
        while self._on_way and self._on_way[0][0] <= now:
            _, size = heapq.heappop(self._on_way)
            self._in_flight -= size
            if self._window < self._threshold:
                self._window = min(self._window + size, max(self._threshold, self._window))
            else:
                self._window += _GROWTH * SEGMENT_BYTES * size / self._window


def retried_at(since: float, back_at: float, timer_s: float) -> float:
    """When a segment that was sent first at ``since`` is tried again once the link is back.

    The timer doubles with each try (RFC 6298): a connection that slept through a long outage wakes
    up late, which is why it may be better to open a new one.
    """
    tried = since
    wait = timer_s
    while tried < back_at:
        tried += wait
        wait = min(wait * 2, _LONGEST_TIMER_S)
    return tried


def mathis_bps(rtt_s: float, loss: float) -> float:
    """Bits per second of one connection (Mathis et al., 1997)."""
    return SEGMENT_BYTES * 8 / rtt_s * math.sqrt(1.5 / loss)
