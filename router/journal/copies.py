"""Copies and captures: known as our own before they are stored, and as stored after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.journal import receipts, records, routes
from router.journal.corrections import in_place_of
from router.journal.identities import Conflict, Identities, enter, enter_study
from router.journal.routes import inherit
from router.records.copies import Copy, Original, Rank, Route
from router.records.errors import Code
from router.records.instance import Instance, Role, Stage

if TYPE_CHECKING:
    import sqlite3

    from router.journal.database import Database


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
        """Before a copy is stored: makes it known as our own, and its patient findable.

        ``route``: where it goes, unless that was decided before; ``None``: everywhere.

        Raises Hold, and writes nothing, where another original has the same SOP or Study Instance
        UID under another patient or study (UID_CONFLICT), or the patient's number is known with
        another name, birth date or sex (IDENTITY_CONFLICT). ``same_person``: a person has said
        that it is hers.
        """
        with self._db.writing() as db:
            study = _study_of(db, instance)
            if taken := _taken_by(db, instance, copy) or in_place_of(db, instance):
                raise UidConflict(taken, identities)
            enter_study(db, study, identities, accepted=same_person)
            enter(db, study, identities, now, accepted=same_person)
            db.execute(
                f"UPDATE instance SET {records.SET_COPY} WHERE orthanc_id = ?",  # noqa: S608
                (*records.copy_values(copy), instance),
            )
            if route is not None:
                routes.enter(db, instance, route)
            if original is not None:
                _enter_original(db, instance, original)

    def not_begun(self, study: str) -> list[Instance]:
        """What of a study would go, nobody has answered for, and no destination may have yet."""
        rows = self._db.rows(
            "SELECT * FROM instance i WHERE study = ? AND stage = ?"
            " AND instr(policy, 'identity-checked') = 0 AND NOT EXISTS"
            " (SELECT 1 FROM receipt r WHERE r.instance = i.orthanc_id AND r.begun_at IS NOT NULL)",
            (study, Stage.ANONYMIZED),
        )
        return [records.instance(row) for row in rows]

    def begin_capture(self, source: str, copy: Copy, now: float) -> None:
        """Before a capture is stored: makes it known as our own. Again and again the same."""
        with self._db.writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO instance (orthanc_id, study, role, source, stage, origin,"
                " received_at, rank)"
                " SELECT ?, study, ?, orthanc_id, ?, 'router', ?, ? FROM instance"
                " WHERE orthanc_id = ?",
                (copy.orthanc_id, Role.CAPTURE, Stage.RECEIVED, now, Rank.CAPTURE, source),
            )
            inherit(db, copy.orthanc_id, source)
            db.execute(
                f"UPDATE instance SET {records.SET_COPY} WHERE orthanc_id = ?",  # noqa: S608
                (*records.copy_values(copy), copy.orthanc_id),
            )

    def finish(self, instance: str) -> None:
        """The copy, or the capture, is stored and was read back."""
        with self._db.writing() as db:
            _finish(db, instance)

    def give_up_capture(self, capture: str) -> None:
        """A capture that is gone and was never sent: another one takes its place."""
        with self._db.writing() as db:
            db.execute(
                "UPDATE instance SET stage = ? WHERE orthanc_id = ? AND stage = ?",
                (Stage.DISCARDED, capture, Stage.RECEIVED),
            )


def _study_of(db: sqlite3.Connection, instance: str) -> str:
    row = db.execute("SELECT study FROM instance WHERE orthanc_id = ?", (instance,)).fetchone()
    return str(row["study"])


def _taken_by(db: sqlite3.Connection, instance: str, copy: Copy) -> str | None:
    """Another patient's or study's image that has one of its UIDs."""
    found = db.execute(
        "SELECT orthanc_id FROM instance WHERE orthanc_id <> ? AND stage <> ? AND (sop_uid = ?"
        " OR study_uid = ? AND study <> (SELECT study FROM instance WHERE orthanc_id = ?))"
        " ORDER BY sop_uid = ? DESC, received_at LIMIT 1",
        (instance, Stage.DISCARDED, copy.sop_uid, copy.study_uid, instance, copy.sop_uid),
    ).fetchone()
    return str(found["orthanc_id"]) if found else None


def _finish(db: sqlite3.Connection, instance: str) -> None:
    db.execute(
        "UPDATE instance SET stage = ?, step_at = NULL WHERE orthanc_id = ? AND stage = ?",
        (Stage.ANONYMIZED, instance, Stage.RECEIVED),
    )
    receipts.copied_again(db, instance)


def _enter_original(db: sqlite3.Connection, instance: str, original: Original) -> None:
    db.execute(
        "UPDATE instance SET original_digest = ?, original_size = ?,"
        " rank = iif(rank = ?, rank, ?) WHERE orthanc_id = ?",
        (original.digest, original.size, Rank.PREVIEW, original.rank, instance),
    )
