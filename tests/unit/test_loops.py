"""A loop works until it is stopped: it survives failures, wakes at once, and its death is seen."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import pytest

from router.loops import RETRY_S, Loop, all_alive, wake_all
from router.records.errors import Code, OrthancError
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Longer than a test lasts.
NEVER_S = 600.0


class Work:
    """Work that can be waited for, and that fails as often as it is told."""

    def __init__(self, waits_s: float = NEVER_S, failures: tuple[BaseException, ...] = ()) -> None:
        self.waits_s = waits_s
        self.failures = list(failures)
        self.begun_at: list[float] = []

    def __call__(self) -> float:
        self.begun_at.append(time.monotonic())
        if self.failures:
            raise self.failures.pop(0)
        return self.waits_s

    def rounds(self, number: int) -> Callable[[], bool]:
        return lambda: len(self.begun_at) >= number


@pytest.fixture
def started() -> Iterator[Callable[..., Loop]]:
    loops: list[Loop] = []

    def make(work: Callable[[], float], **more: float) -> Loop:
        loops.append(Loop("work", work, **more))
        loops[-1].start()
        return loops[-1]

    yield make
    for loop in loops:
        loop.stop()
        assert loop.join()


def test_work_that_has_more_to_do_is_repeated_at_once(started: Callable[..., Loop]) -> None:
    work = Work(waits_s=0.0)
    started(work)
    until(work.rounds(100), 10)


def test_the_wait_is_as_long_as_the_work_says(started: Callable[..., Loop]) -> None:
    work = Work(waits_s=0.3)
    started(work)
    until(work.rounds(2), 10)
    assert work.begun_at[1] - work.begun_at[0] >= 0.3


def test_it_wakes_at_once(started: Callable[..., Loop]) -> None:
    work = Work()
    loop = started(work)
    until(work.rounds(1))
    wake_all([loop])
    until(work.rounds(2), 5)


def test_who_wakes_it_during_its_work_is_not_forgotten(started: Callable[..., Loop]) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    rounds: list[int] = []

    def work() -> float:
        rounds.append(1)
        begun.set()
        goes_on.wait(30)
        return NEVER_S

    loop = started(work)
    assert begun.wait(30)
    loop.wake()
    goes_on.set()
    until(lambda: len(rounds) == 2, 5)


@pytest.mark.parametrize("failure", [OrthancError(Code.ORTHANC_REFUSED, "no"), KeyError("x")])
def test_work_that_fails_is_tried_again_after_two_seconds(
    failure: Exception, started: Callable[..., Loop], caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(failures=(failure,))
    with caplog.at_level(logging.ERROR):
        loop = started(work)
        until(work.rounds(1))
        loop.wake()  # that there is more to do mends nothing
        until(work.rounds(2), 10)
    assert 2.0 <= work.begun_at[1] - work.begun_at[0] < 2.0 + NEVER_S / 100
    assert RETRY_S == 2.0
    (record,) = caplog.records
    assert record.__dict__["action"] == "work"


def test_it_stops_at_once_while_it_waits(started: Callable[..., Loop]) -> None:
    work = Work()
    loop = started(work)
    until(work.rounds(1))
    loop.stop()
    assert loop.join(5)
    assert len(work.begun_at) == 1


def test_it_stops_at_once_after_a_failure(
    started: Callable[..., Loop], caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(failures=(KeyError("x"),))
    loop = started(work, retry_s=NEVER_S)
    until(lambda: caplog.records)
    loop.stop()
    assert loop.join(5)


def test_it_stops_after_the_round_it_is_at(started: Callable[..., Loop]) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def work() -> float:
        begun.set()
        goes_on.wait(30)
        return 0.0

    loop = started(work)
    assert begun.wait(30)
    loop.stop()
    assert not loop.join(0.05)
    goes_on.set()
    assert loop.join(5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_died_is_seen(started: Callable[..., Loop]) -> None:
    well, ill = started(Work()), started(Work(failures=(GeneratorExit("no program survives it"),)))
    assert ill.join(5)
    assert not all_alive([well, ill])
    assert all_alive([well])
