"""The instances: how far each has come on the truck, its copy, and what went wrong with it.

Only this module writes their table, and each change of a stage is a row of INSTANCE_TABLE. Functions
that take a connection are parts of a larger transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.journal import records
from router.records.copies import Rank
from router.records.instance import (
    CAPTURE_GONE,
    ENTRY,
    Event,
    Instance,
    Role,
    Stage,
    advance_instance,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from router.journal.database import Database
    from router.records.copies import Copy, Original
    from router.records.errors import Code
    from router.records.instance import Arrival

_HELD = "hold_code = ?, hold_detail = ?, held_at = ?"
_NOT_HELD = "hold_code = NULL, hold_detail = NULL, held_at = NULL"
_FRESH = "attempts = 0, crashes = 0"


class Instances:
    """One row for an instance. Each change is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of_study(self, study: str) -> list[Instance]:
        """Every instance of a study, in order of arrival."""
        rows = self._db.rows(
            "SELECT * FROM instance WHERE study = ? ORDER BY received_at, rowid", (study,)
        )
        return [records.instance(row) for row in rows]

    def decide_analysis(self, decisions: Mapping[str, str]) -> None:
        """Writes once, for each instance, that a capture was made of it or why not."""
        with self._db.writing() as db:
            db.executemany(
                "UPDATE instance SET analysis = ? WHERE orthanc_id = ?"
                " AND (analysis IS NULL OR analysis = ?)",
                [(decision, instance, CAPTURE_GONE) for instance, decision in decisions.items()],
            )

    def hold(self, instance: str, code: Code, detail: str, now: float) -> None:
        """Keeps an instance on the truck, away from every destination, until a person decides.

        What a single destination does not take is held by ``Receipts.hold``.
        """
        with self._db.writing() as db:
            _advance(db, instance, Event.HOLD, _HELD, (code, detail, now))

    def count_failure(self, instance: str) -> int:
        """Counts one more failed try of this instance; how many that makes."""
        with self._db.writing() as db:
            rows = db.execute(
                "UPDATE instance SET attempts = attempts + 1 WHERE orthanc_id = ?"
                " RETURNING attempts",
                (instance,),
            ).fetchall()
        return int(rows[0]["attempts"])

    def begin_step(self, instance: str, now: float) -> None:
        """Marks that a step works on the instance: if the router crashes, the next start sees it."""
        with self._db.writing() as db:
            db.execute("UPDATE instance SET step_at = ? WHERE orthanc_id = ?", (now, instance))

    def end_step(self, instance: str) -> None:
        """Takes the step's mark away, however the step ended."""
        with self._db.writing() as db:
            db.execute(
                "UPDATE instance SET step_at = NULL WHERE orthanc_id = ? AND step_at IS NOT NULL",
                (instance,),
            )

    def begin_look(self, instance: str, now: float) -> None:
        """Marks that the quality check works on the instance; a step may do so at the same time."""
        with self._db.writing() as db:
            db.execute("UPDATE instance SET look_at = ? WHERE orthanc_id = ?", (now, instance))

    def end_look(self, instance: str) -> None:
        """Takes the quality check's mark away, however the check ended."""
        with self._db.writing() as db:
            db.execute("UPDATE instance SET look_at = NULL WHERE orthanc_id = ?", (instance,))

    def count_crash(self, instance: str) -> None:
        """Counts that Orthanc crashed in the step with this instance."""
        with self._db.writing() as db:
            db.execute(
                "UPDATE instance SET crashes = crashes + 1, step_at = NULL WHERE orthanc_id = ?",
                (instance,),
            )

    def count_crashes(self) -> int:
        """Counts, at start, that the router crashed with the marked instances; how many they are."""
        with self._db.writing() as db:
            return db.execute(
                "UPDATE instance SET crashes = crashes + 1, step_at = NULL, look_at = NULL"
                " WHERE step_at IS NOT NULL OR look_at IS NOT NULL"
            ).rowcount


def enter(db: sqlite3.Connection, arrival: Arrival, now: float) -> None:
    """Enters an instance that the scanner sent."""
    db.execute(
        "INSERT INTO instance (orthanc_id, study, role, stage, origin, received_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (arrival.instance, arrival.study, Role.SOURCE, ENTRY[Role.SOURCE], arrival.origin, now),
    )


def enter_capture(db: sqlite3.Connection, source: str, copy: Copy, now: float) -> None:
    """Enters a capture of an instance, once, with what is about to be stored."""
    db.execute(
        "INSERT OR IGNORE INTO instance (orthanc_id, study, role, source, stage, origin,"
        " received_at, rank)"
        " SELECT ?, study, ?, orthanc_id, ?, 'router', ?, ? FROM instance WHERE orthanc_id = ?",
        (copy.orthanc_id, Role.CAPTURE, ENTRY[Role.CAPTURE], now, Rank.CAPTURE, source),
    )
    enter_copy(db, copy.orthanc_id, copy)


def enter_note(db: sqlite3.Connection, study: str, copy: Copy, now: float) -> None:
    """Enters a rejection note in a study, once, with what is about to be stored."""
    db.execute(
        "INSERT OR IGNORE INTO instance (orthanc_id, study, role, stage, origin, received_at, rank)"
        " VALUES (?, ?, ?, ?, 'router', ?, ?)",
        (copy.orthanc_id, study, Role.NOTE, ENTRY[Role.NOTE], now, Rank.CAPTURE),
    )
    enter_copy(db, copy.orthanc_id, copy)


def enter_repeated(
    db: sqlite3.Connection, name: str, first: str, digest: str, code: Code, detail: str, now: float
) -> bool:
    """Enters, held, another image under the UID of the ``first``; whether it is new."""
    return bool(
        db.execute(
            "INSERT OR IGNORE INTO instance (orthanc_id, study, role, stage, origin, received_at,"
            " original_digest, hold_code, hold_detail, held_at)"
            " SELECT ?, study, ?, ?, origin, ?, ?, ?, ?, ? FROM instance WHERE orthanc_id = ?",
            (name, Role.REPEATED, ENTRY[Role.REPEATED], now, digest, code, detail, now, first),
        ).rowcount
    )


def enter_copy(db: sqlite3.Connection, instance: str, copy: Copy) -> None:
    """Writes, before it is stored, what the copy of an instance is: it is known as our own."""
    db.execute(
        f"UPDATE instance SET {records.SET_COPY} WHERE orthanc_id = ?",  # noqa: S608
        (*records.copy_values(copy), instance),
    )


def enter_original(db: sqlite3.Connection, instance: str, original: Original) -> None:
    """Writes what the scanner sent; the image that is looked at first stays that."""
    db.execute(
        "UPDATE instance SET original_digest = ?, original_size = ?,"
        " rank = iif(rank = ?, rank, ?) WHERE orthanc_id = ?",
        (original.digest, original.size, Rank.PREVIEW, original.rank, instance),
    )


def copied(db: sqlite3.Connection, instance: str) -> None:
    """Records that its copy passed the gate and is stored: the only way to ANONYMIZED."""
    _advance(db, instance, Event.COPIED, "step_at = NULL")


def release(db: sqlite3.Connection, instance: str, policy: str | None = None) -> bool:
    """Sends a held instance back to the start; whether it was held.

    ``policy``: the one it goes under from now on; ``None``: as before.
    """
    if stage_of(db, instance) is not Stage.HELD:
        return False
    _capture_gone(db, instance)
    return _advance(
        db,
        instance,
        Event.RELEASE,
        f"{_FRESH}, {_NOT_HELD}, policy = coalesce(?, policy)",
        (policy,),
    )


def discard(db: sqlite3.Connection, instance: str) -> bool:
    """Gives a held instance up for good; whether it was held."""
    if stage_of(db, instance) is not Stage.HELD:
        return False
    return _advance(db, instance, Event.DISCARD, _NOT_HELD)


def copy_gone(db: sqlite3.Connection, instance: str) -> bool:
    """Sends an instance whose copy is gone back to the start; whether it had one."""
    moved = _advance(db, instance, Event.COPY_GONE)
    if moved:
        _capture_gone(db, instance)
    return moved


def superseded(db: sqlite3.Connection, capture: str) -> None:
    """Gives up a capture that is gone and was never sent: another one takes its place."""
    _advance(db, capture, Event.SUPERSEDED)


def replaced(db: sqlite3.Connection, study: str) -> None:
    """Gives up what of a study is held, or no destination may have: another takes its place."""
    rows = db.execute(
        "SELECT orthanc_id FROM instance i WHERE study = ? AND role <> ? AND stage <> ?"
        " AND (stage = ? OR NOT EXISTS (SELECT 1 FROM receipt r"
        "   WHERE r.instance = i.orthanc_id AND r.begun_at IS NOT NULL))",
        (study, Role.NOTE, Stage.DISCARDED, Stage.HELD),
    ).fetchall()
    for row in rows:
        _advance(db, row["orthanc_id"], Event.REPLACED, _NOT_HELD)


def came_again(db: sqlite3.Connection, instance: str, now: float) -> None:
    """Makes a discarded instance a new one: nothing of the image that it was counts any more."""
    _advance(
        db,
        instance,
        Event.CAME_AGAIN,
        f"{_FRESH}, step_at = NULL, policy = '', analysis = NULL, original_digest = NULL,"
        f" content = NULL, original_size = NULL, purged_at = NULL, received_at = ?,"
        f" {records.SET_COPY}",
        (now, *[None] * len(records.COPY_COLUMNS)),
    )


def _advance(
    db: sqlite3.Connection,
    instance: str,
    event: Event,
    assignment: str = "",
    values: Sequence[Any] = (),
) -> bool:
    """Moves an instance along the table, and assigns if its stage changes; whether it does.

    Raises IllegalTransition. The transaction holds the write lock: nobody moves it in between.
    """
    stage = stage_of(db, instance)
    if stage is None or (following := advance_instance(stage, event)) is stage:
        return False
    also = f", {assignment}" if assignment else ""
    db.execute(
        f"UPDATE instance SET stage = ?{also} WHERE orthanc_id = ?",  # noqa: S608
        (following, *values, instance),
    )
    return True


def stage_of(db: sqlite3.Connection, instance: str) -> Stage | None:
    """How far an instance has come; ``None``: it is not known."""
    row = db.execute("SELECT stage FROM instance WHERE orthanc_id = ?", (instance,)).fetchone()
    return Stage(row["stage"]) if row else None


def _capture_gone(db: sqlite3.Connection, capture: str) -> None:
    """Has a capture made again of its source, and of no other image."""
    db.execute(
        "UPDATE instance SET analysis = ? WHERE orthanc_id ="
        " (SELECT source FROM instance WHERE orthanc_id = ?)",
        (CAPTURE_GONE, capture),
    )


def mark_preview(db: sqlite3.Connection, instance: str) -> None:
    """Marks the image of a study that is looked at first."""
    db.execute("UPDATE instance SET rank = ? WHERE orthanc_id = ?", (Rank.PREVIEW, instance))


def note_content(db: sqlite3.Connection, instance: str, content: str) -> None:
    """Writes, before its original leaves the truck, what the image is in whatever encoding."""
    db.execute("UPDATE instance SET content = ? WHERE orthanc_id = ?", (content, instance))


def purged(db: sqlite3.Connection, instance: str, now: float) -> None:
    """Writes that the files of an instance have left the truck."""
    db.execute("UPDATE instance SET purged_at = ? WHERE orthanc_id = ?", (now, instance))


def study_of(db: sqlite3.Connection, instance: str) -> str:
    """The study that an instance belongs to."""
    row = db.execute("SELECT study FROM instance WHERE orthanc_id = ?", (instance,)).fetchone()
    return str(row["study"])
