"""The local steps: what is done in which state. Each instance's result is saved on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.steps.analyse import Analysing
from router.steps.anonymize import Anonymizing
from router.steps.bench import MOST_TRIES, Bench, SiteRules, StepIncomplete
from router.study import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.analyser import Analyser
    from router.study import Outcome, Study

__all__ = ["MOST_TRIES", "Bench", "SiteRules", "StepIncomplete", "Steps"]


class Steps:
    """State → action. One thread uses it."""

    def __init__(self, bench: Bench, analyser: Analyser | None) -> None:
        self._actions: dict[State, Callable[[Study], Outcome | None]] = {
            State.RECEIVED: Anonymizing(bench).take,
            State.ANONYMIZED: Analysing(bench, analyser).take,
        }

    def take(self, study: Study) -> Outcome | None:
        """Does the step of the study's state; ``None``: broken off, because the router stops."""
        return self._actions[study.state](study)
