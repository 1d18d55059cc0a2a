"""A round of intake: changes each time, a comparison with the journal by timer or after a failure."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from router.pipeline.anonymize.quiet_period import QUIET_S, QuietPeriod
from router.pipeline.intake_rounds import IntakeRounds
from router.records.errors import Code, OrthancUnreachable
from router.truck.plugin_calls import Ring

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.journal import Journal
    from router.pipeline.intake import Intake
    from router.truck.orthanc import TruckOrthanc


class World:
    """Intake, Orthanc and journal, which write down what they are asked for."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.rings: list[Ring | None] = []
        self.has_bell = True
        self.is_there = True
        self.answers: list[str | None] = []
        self.callers = self.studies = self

    def follow_changes(self) -> None:
        if not self.is_there:
            raise OrthancUnreachable(Code.ORTHANC_UNREACHABLE, "no answer")
        self.did.append("changes")

    def reconcile(self) -> None:
        self.did.append("reconcile")

    def cap_due_times(self, _: float, *from_now: float) -> None:
        self.did.append("clock" if from_now else "due")

    def note(self, *_: object) -> None: ...

    def wait(self, ring: Ring | None, _: float) -> Ring | None:
        self.rings.append(ring)
        return Ring("boot", len(self.rings)) if self.has_bell else None

    def rounds(self, reconcile_s: float = 600.0, poll_s: float = 10.0) -> IntakeRounds:
        self.quiet_period = QuietPeriod()
        return IntakeRounds(
            cast("Intake", self), cast("TruckOrthanc", self), cast("Journal", self),
            self.quiet_period, Path("/none"), poll_s, reconcile_s, self.answers.append,
            lambda: self.did.append("wake"),
        )  # fmt: skip


ROUND = ["changes", "wake"]
WITH_RECONCILE = ["changes", "due", "reconcile", "wake"]


def test_the_first_round_reconciles_and_the_next_ones_follow_the_changes() -> None:
    world = World()
    rounds = world.rounds()
    for _ in range(3):
        assert rounds.work() <= 0.2
    assert world.did == WITH_RECONCILE + 2 * ROUND
    assert world.rings == [None, Ring("boot", 1), Ring("boot", 2)]
    assert world.answers == [None] * 3


def test_it_reconciles_when_it_is_time() -> None:
    world = World()
    rounds = world.rounds(reconcile_s=0.0)
    rounds.work()
    rounds.work()
    assert world.did == 2 * WITH_RECONCILE


@pytest.mark.parametrize(("poll_s", "expected_s"), [(10.0, 1.0), (0.5, 0.5)])
def test_without_a_doorbell_the_wait_is_short(poll_s: float, expected_s: float) -> None:
    world = World()
    world.has_bell = False
    assert world.rounds(poll_s=poll_s).work() == expected_s


def test_after_a_failure_it_reconciles_and_knows_no_ring() -> None:
    world = World()
    rounds = world.rounds()
    rounds.work()
    world.did.clear()
    world.is_there = False
    with pytest.raises(OrthancUnreachable):
        rounds.work()
    assert world.answers[-1] == Code.ORTHANC_UNREACHABLE
    assert world.quiet_period.remaining_s() > QUIET_S - 10
    world.is_there = True
    rounds.work()
    assert world.did == WITH_RECONCILE
    assert world.rings[-1] is None


def test_what_was_put_off_is_due_when_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    rounds = world.rounds()
    rounds.work()
    world.did.clear()
    real: Callable[[], float] = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600.0)
    rounds.work()
    rounds.work()
    assert world.did == ["changes", "clock", "wake", *ROUND]
