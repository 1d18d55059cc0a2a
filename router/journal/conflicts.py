"""Both sides of what an image is held for: what it says of its patient, and what is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.records.errors import Hold

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from router.journal.database import Database


@dataclass(frozen=True)
class OtherSide:
    """What a held image conflicts with, and what it says of its own patient."""

    #: The patient who is known; ``None``: it is an image that is in the way.
    pseudonym: str | None
    #: That image, and its study.
    other: str | None
    other_study: str | None
    said: Mapping[str, str]


class Conflict(Hold):
    """Two things cannot both be true of an image and of what is known: it is held with both sides."""

    #: The patient who is known.
    pseudonym: str | None = None
    #: The image that is known.
    other: str | None = None
    #: What the held image says of its patient.
    said: Mapping[str, str]


class Conflicts:
    """One row for an image that is held for what another image, or a known patient, says."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def note(self, instance: str, conflict: Conflict) -> None:
        """Writes both sides of what an image is held for, for the truck's own screen."""
        with self._db.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO hold_conflict (instance, pseudonym, other, scheme, blob)"
                " VALUES (?, ?, ?, 0, ?)",
                (
                    instance,
                    conflict.pseudonym,
                    conflict.other,
                    json.dumps(dict(conflict.said), ensure_ascii=False, sort_keys=True).encode(),
                ),
            )

    def of(self, instance: str) -> OtherSide | None:
        """Both sides of what an image is held for; ``None``: it is held for itself."""
        rows = self._db.rows(
            "SELECT c.*, i.study AS other_study FROM hold_conflict c"
            " LEFT JOIN instance i ON i.orthanc_id = c.other WHERE c.instance = ?",
            (instance,),
        )
        return next(
            (
                OtherSide(
                    row["pseudonym"], row["other"], row["other_study"], json.loads(row["blob"])
                )
                for row in rows
            ),
            None,
        )


def forget(db: sqlite3.Connection, instance: str) -> None:
    """Deletes both sides of what an image was held for."""
    db.execute("DELETE FROM hold_conflict WHERE instance = ?", (instance,))
