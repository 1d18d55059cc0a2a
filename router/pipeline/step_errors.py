"""What a step raises whose instances are not all done, and how long its parts take."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from router.records.errors import Code, EdgeRouterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.observe.metrics import Metrics


class StepIncomplete(EdgeRouterError):
    """Some instances failed and are tried again; the others are done."""


class StepTooSoon(EdgeRouterError):
    """What something may have died of is tried again when it is calm; the others are done."""

    def __init__(self, code: Code, sentence: str, wait_s: float) -> None:
        super().__init__(code, sentence)
        self.wait_s = wait_s


@contextmanager
def timed(metrics: Metrics, step: str) -> Iterator[None]:
    """Counts the seconds of what is done inside and does not fail."""
    begun = time.monotonic()
    yield
    metrics.step_seconds.labels(step).observe(time.monotonic() - begun)
