"""Where each image goes: decided once, with its copy, and followed whatever the settings say later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from router.journal.receipts import hasten
from router.records.copies import Route
from router.records.errors import Code
from router.records.instance import Stage
from router.records.study import Priority

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from router.journal.database import Database


class Routes:
    """One row for an image or a capture whose copy was made. One that has none goes everywhere."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of(self, instance: str) -> Route | None:
        rows = self._db.rows("SELECT * FROM route WHERE instance = ?", (instance,))
        return _route(rows[0]) if rows else None

    def of_study(self, study: str) -> dict[str, Route]:
        """By instance."""
        rows = self._db.rows(
            "SELECT r.* FROM instance i CROSS JOIN route r ON r.instance = i.orthanc_id"
            " WHERE i.study = ?",
            (study,),
        )
        return {row["instance"]: _route(row) for row in rows}

    def forget(self, instance: str) -> None:
        """The instance is decided about anew, by the rules of that day."""
        with self._db.writing() as db:
            db.execute("DELETE FROM route WHERE instance = ?", (instance,))

    def stranded(self, destinations: Sequence[str]) -> list[str]:
        """Instances that would go, and have no receipt: none of their destinations is left."""
        rows = self._db.rows(
            "SELECT i.orthanc_id FROM instance i CROSS JOIN route r ON r.instance = i.orthanc_id"
            " WHERE i.stage = ? AND i.study IN"
            "   (SELECT orthanc_id FROM study WHERE state IN ('RECEIVED', 'ANONYMIZED', 'ANALYSED'))"
            " AND NOT EXISTS (SELECT 1 FROM receipt c WHERE c.instance = i.orthanc_id)"
            " AND r.destinations IS NOT NULL AND NOT EXISTS"
            "   (SELECT 1 FROM json_each(r.destinations)"
            "   WHERE value IN (SELECT value FROM json_each(?)))",
            (Stage.ANONYMIZED, json.dumps(list(destinations))),
        )
        return [row["orthanc_id"] for row in rows]

    def reachable_again(self, destinations: Sequence[str]) -> list[str]:
        """Instances that were held for want of a destination, and have one again."""
        rows = self._db.rows(
            "SELECT i.orthanc_id FROM instance i JOIN route r ON r.instance = i.orthanc_id"
            " WHERE i.hold_code = ? AND EXISTS (SELECT 1 FROM json_each(r.destinations)"
            "   WHERE value IN (SELECT value FROM json_each(?)))",
            (Code.NO_DESTINATION, json.dumps(list(destinations))),
        )
        return [row["orthanc_id"] for row in rows]


def enter(db: sqlite3.Connection, instance: str, route: Route) -> None:
    """Decides once where an instance goes; its study becomes as urgent as it is."""
    db.execute(
        "INSERT OR IGNORE INTO route (instance, rule, destinations, priority, policy, analyses)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            instance,
            route.rule,
            _list(route.destinations),
            route.priority,
            route.policy,
            _list(route.analyses),
        ),
    )
    row = db.execute("SELECT study FROM instance WHERE orthanc_id = ?", (instance,)).fetchone()
    hasten(db, row["study"], route.priority)


def inherit(db: sqlite3.Connection, capture: str, source: str) -> None:
    """A capture goes where its source goes."""
    db.execute(
        "INSERT OR IGNORE INTO route (instance, rule, destinations, priority, policy, analyses)"
        " SELECT ?, rule, destinations, priority, policy, analyses FROM route WHERE instance = ?",
        (capture, source),
    )


def _route(row: sqlite3.Row) -> Route:
    return Route(
        rule=row["rule"],
        destinations=_names(row["destinations"]),
        priority=Priority(row["priority"]),
        policy=row["policy"],
        analyses=_names(row["analyses"]),
    )


def _list(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else json.dumps(names)


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(json.loads(text))
