"""The step RECEIVED → ANONYMIZED: which instances are tried in which order, and when it is done."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from router.pipeline.anonymize.first_image import FirstImageBarrier
from router.pipeline.hold_or_retry import MOST_CRASHES
from router.pipeline.step_errors import StepIncomplete, StepTooSoon, timed
from router.records.errors import Code, OrthancDenied, OrthancError, OrthancUnreachable
from router.records.instance import Instance, Role, Stage
from router.records.study import Outcome, Study, rest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.deid.pseudonyms import Key
    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.pipeline.anonymize.attempts import Attempts
    from router.pipeline.anonymize.quiet_period import QuietPeriod
    from router.pipeline.anonymize.rejection import RejectionNotes
    from router.pipeline.keys import StudyKeys
    from router.truck.orthanc import TruckOrthanc

#: One is at Orthanc while another is at the gate.
_AT_ONCE = 2
#: Of larger originals one is under way at a time: there is room for one in memory and on disk.
_ALONE_BYTES = 64 << 20


class AnonymizeStep:
    """Makes the copies that are sent. One thread uses it; it has others work for it."""

    def __init__(
        self,
        attempts: Attempts,
        rejection_notes: RejectionNotes,
        keys: StudyKeys,
        orthanc: TruckOrthanc,
        journal: Journal,
        quiet_period: QuietPeriod,
        metrics: Metrics,
        stopping: Callable[[], bool],
    ) -> None:
        self._attempts = attempts
        self._rejection_notes = rejection_notes
        self._keys = keys
        self._orthanc = orthanc
        self._journal = journal
        self._quiet_period = quiet_period
        self._metrics = metrics
        self._stopping = stopping

    def take(self, study: Study) -> Outcome | None:
        """Makes the missing copies; ``None``: broken off, because the router stops.

        Raises OrthancError, StepIncomplete, StepTooSoon, JournalError.
        """
        key = self._keys.key(study)
        instances = self._journal.instances.of_study(study.orthanc_id)
        sources = [instance for instance in instances if instance.role is Role.SOURCE]
        todo = [instance for instance in sources if instance.stage is Stage.RECEIVED]
        fresh = [instance for instance in todo if not instance.crashes]
        # Where it has a copy already, it is known whose it is.
        leads = bool(fresh) and not any(instance.copy for instance in sources)
        first_image = FirstImageBarrier(fresh[0].orthanc_id if leads else None)
        failed = self._try_several(study, fresh, key, first_image)
        more_failed, wait_s = self._try_suspects(study, todo, key)
        failed += more_failed
        if self._stopping():
            return None
        if failed:
            raise StepIncomplete(Code.ANONYMIZATION_REFUSED, f"{failed} instances to try again")
        if wait_s > 0:
            raise StepTooSoon(Code.INSTANCE_CRASHES, "something died of it, or by chance", wait_s)
        self._rejection_notes.make_missing(study)
        stages = {instance.stage for instance in self._journal.instances.of_study(study.orthanc_id)}
        return rest(sendable=Stage.ANONYMIZED in stages, held=Stage.HELD in stages)

    def take_ahead(self, study: Study, instance: Instance) -> None:
        """Makes one copy, before the scanner is through with the study. Raises as ``take``."""
        with timed(self._metrics, "anonymize"):
            self._attempts.attempt(study, instance, self._keys.key(study), FirstImageBarrier())

    def _try_suspects(self, study: Study, todo: Sequence[Instance], key: Key) -> tuple[int, float]:
        """Tries again the instances during which Orthanc or the router crashed: last, and one by one.

        Returns how many failed and are tried again, and the seconds that the others have to wait.
        """
        failed, wait_s = 0, 0.0
        for instance in sorted((i for i in todo if i.crashes), key=lambda i: i.crashes):
            if instance.crashes == MOST_CRASHES - 1 and (
                missing := self._quiet_period.remaining_s()
            ):
                wait_s = max(wait_s, missing)
                continue
            failed += self._try_several(study, [instance], key, FirstImageBarrier())
        return failed, wait_s

    def _try_several(
        self, study: Study, instances: Sequence[Instance], key: Key, first_image: FirstImageBarrier
    ) -> int:
        """Tries some at a time, until the router stops; how many are to be tried again.

        Raises what one of them raises, when those that were begun have come to an end.
        """
        broken = threading.Event()
        large: list[Instance] = []

        def one(instance: Instance, *, shares: bool = True) -> bool:
            try:
                if self._stopping() or broken.is_set():
                    return True
                if shares and instance is not instances[0] and self._is_large(instance):
                    large.append(instance)
                    return True
                with timed(self._metrics, "anonymize"):
                    return self._attempts.attempt(study, instance, key, first_image)
            except BaseException:
                broken.set()
                raise
            finally:
                first_image.finished(instance.orthanc_id)

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            tries = [threads.submit(one, instance) for instance in instances]
        failed, tried = 0, None
        try:
            for tried in tries:
                failed += not tried.result()
        finally:
            # An exception holds the frames that it went through, and they the images: no circle.
            tried = None
            tries.clear()
        return failed + sum(not one(instance, shares=False) for instance in large)

    def _is_large(self, instance: Instance) -> bool:
        try:
            return self._orthanc.size(instance.orthanc_id) > _ALONE_BYTES
        except (OrthancUnreachable, OrthancDenied):
            raise
        except OrthancError:
            return False  # of this one alone, and its own step says what it is
