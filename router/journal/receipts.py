"""The receipts: what becomes of each instance at each destination.

Only this module writes their table, and each change of a receipt's state is a row of RECEIPT_TABLE.
Functions that take a connection are parts of a larger transaction.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from router.records import backoff
from router.records.instance import Role, Stage
from router.records.receipt import RECEIPT_TABLE, ReceiptOutcome, ReceiptState, advance_receipt
from router.records.study import HEAD_START_S

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from router.journal.database import Database
    from router.records.copies import Copy
    from router.records.errors import Code
    from router.records.receipt import Receipt, VerifiedBy

# SQLite uses a partial index only for a query that holds the very words of its condition.
OPEN = "state IN ('WAITING', 'UNCERTAIN', 'SENT')"
_NOT_HELD = "hold_code = NULL, hold_detail = NULL, held_at = NULL"
#: Where each outcome leads, and from where: RECEIPT_TABLE by outcome.
_SOURCES: dict[ReceiptOutcome, list[ReceiptState]] = {}
_TARGETS: dict[ReceiptOutcome, ReceiptState] = {}
for (_state, _outcome), _target in RECEIPT_TABLE.items():
    _SOURCES.setdefault(_outcome, []).append(_state)
    _TARGETS[_outcome] = _target


class Receipts:
    """One row for an instance at a destination. Each change is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin_sending(self, receipts: Iterable[Receipt], now: float) -> None:
        """Writes, before the first byte, that the destination may hold the instances from now on."""
        with self._db.writing() as db:
            for receipt in receipts:
                _advance(db, receipt, ReceiptOutcome.BEGUN, "begun_at = ?", (now,))

    def not_sent(self, receipts: Iterable[Receipt]) -> None:
        """Takes back a first try that ended before the first byte: nothing can be there."""
        with self._db.writing() as db:
            for receipt in receipts:
                if receipt.state is ReceiptState.WAITING:
                    _advance(db, receipt, ReceiptOutcome.NOT_SENT, "begun_at = NULL", ())

    def send_as(self, receipt: Receipt, copy: Copy) -> None:
        """Writes that the destination gets the instance in another transfer syntax, with its digest."""
        self._note(
            receipt,
            "syntax = ?, digest = ?, md5 = ?, size = ?",
            (copy.transfer_syntax, copy.digest, copy.md5, copy.size),
        )

    def plain_next(self, receipt: Receipt, code: Code, now: float) -> None:
        """Has the instance sent in another transfer syntax: the destination refused the copy's."""
        with self._db.writing() as db:
            _advance(
                db,
                receipt,
                ReceiptOutcome.OTHER_SYNTAX,
                "begun_at = NULL, due_at = ?, last_code = ?",
                (now, code),
            )

    def sent(self, receipts: Iterable[Receipt], now: float) -> None:
        """Writes that the destination said that it stored the instances. Not yet delivery."""
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
        """Writes that the destination holds the instance: read back, not believed."""
        self.all_verified([(receipt, by)], now)

    def all_verified(self, found: Iterable[tuple[Receipt, VerifiedBy]], now: float) -> None:
        """Writes that the destination holds the instances: read back, not believed."""
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
        """Has the instance sent, or asked about, again at ``due_at``; ``counts``: this was a try."""
        self._note(
            receipt,
            "due_at = ?, last_code = ?, attempts = attempts + ?",
            (due_at, code, int(counts)),
        )

    def broke_off(self, receipt: Receipt, code: Code, due_at: float) -> None:
        """Counts that the link broke in the middle of the instance; it may have arrived all the same."""
        self._note(receipt, "due_at = ?, last_code = ?, breaks = breaks + 1", (due_at, code))

    def send_again(self, receipt: Receipt, code: Code, due_at: float) -> None:
        """Has an instance that the destination lost sent once more, from the first byte on."""
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
        """Writes what leaves the state of an open receipt as it is; what is over is left alone."""
        with self._db.writing() as db:
            db.execute(
                f"UPDATE receipt SET {assignment} WHERE instance = ? AND destination = ?"  # noqa: S608
                f" AND {OPEN}",
                (*values, receipt.instance, receipt.destination),
            )


def open_for(db: sqlite3.Connection, study: str, destinations: Sequence[str], now: float) -> None:
    """Opens what is missing: a receipt for each copy of a study at each destination it goes to."""
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


def place_anew(db: sqlite3.Connection, study: str) -> None:
    """Gives what of a study still waits its place by the study's priority."""
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
        f"DELETE FROM receipt WHERE {OPEN}"  # noqa: S608
        " AND destination NOT IN (SELECT value FROM json_each(?))",
        (json.dumps(list(destinations)),),
    ).rowcount


def cap_due_times(db: sqlite3.Connection, now: float, longest_s: float) -> None:
    """Makes due now what is due later than after its longest wait; ``longest_s``: 0.0: any wait.

    An image that a destination refused keeps its hour all the same, from now on.
    """
    longest_mend_s = backoff.LONGEST_MEND_S if longest_s else 0.0
    db.execute(
        f"UPDATE receipt SET due_at = ? + iif(attempts > 0, ?, 0.0) WHERE {OPEN}"  # noqa: S608
        " AND due_at > ?",
        (now, backoff.MEND_S, now + longest_mend_s),
    )


def start_over(db: sqlite3.Connection, instance: str, now: float) -> None:
    """Sets back what was counted against an instance on its way."""
    db.execute(
        "UPDATE receipt SET attempts = 0, due_at = ?, last_code = NULL"  # noqa: S608
        f" WHERE instance = ? AND {OPEN}",
        (now, instance),
    )


def copied_again(db: sqlite3.Connection, instance: str) -> None:
    """Enters the digest of a copy that was made again: by other settings its bytes may be others."""
    db.execute(
        "UPDATE receipt SET (digest, size, syntax, md5) ="
        " (SELECT digest, size, NULL, NULL FROM instance WHERE orthanc_id = receipt.instance)"
        " WHERE instance = ? AND state <> ?",
        (instance, ReceiptState.VERIFIED),
    )


def forget(db: sqlite3.Connection, instance: str) -> None:
    """Deletes every receipt of an instance: another image has come in its place."""
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
    """Gives up the receipts of a study that were not begun, or were held."""
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
