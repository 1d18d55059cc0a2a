"""The rounds of intake: at the doorbell's ring it follows the changes, and by timer it reconciles."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from router.records.errors import OrthancError
from router.truck import callers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from router.journal import Journal
    from router.pipeline.anonymize.quiet_period import QuietPeriod
    from router.pipeline.intake import Intake
    from router.truck.orthanc import TruckOrthanc
    from router.truck.plugin_calls import Ring

#: An Orthanc without the plugin has no doorbell: its changes are looked at this often.
_WITHOUT_BELL_S = 1.0
#: Between two looks at the changes: an image that comes alone is seen at once, of many in a row
#: some are taken in together. Each look costs four requests.
_GATHER_S = 0.2
#: The clock was set by so much: what was put off by the old one is due.
_CLOCK_STEP_S = 30.0


class IntakeRounds:
    """What the thread of intake repeats. One thread uses it."""

    def __init__(
        self,
        intake: Intake,
        orthanc: TruckOrthanc,
        journal: Journal,
        quiet_period: QuietPeriod,
        callers_file: Path,
        poll_s: float,
        reconcile_s: float,
        answers: Callable[[str | None], None],
        taken_in: Callable[[], None],
    ) -> None:
        """``poll_s``: the longest wait at the doorbell; ``reconcile_s``: from one pass to the next.

        ``answers``: told after each try whether Orthanc answers, ``None``, or the code that says
        why not. ``taken_in``: called when the journal has what Orthanc holds.
        """
        self._intake = intake
        self._orthanc = orthanc
        self._journal = journal
        self._quiet_period = quiet_period
        self._callers_file = callers_file
        self._poll_s = poll_s
        self._reconcile_s = reconcile_s
        self._answers = answers
        self._taken_in = taken_in
        #: Monotonic; 0: at once.
        self._reconcile_at = 0.0
        self._ring: Ring | None = None
        self._clock_offset = _clock_offset()

    def work(self) -> float:
        """Follows the changes, reconciles when it is time, and then waits at the doorbell.

        Returns the seconds until the next round; one that fails is followed by one that reconciles.
        Raises OrthancError, JournalError.
        """
        begun = time.monotonic()
        # Put back when all went well: after a failure nothing is taken to be known.
        reconcile_at, self._reconcile_at = self._reconcile_at, 0.0
        ring, self._ring = self._ring, None
        try:
            self._intake.follow_changes()
            self._answers(None)
            self._look_at_clock()
            if time.monotonic() >= reconcile_at:
                self._reconcile()
                reconcile_at = time.monotonic() + self._reconcile_s
            self._taken_in()
            self._ring = self._orthanc.wait(ring, self._poll_s)
        except OrthancError as error:
            self._answers(str(error.code))
            self._quiet_period.broken()
            raise
        self._reconcile_at = reconcile_at
        # Without a doorbell the wait has not been yet.
        wait_s = 0.0 if self._ring is not None else min(_WITHOUT_BELL_S, self._poll_s)
        return max(wait_s, begun + _GATHER_S - time.monotonic())

    def _look_at_clock(self) -> None:
        """Makes all work due now if the clock was set: its due times came from the wrong clock."""
        before, self._clock_offset = self._clock_offset, _clock_offset()
        if abs(self._clock_offset - before) > _CLOCK_STEP_S:
            self._journal.studies.cap_due_times(time.time(), 0.0)

    def _reconcile(self) -> None:
        self._journal.studies.cap_due_times(time.time())  # the clock may have been set
        self._intake.reconcile()
        self._journal.callers.note(callers.read(self._callers_file), time.time())


def _clock_offset() -> float:
    return time.time() - time.monotonic()
