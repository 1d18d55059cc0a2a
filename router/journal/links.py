"""The way to each destination: whether it was ever gone, and why nothing goes there now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.records.errors import Code

if TYPE_CHECKING:
    from router.journal.database import Database


@dataclass(frozen=True)
class Link:
    """What is known of the way to a destination. Times are UTC, in seconds since 1970."""

    destination: str
    #: When it first answered as it should; ``None``: never yet.
    reached_at: float | None
    #: Why nothing goes there now; ``None``: nothing is known to be in the way.
    code: Code | None
    since: float


class Links:
    """One row for a destination; its delivery loop writes it when something has changed."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> dict[str, Link]:
        """Name → the way to a destination; one that was never tried is not there."""
        return {
            row["name"]: Link(
                row["name"],
                row["reached_at"],
                Code(row["code"]) if row["code"] else None,
                row["since"],
            )
            for row in self._db.rows("SELECT * FROM destination")
        }

    def reached(self, destination: str, now: float) -> None:
        """Writes that the destination answers as it should: nothing is in the way."""
        with self._db.writing() as db:
            db.execute(
                "INSERT INTO destination (name, reached_at, since) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET code = NULL, since = excluded.since,"
                " reached_at = coalesce(reached_at, excluded.reached_at)",
                (destination, now, now),
            )

    def closed(self, destination: str, code: Code, now: float) -> None:
        """Writes why nothing goes there until it answers again."""
        with self._db.writing() as db:
            db.execute(
                "INSERT INTO destination (name, code, since) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET code = excluded.code, since = excluded.since",
                (destination, code, now),
            )
