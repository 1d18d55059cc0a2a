"""A look at each image as it arrives, before its study is stable: figures and quality flags.

It never touches the state of a study, and costs one image at a time: what does not come to an end
is left out, and what was seen once is not looked at again.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from router.imaging import quality
from router.imaging.quality import Flag, Raised, Shown
from router.pipeline.hold_or_retry import MOST_CRASHES, MOST_TRIES
from router.pipeline.one_item import one_item
from router.records.errors import (
    AnalysisSkipped,
    Code,
    EdgeRouterError,
    Hold,
    JournalError,
    OrthancBrokeOff,
    OrthancDenied,
    OrthancUnreachable,
    ResourceMissing,
)
from router.records.set_aside import SetAside
from router.truck import decoded

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.imaging.worker_process import Analyser, HeaderCheck, Look
    from router.journal import Journal
    from router.journal.quality import Unseen
    from router.observe.metrics import Metrics
    from router.pipeline.anonymize.quiet_period import QuietPeriod
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Spool

#: From finding nothing to looking again, if nobody says that there is more.
_IDLE_S = 1.0
#: Of a file whose header cannot be read either: nobody will open it.
_NOT_TO_BE_OPENED = frozenset({Code.PIXELS_UNDECODABLE, Code.UNREADABLE, Code.ANALYSIS_CRASHED})
#: These speak of Orthanc and of all images, as long as it does not answer anything else.
_OF_ALL = (OrthancUnreachable, OrthancDenied)

_log = logging.getLogger(__name__)


class QualityChecker:
    """One thread uses it."""

    def __init__(
        self,
        orthanc: TruckOrthanc,
        journal: Journal,
        spool: Spool,
        analyser: Analyser,
        metrics: Metrics,
        now: Callable[[], float],
        headers: HeaderCheck,
        quiet_period: QuietPeriod,
    ) -> None:
        self._orthanc = orthanc
        self._quality = journal.quality
        self._instances = journal.instances
        self._spool = spool
        self._analyser = analyser
        self._metrics = metrics
        self._now = now
        self._headers = headers
        self._quiet_period = quiet_period
        self._aside = SetAside()

    def work(self) -> float:
        """Looks at one image; the seconds until there may be another. Raises as ``check_next``."""
        return 0.0 if self.check_next() else _IDLE_S

    def check_next(self) -> bool:
        """Looks at one image; whether there was one. Raises OrthancError, JournalError."""
        unseen = self._quality.unseen(self._now(), self._aside.passed_over(time.monotonic()))
        if unseen is None:
            return False
        if unseen.crashes >= MOST_CRASHES:
            self._quality.enter_unreadable(unseen, Code.INSTANCE_CRASHES, self._now())
            return True
        if unseen.crashes == MOST_CRASHES - 1 and self._quiet_period.remaining_s():
            return False  # all others have been looked at; the next crash will be no chance
        begun = time.monotonic()
        self._instances.begin_look(unseen.instance, self._now())
        try:
            with one_item("look", unseen.alias):
                self._enter(unseen, self._look(unseen))
        except OrthancBrokeOff:
            self._instances.count_crash(unseen.instance)
            self._quiet_period.broken()
            raise
        except (AnalysisSkipped, Hold) as left_out:
            closed = left_out.code in _NOT_TO_BE_OPENED
            raised = [Raised(Flag.CANNOT_BE_OPENED, 1, 0)] if closed else []
            self._quality.enter_unreadable(unseen, left_out.code, self._now(), raised)
        except ResourceMissing:
            self._quality.enter_unreadable(unseen, Code.SOURCE_MISSING, self._now())
        except JournalError:
            self._aside.put(unseen.instance, time.monotonic())
            raise
        # Whatever is wrong with one image, the patient of the next one is still there.
        except EdgeRouterError as error:
            if isinstance(error, _OF_ALL) and not self._orthanc.answers():
                raise
            self._failed(unseen, error)
        finally:
            self._instances.end_look(unseen.instance)
        self._metrics.step_seconds.labels("look").observe(time.monotonic() - begun)
        return True

    def _failed(self, unseen: Unseen, error: EdgeRouterError) -> None:
        """One more failure with an image: it is passed over, and after some left out by its code."""
        code = error.code
        failures = self._aside.put(unseen.instance, time.monotonic())
        _log.warning(
            "a look at an image failed (%s)",
            type(error).__name__,
            extra={"action": "look", "study": unseen.alias, "code": code, "attempt": failures},
        )
        if failures >= MOST_TRIES:
            self._quality.enter_unreadable(unseen, code, self._now())
            self._aside.forget(unseen.instance)

    def _look(self, unseen: Unseen) -> Look:
        with self._orthanc.file(unseen.instance) as body:
            self._headers.is_plain(body)  # else the child takes the memory of the whole container
            with self._spool.as_file(body) as path:
                here = self._analyser.look(path)
        if here.opened is not False:
            return here
        try:
            return decoded.by_orthanc(
                self._orthanc,
                self._spool,
                unseen.instance,
                lambda _, path: self._analyser.look(path),
            )
        except AnalysisSkipped as skipped:
            # Its header was read here; what it was found to be in there stays.
            return replace(here, code=skipped.code, opened=None)

    def _enter(self, unseen: Unseen, look: Look) -> None:
        features = look.features | look.acquisition.figures
        raised: list[Raised] = []
        if look.code is None:
            baseline = self._quality.baseline(look.acquisition)
            raised = quality.quality_flags(look.acquisition.modality, features, baseline)
        if look.opened is None:
            raised.append(Raised(Flag.CANNOT_BE_OPENED, 1, 0))
        images = [*self._quality.shown(unseen.study), Shown(unseen.instance, look.acquisition)]
        if unseen.instance in quality.repeated(images):
            raised.append(Raised(Flag.REPEATED_EXPOSURE, 1, 0))
        # Of a setting of the scanner: told once for a study, not for each of its images.
        if sum(bool(image.acquisition.odd_dates) for image in images) == 1 and (
            odd := look.acquisition.odd_dates
        ):
            raised.append(Raised(Flag.DATE_UNUSUAL, odd, 0))
        self._quality.enter(unseen, look.acquisition, features, look.code, raised, self._now())
        if raised:
            _log.warning(
                "an image is to be looked at: %s",
                ", ".join(one.flag for one in raised),
                extra={"action": "look", "study": unseen.alias, "code": raised[0].flag},
            )
