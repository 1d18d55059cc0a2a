"""The studies: how far each has come, and which is due.

Only this module writes their table, and each change of a state is a row of ``study.TABLE``.
Functions that take a connection are parts of a larger transaction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.journal import instances, receipts, records
from router.records import backoff
from router.records.copies import Rank
from router.records.errors import Code
from router.records.instance import Instance, Role, Stage
from router.records.study import Outcome, State, Study, advance, rest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from router.journal.database import Database
    from router.records.study import Priority

#: A local step is due in these states; in ANALYSED the receipts are.
_WORKED_ON = (State.RECEIVED, State.ANONYMIZED)
#: Holds that say that a file is broken or hostile; those for privacy say nothing of its sender.
_JUNK = (Code.UNREADABLE, Code.NESTING_TOO_DEEP, Code.HEADER_TOO_LARGE, Code.INSTANCE_CRASHES)
#: A sender is thought of so long, and its studies wait at most so long behind others.
_JUNK_S = 600.0
_BEHIND_S = 60.0


@dataclass(frozen=True)
class Pin:
    """What a study keeps from its first intake on."""

    alias: str
    key_id: str
    profile_id: str


class Studies:
    """One row for a study. Each change is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, orthanc_id: str) -> Study | None:
        """The study of this id of Orthanc's; ``None``: the journal does not know it."""
        rows = self._db.rows("SELECT * FROM study WHERE orthanc_id = ?", (orthanc_id,))
        return records.study(rows[0]) if rows else None

    def find(self, name: str) -> Study | None:
        """The study of this id of Orthanc's, or of this alias of logs and status."""
        rows = self._db.rows(
            "SELECT * FROM study WHERE orthanc_id = ? OR alias = ? LIMIT 1", (name, name)
        )
        return records.study(rows[0]) if rows else None

    def all(self, most: int = -1) -> list[Study]:
        """Studies, the newest first; ``most``: so many of those at rest with nothing held.

        What is on its way or held is always among them.
        """
        rows = self._db.rows(
            "SELECT * FROM study WHERE orthanc_id IN"
            " (SELECT orthanc_id FROM (SELECT orthanc_id FROM study ORDER BY received_at DESC"
            "   LIMIT ?)"
            "  UNION ALL SELECT orthanc_id FROM study WHERE state IN (?, ?, ?)"
            "  UNION ALL SELECT study FROM instance WHERE hold_code IS NOT NULL"
            "  UNION ALL SELECT study FROM receipt WHERE hold_code IS NOT NULL)"
            " ORDER BY received_at DESC, orthanc_id",
            (most, State.RECEIVED, State.ANONYMIZED, State.ANALYSED),
        )
        return [records.study(row) for row in rows]

    def count(self) -> dict[State, int]:
        """How many studies are in each state."""
        rows = self._db.rows("SELECT state, count(*) AS n FROM study GROUP BY state")
        return {State(row["state"]): row["n"] for row in rows}

    def arriving(self) -> list[str]:
        """Studies that wait for the scanner to finish."""
        rows = self._db.rows(
            "SELECT orthanc_id FROM study WHERE state = ? AND due_at IS NULL", (State.RECEIVED,)
        )
        return [row["orthanc_id"] for row in rows]

    def arrived(self) -> tuple[Study, list[Instance]] | None:
        """A study that the scanner still sends of, with its images that nobody has tried yet."""
        rows = self._db.rows(
            "SELECT s.* FROM study s WHERE s.state = ? AND s.due_at IS NULL AND EXISTS"
            " (SELECT 1 FROM instance i WHERE i.study = s.orthanc_id AND i.stage = ?"
            " AND i.attempts = 0 AND i.crashes = 0) ORDER BY s.received_at LIMIT 1",
            (State.RECEIVED, Stage.RECEIVED),
        )
        if not rows:
            return None
        fresh = self._db.rows(
            "SELECT * FROM instance WHERE study = ? AND stage = ? AND role = ? AND attempts = 0"
            " AND crashes = 0 ORDER BY received_at, rowid",
            (rows[0]["orthanc_id"], Stage.RECEIVED, Role.SOURCE),
        )
        return records.study(rows[0]), [records.instance(row) for row in fresh]

    def due(self, now: float) -> Study | None:
        """The study whose local step is due the longest.

        One that failed before counts as due a minute later, and so does one of a sender that
        lately sent what no parser can read: a flood of junk waits behind what is sound.
        """
        rows = self._db.rows(
            "SELECT s.* FROM study s WHERE state IN (?, ?) AND due_at <= ?"
            # A study's priority is known when its first image was read.
            " ORDER BY max(priority, 0) DESC, due_at + iif(s.attempts > 0"
            " OR EXISTS (SELECT 1 FROM instance i WHERE i.study = s.orthanc_id"
            " AND i.origin IN (SELECT value FROM json_each(?))), ?, 0), received_at LIMIT 1",
            (*_WORKED_ON, now, json.dumps(self._senders_of_junk(now)), _BEHIND_S),
        )
        return records.study(rows[0]) if rows else None

    def _senders_of_junk(self, now: float) -> list[str]:
        rows = self._db.rows(
            "SELECT DISTINCT origin FROM instance WHERE held_at > ?"
            " AND hold_code IN (SELECT value FROM json_each(?))",
            (now - _JUNK_S, json.dumps(_JUNK)),
        )
        return [row["origin"] for row in rows]

    def move(
        self, study: Study, outcome: Outcome, now: float, destinations: Sequence[str] = ()
    ) -> bool:
        """Moves a study along the table, unless it has changed since it was read.

        ``destinations``: get a receipt to fill for every copy that passed the gate, so that images
        travel while they are analysed, and captures as soon as they are made. Returns whether it
        moved.
        """
        target = advance(study.state, outcome)
        with self._db.writing() as db:
            moved = db.execute(
                "UPDATE study SET state = ?, attempts = 0, due_at = ?, last_code = NULL,"
                " changed_at = ? WHERE orthanc_id = ? AND state = ? AND generation = ?",
                (target, now, now, study.orthanc_id, study.state, study.generation),
            ).rowcount
            if moved and target in {State.ANONYMIZED, State.ANALYSED}:
                open_receipts(db, study.orthanc_id, destinations, now)
        return bool(moved)

    def postpone(self, study: Study, code: Code, due_at: float, *, counts: bool) -> None:
        """Has the study's step tried again at ``due_at``; ``counts``: this was a try."""
        with self._db.writing() as db:
            db.execute(
                "UPDATE study SET due_at = ?, attempts = attempts + ?, last_code = ?"
                " WHERE orthanc_id = ? AND state = ? AND generation = ?",
                (due_at, int(counts), code, study.orthanc_id, study.state, study.generation),
            )

    def pin_key(self, study: str, key_id: str) -> None:
        """Has a study, before its first copy, keep the older key that its patient is known under."""
        with self._db.writing() as db:
            db.execute(
                "UPDATE study SET key_id = ? WHERE orthanc_id = ? AND NOT EXISTS"
                " (SELECT 1 FROM instance WHERE study = ? AND copy_id IS NOT NULL)",
                (key_id, study, study),
            )

    def settle(self, orthanc_id: str, now: float) -> Outcome | None:
        """Moves a study whose last receipt is verified, held or discarded; what it moved by."""
        study = self.get(orthanc_id)
        if study is None or study.state not in {State.ANALYSED, State.HELD}:
            return None
        (count,) = self._db.rows(
            "SELECT"
            " count(*) FILTER (WHERE i.stage = 'RECEIVED' AND i.role = 'SOURCE'"
            "   OR i.stage = 'ANONYMIZED' AND"
            "   coalesce(r.state, 'WAITING') IN ('WAITING', 'UNCERTAIN', 'SENT')) AS open,"
            " count(*) FILTER (WHERE i.stage = 'ANONYMIZED' AND r.state = 'VERIFIED') AS delivered,"
            " count(*) FILTER (WHERE i.stage = 'HELD'"
            "   OR i.stage = 'ANONYMIZED' AND r.state = 'HELD') AS held"
            " FROM instance i LEFT JOIN receipt r ON r.instance = i.orthanc_id"
            " WHERE i.study = ?",
            (orthanc_id,),
        )
        if count["open"]:
            return None
        if count["held"] and study.state is State.HELD:
            return None
        outcome = rest(sendable=bool(count["delivered"]), held=bool(count["held"]))
        return outcome if self.move(study, outcome, now) else None

    def open_receipts(self, study: str, destinations: Sequence[str], now: float) -> None:
        """Lets the copies that a study has by now travel, while the scanner still sends of it."""
        with self._db.writing() as db:
            open_receipts(db, study, destinations, now)

    def cap_due_times(self, now: float, longest_s: float = backoff.LONGEST_S) -> None:
        """Makes due now what a wrong clock put off for longer than the longest wait.

        ``longest_s``: 0.0 where the clock was seen to step: nothing that was written down counts.
        An image that a destination refused keeps its hour all the same, from now on.
        """
        latest = now + longest_s
        with self._db.writing() as db:
            # Only what is wrong is written: this runs every minute over years of studies.
            for state in _WORKED_ON:
                db.execute(
                    "UPDATE study SET due_at = ? WHERE state = ? AND due_at > ?",
                    (now, state, latest),
                )
            receipts.cap_due_times(db, now, longest_s)


def grow(db: sqlite3.Connection, study: str, pin: Pin, now: float) -> None:
    """Enters a study with its first image, and sends it round again with each later one."""
    db.execute(
        "INSERT OR IGNORE INTO study (orthanc_id, alias, state, generation, key_id, profile_id,"
        " received_at, changed_at) VALUES (?, ?, ?, 0, ?, ?, ?, ?)",
        (study, pin.alias, State.RECEIVED, pin.key_id, pin.profile_id, now, now),
    )
    send_back(db, study, Outcome.GREW, due_at=None, now=now)


def completed(db: sqlite3.Connection, study: str, now: float) -> None:
    """Makes a study due that the scanner has finished with."""
    db.execute(
        "UPDATE study SET due_at = ? WHERE orthanc_id = ? AND state = ? AND due_at IS NULL",
        (now, study, State.RECEIVED),
    )


def send_back(
    db: sqlite3.Connection, study: str, outcome: Outcome, *, due_at: float | None, now: float
) -> None:
    """Sends a study back to RECEIVED as a new generation: steps in flight no longer count.

    Raises IllegalTransition.
    """
    row = db.execute("SELECT state FROM study WHERE orthanc_id = ?", (study,)).fetchone()
    db.execute(
        "UPDATE study SET state = ?, generation = generation + 1, attempts = 0, due_at = ?,"
        " last_code = NULL, changed_at = ? WHERE orthanc_id = ?",
        (advance(State(row["state"]), outcome), due_at, now, study),
    )


def hasten(db: sqlite3.Connection, study: str, priority: Priority) -> None:
    """Makes a study as urgent as its most urgent image, with all of it that still waits."""
    raised = db.execute(
        "UPDATE study SET priority = ? WHERE orthanc_id = ? AND priority < ?",
        (priority, study, priority),
    ).rowcount
    if raised:
        receipts.place_anew(db, study)


def purged(db: sqlite3.Connection, study: str, now: float) -> None:
    """Moves a study that was at rest to PURGED: its last instance has left the truck."""
    for state in (State.DELIVERED, State.DISCARDED):
        db.execute(
            "UPDATE study SET state = ?, changed_at = ?, purged_at = ?"
            " WHERE orthanc_id = ? AND state = ?",
            (advance(state, Outcome.PURGE), now, now, study, state),
        )


def open_receipts(
    db: sqlite3.Connection, study: str, destinations: Sequence[str], now: float
) -> None:
    """Opens what is missing: a receipt for each copy of a study at each destination it goes to."""
    preview = _preview(db, study)
    if preview is not None:
        instances.mark_preview(db, preview)
    receipts.open_for(db, study, destinations, now)


def _preview(db: sqlite3.Connection, study: str) -> str | None:
    """The middle image of the first series, unless the study has one that is looked at first."""
    rows = db.execute(
        "SELECT orthanc_id, rank, series_uid FROM instance WHERE study = ? AND role = ?"
        " AND stage = ? ORDER BY series_uid, instance_number",
        (study, Role.SOURCE, Stage.ANONYMIZED),
    ).fetchall()
    shown = [row for row in rows if row["rank"] == Rank.PRESENTATION]
    if not shown or any(row["rank"] == Rank.PREVIEW for row in rows):
        return None
    series = [row for row in shown if row["series_uid"] == shown[0]["series_uid"]]
    return str(series[len(series) // 2]["orthanc_id"])
