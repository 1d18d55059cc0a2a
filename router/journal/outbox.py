"""The outbox: what of the receipts goes next, what is still open, and what is known of a study's.

Questions only: ``router.journal.receipts`` writes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from router.journal import records
from router.journal.receipts import OPEN
from router.records.instance import Role, Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from router.journal.database import Database
    from router.records.receipt import Receipt

# SQLite uses a partial index only for a query that holds the very words of its condition.
_TO_SEND = "r.state IN ('WAITING', 'UNCERTAIN')"
#: A copy that passed the gate, and that nobody holds as a whole.
_GOES = "i.stage = 'ANONYMIZED'"
# The images of a corrected study wait until the destination has rejected those in whose place they
# come, or never got them; the note that rejects them waits for those that are on their way.
_ITS_TURN = (
    "NOT EXISTS (SELECT 1 FROM correction c WHERE c.study = r.study"
    " AND EXISTS (SELECT 1 FROM receipt w WHERE w.study = c.replaces"
    "   AND w.destination = r.destination AND w.begun_at IS NOT NULL AND w.instance IS NOT c.note)"
    " AND NOT EXISTS (SELECT 1 FROM archive_told t WHERE t.study = c.study"
    "   AND t.destination = r.destination)"
    " AND NOT EXISTS (SELECT 1 FROM receipt n WHERE n.instance = c.note"
    "   AND n.destination = r.destination AND n.state = 'VERIFIED'))"
    " AND NOT EXISTS (SELECT 1 FROM correction c CROSS JOIN receipt w ON w.study = c.replaces"
    " WHERE c.note = r.instance AND w.destination = r.destination AND w.instance <> r.instance"
    " AND w.state IN ('UNCERTAIN', 'SENT'))"
)
#: CROSS JOIN: the order is that of an index over the receipts; SQLite is not to begin elsewhere.
_SELECT = (
    "SELECT i.*, r.destination, r.attempts AS r_attempts, r.due_at, r.last_code, r.begun_at,"
    " r.sent_at, r.verified_at, r.verified_by, r.breaks, s.alias, r.digest AS r_digest,"
    " r.size AS r_size, r.md5 AS r_md5, r.syntax AS r_syntax, r.state AS r_state,"
    " r.hold_code AS r_hold_code, r.hold_detail AS r_hold_detail, r.held_at AS r_held_at"
    " FROM receipt r CROSS JOIN instance i ON i.orthanc_id = r.instance"
    " CROSS JOIN study s ON s.orthanc_id = i.study"
)
_ORDER = "r.place, r.study, r.rank, r.series, r.ordinal"


class Outbox:
    """What each destination gets, and in which order."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def to_send(
        self, destination: str, now: float, limit: int, avoided: Collection[str] = ()
    ) -> list[Receipt]:
        """Receipts whose instance is due to be sent, in the order in which they go.

        The urgent first; study by study; in a study the captures and one image to look at first,
        then what is for presentation, then what is for processing. ``avoided``: studies that are
        left out.
        """
        but = " AND r.study NOT IN (SELECT value FROM json_each(?))" if avoided else ""
        return self._select(
            f"r.destination = ? AND {_TO_SEND} AND r.due_at <= ? AND {_GOES} AND {_ITS_TURN}{but}",
            (destination, now, *([json.dumps(list(avoided))] if avoided else [])),
            _ORDER,
            limit,
        )

    def last_sent(self, destination: str) -> float | None:
        """When the destination last took an image; ``None``: it never did."""
        (row,) = self._db.rows(
            "SELECT max(sent_at) AS sent_at FROM receipt WHERE destination = ?", (destination,)
        )
        found: float | None = row["sent_at"]
        return found

    def refused_since(self, destination: str, since: float | None) -> dict[str, str]:
        """Instance → study of what waits after a refusal that came later than ``since``."""
        rows = self._db.rows(
            "SELECT r.instance, r.study FROM receipt r WHERE r.destination = ?"  # noqa: S608
            f" AND {_TO_SEND} AND r.attempts > 0 AND r.begun_at > ?",
            (destination, since or 0.0),
        )
        return {row["instance"]: row["study"] for row in rows}

    def to_verify(self, destination: str, now: float, limit: int) -> list[Receipt]:
        """Receipts whose instance was sent and is not verified."""
        return self._select(
            f"r.destination = ? AND r.state = 'SENT' AND r.due_at <= ? AND {_GOES}",
            (destination, now),
            "r.sent_at",
            limit,
        )

    def of_study(self, study: str) -> list[Receipt]:
        """Every receipt of a study, whatever has become of it."""
        return self._select(
            "r.study = ?", (study,), "r.rank, r.series, r.ordinal, r.destination", -1
        )

    def _select(self, where: str, values: tuple[Any, ...], order: str, limit: int) -> list[Receipt]:
        rows = self._db.rows(
            f"{_SELECT} WHERE {where} ORDER BY {order} LIMIT ?",
            (*values, limit),
        )
        return [records.receipt(row) for row in rows]

    def may_have_been_sent(self, instance: str) -> bool:
        """Whether a try to send the instance was ever begun."""
        rows = self._db.rows(
            "SELECT 1 FROM receipt WHERE instance = ? AND begun_at IS NOT NULL LIMIT 1",
            (instance,),
        )
        return bool(rows)

    def oldest_undelivered(self, destinations: Sequence[str]) -> dict[str, float]:
        """For each destination, when the oldest image that still waits to be there arrived.

        An image that has no copy yet waits for each of ``destinations``: which of them are its own
        is known when it has been read. What is held waits for a person, and is counted as held.
        """
        rows = self._db.rows(
            "SELECT r.destination, min(i.received_at) AS oldest FROM receipt r"  # noqa: S608
            f" CROSS JOIN instance i ON i.orthanc_id = r.instance WHERE r.{OPEN}"
            " AND i.stage IN (?, ?) GROUP BY r.destination",
            (Stage.RECEIVED, Stage.ANONYMIZED),
        )
        oldest = {row["destination"]: row["oldest"] for row in rows}
        (row,) = self._db.rows(
            "SELECT min(i.received_at) AS oldest FROM study s"
            " CROSS JOIN instance i ON i.study = s.orthanc_id"
            " WHERE s.state = 'RECEIVED' AND i.stage IN (?, ?) AND i.role = ? AND NOT EXISTS"
            "   (SELECT 1 FROM receipt r WHERE r.instance = i.orthanc_id)",
            (Stage.RECEIVED, Stage.ANONYMIZED, Role.SOURCE),
        )
        if row["oldest"] is not None:
            for name in destinations:
                oldest[name] = min(oldest.get(name, row["oldest"]), row["oldest"])
        return oldest
