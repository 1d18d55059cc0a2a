"""How long to wait before the next try. The chance is an argument, so that tests need none."""

from __future__ import annotations

_DOUBLINGS = 16
#: No wait of a step is longer: seconds.
LONGEST_S = 600.0
#: Between two tries of an image whose refusal may mend, at least: people and indexes take their time.
MEND_S = 3600.0
#: … at most, also where the destination asks for more.
LONGEST_MEND_S = 4 * MEND_S
#: A destination that wants to be left alone for longer is asked all the same.
LONGEST_RETRY_AFTER_S = 3600.0


def delay_s(
    attempts: int, draw: float, *, first_s: float = 2.0, longest_s: float = LONGEST_S
) -> float:
    """Seconds until the next try after ``attempts`` failures (1, 2, …), with full jitter's upper half.

    ``draw`` is uniform in [0, 1). The result lies between half the exponential step and all of it,
    so that many items that failed together do not come back together, and none comes back at once.
    """
    step = min(first_s * 2.0 ** min(max(attempts - 1, 0), _DOUBLINGS), longest_s)
    return step * (0.5 + draw / 2)


def mend_s(draw: float, retry_after_s: float | None = None) -> float:
    """Seconds until an image is tried again whose refusal may mend; ``draw`` as above."""
    return max(MEND_S * (1.0 + draw / 8), min(retry_after_s or 0.0, LONGEST_MEND_S))
