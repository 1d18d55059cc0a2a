"""The local loop: takes the study that is due the longest, does its step, saves what came of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.pipeline.one_item import one_item
from router.pipeline.step_errors import StepIncomplete, StepTooSoon
from router.records import backoff
from router.records.errors import (
    Code,
    EdgeRouterError,
    OrthancDenied,
    OrthancFull,
    OrthancUnreachable,
    SettingsError,
)
from router.records.study import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.journal import Journal
    from router.pipeline.steps import Steps
    from router.records.study import Study

#: From finding nothing to looking again, if nobody says that there is more.
_IDLE_S = 1.0
#: While Orthanc does not answer, the step is tried again this often; it costs no attempts.
_UNREACHABLE_S = 2.0
#: A full disk is emptied by people, or by what is sent.
_FULL_S = 30.0
#: So many images of a study that still arrives are taken before others are looked at.
_AHEAD = 8
#: Failed analyses of a study after which its images go on without.
_MOST_ANALYSES = 3

_log = logging.getLogger(__name__)


class Worker:
    """One thread uses it."""

    def __init__(
        self,
        journal: Journal,
        steps: Steps,
        destinations: Sequence[str],
        now: Callable[[], float],
        draw: Callable[[], float],
        *,
        ahead: bool = False,
        worked: Callable[[], None] = lambda: None,
    ) -> None:
        """``ahead``: images are anonymized and sent while the scanner still sends others.

        ``worked``: called after each step: there may be something to send.
        """
        self._ahead = ahead
        self._worked = worked
        self._journal = journal
        self._steps = steps
        self._destinations = destinations
        self._now = now
        self._draw = draw

    def work(self) -> float:
        """Does one step of one study; the seconds until there may be another. Raises JournalError."""
        if not self.work_once():
            return _IDLE_S
        self._worked()
        return 0.0

    def work_once(self) -> bool:
        """Does one step of one study; whether there was one to do. Raises JournalError."""
        study = self._journal.studies.due(self._now())
        if study is None:
            return self._ahead and self._work_ahead()
        try:
            with one_item("step", study.alias):
                outcome = self._steps.take(study)
        except (OrthancUnreachable, OrthancDenied) as error:
            self._postpone(study, error.code, _UNREACHABLE_S, counts=False)
        except OrthancFull as error:
            self._postpone(study, error.code, _FULL_S, counts=False)
        except StepTooSoon as soon:
            self._postpone(study, soon.code, soon.wait_s, counts=False)
        # Of the journal, too: if it is the whole of it, putting the study off fails the same way.
        except EdgeRouterError as error:
            self._failed(study, error.code)
        else:
            if outcome is not None:
                self._move(study, outcome)
        return True

    def _work_ahead(self) -> bool:
        """Makes the copies of what has arrived of a study, and lets them travel.

        The study itself moves when the scanner has finished; what fails is tried again then.
        """
        found = self._journal.studies.arrived()
        if found is None:
            return False
        study, instances = found
        try:
            for instance in instances[:_AHEAD]:
                self._steps.take_ahead(study, instance)
        except (OrthancUnreachable, OrthancDenied, OrthancFull, SettingsError) as error:
            # Not put off: it would be due, and that says that the scanner has finished.
            extra = {"action": "step", "study": study.alias, "code": error.code}
            _log.warning("nothing can be done ahead", extra=extra)
            return False
        except StepIncomplete:
            return False
        finally:
            self._journal.studies.open_receipts(study.orthanc_id, self._destinations, self._now())
        return True

    def _failed(self, study: Study, code: Code) -> None:
        if study.state is State.ANONYMIZED and study.attempts + 1 >= _MOST_ANALYSES:
            # Analysis never blocks the images.
            self._move(study, Outcome.SKIP)
            return
        self._postpone(study, code, backoff.delay_s(study.attempts + 1, self._draw()), counts=True)

    def _postpone(self, study: Study, code: Code, wait_s: float, *, counts: bool) -> None:
        self._journal.studies.postpone(study, code, self._now() + wait_s, counts=counts)
        _log.warning(
            "a step is put off",
            extra={
                "action": "step",
                "study": study.alias,
                "code": code,
                "attempt": study.attempts + int(counts),
            },
        )

    def _move(self, study: Study, outcome: Outcome) -> None:
        now = self._now()
        if self._journal.studies.move(study, outcome, now, self._destinations):
            _log.info("%s %s", study.state, outcome, extra={"action": "move", "study": study.alias})
            # All its copies may be verified already: a late round that added only a held one.
            self._journal.studies.settle(study.orthanc_id, now)
