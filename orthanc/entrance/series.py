"""How many series a truck writes: a bound, so that one stolen password does not fill the fleet's store.

Each new series costs Prometheus memory for hours. What is known of a truck's is only a number for
each, and is forgotten when the series has not come for a day.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Of one truck within a day: five times what vmagent sends of the fullest one.
MOST_SERIES = 2000
#: A series is known for one to two of these.
_PERIOD_S = 12 * 3600.0


@dataclass
class _Known:
    """The series of one truck, of this period and, where they have not come again, of the last."""

    begun: float
    now: set[int] = field(default_factory=set)
    before: set[int] = field(default_factory=set)


class SeriesBound:
    """The series of all trucks. It begins anew with the process."""

    def __init__(self, most: int = MOST_SERIES) -> None:
        self._most = most
        self._trucks: dict[str, _Known] = {}

    def known(self, truck: str) -> int:
        """How many series of a truck are known."""
        known = self._trucks.get(truck)
        return len(known.now) + len(known.before) if known else 0

    def admits(self, truck: str, labels: bytes, now: float) -> bool:
        """Whether a truck may write a series: one that it writes already, or one more."""
        known = self._trucks.setdefault(truck, _Known(now))
        # A clock that was set back ends the period, too.
        if not 0 <= now - known.begun < _PERIOD_S:
            known.begun, known.now, known.before = now, set(), known.now
        # Keyed by the process: nobody outside can make two series look like one.
        one = hash(labels)
        if one in known.now:
            return True
        if one not in known.before and self.known(truck) >= self._most:
            return False
        known.before.discard(one)
        known.now.add(one)
        return True
