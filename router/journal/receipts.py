"""The receipts: what is known of each instance at each destination, and what goes next.

Only this module writes their table, and each change of a receipt's state is a row of RECEIPT_TABLE.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from router.journal import records
from router.records import backoff
from router.records.copies import Rank
from router.records.instance import Role, Stage
from router.records.receipt import RECEIPT_TABLE, ReceiptOutcome, ReceiptState, advance_receipt
from router.records.study import HEAD_START_S, Priority

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence

    from router.journal.database import Database
    from router.records.copies import Copy
    from router.records.errors import Code
    from router.records.receipt import Receipt, VerifiedBy

# SQLite uses a partial index only for a query that holds the very words of its condition.
_TO_SEND = "r.state IN ('WAITING', 'UNCERTAIN')"
_OPEN = "state IN ('WAITING', 'UNCERTAIN', 'SENT')"
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
_NOT_HELD = "hold_code = NULL, hold_detail = NULL, held_at = NULL"
#: Where each outcome leads, and from where: RECEIPT_TABLE by outcome.
_SOURCES: dict[ReceiptOutcome, list[ReceiptState]] = {}
_TARGETS: dict[ReceiptOutcome, ReceiptState] = {}
for (_state, _outcome), _target in RECEIPT_TABLE.items():
    _SOURCES.setdefault(_outcome, []).append(_state)
    _TARGETS[_outcome] = _target
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


class Receipts:
    """One row for an instance at a destination. Each change is a transaction of its own."""

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

    # --- what becomes of them -----------------------------------------------------------------

    def begin_sending(self, receipts: Iterable[Receipt], now: float) -> None:
        """Before the first byte: from now on the destination may hold the instances."""
        with self._db.writing() as db:
            for receipt in receipts:
                _advance(db, receipt, ReceiptOutcome.BEGUN, "begun_at = ?", (now,))

    def not_sent(self, receipts: Iterable[Receipt]) -> None:
        """The try ended before the first byte: where it was the first, nothing can be there."""
        with self._db.writing() as db:
            for receipt in receipts:
                if receipt.state is ReceiptState.WAITING:
                    _advance(db, receipt, ReceiptOutcome.NOT_SENT, "begun_at = NULL", ())

    def send_as(self, receipt: Receipt, copy: Copy) -> None:
        """The destination gets the instance in another transfer syntax: its digest is another."""
        self._note(
            receipt,
            "syntax = ?, digest = ?, md5 = ?, size = ?",
            (copy.transfer_syntax, copy.digest, copy.md5, copy.size),
        )

    def plain_next(self, receipt: Receipt, code: Code, now: float) -> None:
        """The destination refused the copy's transfer syntax, and holds nothing of it."""
        with self._db.writing() as db:
            _advance(
                db,
                receipt,
                ReceiptOutcome.OTHER_SYNTAX,
                "begun_at = NULL, due_at = ?, last_code = ?",
                (now, code),
            )

    def sent(self, receipts: Iterable[Receipt], now: float) -> None:
        """The destination says that it stored the instances. Not yet delivery."""
        with self._db.writing() as db:
            for receipt in receipts:
                _advance(
                    db,
                    receipt,
                    ReceiptOutcome.ACCEPTED,
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
                _advance(
                    db,
                    receipt,
                    ReceiptOutcome.VERIFIED,
                    "verified_at = ?, verified_by = ?, sent_at = coalesce(sent_at, ?),"
                    " last_code = NULL",
                    (now, by, now),
                )

    def put_off(self, receipt: Receipt, code: Code, due_at: float, *, counts: bool) -> None:
        """The instance is sent, or asked about, again at ``due_at``; ``counts``: this was a try."""
        self._note(
            receipt,
            "due_at = ?, last_code = ?, attempts = attempts + ?",
            (due_at, code, int(counts)),
        )

    def broke_off(self, receipt: Receipt, code: Code, due_at: float) -> None:
        """The link broke in the middle of the instance; it may have arrived all the same."""
        self._note(receipt, "due_at = ?, last_code = ?, breaks = breaks + 1", (due_at, code))

    def send_again(self, receipt: Receipt, code: Code, due_at: float) -> None:
        """The destination lost the instance: one more try, from the first byte on."""
        with self._db.writing() as db:
            _advance(
                db,
                receipt,
                ReceiptOutcome.MISSING,
                "sent_at = NULL, begun_at = NULL, due_at = ?, last_code = ?,"
                " attempts = attempts + 1",
                (due_at, code),
            )

    def hold(self, receipt: Receipt, code: Code, detail: str, now: float) -> None:
        """Keeps the instance from this destination until a person decides; others still get it."""
        with self._db.writing() as db:
            _advance(
                db,
                receipt,
                ReceiptOutcome.REFUSED,
                "hold_code = ?, hold_detail = ?, held_at = ?, last_code = ?",
                (code, detail, now, code),
            )

    def _note(self, receipt: Receipt, assignment: str, values: Sequence[Any]) -> None:
        """Of a receipt whose state stays as it is: what is over is left alone."""
        with self._db.writing() as db:
            db.execute(
                f"UPDATE receipt SET {assignment} WHERE instance = ? AND destination = ?"  # noqa: S608
                f" AND {_OPEN}",
                (*values, receipt.instance, receipt.destination),
            )

    # --- figures ------------------------------------------------------------------------------

    def oldest_undelivered(self, destinations: Sequence[str]) -> dict[str, float]:
        """For each destination, when the oldest image that still waits to be there arrived.

        An image that has no copy yet waits for each of ``destinations``: which of them are its own
        is known when it has been read. What is held waits for a person, and is counted as held.
        """
        rows = self._db.rows(
            "SELECT r.destination, min(i.received_at) AS oldest FROM receipt r"  # noqa: S608
            f" CROSS JOIN instance i ON i.orthanc_id = r.instance WHERE r.{_OPEN}"
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

    def backlog_bytes(self) -> dict[str, int]:
        """For each destination, the bytes that still are to arrive there."""
        rows = self._db.rows(
            "SELECT destination, sum(size) AS bytes FROM receipt"  # noqa: S608
            f" WHERE {_OPEN} GROUP BY destination"
        )
        return {row["destination"]: row["bytes"] for row in rows}


def open_for(db: sqlite3.Connection, study: str, destinations: Sequence[str], now: float) -> None:
    """Opens what is missing: a receipt for each copy of a study at each destination it goes to."""
    _choose_preview(db, study)
    db.execute(
        "INSERT OR IGNORE INTO receipt (instance, destination, state, digest, size, due_at, study,"
        " place, rank, series, ordinal)"
        " SELECT i.orthanc_id, d.value, ?, i.digest, i.size, ?, i.study,"
        " s.received_at - s.priority * ?, i.rank, i.series_uid, coalesce(i.instance_number, 0)"
        " FROM instance i JOIN study s ON s.orthanc_id = i.study"
        " LEFT JOIN route t ON t.instance = i.orthanc_id, json_each(?) d"
        " WHERE i.study = ? AND i.stage = ? AND i.purged_at IS NULL AND (t.destinations IS NULL"
        " OR d.value IN (SELECT value FROM json_each(t.destinations)))",
        (
            ReceiptState.WAITING,
            now,
            HEAD_START_S,
            json.dumps(list(destinations)),
            study,
            Stage.ANONYMIZED,
        ),
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
            " WHERE orthanc_id = receipt.study) WHERE study = ? AND state <> ?",
            (HEAD_START_S, study, ReceiptState.VERIFIED),
        )


def give_up(db: sqlite3.Connection, destinations: Sequence[str]) -> int:
    """Removes what is on its way to other than these destinations; how many receipts that were.

    What is held there stays: it waits for a person, and not for the destination.
    """
    return db.execute(
        f"DELETE FROM receipt WHERE {_OPEN}"  # noqa: S608
        " AND destination NOT IN (SELECT value FROM json_each(?))",
        (json.dumps(list(destinations)),),
    ).rowcount


def cap_due_times(db: sqlite3.Connection, now: float, longest_s: float) -> None:
    """What is due later than after its longest wait is due now; ``longest_s``: 0.0: any wait.

    An image that a destination refused keeps its hour all the same, from now on.
    """
    longest_mend_s = backoff.LONGEST_MEND_S if longest_s else 0.0
    db.execute(
        f"UPDATE receipt SET due_at = ? + iif(attempts > 0, ?, 0.0) WHERE {_OPEN}"  # noqa: S608
        " AND due_at > ?",
        (now, backoff.MEND_S, now + longest_mend_s),
    )


def start_over(db: sqlite3.Connection, instance: str, now: float) -> None:
    """What was counted against an instance on its way counts no more."""
    db.execute(
        "UPDATE receipt SET attempts = 0, due_at = ?, last_code = NULL"  # noqa: S608
        f" WHERE instance = ? AND {_OPEN}",
        (now, instance),
    )


def copied_again(db: sqlite3.Connection, instance: str) -> None:
    """A copy that was made again by other settings or another Orthanc can have other bytes."""
    db.execute(
        "UPDATE receipt SET (digest, size, syntax, md5) ="
        " (SELECT digest, size, NULL, NULL FROM instance WHERE orthanc_id = receipt.instance)"
        " WHERE instance = ? AND state <> ?",
        (instance, ReceiptState.VERIFIED),
    )


def forget(db: sqlite3.Connection, instance: str) -> None:
    """Nothing that was to be sent of an instance, or was, counts any more."""
    db.execute("DELETE FROM receipt WHERE instance = ?", (instance,))


def release(db: sqlite3.Connection, instance: str, destination: str, now: float) -> bool:
    """Lets a held receipt start fresh; whether it was held.

    The destination is asked before it is sent again: a refusal is no proof that nothing is there.
    """
    return _moved(
        db,
        (instance, destination),
        ReceiptOutcome.RELEASED,
        f"attempts = 0, breaks = 0, due_at = ?, sent_at = NULL, last_code = NULL, {_NOT_HELD}",
        (now,),
    )


def discard(db: sqlite3.Connection, instance: str, destination: str) -> bool:
    """Gives an instance up for good at a destination that held it; whether it was held."""
    return _moved(
        db, (instance, destination), ReceiptOutcome.DISCARDED, f"last_code = hold_code, {_NOT_HELD}"
    )


def replaced(db: sqlite3.Connection, study: str) -> None:
    """Nothing more of a study is sent, where nothing of it was begun or it was held."""
    rows = db.execute(
        "SELECT r.instance, r.destination FROM receipt r"
        " JOIN instance i ON i.orthanc_id = r.instance WHERE r.study = ? AND i.role <> ?",
        (study, Role.NOTE),
    ).fetchall()
    for row in rows:
        which = (row["instance"], row["destination"])
        _moved(db, which, ReceiptOutcome.REPLACED, f"last_code = NULL, {_NOT_HELD}")


def _advance(
    db: sqlite3.Connection,
    receipt: Receipt,
    outcome: ReceiptOutcome,
    assignment: str,
    values: Sequence[Any],
) -> None:
    """Moves a receipt along the table. Raises IllegalTransition, and changes nothing.

    A receipt whose destination was given up is no more, and nothing happens to it.
    """
    which = (receipt.instance, receipt.destination)
    if _moved(db, which, outcome, assignment, values):
        return
    found = db.execute(
        "SELECT state FROM receipt WHERE instance = ? AND destination = ?", which
    ).fetchone()
    if found is not None:
        advance_receipt(ReceiptState(found["state"]), outcome)


def _moved(
    db: sqlite3.Connection,
    which: tuple[str, str],
    outcome: ReceiptOutcome,
    assignment: str,
    values: Sequence[Any] = (),
) -> bool:
    """Whether the receipt was in a state out of which the table lets the outcome lead."""
    states = ", ".join("?" for _ in _SOURCES[outcome])
    return bool(
        db.execute(
            f"UPDATE receipt SET state = ?, {assignment}"  # noqa: S608
            f" WHERE instance = ? AND destination = ? AND state IN ({states})",
            (_TARGETS[outcome], *values, *which, *_SOURCES[outcome]),
        ).rowcount
    )
