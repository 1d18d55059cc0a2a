"""What the local steps work with and share. Thread-safe."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.deid import gate
from router.deid.eligibility import NotCleared
from router.deid.profile import BASIC, Option, Profile
from router.dicom import part10
from router.journal.conflicts import Conflict
from router.journal.identities import ISSUER, IdentityConflict
from router.pipeline.patient_key import PatientKeys
from router.records.copies import Copy
from router.records.errors import Code, EdgeRouterError, Hold, SettingsError
from router.truck.orthanc import TruckOrthanc, instance_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydicom.dataset import FileDataset

    from router.deid.mask import Region
    from router.deid.policies import Policy
    from router.deid.pseudonyms import Key
    from router.imaging.worker_process import HeaderCheck
    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.pipeline.anonymize.quiet_period import QuietPeriod
    from router.records.instance import Instance
    from router.records.study import Study
    from router.truck.spool import Body, Spool

#: Failed tries after which an instance is held, so that it no longer keeps its study.
MOST_TRIES = 3
#: Deaths in a step with one instance after which it is parked for every step. Two can be chance:
#: somebody pulls the plug twice; so it is tried once more, after all others, and when it is calm.
MOST_CRASHES = 3
#: Originals whose identifiers are kept in memory until their study is analysed.
_REMEMBERED = 512

_log = logging.getLogger(__name__)


class StepIncomplete(EdgeRouterError):
    """Some instances failed and are tried again; the others are done."""


class StepTooSoon(EdgeRouterError):
    """What something may have died of is tried again when it is calm; the others are done."""

    def __init__(self, code: Code, sentence: str, wait_s: float) -> None:
        super().__init__(code, sentence)
        self.wait_s = wait_s


@dataclass(frozen=True)
class SiteRules:
    """What a site's own files say now. None of it changes the bytes of a copy that passes."""

    #: The site's policies before the shipped ones.
    policies: tuple[Policy, ...]
    #: Words that identify no one: names equal to them are not looked for word by word.
    harmless: frozenset[str]


class StepContext:
    """The tools of the steps, and what they do alike: store, hold, count, remember."""

    def __init__(
        self,
        orthanc: TruckOrthanc,
        journal: Journal,
        spool: Spool,
        keys: Mapping[str, Key],
        station: str,
        site: SiteRules,
        metrics: Metrics,
        now: Callable[[], float],
        stopping: Callable[[], bool],
        quiet_period: QuietPeriod,
        headers: HeaderCheck,
    ) -> None:
        self.orthanc = orthanc
        self.journal = journal
        self.spool = spool
        self.station = station
        self.site = site
        self.metrics = metrics
        self.now = now
        self.stopping = stopping
        self.quiet_period = quiet_period
        self.headers = headers
        self._keys = keys
        self._patient_keys = PatientKeys(journal, keys)
        self._profiles: dict[str, Profile] = {}
        self._remembered: dict[str, tuple[gate.Expected, gate.Traces]] = {}
        self._lock = threading.Lock()

    def store(self, copy: Copy, body: Body, instance: str) -> None:
        """Stores a copy on the truck and reads back what Orthanc says of it.

        ``instance``: the journal's name of it; a capture's own.
        """
        stored, already = self.orthanc.store(body)
        if stored != copy.orthanc_id:
            raise Hold(Code.COPY_DIFFERS, "it was stored under another id")
        if already and self.orthanc.md5(stored) != copy.md5:
            # Of another truck id or release, then: replaced, unless it may have been sent.
            if self.journal.outbox.may_have_been_sent(instance):
                raise Hold(Code.COPY_DIFFERS, "a copy with other bytes may have been sent")
            self.orthanc.delete(stored, "a copy with other bytes that was never sent")
            self.orthanc.store(body)
        if self.orthanc.md5(stored) != copy.md5:
            raise Hold(Code.COPY_DIFFERS, "another file is stored under its UID")

    def try_again_or_hold(self, study: Study, instance: Instance, code: Code, detail: str) -> bool:
        """Whether it is decided: held after MOST_TRIES failures, or else tried again."""
        tries = self.journal.instances.count_failure(instance.orthanc_id)
        if tries < MOST_TRIES:
            return False
        self.hold(study, instance, code, detail)
        return True

    def hold(self, study: Study, instance: Instance, code: Code, detail: str) -> None:
        self.journal.instances.hold(instance.orthanc_id, code, detail, self.now())
        self.metrics.holds.labels(code).inc()
        _log.warning(
            "an instance is held: %s",
            detail,
            extra={"action": "hold", "study": study.alias, "code": code},
        )

    def hold_for(self, study: Study, instance: Instance, hold: Hold) -> None:
        """Holds an image with what it conflicts with; where a study has two issuers, all of it.

        ``all``: what has not left the truck yet, for nobody knows which of the two is right.
        """
        if isinstance(hold, Conflict):
            self.journal.conflicts.note(instance.orthanc_id, hold)
        if isinstance(hold, NotCleared) and hold.kind is not None:
            self.journal.standing.note_kind(instance.orthanc_id, hold.kind)
        self.hold(study, instance, hold.code, hold.sentence)
        for _ in self.journal.decisions.apply_standing(self.now()):
            _log.info(
                "an object is discarded: it was decided for all of its kind",
                extra={"action": "discard", "study": study.alias, "code": hold.code},
            )
        if isinstance(hold, IdentityConflict) and hold.field == ISSUER:
            sentence = "another image of its study names another issuer"
            for other in self.journal.copies.not_begun(study.orthanc_id):
                self.hold(study, other, hold.code, sentence)

    def remember(
        self, instance: Instance, original: FileDataset, key: Key, chosen: Profile,
        regions: tuple[Region, ...] = (),
    ) -> tuple[gate.Expected, gate.Traces]:  # fmt: skip
        """What the gate needs of an original, kept for its capture: saves fetching it again."""
        known = (
            gate.Expected.of(original, key, self.station, chosen, regions),
            gate.Traces.of(
                original,
                self.station,
                harmless=self.site.harmless,
                keeps_device=Option.DEVICE_IDENTITY in chosen.options,
            ),
        )
        with self._lock:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.pop(next(iter(self._remembered)))
            self._remembered[instance.orthanc_id] = known
        return known

    def remembered(
        self, instance: Instance, key: Key, chosen: Profile
    ) -> tuple[gate.Expected, gate.Traces]:
        """The same of an instance that was anonymized before; fetched again where it was dropped."""
        if instance.orthanc_id not in self._remembered:
            with self.orthanc.file(instance.orthanc_id) as original:
                dataset = part10.read(original.stream())
                key = self.key_of_patient(instance, dataset, key)
                self.remember(instance, dataset, key, chosen)
        return self._remembered[instance.orthanc_id]

    def key(self, study: Study) -> Key:
        key = self._keys.get(study.key_id)
        if key is None:
            raise SettingsError(
                Code.KEY_UNKNOWN,
                f"The key {study.key_id!r} that a study was begun with is missing.",
            )
        return key

    def key_of_patient(self, instance: Instance, dataset: FileDataset, pinned: Key) -> Key:
        """The key with all that the pseudonyms of the image's study are made under."""
        return self._patient_keys.key(instance, dataset, pinned)

    def profile(self, study: Study) -> Profile:
        """The profile that the study was taken in with, whatever the settings say now."""
        if study.profile_id not in self._profiles:
            definition = self.journal.profiles.definition(study.profile_id)
            # Studies of the first release were pinned to a name; it had no options.
            self._profiles[study.profile_id] = (
                Profile.from_json(definition) if definition else BASIC
            )
        return self._profiles[study.profile_id]

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.metrics.step_seconds.labels(step).observe(time.monotonic() - begun)


def read_made(body: Body) -> FileDataset:
    """Parses what Orthanc or the router made. Raises Hold (GATE_UNREADABLE)."""
    try:
        return part10.read(body.stream())
    except Hold as hold:
        raise Hold(Code.GATE_UNREADABLE, hold.sentence) from None


def describe(dataset: FileDataset, size: int, digest: str, md5: str) -> Copy:
    """The journal's record of a copy, of its parsed header, its size and its digests."""
    number = dataset.get("InstanceNumber")
    return Copy(
        orthanc_id=instance_id(
            str(dataset.PatientID),
            str(dataset.StudyInstanceUID),
            str(dataset.SeriesInstanceUID),
            str(dataset.SOPInstanceUID),
        ),
        study_uid=str(dataset.StudyInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID),
        sop_uid=str(dataset.SOPInstanceUID),
        sop_class=str(dataset.SOPClassUID),
        modality=str(dataset.get("Modality", "")),
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
        instance_number=int(number) if isinstance(number, int) else None,
        digest=digest,
        md5=md5,
        size=size,
    )
