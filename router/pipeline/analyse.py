"""The step ANONYMIZED → ANALYSED: a capture of each image that is chosen for one."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from router.deid import gate, pseudonyms
from router.dicom import part10
from router.imaging import secondary_capture
from router.imaging.analysis import applying
from router.imaging.pixels.decoding import DECODED_BY_ORTHANC
from router.imaging.worker_process import Analyser, Task
from router.pipeline.copies import Copies, describe, read_made
from router.pipeline.holds import MOST_CRASHES
from router.pipeline.step_results import timed
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
    ResourceMissing,
)
from router.records.instance import CAPTURE_GONE, CAPTURED, Instance, Role, Stage
from router.records.study import Outcome, Study
from router.truck import decoded
from router.truck.orthanc import instance_id
from router.truck.spool import MemoryBody

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from router.deid.pseudonyms import Key
    from router.imaging.analysis import Analysis
    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.pipeline.keys import StudyKeys
    from router.pipeline.originals import Originals
    from router.records.copies import Copy, Route
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Body, Spool

#: One capture for a whole series, of the slice in its middle; one per image in all others.
_SLICED = frozenset({"CT", "MR", "PT"})

_log = logging.getLogger(__name__)


class AnalyseStep:
    """Makes the captures. One thread uses it."""

    def __init__(
        self,
        analyser: Analyser | None,
        orthanc: TruckOrthanc,
        journal: Journal,
        spool: Spool,
        keys: StudyKeys,
        originals: Originals,
        copies: Copies,
        metrics: Metrics,
        now: Callable[[], float],
        stopping: Callable[[], bool],
    ) -> None:
        """``analyser``: makes the captures; ``None``: nobody does."""
        self._analyser = analyser
        self._orthanc = orthanc
        self._journal = journal
        self._spool = spool
        self._keys = keys
        self._originals = originals
        self._copies = copies
        self._metrics = metrics
        self._now = now
        self._stopping = stopping

    def take(self, study: Study) -> Outcome | None:
        """Makes the captures that are not decided yet. Raises OrthancError, JournalError."""
        key = self._keys.key(study)
        instances = self._journal.instances.of_study(study.orthanc_id)
        routes = self._journal.routes.of_study(study.orthanc_id)
        wanted, unwanted = by_their_rules(instances, routes)
        self._journal.instances.decide_analysis(dict.fromkeys(unwanted, Code.LEFT_OUT_BY_RULE))
        captures = {i.copy.sop_uid: i for i in instances if i.role is Role.CAPTURE and i.copy}
        begun = {i.orthanc_id for i in wanted if _has_capture(i, key, captures)}
        chosen, left_out = choose_sources(wanted, begun)
        for instance in chosen:
            if self._stopping():
                return None
            with timed(self._metrics, "analyse"):
                results = [
                    self._try_analyse(study, instance, key, captures, analysis)
                    for analysis in applying_to(instance, routes)
                ]
            result = CAPTURED if CAPTURED in results else results[0]
            self._journal.instances.decide_analysis({instance.orthanc_id: result})
            self._metrics.analysed(result)
        # Only now: a series whose slices are left out has its capture, or the reason why not.
        self._journal.instances.decide_analysis(dict.fromkeys(left_out, Code.NOT_CHOSEN))
        decided = self._journal.instances.of_study(study.orthanc_id)
        return Outcome.DONE if any(i.analysis == CAPTURED for i in decided) else Outcome.SKIP

    def _try_analyse(
        self,
        study: Study,
        instance: Instance,
        key: Key,
        captures: Mapping[str, Instance],
        analysis: Analysis,
    ) -> str:
        """CAPTURED, or the code that says why not."""
        try:
            self._capture_once(study, instance, key, captures, analysis)
        except (AnalysisSkipped, Hold) as left_out:
            _log.info(
                "no capture: %s",
                left_out.sentence,
                extra={"action": "analyse", "study": study.alias, "code": left_out.code},
            )
            return left_out.code
        except (OrthancFull, OrthancBrokeOff, JournalError):
            raise  # says nothing of the image, or is counted as a crash
        # Whatever is wrong with one image, the captures of the others are made.
        except Exception as error:
            of_all = (OrthancUnreachable, OrthancDenied)
            if isinstance(error, of_all) and not self._orthanc.answers():
                raise
            _log.warning(
                "no capture: %s",
                type(error).__name__,
                extra={
                    "action": "analyse",
                    "study": study.alias,
                    "code": error.code if isinstance(error, EdgeRouterError) else Code.UNEXPECTED,
                },
            )
            return Code.ANALYSIS_FAILED
        return CAPTURED

    def _capture_once(
        self,
        study: Study,
        instance: Instance,
        key: Key,
        captures: Mapping[str, Instance],
        analysis: Analysis,
    ) -> None:
        """Makes the capture, unless the router died of it before."""
        if instance.crashes >= MOST_CRASHES:
            raise AnalysisSkipped(Code.ANALYSIS_CRASHED, f"{instance.crashes} times")
        instances = self._journal.instances
        instances.begin_step(instance.orthanc_id, self._now())
        try:
            self._capture(study, instance, key, captures, analysis)
        finally:
            instances.end_step(instance.orthanc_id)

    def _capture(
        self,
        study: Study,
        instance: Instance,
        key: Key,
        captures: Mapping[str, Instance],
        analysis: Analysis,
    ) -> None:
        copy = instance.copy
        assert copy is not None  # noqa: S101  (only anonymized instances are chosen)
        if self._analyser is None:
            raise AnalysisSkipped(Code.ANALYSIS_DISABLED, "analysis is switched off")
        for version in analysis.earlier_versions:
            earlier = capture_uids(key, copy, analysis.name, version)
            if self._adopt(study, instance, key, captures, earlier, analysis):
                return
        uids = capture_uids(key, copy, analysis.name, analysis.version)
        target = self._spool.path(".capture")

        def make(body: Body, source: Path) -> Mapping[int, bytes]:
            assert self._analyser is not None  # noqa: S101  (looked at above)
            header = gate.header(read_made(body), body.view)
            self._analyser.run(Task(analysis.name, source, target, uids.series, uids.sop))
            return header

        try:
            header = self._with_pixels(copy, make)
            made = target.read_bytes()
        finally:
            target.unlink()
        with MemoryBody(made) as body:
            self._store_capture(study, instance, body, key, uids, header, analysis)

    def _with_pixels(
        self, copy: Copy, make: Callable[[Body, Path], Mapping[int, bytes]]
    ) -> Mapping[int, bytes]:
        """What is made of a copy: here where its pixels can be decoded, else as Orthanc does it."""
        orthanc, spool = self._orthanc, self._spool
        if copy.transfer_syntax not in DECODED_BY_ORTHANC:
            try:
                with orthanc.file(copy.orthanc_id) as body, spool.as_file(body) as source:
                    return make(body, source)
            except AnalysisSkipped as skipped:
                if skipped.code is not Code.PIXELS_UNDECODABLE:
                    raise
        return decoded.by_orthanc(orthanc, spool, copy.orthanc_id, make)

    def _adopt(
        self,
        study: Study,
        instance: Instance,
        key: Key,
        captures: Mapping[str, Instance],
        uids: secondary_capture.CaptureUids,
        analysis: Analysis,
    ) -> bool:
        """Takes over the capture that an earlier version made of the image: it gets no second.

        The truck still holds it: it is taken as it is, also where the journal was lost. It is
        gone: whoever may have got it keeps it, and there is no other; one that was never sent
        leaves room for a new one. Raises AnalysisSkipped (CAPTURE_OF_EARLIER_VERSION).
        """
        copy = instance.copy
        assert copy is not None  # noqa: S101  (the caller has looked)
        expected, _ = self._originals.remembered(instance, key, self._keys.profile(study))
        stored = instance_id(expected.patient, copy.study_uid, uids.series, uids.sop)
        known = captures.get(uids.sop)
        try:
            with self._orthanc.file(stored) as body:
                with self._orthanc.file(copy.orthanc_id) as source:
                    header = gate.header(read_made(source), source.view)
                self._store_capture(study, instance, body, key, uids, header, analysis)
        except ResourceMissing:
            if known is None:
                return False
            if self._journal.outbox.may_have_been_sent(known.orthanc_id):
                raise AnalysisSkipped(
                    Code.CAPTURE_OF_EARLIER_VERSION, "its capture was made by an earlier version"
                ) from None
            self._journal.copies.give_up_capture(known.orthanc_id)
            return False
        return True

    def _store_capture(
        self, study: Study, instance: Instance, body: Body, key: Key, uids: secondary_capture.CaptureUids,
        header: Mapping[int, bytes], analysis: Analysis,
    ) -> None:  # fmt: skip
        """A capture passes the same gate as a copy, against the original's identifiers."""
        dataset = read_made(body)
        expected, traces = self._originals.remembered(instance, key, self._keys.profile(study))
        expected = expected.for_capture(uids.series, uids.sop)
        own_texts = secondary_capture.OWN_TEXTS | {analysis.name}
        gate.check_outgoing(
            dataset,
            body.view,
            expected,
            traces,
            secondary_capture.OWN_ATTRIBUTES,
            header,
            own_texts,
        )
        copy = describe(dataset, body.size, part10.digest(body.view), part10.md5(body.view))
        self._journal.copies.begin_capture(instance.orthanc_id, copy, self._now())
        self._copies.store(copy, body, copy.orthanc_id)
        self._journal.copies.finish(copy.orthanc_id)


def by_their_rules(
    instances: Sequence[Instance], routes: Mapping[str, Route]
) -> tuple[list[Instance], list[str]]:
    """Those that captures may be made of, and those undecided that their rules leave out."""
    wanted: list[Instance] = []
    unwanted: list[str] = []
    for instance in instances:
        if instance.copy is None or applying_to(instance, routes):
            wanted.append(instance)
        elif instance.role is Role.SOURCE and instance.analysis is None:
            unwanted.append(instance.orthanc_id)
    return wanted, unwanted


def applying_to(instance: Instance, routes: Mapping[str, Route]) -> list[Analysis]:
    """The analyses that an image gets: of its modality, and by its rule. It has a copy."""
    route = routes.get(instance.orthanc_id)
    assert instance.copy is not None  # noqa: S101  (only anonymized instances are analysed)
    return applying(instance.copy.modality, route.analyses if route else None)


def capture_uids(key: Key, copy: Copy, name: str, version: str) -> secondary_capture.CaptureUids:
    """Keyed UIDs of the capture that a version of an analysis makes of an image."""
    made_by = f"{name}|{version}"
    return secondary_capture.CaptureUids(
        series=pseudonyms.uid(key, f"{made_by}|{copy.series_uid}"),
        sop=pseudonyms.uid(key, f"{made_by}|{copy.sop_uid}"),
    )


def _has_capture(instance: Instance, key: Key, captures: Mapping[str, Instance]) -> bool:
    """Whether one of its captures was begun before the router stopped."""
    copy = instance.copy
    if not captures or copy is None or instance.role is not Role.SOURCE:
        return False
    return any(
        capture_uids(key, copy, one.name, one.version).sop in captures
        for one in applying(copy.modality)
    )


def choose_sources(
    instances: Sequence[Instance], begun: Collection[str] = ()
) -> tuple[list[Instance], list[str]]:
    """Of which images captures are made, and which are left out; both only those undecided.

    One per image, but one per series in CT, MR and PET: the middle one by InstanceNumber. What was
    chosen once stays: a late slice never moves the middle. ``begun``: has a capture already.
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
            places = [n for n, one in enumerate(open_ones) if one.orthanc_id in begun]
            chosen.append(open_ones.pop(places[0] if places else len(open_ones) // 2))
        left_out += [member.orthanc_id for member in open_ones]
    return chosen, left_out


def _place_in_series(instance: Instance) -> tuple[int, str]:
    assert instance.copy is not None  # noqa: S101  (the caller has looked)
    return instance.copy.instance_number or 0, instance.copy.sop_uid
