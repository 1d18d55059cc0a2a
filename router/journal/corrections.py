"""Studies that take the place of others: corrected on the scanner after a part had been delivered.

What is at a destination under the old UIDs is rejected there first, by a note that is sent like an
image; then the corrected images go under new UIDs. Where a destination takes no note, a person says
that the archive was told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.journal import instances, receipts, records, routes
from router.records.errors import Code
from router.records.instance import Role, Stage

if TYPE_CHECKING:
    import sqlite3

    from router.journal.database import Database
    from router.records.copies import Copy


@dataclass(frozen=True)
class Correction:
    """A study that takes the place of another one."""

    study: str
    #: The pseudonymous Study Instance UID before any correction.
    original: str
    #: Enters its UIDs.
    number: int
    replaces: str
    #: Of the note, a code of CID 7011.
    title: str
    #: The note's instance; ``None``: it is not made (yet).
    note: str | None


_FIELDS = ("study", "original", "number", "replaces", "title", "note")


class Corrections:
    """One row for a corrected study. Each change is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def number(self, study: str) -> int:
        """How often what the study shows was corrected; 0: it takes no other's place."""
        correction = self.of(study)
        return correction.number if correction else 0

    def of(self, study: str) -> Correction | None:
        """The correction by which the study takes another's place."""
        return self._one("study = ?", study)

    def of_replaced(self, study: str) -> Correction | None:
        """The correction by which another takes the study's place."""
        return self._one("replaces = ?", study)

    def unmade(self, study: str) -> Correction | None:
        """The correction for which a note in this study is to be made: somebody may need it."""
        correction = self.of_replaced(study)
        if correction is None or not self._untold(correction):
            return None
        made = self._db.rows(
            "SELECT 1 FROM instance WHERE orthanc_id = ? AND stage <> ?",
            (correction.note, Stage.RECEIVED),
        )
        return None if made else correction

    def _one(self, where: str, study: str) -> Correction | None:
        rows = self._db.rows(f"SELECT * FROM correction WHERE {where}", (study,))  # noqa: S608
        return Correction(*(rows[0][field] for field in _FIELDS)) if rows else None

    def begun(self, study: str) -> list[tuple[str, Copy]]:
        """The names of destinations, each with a copy of the study that it may hold."""
        rows = self._db.rows(
            "SELECT r.destination, i.* FROM receipt r JOIN instance i ON i.orthanc_id = r.instance"
            " WHERE r.study = ? AND r.begun_at IS NOT NULL AND i.role <> ?"
            " ORDER BY r.destination, i.series_uid, i.sop_uid",
            (study, Role.NOTE),
        )
        found = ((row["destination"], records.copy(row)) for row in rows)
        return [(destination, copy) for destination, copy in found if copy is not None]

    def _untold(self, correction: Correction) -> list[str]:
        told = self._db.rows(
            "SELECT destination FROM archive_told WHERE study = ?", (correction.study,)
        )
        needing = {destination for destination, _ in self.begun(correction.replaces)}
        return sorted(needing - {row["destination"] for row in told})

    def begin_note(self, correction: Correction, copy: Copy, now: float) -> None:
        """Makes a note, before it is stored, known as our own. Again and again the same."""
        destinations = sorted({name for name, _ in self.begun(correction.replaces)})
        with self._db.writing() as db:
            instances.enter_note(db, correction.replaces, copy, now)
            routes.enter_note(db, copy.orthanc_id, destinations)
            db.execute(
                "UPDATE correction SET note = ? WHERE study = ?",
                (copy.orthanc_id, correction.study),
            )

    def told(self, study: str, destination: str, now: float) -> None:
        """Writes that a destination's archive was given the list: the corrected study may go there."""
        with self._db.writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO archive_told (study, destination, told_at) VALUES (?, ?, ?)",
                (study, destination, now),
            )


def decide(db: sqlite3.Connection, study: str, replaces: str, title: str, now: float) -> bool:
    """Records that ``study`` replaces ``replaces``; returns whether a destination may hold some of that.

    Its unsent images are discarded; those on their way arrive, and are rejected then. Images of
    ``study`` that were held for their UIDs go on under new ones.
    """
    original = db.execute(
        "SELECT coalesce((SELECT original FROM correction WHERE study = ?),"
        " (SELECT study_uid FROM instance WHERE study = ? AND study_uid IS NOT NULL LIMIT 1))",
        (replaces, replaces),
    ).fetchone()[0]
    db.execute(
        "INSERT INTO correction (study, original, number, replaces, title, decided_at) VALUES"
        " (?, ?, (SELECT coalesce(max(number), 0) + 1 FROM correction WHERE original = ?), ?, ?, ?)",
        (study, original, original, replaces, title, now),
    )
    receipts.replaced(db, replaces)
    instances.replaced(db, replaces)
    conflicting = db.execute(
        "SELECT orthanc_id FROM instance WHERE study = ? AND hold_code = ?",
        (study, Code.UID_CONFLICT),
    ).fetchall()
    for row in conflicting:
        instances.release(db, row["orthanc_id"])
    left = db.execute(
        "SELECT 1 FROM receipt WHERE study = ? AND begun_at IS NOT NULL LIMIT 1", (replaces,)
    ).fetchone()
    return left is not None


def in_place_of(db: sqlite3.Connection, instance: str) -> str | None:
    """An image of the study that took the place of this late image's; ``None``: none did."""
    row = db.execute(
        "SELECT i.orthanc_id FROM instance late JOIN correction c ON c.replaces = late.study"
        " JOIN instance i ON i.study = c.study WHERE late.orthanc_id = ? AND NOT EXISTS"
        "   (SELECT 1 FROM receipt r WHERE r.instance = late.orthanc_id)"
        " ORDER BY i.received_at LIMIT 1",
        (instance,),
    ).fetchone()
    return str(row["orthanc_id"]) if row else None
