"""The de-identification profiles that studies are pinned to: what each id stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.journal.database import Database


class Profiles:
    """A study keeps the profile of its first intake, whatever the settings say later."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def enter(self, profile_id: str, definition: str) -> None:
        """Enters a profile before the first study is pinned to it. Again and again the same."""
        with self._db.writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO profile (id, definition) VALUES (?, ?)",
                (profile_id, definition),
            )

    def definition(self, profile_id: str) -> str | None:
        """The profile's definition as it was entered; ``None``: it never was."""
        rows = self._db.rows("SELECT definition FROM profile WHERE id = ?", (profile_id,))
        return str(rows[0]["definition"]) if rows else None
