"""How long to wait before the next try. The chance is an argument, so that tests need none."""

from __future__ import annotations

_DOUBLINGS = 16
#: No wait is longer: seconds.
LONGEST_S = 600.0


def delay_s(
    attempts: int, draw: float, *, first_s: float = 2.0, longest_s: float = LONGEST_S
) -> float:
    """Seconds until the next try after ``attempts`` failures (1, 2, …), with full jitter's upper half.

    ``draw`` is uniform in [0, 1). The result lies between half the exponential step and all of it,
    so that many items that failed together do not come back together, and none comes back at once.
    """
    step = min(first_s * 2.0 ** min(max(attempts - 1, 0), _DOUBLINGS), longest_s)
    return step * (0.5 + draw / 2)


def capped(due_at: float, now: float, longest_s: float = LONGEST_S) -> float:
    """A due time as loaded from disk: never further away than the longest wait.

    A clock that was wrong when it was written must not keep a study for years.
    """
    return min(due_at, now + longest_s)
