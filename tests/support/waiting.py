"""Waiting for a condition with a deadline: what tests do instead of sleeping for luck."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def until(
    ask: Callable[[], T], deadline_s: float = 30.0, *, what: str = "the condition",
    pause_s: float = 0.05,
) -> T:  # fmt: skip
    """The first true answer of ``ask``. Fails the test when the deadline passes."""
    end = time.monotonic() + deadline_s
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            message = f"{what} did not come true within {deadline_s:.0f} s; last: {answer!r}"
            raise AssertionError(message)
        time.sleep(pause_s)
