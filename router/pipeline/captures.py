"""One capture of one image: made by the analysis, passed by the gate, and stored on the truck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.deid import gate
from router.dicom import part10
from router.imaging import secondary_capture
from router.imaging.pixels.decoding import DECODED_BY_ORTHANC
from router.imaging.worker_process import Analyser, Task
from router.pipeline.capture_sources import capture_uids
from router.pipeline.copy_store import Copies, describe, read_made
from router.pipeline.hold_or_retry import MOST_CRASHES
from router.records.errors import AnalysisSkipped, Code, ResourceMissing
from router.truck import decoded
from router.truck.orthanc import TruckOrthanc, instance_id
from router.truck.spool import MemoryBody

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from router.deid.pseudonyms import Key
    from router.imaging.analysis import Analysis
    from router.journal import Journal
    from router.pipeline.keys import StudyKeys
    from router.pipeline.originals import Identifiers, Originals
    from router.records.copies import Copy
    from router.records.instance import Instance
    from router.records.study import Study
    from router.truck.spool import Body, Spool


@dataclass(frozen=True)
class Wanted:
    """A capture that is to be made."""

    study: Study
    instance: Instance
    key: Key
    analysis: Analysis
    #: The study's captures so far, by SOP Instance UID.
    known: Mapping[str, Instance]

    @property
    def copy(self) -> Copy:
        """The anonymized copy that is analysed."""
        assert self.instance.copy is not None  # noqa: S101  (only anonymized instances are chosen)
        return self.instance.copy

    def uids(self, version: str) -> secondary_capture.CaptureUids:
        """The UIDs of the capture that this version of the analysis makes."""
        return capture_uids(self.key, self.copy, self.analysis.name, version)


class Captures:
    """Makes captures. One thread uses it."""

    def __init__(
        self,
        analyser: Analyser | None,
        orthanc: TruckOrthanc,
        journal: Journal,
        spool: Spool,
        keys: StudyKeys,
        originals: Originals,
        copies: Copies,
        now: Callable[[], float],
    ) -> None:
        """``analyser``: ``None``: analysis is switched off."""
        self._analyser = analyser
        self._orthanc = orthanc
        self._journal = journal
        self._spool = spool
        self._keys = keys
        self._originals = originals
        self._copies = copies
        self._now = now

    def make(self, wanted: Wanted) -> None:
        """Makes the capture, unless the router died of it before.

        Raises AnalysisSkipped, Hold, OrthancError, JournalError.
        """
        instance = wanted.instance
        if instance.crashes >= MOST_CRASHES:
            raise AnalysisSkipped(Code.ANALYSIS_CRASHED, f"{instance.crashes} times")
        instances = self._journal.instances
        instances.begin_step(instance.orthanc_id, self._now())
        try:
            self._make(wanted)
        finally:
            instances.end_step(instance.orthanc_id)

    def _make(self, wanted: Wanted) -> None:
        analyser, analysis = self._analyser, wanted.analysis
        if analyser is None:
            raise AnalysisSkipped(Code.ANALYSIS_DISABLED, "analysis is switched off")
        for version in analysis.earlier_versions:
            if self._adopt(wanted, wanted.uids(version)):
                return
        uids = wanted.uids(analysis.version)
        target = self._spool.path(".capture")

        def make(body: Body, source: Path) -> Mapping[int, bytes]:
            header = gate.header(read_made(body), body.view)
            analyser.run(Task(analysis.name, source, target, uids.series, uids.sop))
            return header

        try:
            header = self._with_pixels(wanted.copy, make)
            made = target.read_bytes()
        finally:
            target.unlink()
        with MemoryBody(made) as body:
            self._store(wanted, body, uids, header)

    def _with_pixels(
        self, copy: Copy, make: Callable[[Body, Path], Mapping[int, bytes]]
    ) -> Mapping[int, bytes]:
        """What ``make`` returns of a copy: as it is, or decoded by Orthanc where that is needed."""
        orthanc, spool = self._orthanc, self._spool
        if copy.transfer_syntax not in DECODED_BY_ORTHANC:
            try:
                with orthanc.file(copy.orthanc_id) as body, spool.as_file(body) as source:
                    return make(body, source)
            except AnalysisSkipped as skipped:
                if skipped.code is not Code.PIXELS_UNDECODABLE:
                    raise
        return decoded.by_orthanc(orthanc, spool, copy.orthanc_id, make)

    def _adopt(self, wanted: Wanted, uids: secondary_capture.CaptureUids) -> bool:
        """Returns whether the capture of an earlier version was found on the truck, and kept.

        Also where the journal was lost. Where it is gone and was never sent, a new one may be made;
        where it may have been sent, raises AnalysisSkipped (CAPTURE_OF_EARLIER_VERSION).
        """
        copy = wanted.copy
        expected, _ = self._identifiers(wanted)
        stored = instance_id(expected.patient, copy.study_uid, uids.series, uids.sop)
        known = wanted.known.get(uids.sop)
        try:
            with self._orthanc.file(stored) as body:
                with self._orthanc.file(copy.orthanc_id) as source:
                    header = gate.header(read_made(source), source.view)
                self._store(wanted, body, uids, header)
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

    def _store(
        self,
        wanted: Wanted,
        body: Body,
        uids: secondary_capture.CaptureUids,
        header: Mapping[int, bytes],
    ) -> None:
        """Has the gate check a capture against the original's identifiers, and stores it."""
        dataset = read_made(body)
        expected, traces = self._identifiers(wanted)
        gate.check_outgoing(
            dataset,
            body.view,
            expected.for_capture(uids.series, uids.sop),
            traces,
            secondary_capture.OWN_ATTRIBUTES,
            header,
            secondary_capture.OWN_TEXTS | {wanted.analysis.name},
        )
        copy = describe(dataset, body.size, part10.digest(body.view), part10.md5(body.view))
        self._journal.copies.begin_capture(wanted.instance.orthanc_id, copy, self._now())
        self._copies.store(copy, body, copy.orthanc_id)
        self._journal.copies.finish(copy.orthanc_id)

    def _identifiers(self, wanted: Wanted) -> Identifiers:
        profile = self._keys.profile(wanted.study)
        return self._originals.remembered(wanted.instance, wanted.key, profile)
