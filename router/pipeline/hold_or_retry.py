"""Holds of instances, and how often one is tried before it is held."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.deid.eligibility import NotCleared
from router.journal.conflicts import Conflict
from router.journal.identities import ISSUER, IdentityConflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.records.errors import Code, Hold
    from router.records.instance import Instance
    from router.records.study import Study

#: Failed tries after which an instance is held, so that it no longer keeps its study.
MOST_TRIES = 3
#: Deaths in a step with one instance after which it is parked for every step. Two can be chance:
#: somebody pulls the plug twice; so it is tried once more, after all others, and when it is calm.
MOST_CRASHES = 3

_log = logging.getLogger(__name__)


class Holds:
    """Holds instances of studies that are not ready to be sent. Thread-safe."""

    def __init__(self, journal: Journal, metrics: Metrics, now: Callable[[], float]) -> None:
        self._journal = journal
        self._metrics = metrics
        self._now = now

    def try_again_or_hold(self, study: Study, instance: Instance, code: Code, detail: str) -> bool:
        """Whether it is decided: held after MOST_TRIES failures, or else tried again."""
        tries = self._journal.instances.count_failure(instance.orthanc_id)
        if tries < MOST_TRIES:
            return False
        self.hold(study, instance, code, detail)
        return True

    def hold(self, study: Study, instance: Instance, code: Code, detail: str) -> None:
        """Holds an instance until a person decides."""
        self._journal.instances.hold(instance.orthanc_id, code, detail, self._now())
        self._metrics.holds.labels(code).inc()
        _log.warning(
            "an instance is held: %s",
            detail,
            extra={"action": "hold", "study": study.alias, "code": code},
        )

    def hold_for(self, study: Study, instance: Instance, hold: Hold) -> None:
        """Holds an image with what it conflicts with; where a study has two issuers, all of it.

        All of it: what has not left the truck yet, for nobody knows which of the two is right.
        """
        if isinstance(hold, Conflict):
            self._journal.conflicts.note(instance.orthanc_id, hold)
        if isinstance(hold, NotCleared) and hold.kind is not None:
            self._journal.standing.note_kind(instance.orthanc_id, hold.kind)
        self.hold(study, instance, hold.code, hold.sentence)
        for _ in self._journal.decisions.apply_standing(self._now()):
            _log.info(
                "an object is discarded: it was decided for all of its kind",
                extra={"action": "discard", "study": study.alias, "code": hold.code},
            )
        if isinstance(hold, IdentityConflict) and hold.field == ISSUER:
            sentence = "another image of its study names another issuer"
            for other in self._journal.copies.not_begun(study.orthanc_id):
                self.hold(study, other, hold.code, sentence)
