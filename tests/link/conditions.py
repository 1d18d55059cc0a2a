"""What a link is like, and how that changes with time."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass

#: Bytes of payload in a TCP segment over Ethernet, with timestamps.
SEGMENT_BYTES = 1448


@dataclass(frozen=True)
class Slot:
    """A stretch of time with one rate; 0: nothing passes."""

    seconds: float
    rate_bps: float


@dataclass(frozen=True)
class Conditions:
    """A link, the same in both directions.

    Rates are of TCP's payload: HTTP and TLS count, the headers of TCP and IP (3.6 %) do not.
    """

    #: Bits per second; ``None``: as fast as this machine.
    rate_bps: float | None = None
    rtt_s: float = 0.0
    #: Each segment is late by up to so much more; the order is kept, as TCP keeps it.
    jitter_s: float = 0.0
    #: Probability that a segment is lost.
    loss: float = 0.0
    #: Instead of one rate: these in a row, and again from the first.
    trace: tuple[Slot, ...] = ()

    @property
    def quantum_bytes(self) -> int:
        """How much is taken at a time: a segment on slow links, about 2 ms of fast ones."""
        if self.trace:
            return SEGMENT_BYTES
        if self.rate_bps is None:
            return SEGMENT_BYTES * (4 if self.rtt_s or self.loss else 180)
        return SEGMENT_BYTES * max(1, round(self.rate_bps / 8 * 0.002 / SEGMENT_BYTES))


class Bottleneck:
    """Where the bytes of all connections in one direction queue up. Times are seconds."""

    def __init__(self, conditions: Conditions, begun: float) -> None:
        self._conditions = conditions
        self._begun = begun
        self._free_at = begun
        self._period_s = sum(slot.seconds for slot in conditions.trace)

    def serialise(self, now: float, size: int) -> float:
        """When the last bit of ``size`` bytes has left, if they are handed in at ``now``."""
        start = max(now, self._free_at)
        if self._conditions.trace:
            self._free_at = self._through_trace(start, size)
        elif self._conditions.rate_bps is not None:
            self._free_at = start + size * 8 / self._conditions.rate_bps
        else:
            self._free_at = start
        return self._free_at

    def _through_trace(self, start: float, size: int) -> float:
        bits = size * 8.0
        now = start
        while True:
            slot, left_s = self._slot(now)
            if slot.rate_bps * left_s >= bits:
                return now + bits / slot.rate_bps
            bits -= slot.rate_bps * left_s
            now += left_s

    def _slot(self, now: float) -> tuple[Slot, float]:
        """The slot at a time, and the seconds that are left of it."""
        at = (now - self._begun) % self._period_s
        for slot in self._conditions.trace:
            if at < slot.seconds - 1e-9:
                return slot, slot.seconds - at
            at = max(0.0, at - slot.seconds)
        return self._conditions.trace[0], self._conditions.trace[0].seconds


#: Mobile uplinks as published (Winstein, Sivaraman, Balakrishnan, NSDI 2013): means of 0.8 to 13
#: Mbit/s; the longest gap of their traces is 78 s.
LTE_MEANS_BPS = (0.8e6, 2.0e6, 5.0e6, 13.0e6)
LTE_LONGEST_GAP_S = 78.0
_STEP_S = 0.5
#: How much the rate remembers of half a second ago, and how far its logarithm swings.
_MEMORY, _SWING = 0.9, 0.7
#: Gaps: one in so many seconds, lengths from a Pareto distribution.
_GAP_EVERY_S, _SHORTEST_GAP_S, _GAP_TAIL = 45.0, 0.3, 1.1


def lte_trace(seed: int, mean_bps: float, seconds: float) -> tuple[Slot, ...]:
    """A mobile uplink made from the published statistics; the same seed makes the same one.

    The rate's logarithm wanders (an autoregressive process of half-second steps), and gaps without
    any service come in between. The whole is scaled to the mean. It is no recording.
    """
    chance = random.Random(seed)
    swing = 0.0
    slots: list[Slot] = []
    gap_at = chance.expovariate(1 / _GAP_EVERY_S)
    elapsed = 0.0
    while elapsed < seconds:
        if elapsed >= gap_at:
            length = _SHORTEST_GAP_S * chance.paretovariate(_GAP_TAIL)
            slots.append(Slot(min(length, LTE_LONGEST_GAP_S, seconds - elapsed + _STEP_S), 0.0))
            gap_at = elapsed + slots[-1].seconds + chance.expovariate(1 / _GAP_EVERY_S)
        else:
            step = chance.gauss(0, math.sqrt(1 - _MEMORY**2))
            swing = _MEMORY * swing + step
            slots.append(Slot(_STEP_S, math.exp(_SWING * swing)))
        elapsed += slots[-1].seconds
    carried = sum(slot.seconds * slot.rate_bps for slot in slots)
    scale = mean_bps * elapsed / carried
    return tuple(Slot(slot.seconds, slot.rate_bps * scale) for slot in slots)


def mean_bps(trace: tuple[Slot, ...]) -> float:
    """The mean rate of a trace, gaps counted."""
    return sum(s.seconds * s.rate_bps for s in trace) / sum(s.seconds for s in trace)


def longest_gap_s(trace: tuple[Slot, ...]) -> float:
    """The longest stretch without service."""
    runs = itertools.groupby(trace, key=lambda slot: slot.rate_bps == 0)
    return max((sum(s.seconds for s in run) for silent, run in runs if silent), default=0.0)
