"""One attempt to anonymize an instance: what its end means, and how often there is another."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.journal.identities import PatientChanged
from router.pipeline.hold_or_retry import MOST_CRASHES
from router.pipeline.one_item import one_item
from router.pipeline.step_errors import StepIncomplete
from router.records.errors import (
    Code,
    Hold,
    JournalError,
    OrthancBrokeOff,
    OrthancDenied,
    OrthancError,
    OrthancFull,
    OrthancUnreachable,
    ResourceMissing,
    Unforeseen,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.deid.pseudonyms import Key
    from router.journal import Journal
    from router.pipeline.anonymize.first_image import FirstImageBarrier
    from router.pipeline.anonymize.instance import Anonymizer
    from router.pipeline.anonymize.quiet_period import QuietPeriod
    from router.pipeline.hold_or_retry import Holds
    from router.records.instance import Instance
    from router.records.study import Study
    from router.truck.orthanc import TruckOrthanc

_log = logging.getLogger(__name__)


class Attempts:
    """Tries instances, and counts what router and Orthanc died of. Thread-safe."""

    def __init__(
        self,
        anonymizer: Anonymizer,
        orthanc: TruckOrthanc,
        journal: Journal,
        holds: Holds,
        quiet_period: QuietPeriod,
        now: Callable[[], float],
    ) -> None:
        self._anonymizer = anonymizer
        self._orthanc = orthanc
        self._instances = journal.instances
        self._holds = holds
        self._quiet_period = quiet_period
        self._now = now

    def attempt(
        self, study: Study, instance: Instance, key: Key, first_image: FirstImageBarrier
    ) -> bool:
        """Whether the instance is decided (copied or held); otherwise it is tried again.

        Raises what says nothing of the instance: OrthancError, JournalError, StepIncomplete.
        """
        if instance.crashes >= MOST_CRASHES:
            detail = f"{instance.crashes} times"
            self._holds.hold(study, instance, Code.INSTANCE_CRASHES, detail)
            return True
        self._instances.begin_step(instance.orthanc_id, self._now())
        try:
            decided = self._try_once(study, instance, key, first_image)
        except OrthancBrokeOff:
            self._instances.count_crash(instance.orthanc_id)
            self._quiet_period.broken()
            raise
        except BaseException:
            self._instances.end_step(instance.orthanc_id)
            raise
        self._instances.end_step(instance.orthanc_id)
        return decided

    def _try_once(
        self, study: Study, instance: Instance, key: Key, first_image: FirstImageBarrier
    ) -> bool:
        holds = self._holds
        try:
            with one_item("anonymize", study.alias, (PatientChanged, OSError)):
                self._anonymizer.anonymize(study, instance, key, first_image)
        except PatientChanged:
            return False  # tried again, as what the study has become
        except (OrthancFull, JournalError, OrthancBrokeOff):
            raise  # says nothing of the instance, or is counted where it is caught
        except (OrthancUnreachable, OrthancDenied) as error:
            if not self._orthanc.answers():
                raise
            return holds.try_again_or_hold(
                study, instance, Code.ANONYMIZATION_REFUSED, error.sentence
            )
        except OSError as error:
            raise StepIncomplete(Code.SPOOL_UNUSABLE, f"{error.strerror}") from None
        except Hold as hold:
            holds.hold_for(study, instance, hold)
        except ResourceMissing as missing:
            holds.hold(study, instance, Code.SOURCE_MISSING, missing.sentence)
        except OrthancError as error:
            return holds.try_again_or_hold(
                study, instance, Code.ANONYMIZATION_REFUSED, error.sentence
            )
        except Unforeseen as error:
            return holds.try_again_or_hold(study, instance, error.code, error.sentence)
        return True
