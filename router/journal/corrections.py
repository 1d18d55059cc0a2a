"""Studies that take the place of others: corrected on the scanner after a part had been delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.journal.database import Database


class Corrections:
    """One row for a corrected study."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def number(self, study: str) -> int:
        """How often what the study shows was corrected; 0: it takes no other's place."""
        rows = self._db.rows("SELECT number FROM correction WHERE study = ?", (study,))
        return int(rows[0]["number"]) if rows else 0
