"""The step ANONYMIZED → ANALYSED: a capture of each image that is chosen for one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.pipeline.capture_sources import (
    applying_to,
    by_their_rules,
    choose_sources,
    has_capture,
)
from router.pipeline.captures import Captures, Wanted
from router.pipeline.one_item import one_item
from router.pipeline.step_errors import timed
from router.records.errors import (
    AnalysisSkipped,
    Code,
    EdgeRouterError,
    Hold,
    JournalError,
    OrthancBrokeOff,
    OrthancDenied,
    OrthancFull,
    OrthancUnreachable,
)
from router.records.instance import CAPTURED, Role
from router.records.study import Outcome, Study

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.pipeline.keys import StudyKeys
    from router.truck.orthanc import TruckOrthanc

_log = logging.getLogger(__name__)


class AnalyseStep:
    """Makes the captures of a study. One thread uses it."""

    def __init__(
        self,
        captures: Captures,
        orthanc: TruckOrthanc,
        journal: Journal,
        keys: StudyKeys,
        metrics: Metrics,
        stopping: Callable[[], bool],
    ) -> None:
        self._captures = captures
        self._orthanc = orthanc
        self._journal = journal
        self._keys = keys
        self._metrics = metrics
        self._stopping = stopping

    def take(self, study: Study) -> Outcome | None:
        """Makes the captures that are not decided yet. Raises OrthancError, JournalError."""
        key = self._keys.key(study)
        instances = self._journal.instances.of_study(study.orthanc_id)
        routes = self._journal.routes.of_study(study.orthanc_id)
        wanted, unwanted = by_their_rules(instances, routes)
        self._journal.instances.decide_analysis(dict.fromkeys(unwanted, Code.LEFT_OUT_BY_RULE))
        captures = {i.copy.sop_uid: i for i in instances if i.role is Role.CAPTURE and i.copy}
        begun = {i.orthanc_id for i in wanted if has_capture(i, key, captures)}
        chosen, left_out = choose_sources(wanted, begun)
        for instance in chosen:
            if self._stopping():
                return None
            with timed(self._metrics, "analyse"):
                results = [
                    self._try_analyse(Wanted(study, instance, key, analysis, captures))
                    for analysis in applying_to(instance, routes)
                ]
            result = CAPTURED if CAPTURED in results else results[0]
            self._journal.instances.decide_analysis({instance.orthanc_id: result})
            self._metrics.analysed(result)
        # Only now: a series whose slices are left out has its capture, or the reason why not.
        self._journal.instances.decide_analysis(dict.fromkeys(left_out, Code.NOT_CHOSEN))
        decided = self._journal.instances.of_study(study.orthanc_id)
        return Outcome.DONE if any(i.analysis == CAPTURED for i in decided) else Outcome.SKIP

    def _try_analyse(self, wanted: Wanted) -> str:
        """Makes one capture; returns CAPTURED, or the code that says why not."""
        try:
            with one_item("analyse", wanted.study.alias):
                self._captures.make(wanted)
        except (AnalysisSkipped, Hold) as left_out:
            _log.info(
                "no capture: %s",
                left_out.sentence,
                extra={"action": "analyse", "study": wanted.study.alias, "code": left_out.code},
            )
            return left_out.code
        except (OrthancFull, OrthancBrokeOff, JournalError):
            raise  # says nothing of the image, or is counted as a crash
        # Whatever is wrong with one image, the captures of the others are made.
        except EdgeRouterError as error:
            of_all = (OrthancUnreachable, OrthancDenied)
            if isinstance(error, of_all) and not self._orthanc.answers():
                raise
            _log.warning(
                "no capture: %s",
                type(error).__name__,
                extra={"action": "analyse", "study": wanted.study.alias, "code": error.code},
            )
            return Code.ANALYSIS_FAILED
        return CAPTURED
