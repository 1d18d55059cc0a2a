"""The note that tells archives to reject a study whose place a corrected one takes: made in its step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deid import gate, pseudonyms
from router.dicom import part10
from router.imaging.rejection_note import Rejected, Title, note
from router.pipeline.copy_store import Copies, describe, read_made
from router.pipeline.step_errors import StepIncomplete
from router.records.errors import Code, Hold, ResourceMissing
from router.records.instance import Instance, Role, Stage
from router.truck.spool import MemoryBody

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.journal import Journal
    from router.journal.corrections import Correction
    from router.pipeline.hold_or_retry import Holds
    from router.pipeline.keys import StudyKeys
    from router.pipeline.originals import Originals
    from router.records.study import Study
    from router.truck.orthanc import TruckOrthanc


class RejectionNotes:
    """Makes the notes. One thread uses it."""

    def __init__(
        self,
        orthanc: TruckOrthanc,
        journal: Journal,
        keys: StudyKeys,
        originals: Originals,
        copies: Copies,
        holds: Holds,
        now: Callable[[], float],
    ) -> None:
        self._orthanc = orthanc
        self._journal = journal
        self._keys = keys
        self._originals = originals
        self._copies = copies
        self._holds = holds
        self._now = now

    def make_missing(self, study: Study) -> None:
        """Makes the note of a study that was replaced, where one is needed and is not there.

        Raises StepIncomplete where no image of the study is left that says what it must look like;
        OrthancError, JournalError.
        """
        correction = self._journal.corrections.unmade(study.orthanc_id)
        if correction is None:
            return
        for instance in self._journal.instances.of_study(study.orthanc_id):
            if instance.role is Role.SOURCE and instance.copy is not None:
                try:
                    self._make(study, instance, correction)
                except ResourceMissing:
                    continue
                return
        raise StepIncomplete(Code.SOURCE_MISSING, "no image of it is left to make the note of")

    def _make(self, study: Study, instance: Instance, correction: Correction) -> None:
        copy = instance.copy
        assert copy is not None  # noqa: S101  (the caller has looked)
        journal, key = self._journal, self._keys.key(study)
        images = {
            Rejected(one.series_uid, one.sop_uid, one.sop_class)
            for _, one in journal.corrections.begun(study.orthanc_id)
        }
        made_for = f"rejection|{correction.number}|{copy.study_uid}"
        series_uid = pseudonyms.uid(key, f"series of {made_for}")
        sop_uid = pseudonyms.uid(key, made_for)
        expected, traces = self._originals.remembered(instance, key, self._keys.profile(study))
        with self._orthanc.file(copy.orthanc_id) as source:
            dataset = read_made(source)
            header = gate.header(dataset, source.view)
            file = note(dataset, images, Title(correction.title), series_uid, sop_uid)
        with MemoryBody(file) as body:
            made = read_made(body)
            described = describe(made, body.size, part10.digest(body.view), part10.md5(body.view))
            journal.corrections.begin_note(correction, described, self._now())
            try:
                gate.check_outgoing(
                    made, body.view, expected.for_capture(series_uid, sop_uid), traces, {}, header
                )
            except Hold as hold:
                for one in journal.instances.of_study(study.orthanc_id):
                    if one.role is Role.NOTE and one.stage is Stage.RECEIVED:
                        self._holds.hold(study, one, hold.code, hold.sentence)
                return
            self._copies.store(described, body, described.orthanc_id)
            journal.copies.finish(described.orthanc_id)
