"""What the truck's Orthanc holds and the journal did not know: entered once, with the cursor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.journal import conflicts, instances, purges, quality, receipts, routes, studies
from router.records.errors import Code
from router.records.study import Outcome

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from router.journal.database import Database
    from router.journal.moves_by_people import Decisions
    from router.journal.studies import Pin
    from router.records.instance import Arrival


@dataclass(frozen=True)
class Cursor:
    """How far the changes of which Orthanc index have been taken in."""

    database: str
    sequence: int


class Arrivals:
    """Each change is a transaction of its own, over the tables of studies and instances."""

    def __init__(self, database: Database, decisions: Decisions) -> None:
        self._db = database
        self._decisions = decisions

    def cursor(self) -> Cursor | None:
        """How far the changes were taken in; ``None``: none ever was."""
        rows = self._db.rows("SELECT database, sequence FROM cursor")
        return Cursor(rows[0]["database"], rows[0]["sequence"]) if rows else None

    def unknown(self, ids: Iterable[str]) -> list[str]:
        """Those of Orthanc's instance ids that are neither an original nor a copy of ours."""
        rows = self._db.rows(
            "SELECT value FROM json_each(?) WHERE"
            " NOT EXISTS (SELECT 1 FROM instance WHERE orthanc_id = value)"
            " AND NOT EXISTS (SELECT 1 FROM instance WHERE copy_id = value)",
            (json.dumps(list(ids)),),
        )
        return [row["value"] for row in rows]

    def take_in(
        self,
        arrivals: Sequence[Arrival],
        stable: Iterable[str],
        pins: Mapping[str, Pin],
        cursor: Cursor | None,
        now: float,
    ) -> int:
        """Enters new instances, makes stable studies due, and moves the cursor: all or nothing.

        ``stable``: studies that the scanner has finished with. ``pins``: for each study of
        ``arrivals``. Returns how many instances were new.
        """
        new = 0
        with self._db.writing() as db:
            for arrival in arrivals:
                if not _is_new(db, arrival.instance):
                    continue
                studies.grow(db, arrival.study, pins[arrival.study], now)
                instances.enter(db, arrival, now)
                new += 1
            for study in stable:
                studies.completed(db, study, now)
            if cursor is not None:
                db.execute(
                    "INSERT INTO cursor (only, database, sequence) VALUES (1, ?, ?)"
                    " ON CONFLICT (only) DO UPDATE SET database = excluded.database,"
                    " sequence = excluded.sequence",
                    (cursor.database, cursor.sequence),
                )
        return new

    def found_again(self, present: Iterable[str], now: float) -> int:
        """Sends instances that were held because their original was missing back to the start."""
        rows = self._db.rows(
            "SELECT orthanc_id FROM instance WHERE hold_code = ?"
            " AND orthanc_id IN (SELECT value FROM json_each(?))",
            (Code.SOURCE_MISSING, json.dumps(list(present))),
        )
        for row in rows:
            self._decisions.release(row["orthanc_id"], now)
        return len(rows)

    def take_back(self, instance: str, now: float) -> None:
        """Makes a discarded instance a new one: another image has come in its place."""
        with self._db.writing() as db:
            quality.forget(db, instance)
            purges.forget_removal(db, instance)
            conflicts.forget(db, instance)
            routes.forget(db, instance)
            receipts.forget(db, instance)
            instances.came_again(db, instance, now)
            study = instances.study_of(db, instance)
            studies.send_back(db, study, Outcome.GREW, due_at=None, now=now)


def _is_new(db: sqlite3.Connection, instance: str) -> bool:
    found = db.execute(
        "SELECT 1 FROM instance WHERE orthanc_id = ? OR copy_id = ?", (instance, instance)
    )
    return found.fetchone() is None
