"""The local steps: anonymize and analyse. Each instance's result is saved on its own."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from router import capture, part10
from router.analyser import Analyser, Task
from router.analysis import density
from router.deid import clearance, gate, plan, pseudonyms
from router.errors import (
    AnalysisSkipped,
    Code,
    EdgeRouterError,
    Hold,
    JournalError,
    OrthancDenied,
    OrthancError,
    OrthancFull,
    OrthancUnreachable,
    ResourceMissing,
    SettingsError,
)
from router.journal import Identities, Journal
from router.orthanc import TruckOrthanc, instance_id
from router.spool import MemoryBody
from router.study import (
    CAPTURE_GONE,
    CAPTURED,
    Copy,
    Instance,
    Outcome,
    Role,
    Stage,
    State,
    Study,
    rest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydicom.dataset import FileDataset

    from router.deid.pseudonyms import Key
    from router.metrics import Metrics
    from router.spool import Body, Spool

#: Failed tries after which an instance is held, so that it no longer keeps its study.
MOST_TRIES = 3
#: One capture for a whole series, of the slice in its middle; one per image in all others.
_SLICED = frozenset({"CT", "MR"})
#: Originals whose identifiers are kept in memory until their study is analysed.
_REMEMBERED = 512

_log = logging.getLogger(__name__)


class StepIncomplete(EdgeRouterError):
    """Some instances failed and are tried again; the others are done."""


class Steps:
    """What is done in which state. One thread uses it."""

    def __init__(
        self,
        orthanc: TruckOrthanc,
        journal: Journal,
        spool: Spool,
        analyser: Analyser | None,
        keys: Mapping[str, Key],
        station: str,
        metrics: Metrics,
        now: Callable[[], float],
        stopping: Callable[[], bool],
    ) -> None:
        self._orthanc = orthanc
        self._journal = journal
        self._spool = spool
        self._analyser = analyser
        self._keys = keys
        self._station = station
        self._metrics = metrics
        self._now = now
        self._stopping = stopping
        self._remembered: dict[str, tuple[gate.Expected, gate.Traces]] = {}
        self._actions: dict[State, Callable[[Study], Outcome | None]] = {
            State.RECEIVED: self.anonymize,
            State.ANONYMIZED: self.analyse,
        }

    def take(self, study: Study) -> Outcome | None:
        """Does the step of the study's state; ``None``: broken off, because the router stops."""
        return self._actions[study.state](study)

    # --- anonymize ----------------------------------------------------------------------------

    def anonymize(self, study: Study) -> Outcome | None:
        """Makes the missing copies. Raises OrthancError, StepIncomplete, JournalError."""
        key = self._key(study)
        failed = 0
        for instance in self._journal.instances(study.orthanc_id):
            if instance.role is not Role.SOURCE or instance.stage is not Stage.RECEIVED:
                continue
            if self._stopping():
                return None
            with self._timed("anonymize"):
                failed += not self._try_anonymize(study, instance, key)
        if failed:
            raise StepIncomplete(Code.ANONYMIZATION_REFUSED, f"{failed} instances to try again")
        stages = {instance.stage for instance in self._journal.instances(study.orthanc_id)}
        return rest(sendable=Stage.ANONYMIZED in stages, held=Stage.HELD in stages)

    def _try_anonymize(self, study: Study, instance: Instance, key: Key) -> bool:
        """Whether the instance is decided (copied or held); otherwise it is tried again."""
        try:
            self._anonymize(instance, key)
        except (OrthancUnreachable, OrthancDenied, OrthancFull, JournalError):
            raise  # says nothing of the instance
        except OSError as error:
            raise StepIncomplete(Code.SPOOL_UNUSABLE, f"{error.strerror}") from None
        except Hold as hold:
            self._hold(study, instance, hold.code, hold.sentence)
        except ResourceMissing as missing:
            self._hold(study, instance, Code.SOURCE_MISSING, missing.sentence)
        except OrthancError as error:
            return self._count(study, instance, Code.ANONYMIZATION_REFUSED, error.sentence)
        # A fault of ours in one instance must neither stop the others nor let this one through.
        except Exception as error:  # noqa: BLE001
            _log.exception(
                "an instance failed", extra={"action": "anonymize", "study": study.alias}
            )
            return self._count(study, instance, Code.UNEXPECTED, type(error).__name__)
        return True

    def _anonymize(self, instance: Instance, key: Key) -> None:
        with self._orthanc.file(instance.orthanc_id) as original:
            dataset = part10.read(original.stream())
            clearance.check(dataset, clearance.POLICIES[instance.policy])
            part10.pixel_span(dataset, original.view)
            made = plan.make(dataset, key, self._station)
            with self._orthanc.anonymize(instance.orthanc_id, made.body()) as body:
                copied = _read_made(body)
                expected, traces = self._remember(instance, dataset, key)
                gate.check_copy(dataset, original.view, copied, body.view, expected, traces)
                copy = _describe(copied, body)
                who = _identities(dataset, key)
                if not self._journal.begin_copy(instance.orthanc_id, copy, who, self._now()):
                    raise Hold(Code.UID_CONFLICT, "its SOP Instance UID is taken")
                self._store(copy, body, instance.orthanc_id)
        self._journal.finish_copy(instance.orthanc_id)
        self._metrics.instances_anonymized.inc()

    def _store(self, copy: Copy, body: Body, instance: str) -> None:
        """Stores a copy on the truck and reads back what Orthanc says of it.

        ``instance``: the journal's name of it; a capture's own.
        """
        stored, already = self._orthanc.store(body)
        if stored != copy.orthanc_id:
            raise Hold(Code.COPY_DIFFERS, "it was stored under another id")
        if already and self._orthanc.md5(stored) != copy.md5:
            # Of another truck id or release, then: replaced, unless it may have been sent.
            if self._journal.may_have_been_sent(instance):
                raise Hold(Code.COPY_DIFFERS, "a copy with other bytes may have been sent")
            self._orthanc.delete(stored, "a copy with other bytes that was never sent")
            self._orthanc.store(body)
        if self._orthanc.md5(stored) != copy.md5:
            raise Hold(Code.COPY_DIFFERS, "another file is stored under its UID")

    def _count(self, study: Study, instance: Instance, code: Code, detail: str) -> bool:
        tries = self._journal.count_failure(instance.orthanc_id)
        if tries < MOST_TRIES:
            return False
        self._hold(study, instance, code, detail)
        return True

    def _hold(self, study: Study, instance: Instance, code: Code, detail: str) -> None:
        self._journal.hold(instance.orthanc_id, code, detail, self._now())
        self._metrics.holds.labels(code).inc()
        _log.warning(
            "an instance is held: %s",
            detail,
            extra={"action": "hold", "study": study.alias, "code": code},
        )

    # --- analyse ------------------------------------------------------------------------------

    def analyse(self, study: Study) -> Outcome | None:
        """Makes the captures that are not decided yet. Raises OrthancError, JournalError."""
        key = self._key(study)
        instances = self._journal.instances(study.orthanc_id)
        chosen, left_out = choose_sources(instances)
        self._journal.decide_analysis(dict.fromkeys(left_out, Code.NOT_CHOSEN))
        for instance in chosen:
            if self._stopping():
                return None
            with self._timed("analyse"):
                result = self._try_analyse(study, instance, key)
            if result != CAPTURED:  # that one is written with the capture
                self._journal.decide_analysis({instance.orthanc_id: result})
            self._metrics.analyses.labels(result).inc()
        decided = self._journal.instances(study.orthanc_id)
        return Outcome.DONE if any(i.analysis == CAPTURED for i in decided) else Outcome.SKIP

    def _try_analyse(self, study: Study, instance: Instance, key: Key) -> str:
        """CAPTURED, or the code that says why not."""
        try:
            self._capture(instance, key)
        except (AnalysisSkipped, Hold) as left_out:
            _log.info(
                "no capture: %s",
                left_out.sentence,
                extra={"action": "analyse", "study": study.alias, "code": left_out.code},
            )
            return left_out.code
        return CAPTURED

    def _capture(self, instance: Instance, key: Key) -> None:
        copy = instance.copy
        assert copy is not None  # noqa: S101  (only anonymized instances are chosen)
        if self._analyser is None:
            raise AnalysisSkipped(Code.ANALYSIS_DISABLED, "analysis is switched off")
        made_by = f"{density.ALGORITHM}|{density.VERSION}"
        uids = capture.CaptureUids(
            series=pseudonyms.uid(key, f"{made_by}|{copy.series_uid}"),
            sop=pseudonyms.uid(key, f"{made_by}|{copy.sop_uid}"),
        )
        source, target = self._spool.path(".source"), self._spool.path(".capture")
        try:
            with self._orthanc.file(copy.orthanc_id) as body:
                source.write_bytes(body.view)
            self._analyser.run(Task(source, target, uids.series, uids.sop))
            made = target.read_bytes()
        finally:
            source.unlink()
            target.unlink()
        with MemoryBody(made) as body:
            self._store_capture(instance, body, key, uids)

    def _store_capture(
        self, instance: Instance, body: Body, key: Key, uids: capture.CaptureUids
    ) -> None:
        """A capture passes the same gate as a copy, against the original's identifiers."""
        dataset = _read_made(body)
        if instance.orthanc_id not in self._remembered:
            with self._orthanc.file(instance.orthanc_id) as original:
                self._remember(instance, part10.read(original.stream()), key)
        expected, traces = self._remembered[instance.orthanc_id]
        expected = expected.for_capture(uids.series, uids.sop)
        gate.check_outgoing(dataset, body.view, expected, traces, capture.OWN_ATTRIBUTES)
        copy = _describe(dataset, body)
        self._journal.begin_capture(instance.orthanc_id, copy, self._now())
        self._store(copy, body, copy.orthanc_id)
        self._journal.finish_capture(instance.orthanc_id, copy.orthanc_id)

    def _remember(
        self, instance: Instance, original: FileDataset, key: Key
    ) -> tuple[gate.Expected, gate.Traces]:
        """What the gate needs of an original, kept for its capture: saves fetching it again."""
        known = (
            gate.Expected.of(original, key, self._station),
            gate.Traces.of(original, self._station),
        )
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[instance.orthanc_id] = known
        return known

    def _key(self, study: Study) -> Key:
        key = self._keys.get(study.key_id)
        if key is None:
            raise SettingsError(
                Code.KEY_UNKNOWN,
                f"The key {study.key_id!r} that a study was begun with is missing.",
            )
        return key

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self._metrics.step_seconds.labels(step).observe(time.monotonic() - begun)


def choose_sources(instances: Sequence[Instance]) -> tuple[list[Instance], list[str]]:
    """Of which images a capture is made, and which are left out; both only those undecided.

    One per image, but one per series in CT and MR: the middle one by InstanceNumber. What was
    chosen once stays: a late slice never moves the middle.
    """
    chosen: list[Instance] = []
    left_out: list[str] = []
    series: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        if instance.role is not Role.SOURCE or instance.copy is None:
            continue
        if instance.analysis == CAPTURE_GONE:
            chosen.append(instance)
        elif instance.copy.modality in _SLICED:
            series[instance.copy.series_uid].append(instance)
        elif instance.stage is Stage.ANONYMIZED and instance.analysis is None:
            chosen.append(instance)
    for members in series.values():
        open_ones = [m for m in members if m.stage is Stage.ANONYMIZED and m.analysis is None]
        if open_ones and all(member.analysis is None for member in members):
            open_ones.sort(key=_place_in_series)
            chosen.append(open_ones.pop(len(open_ones) // 2))
        left_out += [member.orthanc_id for member in open_ones]
    return chosen, left_out


def _place_in_series(instance: Instance) -> tuple[int, str]:
    assert instance.copy is not None  # noqa: S101  (the caller has looked)
    return instance.copy.instance_number or 0, instance.copy.sop_uid


def _read_made(body: Body) -> FileDataset:
    try:
        return part10.read(body.stream())
    except Hold as hold:
        raise Hold(Code.GATE_UNREADABLE, hold.sentence) from None


def _describe(dataset: FileDataset, body: Body) -> Copy:
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
        digest=part10.digest(body.view),
        md5=part10.md5(body.view),
        size=body.size,
    )


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
