"""Decisions about kinds of objects that no policy clears: they are discarded, and nobody is asked.

What is discarded is never sent. Its bytes stay on the truck until purge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.deid.policies import Kind
from router.records.errors import Code

if TYPE_CHECKING:
    from router.journal.database import Database

#: What a policy holds an object with; what it is held for otherwise is for a person to look at.
_CODES = (Code.UNKNOWN_SOP_CLASS, Code.SOP_CLASS_NOT_CLEARED, Code.BURNED_IN_TEXT)


@dataclass(frozen=True)
class Standing:
    """A decision, as it is listed."""

    kind: Kind
    #: UTC, seconds since 1970.
    decided_at: float
    decided_by: str
    reason: str
    #: How many objects it has discarded.
    discarded: int


class StandingDecisions:
    """The journal's tables of them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def note_kind(self, instance: str, kind: Kind) -> None:
        """Enters what kind of object an instance is that is about to be held."""
        with self._db.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO held_kind VALUES (?, ?, ?, NULL)",
                (instance, kind.sop_class, kind.image_type),
            )

    def kind_of(self, instance: str) -> Kind | None:
        """The kind of an instance that is held and could be decided for good."""
        rows = self._db.rows(
            "SELECT k.sop_class, k.image_type FROM held_kind k"
            " JOIN instance i ON i.orthanc_id = k.instance"
            " WHERE k.instance = ? AND i.hold_code IN (?, ?, ?)",
            (instance, *_CODES),
        )
        return Kind(rows[0]["sop_class"], rows[0]["image_type"]) if rows else None

    def decide(self, kind: Kind, by: str, reason: str, now: float) -> None:
        """Has objects of this kind discarded from now on."""
        with self._db.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO standing_decision VALUES (?, ?, ?, ?, ?)",
                (*kind, now, by, reason),
            )

    def revoke(self, kind: Kind) -> bool:
        """Has objects of this kind held again; whether it was decided otherwise. No discard is undone."""
        with self._db.writing() as db:
            gone = db.execute(
                "DELETE FROM standing_decision WHERE sop_class = ? AND image_type = ?", kind
            ).rowcount
        return bool(gone)

    def all(self) -> list[Standing]:
        """Every decision that stands, the oldest first."""
        rows = self._db.rows(
            "SELECT s.*, (SELECT count(*) FROM held_kind k WHERE k.sop_class = s.sop_class"
            "  AND k.image_type = s.image_type AND k.settled_at IS NOT NULL) AS discarded"
            " FROM standing_decision s ORDER BY s.decided_at, s.sop_class, s.image_type"
        )
        return [
            Standing(
                Kind(row["sop_class"], row["image_type"]), row["decided_at"], row["decided_by"],
                row["reason"], row["discarded"],
            )
            for row in rows
        ]  # fmt: skip

    def decided(self) -> list[str]:
        """Held instances that a decision stands for."""
        rows = self._db.rows(
            "SELECT i.orthanc_id FROM standing_decision s"
            " JOIN held_kind k USING (sop_class, image_type)"
            " JOIN instance i ON i.orthanc_id = k.instance WHERE i.hold_code IN (?, ?, ?)",
            _CODES,
        )
        return [row["orthanc_id"] for row in rows]

    def settled(self, instance: str, now: float) -> None:
        """Writes that an instance was discarded by a decision that stands."""
        with self._db.writing() as db:
            db.execute("UPDATE held_kind SET settled_at = ? WHERE instance = ?", (now, instance))
