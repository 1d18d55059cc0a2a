"""Where each image goes: decided once, with its copy, and followed whatever the settings say later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from router.journal import studies
from router.records.copies import Route
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
        """Where an instance goes; ``None``: it was not decided."""
        rows = self._db.rows("SELECT * FROM route WHERE instance = ?", (instance,))
        return _route(rows[0]) if rows else None

    def of_study(self, study: str) -> dict[str, Route]:
        """Instance → where it goes, for those of a study that it was decided for."""
        rows = self._db.rows(
            "SELECT r.* FROM instance i CROSS JOIN route r ON r.instance = i.orthanc_id"
            " WHERE i.study = ?",
            (study,),
        )
        return {row["instance"]: _route(row) for row in rows}

    def forget(self, instance: str) -> None:
        """Has the rules of that day decide anew where the instance goes."""
        with self._db.writing() as db:
            forget(db, instance)


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
    studies.hasten(db, row["study"], route.priority)


def inherit(db: sqlite3.Connection, capture: str, source: str) -> None:
    """Decides that a capture goes where its source goes."""
    db.execute(
        "INSERT OR IGNORE INTO route (instance, rule, destinations, priority, policy, analyses)"
        " SELECT ?, rule, destinations, priority, policy, analyses FROM route WHERE instance = ?",
        (capture, source),
    )


def enter_note(db: sqlite3.Connection, note: str, destinations: Sequence[str]) -> None:
    """Decides where a rejection note goes: to these destinations, and no capture is made of it."""
    db.execute(
        "INSERT OR REPLACE INTO route (instance, rule, destinations, priority, policy, analyses)"
        " VALUES (?, 'rejection note', ?, ?, '', '[]')",
        (note, json.dumps(list(destinations)), Priority.NORMAL),
    )


def forget(db: sqlite3.Connection, instance: str) -> None:
    """Deletes where an instance goes."""
    db.execute("DELETE FROM route WHERE instance = ?", (instance,))


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
