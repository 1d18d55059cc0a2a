"""The receipts: what is known of each instance at each destination, and what goes next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from router.journal import records
from router.study import HEAD_START_S, Priority, Rank, Role, Stage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from router.errors import Code
    from router.journal.database import Database
    from router.study import Copy, Receipt, VerifiedBy

#: What still may be sent: the copies, and what only another destination refused.
_GOES = (
    "(i.stage = 'ANONYMIZED'"
    " OR i.hold_destination IS NOT NULL AND i.hold_destination <> r.destination)"
)
#: CROSS JOIN: the order is that of an index over the receipts; SQLite is not to begin elsewhere.
_SELECT = (
    "SELECT i.*, r.destination, r.attempts AS r_attempts, r.due_at, r.last_code, r.begun_at,"
    " r.sent_at, r.verified_at, r.verified_by, r.breaks, s.alias, r.digest AS r_digest,"
    " r.size AS r_size, r.md5 AS r_md5, r.syntax AS r_syntax"
    " FROM receipt r CROSS JOIN instance i ON i.orthanc_id = r.instance"
    " CROSS JOIN study s ON s.orthanc_id = i.study"
)
_ORDER = "r.place, r.study, r.rank, r.series, r.ordinal"


class Receipts:
    """One row for an instance at a destination. Each change is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def to_send(self, destination: str, now: float, limit: int) -> list[Receipt]:
        """Receipts whose instance is due to be sent, in the order in which they go.

        The urgent first; study by study; in a study the captures and one image to look at first,
        then what is for presentation, then what is for processing.
        """
        return self._select(
            f"r.destination = ? AND r.sent_at IS NULL AND r.verified_at IS NULL AND r.due_at <= ?"
            f" AND {_GOES}",
            (destination, now),
            _ORDER,
            limit,
        )

    def to_verify(self, destination: str, now: float, limit: int) -> list[Receipt]:
        """Receipts whose instance was sent and is not verified."""
        return self._select(
            f"r.destination = ? AND r.sent_at IS NOT NULL AND r.verified_at IS NULL"
            f" AND r.due_at <= ? AND {_GOES}",
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

    # --- what becomes of them -----------------------------------------------------------------

    def begin_sending(self, receipts: Iterable[Receipt], now: float) -> None:
        """Before the first byte: from now on the destination may hold the instances."""
        with self._db.writing() as db:
            for receipt in receipts:
                _update(db, receipt, "begun_at = ?", (now,))

    def send_as(self, receipt: Receipt, copy: Copy) -> None:
        """The destination gets the instance in another transfer syntax: its digest is another."""
        self._change(
            receipt,
            "syntax = ?, digest = ?, md5 = ?, size = ?",
            (copy.transfer_syntax, copy.digest, copy.md5, copy.size),
        )

    def plain_next(self, receipt: Receipt, code: Code, now: float) -> None:
        """The destination refused the copy's transfer syntax, and holds nothing of it."""
        self._change(receipt, "begun_at = NULL, due_at = ?, last_code = ?", (now, code))

    def sent(self, receipts: Iterable[Receipt], now: float) -> None:
        """The destination says that it stored the instances. Not yet delivery."""
        with self._db.writing() as db:
            for receipt in receipts:
                _update(
                    db,
                    receipt,
                    "sent_at = ?, due_at = ?, breaks = 0, last_code = NULL",
                    (now, now),
                )

    def verified(self, receipt: Receipt, by: VerifiedBy, now: float) -> None:
        """The destination holds the instance: read back, not believed."""
        self.all_verified([(receipt, by)], now)

    def all_verified(self, found: Iterable[tuple[Receipt, VerifiedBy]], now: float) -> None:
        """The destination holds the instances: read back, not believed."""
        with self._db.writing() as db:
            for receipt, by in found:
                _update(
                    db,
                    receipt,
                    "verified_at = ?, verified_by = ?, sent_at = coalesce(sent_at, ?),"
                    " last_code = NULL",
                    (now, by, now),
                )

    def put_off(self, receipt: Receipt, code: Code, due_at: float, *, counts: bool) -> None:
        """The instance is sent, or asked about, again at ``due_at``; ``counts``: this was a try."""
        self._change(
            receipt,
            "due_at = ?, last_code = ?, attempts = attempts + ?",
            (due_at, code, int(counts)),
        )

    def broke_off(self, receipt: Receipt, code: Code, due_at: float) -> None:
        """The link broke in the middle of the instance; it may have arrived all the same."""
        self._change(receipt, "due_at = ?, last_code = ?, breaks = breaks + 1", (due_at, code))

    def send_again(self, receipt: Receipt, code: Code, due_at: float) -> None:
        """The destination lost the instance: one more try, from the first byte on."""
        self._change(
            receipt,
            "sent_at = NULL, begun_at = NULL, due_at = ?, last_code = ?, attempts = attempts + 1",
            (due_at, code),
        )

    def _change(self, receipt: Receipt, assignment: str, values: Sequence[Any]) -> None:
        with self._db.writing() as db:
            _update(db, receipt, assignment, values)

    # --- figures ------------------------------------------------------------------------------

    def oldest_undelivered(self) -> dict[str, float]:
        """For each destination, when the oldest image that it does not verifiably hold arrived."""
        rows = self._db.rows(
            "SELECT r.destination, min(i.received_at) AS oldest FROM receipt r"
            " CROSS JOIN instance i ON i.orthanc_id = r.instance"
            " WHERE r.verified_at IS NULL AND i.stage = ? GROUP BY r.destination",
            (Stage.ANONYMIZED,),
        )
        return {row["destination"]: row["oldest"] for row in rows}

    def backlog_bytes(self) -> dict[str, int]:
        """For each destination, the bytes that it does not verifiably hold yet."""
        rows = self._db.rows(
            "SELECT destination, sum(size) AS bytes FROM receipt WHERE verified_at IS NULL"
            " GROUP BY destination"
        )
        return {row["destination"]: row["bytes"] for row in rows}


def open_for(db: sqlite3.Connection, study: str, destinations: Sequence[str], now: float) -> None:
    """Opens what is missing: a receipt for each copy of a study at each destination it goes to."""
    _choose_preview(db, study)
    db.execute(
        "INSERT OR IGNORE INTO receipt (instance, destination, digest, size, due_at, study,"
        " place, rank, series, ordinal)"
        " SELECT i.orthanc_id, d.value, i.digest, i.size, ?, i.study,"
        " s.received_at - s.priority * ?, i.rank, i.series_uid, coalesce(i.instance_number, 0)"
        " FROM instance i JOIN study s ON s.orthanc_id = i.study"
        " LEFT JOIN route t ON t.instance = i.orthanc_id, json_each(?) d"
        " WHERE i.study = ? AND i.stage = ? AND i.purged_at IS NULL AND (t.destinations IS NULL"
        " OR d.value IN (SELECT value FROM json_each(t.destinations)))",
        (now, HEAD_START_S, json.dumps(list(destinations)), study, Stage.ANONYMIZED),
    )


def _choose_preview(db: sqlite3.Connection, study: str) -> None:
    """Marks, once for a study, the image that is looked at first: the middle one of its first series."""
    rows = db.execute(
        "SELECT orthanc_id, rank, series_uid FROM instance WHERE study = ? AND role = ?"
        " AND stage = ? ORDER BY series_uid, instance_number",
        (study, Role.SOURCE, Stage.ANONYMIZED),
    ).fetchall()
    shown = [row for row in rows if row["rank"] == Rank.PRESENTATION]
    if not shown or any(row["rank"] == Rank.PREVIEW for row in rows):
        return
    series = [row for row in shown if row["series_uid"] == shown[0]["series_uid"]]
    chosen = series[len(series) // 2]["orthanc_id"]
    db.execute("UPDATE instance SET rank = ? WHERE orthanc_id = ?", (Rank.PREVIEW, chosen))


def hasten(db: sqlite3.Connection, study: str, priority: Priority) -> None:
    """A study is as urgent as its most urgent image, with all of it that still waits."""
    raised = db.execute(
        "UPDATE study SET priority = ? WHERE orthanc_id = ? AND priority < ?",
        (priority, study, priority),
    ).rowcount
    if raised:
        db.execute(
            "UPDATE receipt SET place = (SELECT received_at - priority * ? FROM study"
            " WHERE orthanc_id = receipt.study) WHERE study = ? AND verified_at IS NULL",
            (HEAD_START_S, study),
        )


def _update(
    db: sqlite3.Connection, receipt: Receipt, assignment: str, values: Sequence[Any]
) -> None:
    db.execute(
        f"UPDATE receipt SET {assignment} WHERE instance = ? AND destination = ?"  # noqa: S608
        " AND verified_at IS NULL",
        (*values, receipt.instance, receipt.destination),
    )
