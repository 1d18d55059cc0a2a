"""The local steps: what is done in which state. Each instance's result is saved on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.pipeline.analyse import AnalyseStep
from router.pipeline.anonymize.quiet_period import QUIET_S, QuietPeriod
from router.pipeline.anonymize.scheduling import AnonymizeStep
from router.pipeline.context import (
    MOST_CRASHES,
    MOST_TRIES,
    SiteRules,
    StepContext,
    StepIncomplete,
    StepTooSoon,
)
from router.records.study import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.imaging.worker_process import Analyser
    from router.pipeline.anonymize.pixel_check import PixelCheck
    from router.records.instance import Instance
    from router.records.study import Outcome, Study
    from router.rules.routing import Routing

__all__ = [
    "MOST_CRASHES",
    "MOST_TRIES",
    "QUIET_S",
    "QuietPeriod",
    "SiteRules",
    "StepContext",
    "StepIncomplete",
    "StepTooSoon",
    "Steps",
]


class Steps:
    """State → action. One thread uses it."""

    def __init__(
        self,
        context: StepContext,
        analyser: Analyser | None,
        routing: Routing,
        checker: Analyser | None,
        pays: Callable[[], bool],
        pixels: PixelCheck,
    ) -> None:
        """``analyser``: makes the captures; ``checker``: sees to what is compressed.

        ``pays``: whether compressing saves time now. ``pixels``: looks at those of originals.
        """
        self._anonymize_step = AnonymizeStep(context, routing, checker, pays, pixels)
        self._actions: dict[State, Callable[[Study], Outcome | None]] = {
            State.RECEIVED: self._anonymize_step.take,
            State.ANONYMIZED: AnalyseStep(context, analyser).take,
        }

    def take_ahead(self, study: Study, instance: Instance) -> None:
        """Makes one copy of a study that the scanner still sends of."""
        self._anonymize_step.take_ahead(study, instance)

    def take(self, study: Study) -> Outcome | None:
        """Does the step of the study's state; ``None``: broken off, because the router stops."""
        return self._actions[study.state](study)
