"""Copies and captures: known as our own before they are stored, and as stored after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.journal import instances, receipts, records, routes, studies
from router.journal.conflicts import Conflict
from router.journal.corrections import in_place_of
from router.journal.identities import Identities, enter, enter_study
from router.journal.routes import inherit
from router.records.errors import Code
from router.records.instance import Instance, Stage
from router.records.study import Outcome

if TYPE_CHECKING:
    import sqlite3

    from router.journal.database import Database
    from router.records.copies import Copy, Original, Route


class UidConflict(Conflict):
    """Another image has one of its UIDs, under another patient, study or series."""

    def __init__(self, other: str, identities: Identities) -> None:
        super().__init__(Code.UID_CONFLICT, "its SOP or Study Instance UID is taken")
        self.other = other
        self.said = next((v for (kind, _), v in identities.rows.items() if kind == "patient"), {})


class Copies:
    """Each change is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(
        self,
        instance: str,
        copy: Copy,
        identities: Identities,
        now: float,
        route: Route | None = None,
        original: Original | None = None,
        *,
        same_person: bool = False,
    ) -> None:
        """Makes a copy, before it is stored, known as our own, and its patient findable.

        ``route``: where it goes, unless that was decided before; ``None``: everywhere.

        Raises Hold, and writes nothing, where another original has the same SOP or Study Instance
        UID under another patient or study (UID_CONFLICT), or the patient's number is known with
        another name, birth date or sex (IDENTITY_CONFLICT). ``same_person``: a person has said
        that it is hers.
        """
        with self._db.writing() as db:
            study = instances.study_of(db, instance)
            if taken := _taken_by(db, instance, copy) or in_place_of(db, instance):
                raise UidConflict(taken, identities)
            enter_study(db, study, identities, accepted=same_person)
            enter(db, study, identities, now, accepted=same_person)
            instances.enter_copy(db, instance, copy)
            if route is not None:
                routes.enter(db, instance, route)
            if original is not None:
                instances.enter_original(db, instance, original)

    def not_begun(self, study: str) -> list[Instance]:
        """Instances of a study that would be sent, that no person has answered for, and of which no try was begun."""
        rows = self._db.rows(
            "SELECT * FROM instance i WHERE study = ? AND stage = ?"
            " AND instr(policy, 'identity-checked') = 0 AND NOT EXISTS"
            " (SELECT 1 FROM receipt r WHERE r.instance = i.orthanc_id AND r.begun_at IS NOT NULL)",
            (study, Stage.ANONYMIZED),
        )
        return [records.instance(row) for row in rows]

    def begin_capture(self, source: str, copy: Copy, now: float) -> None:
        """Makes a capture, before it is stored, known as our own. Again and again the same."""
        with self._db.writing() as db:
            instances.enter_capture(db, source, copy, now)
            inherit(db, copy.orthanc_id, source)

    def finish(self, instance: str) -> None:
        """Writes that the copy, or the capture, is stored and was read back."""
        with self._db.writing() as db:
            instances.copied(db, instance)
            receipts.copied_again(db, instance)

    def make_again(self, instance: str, now: float) -> None:
        """Has a stored copy that is gone made once more, with the same bytes, and sent then."""
        with self._db.writing() as db:
            if instances.copy_gone(db, instance):
                study = instances.study_of(db, instance)
                studies.send_back(db, study, Outcome.RELEASE, due_at=now, now=now)

    def give_up_capture(self, capture: str) -> None:
        """Gives up a capture that is gone and was never sent: another one takes its place."""
        with self._db.writing() as db:
            instances.superseded(db, capture)


def _taken_by(db: sqlite3.Connection, instance: str, copy: Copy) -> str | None:
    """Another patient's or study's image that has one of its UIDs."""
    found = db.execute(
        "SELECT orthanc_id FROM instance WHERE orthanc_id <> ? AND stage <> ? AND (sop_uid = ?"
        " OR study_uid = ? AND study <> (SELECT study FROM instance WHERE orthanc_id = ?))"
        " ORDER BY sop_uid = ? DESC, received_at LIMIT 1",
        (instance, Stage.DISCARDED, copy.sop_uid, copy.study_uid, instance, copy.sop_uid),
    ).fetchone()
    return str(found["orthanc_id"]) if found else None
