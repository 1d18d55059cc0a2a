"""The step RECEIVED → ANONYMIZED: a copy of each instance, made by Orthanc, passed by the gate."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router import part10
from router.deid import clearance, gate, mask, plan
from router.errors import (
    Code,
    Hold,
    JournalError,
    OrthancDenied,
    OrthancError,
    OrthancFull,
    OrthancUnreachable,
    ResourceMissing,
)
from router.journal import Identities
from router.steps.bench import Bench, StepIncomplete, describe, read_made
from router.study import Instance, Outcome, Role, Stage, Study, rest

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from router.deid.mask import Region
    from router.deid.profile import Profile
    from router.deid.pseudonyms import Key
    from router.spool import Body

_log = logging.getLogger(__name__)


class Anonymizing:
    """Makes the copies that are sent. One thread uses it."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def take(self, study: Study) -> Outcome | None:
        """Makes the missing copies. Raises OrthancError, StepIncomplete, JournalError."""
        key, chosen = self._bench.key(study), self._bench.profile(study)
        failed = 0
        for instance in self._bench.journal.instances(study.orthanc_id):
            if instance.role is not Role.SOURCE or instance.stage is not Stage.RECEIVED:
                continue
            if self._bench.stopping():
                return None
            with self._bench.timed("anonymize"):
                failed += not self._try_anonymize(study, instance, key, chosen)
        if failed:
            raise StepIncomplete(Code.ANONYMIZATION_REFUSED, f"{failed} instances to try again")
        stages = {instance.stage for instance in self._bench.journal.instances(study.orthanc_id)}
        return rest(sendable=Stage.ANONYMIZED in stages, held=Stage.HELD in stages)

    def _try_anonymize(self, study: Study, instance: Instance, key: Key, chosen: Profile) -> bool:
        """Whether the instance is decided (copied or held); otherwise it is tried again."""
        try:
            self._anonymize(instance, key, chosen)
        except (OrthancUnreachable, OrthancDenied, OrthancFull, JournalError):
            raise  # says nothing of the instance
        except OSError as error:
            raise StepIncomplete(Code.SPOOL_UNUSABLE, f"{error.strerror}") from None
        except Hold as hold:
            self._bench.hold(study, instance, hold.code, hold.sentence)
        except ResourceMissing as missing:
            self._bench.hold(study, instance, Code.SOURCE_MISSING, missing.sentence)
        except OrthancError as error:
            return self._bench.try_again_or_hold(
                study, instance, Code.ANONYMIZATION_REFUSED, error.sentence
            )
        # A fault of ours in one instance must neither stop the others nor let this one through.
        except Exception as error:  # noqa: BLE001
            _log.exception(
                "an instance failed", extra={"action": "anonymize", "study": study.alias}
            )
            return self._bench.try_again_or_hold(
                study, instance, Code.UNEXPECTED, type(error).__name__
            )
        return True

    def _anonymize(self, instance: Instance, key: Key, chosen: Profile) -> None:
        with self._bench.orthanc.file(instance.orthanc_id) as original:
            dataset = part10.read(original.stream())
            release = clearance.released(instance.policy)
            regions = clearance.check(dataset, release, self._bench.site.policies, chosen)
            key = self._bench.key_of_patient(instance.study, dataset, key)
            part10.pixel_span(dataset, original.view)
            fresh = part10.read(original.stream())
            made = plan.make(fresh, key, self._bench.station, chosen, masked=bool(regions))
            with self._bench.orthanc.anonymize(instance.orthanc_id, made.body()) as body:
                copied = read_made(body)
                if regions:
                    _mask(copied, body, regions)
                expected, traces = self._bench.remember(instance, dataset, key, chosen, regions)
                gate.check_copy(dataset, original.view, copied, body.view, expected, traces)
                copy = describe(copied, body)
                who = _identities(dataset, key)
                self._bench.journal.begin_copy(
                    instance.orthanc_id, copy, who, self._bench.now(),
                    same_person=Code.IDENTITY_CONFLICT in release.clears,
                )  # fmt: skip
                self._bench.store(copy, body, instance.orthanc_id)
        self._bench.journal.finish_copy(instance.orthanc_id)
        self._bench.metrics.instances_anonymized.inc()


def _mask(copied: FileDataset, body: Body, regions: tuple[Region, ...]) -> None:
    """Paints the regions over in the bytes of the copy: nothing of them is ever stored."""
    span = part10.pixel_span(copied, body.view)
    assert span is not None  # noqa: S101  (a policy that masks was found to fit)
    for offset, length in mask.runs(mask.layout(copied), regions):
        body.overwrite(span[0] + offset, bytes(length))


def _identities(dataset: FileDataset, key: Key) -> Identities:
    """Who the patient is, for the table that never leaves the truck."""
    who = plan.identity_of(dataset, key)
    rows: dict[tuple[str, str], dict[str, str]] = {
        ("patient", who.pseudonym): {
            "issuer": who.issuer,
            "patient_id": who.patient_id,
            "name": who.name,
            "birth_date": who.birth_date,
            "sex": who.sex,
        },
    }
    if who.accession:
        rows["accession", who.accession_pseudonym] = {
            "accession": who.accession,
            "patient": who.pseudonym,
        }
    return Identities(key.id, rows)
