"""What an operator decides about a patient who was corrected on the scanner after a delivery."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.imaging.rejection_note import MEANINGS, Title
from router.operator import decisions
from router.records.errors import Code, OperatorError

if TYPE_CHECKING:
    from router.journal import Journal
    from router.journal.corrections import Correction
    from router.observe.audit import Audit
    from router.operator.decisions import Reason
    from router.records.study import Study


@dataclass(frozen=True)
class Replaced:
    """What was decided. Studies by their aliases."""

    study: str
    replaces: str
    #: Destinations that may hold what is rejected: they get the note first.
    destinations: tuple[str, ...]


def replace(
    journal: Journal, audit: Audit, name: str, title: Title, reason: Reason, now: float
) -> Replaced:
    """Lets a study that is held for another's UIDs take its place, under new UIDs.

    ``name``: the study, or a held instance of it. Raises OperatorError (NOT_IN_JOURNAL, NOT_HELD,
    NOT_REPLACEABLE), JournalError.
    """
    study = _study(journal, name)
    wrong = _wrong(journal, study)
    begun = journal.corrections.begun(wrong.orthanc_id)
    audit.record(
        now,
        {"action": "replace", "study": study.alias, "replaces": wrong.alias, "title": title,
         "by": reason.by, "reason": reason.text},
    )  # fmt: skip
    journal.decisions.replace(study.orthanc_id, wrong.orthanc_id, title, now)
    return Replaced(study.alias, wrong.alias, tuple(sorted({name for name, _ in begun})))


def told(
    journal: Journal, audit: Audit, name: str, destination: str, reason: Reason, now: float
) -> Replaced:
    """A person has given an archive the list of what to reject: the corrected study may go there.

    Raises OperatorError (NOT_IN_JOURNAL, NOT_REPLACED, WRONG_ARGUMENT), JournalError.
    """
    study = _study(journal, name)
    correction = _correction(journal, study)
    begun = {name for name, _ in journal.corrections.begun(correction.replaces)}
    if destination not in begun:
        raise OperatorError(
            Code.WRONG_ARGUMENT,
            f"{destination} was sent nothing that is to be rejected; that were: {sorted(begun)}.",
        )
    audit.record(
        now,
        {"action": "archive-told", "study": study.alias, "destination": destination,
         "by": reason.by, "reason": reason.text},
    )  # fmt: skip
    journal.corrections.told(correction.study, destination, now)
    if correction.note is not None:
        journal.decisions.discard_at(correction.note, destination, now)
    aliases = _alias(journal, correction.study), _alias(journal, correction.replaces)
    return Replaced(*aliases, (destination,))


def rejected(journal: Journal, name: str) -> str:
    """The list for archives, as CSV: what each destination may hold and must reject.

    Raises OperatorError (NOT_IN_JOURNAL, NOT_REPLACED).
    """
    correction = _correction(journal, _study(journal, name))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(
        ("destination", "study_instance_uid", "series_instance_uid", "sop_instance_uid",
         "sop_class_uid", "reason", "meaning")
    )  # fmt: skip
    meaning = MEANINGS[Title(correction.title)]
    for destination, copy in journal.corrections.begun(correction.replaces):
        lines.writerow(
            (destination, copy.study_uid, copy.series_uid, copy.sop_uid, copy.sop_class,
             f"DCM {correction.title}", meaning)
        )  # fmt: skip
    return text.getvalue()


def _study(journal: Journal, name: str) -> Study:
    for held in journal.holds.all():
        if held.instance.orthanc_id == name:
            return held.study
    return decisions.find_study(journal, name)


def _correction(journal: Journal, study: Study) -> Correction:
    """That the study is a part of, on either side."""
    found = journal.corrections.of(study.orthanc_id)
    found = found or journal.corrections.of_replaced(study.orthanc_id)
    if found is None:
        raise OperatorError(
            Code.NOT_REPLACED, f"{study.alias} takes no other's place: see edge-router replace."
        )
    return found


def _wrong(journal: Journal, study: Study) -> Study:
    """The study whose UIDs the held images of this one have."""
    held = [
        one.instance.orthanc_id
        for one in journal.holds.all()
        if one.study.orthanc_id == study.orthanc_id and one.hold.code is Code.UID_CONFLICT
    ]
    if not held:
        raise OperatorError(
            Code.NOT_HELD, f"Nothing of {study.alias} is held for the UIDs of another study."
        )
    sides = filter(None, map(journal.conflicts.of, held))
    wrong = {side.other_study for side in sides} - {None, study.orthanc_id}
    if len(wrong) != 1:
        raise OperatorError(
            Code.NOT_REPLACEABLE,
            f"The UIDs of {study.alias} are not those of one other study (held names them): discard"
            " it, and let the scanner send its images as new ones. Where held names no other side, it"
            " was held by an earlier release: release it under retry first.",
        )
    (name,) = wrong
    while (earlier := journal.corrections.of_replaced(str(name))) is not None:
        name = earlier.study  # the one that took its place is the one that is wrong now
    if name == study.orthanc_id or journal.corrections.begun(study.orthanc_id):
        raise OperatorError(
            Code.NOT_REPLACEABLE,
            f"Images of {study.alias} were sent before. Discard what is held of it, correct the"
            " patient on the scanner, and send the study again.",
        )
    found = journal.studies.get(str(name))
    assert found is not None  # noqa: S101  (a conflict is with a known image)
    return found


def _alias(journal: Journal, orthanc_id: str) -> str:
    study = journal.studies.get(orthanc_id)
    return study.alias if study else orthanc_id
