"""The journal: what the router knows, durably. The only importer of sqlite3.

Results of single instances commit on their own, so that no crash costs work already done; only a
study's move is compare-and-swap on (state, generation), so that an image that arrives in the
middle of a step is never lost. ``now`` is always an argument: UTC, seconds since 1970.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from router import backoff
from router.errors import Code, Hold, IllegalTransition
from router.journal import records
from router.journal.database import Database, lock
from router.journal.identities import Identities, IdentityTable, difference, enter
from router.journal.keys import Keys
from router.journal.profiles import Profiles
from router.study import (
    CAPTURE_GONE,
    CAPTURED,
    FOR_PROCESSING,
    TABLE,
    Arrival,
    Copy,
    Instance,
    Outcome,
    Receipt,
    Role,
    Stage,
    State,
    Study,
    VerifiedBy,
    advance,
    rest,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Cursor", "Identities", "Journal", "Pin", "lock"]

#: A local step is due in these states; in ANALYSED the receipts are.
_WORKED_ON = (State.RECEIVED, State.ANONYMIZED)


@dataclass(frozen=True)
class Cursor:
    """How far the changes of which Orthanc index have been taken in."""

    database: str
    sequence: int


@dataclass(frozen=True)
class Pin:
    """What a study keeps from its first intake on."""

    alias: str
    key_id: str
    profile_id: str


class Journal:
    """The durable state of one router."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path)
        self.profiles = Profiles(self._db)
        self.people = IdentityTable(self._db)
        self.keys = Keys(self._db)

    def close(self) -> None:
        self._db.close()

    # --- intake -------------------------------------------------------------------------------

    def cursor(self) -> Cursor | None:
        rows = self._db.rows("SELECT database, sequence FROM cursor")
        return Cursor(rows[0]["database"], rows[0]["sequence"]) if rows else None

    def unknown(self, ids: Iterable[str]) -> list[str]:
        """Those of Orthanc's instance ids that are neither an original nor a copy of ours."""
        rows = self._db.rows(
            "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT orthanc_id FROM instance)"
            " AND value NOT IN (SELECT copy_id FROM instance WHERE copy_id IS NOT NULL)",
            (json.dumps(list(ids)),),
        )
        return [row["value"] for row in rows]

    def take_in(
        self,
        arrivals: Sequence[Arrival],
        stable: Iterable[str],
        pins: Mapping[str, Pin],
        cursor: Cursor | None,
        now: float,
    ) -> int:
        """Enters new instances, makes stable studies due, and moves the cursor: all or nothing.

        ``stable``: studies that the scanner has finished with. ``pins``: for each study of
        ``arrivals``. Returns how many instances were new.
        """
        new = 0
        with self._db.writing() as db:
            for arrival in arrivals:
                if not _is_new(db, arrival.instance):
                    continue
                _grow(db, arrival.study, pins[arrival.study], now)
                db.execute(
                    "INSERT INTO instance (orthanc_id, study, role, stage, origin, received_at)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        arrival.instance,
                        arrival.study,
                        Role.SOURCE,
                        Stage.RECEIVED,
                        arrival.origin,
                        now,
                    ),
                )
                new += 1
            for study in stable:
                db.execute(
                    "UPDATE study SET due_at = ? WHERE orthanc_id = ? AND state = ?"
                    " AND due_at IS NULL",
                    (now, study, State.RECEIVED),
                )
            if cursor is not None:
                db.execute(
                    "INSERT INTO cursor (only, database, sequence) VALUES (1, ?, ?)"
                    " ON CONFLICT (only) DO UPDATE SET database = excluded.database,"
                    " sequence = excluded.sequence",
                    (cursor.database, cursor.sequence),
                )
        return new

    def arriving(self) -> list[str]:
        """Studies that wait for the scanner to finish."""
        rows = self._db.rows(
            "SELECT orthanc_id FROM study WHERE state = ? AND due_at IS NULL", (State.RECEIVED,)
        )
        return [row["orthanc_id"] for row in rows]

    def found_again(self, present: Iterable[str], now: float) -> int:
        """Sends instances that were held because their original was missing back to the start."""
        rows = self._db.rows(
            "SELECT orthanc_id, study FROM instance WHERE hold_code = ?"
            " AND orthanc_id IN (SELECT value FROM json_each(?))",
            (Code.SOURCE_MISSING, json.dumps(list(present))),
        )
        for row in rows:
            self.release(row["orthanc_id"], now)
        return len(rows)

    # --- studies ------------------------------------------------------------------------------

    def study(self, orthanc_id: str) -> Study | None:
        rows = self._db.rows("SELECT * FROM study WHERE orthanc_id = ?", (orthanc_id,))
        return records.study(rows[0]) if rows else None

    def studies(self) -> list[Study]:
        """Every study, the newest first."""
        rows = self._db.rows("SELECT * FROM study ORDER BY received_at DESC, orthanc_id")
        return [records.study(row) for row in rows]

    def due_study(self, now: float) -> Study | None:
        """The study whose local step is due the longest."""
        rows = self._db.rows(
            "SELECT * FROM study WHERE state IN (?, ?) AND due_at <= ?"
            " ORDER BY due_at, received_at LIMIT 1",
            (*_WORKED_ON, now),
        )
        return records.study(rows[0]) if rows else None

    def move(
        self, study: Study, outcome: Outcome, now: float, destinations: Sequence[str] = ()
    ) -> bool:
        """Moves a study along the table, unless it has changed since it was read.

        ``destinations``: get a receipt to fill for every copy that passed the gate, so that images
        travel while they are analysed, and captures as soon as they are made. Returns whether it
        moved.
        """
        target = advance(study.state, outcome)
        with self._db.writing() as db:
            moved = db.execute(
                "UPDATE study SET state = ?, attempts = 0, due_at = ?, last_code = NULL,"
                " changed_at = ? WHERE orthanc_id = ? AND state = ? AND generation = ?",
                (target, now, now, study.orthanc_id, study.state, study.generation),
            ).rowcount
            if moved and target in {State.ANONYMIZED, State.ANALYSED}:
                for destination in destinations:
                    db.execute(
                        "INSERT OR IGNORE INTO receipt"
                        " (instance, destination, digest, size, due_at)"
                        " SELECT orthanc_id, ?, digest, size, ? FROM instance"
                        " WHERE study = ? AND stage = ?",
                        (destination, now, study.orthanc_id, Stage.ANONYMIZED),
                    )
        return bool(moved)

    def postpone(self, study: Study, code: Code, due_at: float, *, counts: bool) -> None:
        """The study's step is tried again at ``due_at``; ``counts``: this was a try."""
        with self._db.writing() as db:
            db.execute(
                "UPDATE study SET due_at = ?, attempts = attempts + ?, last_code = ?"
                " WHERE orthanc_id = ? AND state = ? AND generation = ?",
                (due_at, int(counts), code, study.orthanc_id, study.state, study.generation),
            )

    def pin_key(self, study: str, key_id: str) -> None:
        """Before its first copy: a study of a patient who is known under an older key keeps it."""
        with self._db.writing() as db:
            db.execute(
                "UPDATE study SET key_id = ? WHERE orthanc_id = ? AND NOT EXISTS"
                " (SELECT 1 FROM instance WHERE study = ? AND copy_id IS NOT NULL)",
                (key_id, study, study),
            )

    def settle(self, orthanc_id: str, now: float) -> Outcome | None:
        """Moves a study whose last instance is verified, held or discarded; what it moved by."""
        study = self.study(orthanc_id)
        if study is None or study.state not in {State.ANALYSED, State.HELD}:
            return None
        (count,) = self._db.rows(
            "SELECT"
            " count(*) FILTER (WHERE i.stage = 'RECEIVED' AND i.role = 'SOURCE'"
            "   OR i.stage = 'ANONYMIZED' AND r.verified_at IS NULL) AS open,"
            " count(*) FILTER (WHERE i.stage = 'ANONYMIZED') AS sendable,"
            " count(*) FILTER (WHERE i.stage = 'HELD') AS held"
            " FROM instance i LEFT JOIN receipt r ON r.instance = i.orthanc_id"
            " WHERE i.study = ?",
            (orthanc_id,),
        )
        if count["open"]:
            return None
        if count["held"] and study.state is State.HELD:
            return None
        outcome = rest(sendable=bool(count["sendable"]), held=bool(count["held"]))
        return outcome if self.move(study, outcome, now) else None

    def adopt_destinations(self, destinations: Sequence[str], now: float) -> int:
        """At start: opens receipts at destinations that are new, and gives up those that are gone.

        Only for studies that are on their way; what was DELIVERED stays so. Returns how many open
        receipts were given up.
        """
        names = json.dumps(list(destinations))
        with self._db.writing() as db:
            gone = db.execute(
                "DELETE FROM receipt WHERE verified_at IS NULL"
                " AND destination NOT IN (SELECT value FROM json_each(?))",
                (names,),
            ).rowcount
            db.execute(
                "INSERT OR IGNORE INTO receipt (instance, destination, digest, size, due_at)"
                " SELECT i.orthanc_id, d.value, i.digest, i.size, ? FROM instance i"
                " JOIN study s ON s.orthanc_id = i.study, json_each(?) d"
                " WHERE i.stage = ? AND s.state IN (?, ?)",
                (now, names, Stage.ANONYMIZED, State.ANONYMIZED, State.ANALYSED),
            )
        for study in self.studies():
            if study.state is State.ANALYSED:
                self.settle(study.orthanc_id, now)
        return gone

    def cap_due_times(self, now: float) -> None:
        """At start: no due time further away than the longest wait, whatever the clock was."""
        latest = backoff.capped(float("inf"), now)
        with self._db.writing() as db:
            db.execute("UPDATE study SET due_at = min(due_at, ?)", (latest,))
            db.execute(
                "UPDATE receipt SET due_at = min(due_at, ?) WHERE verified_at IS NULL", (latest,)
            )

    # --- instances ----------------------------------------------------------------------------

    def instances(self, study: str) -> list[Instance]:
        rows = self._db.rows(
            "SELECT * FROM instance WHERE study = ? ORDER BY received_at, rowid", (study,)
        )
        return [records.instance(row) for row in rows]

    def begin_copy(
        self,
        instance: str,
        copy: Copy,
        identities: Identities,
        now: float,
        *,
        same_person: bool = False,
    ) -> None:
        """Before a copy is stored: makes it known as our own, and its patient findable.

        Raises Hold, and writes nothing, where another original has the same SOP or Study Instance
        UID under another patient or study (UID_CONFLICT), or the patient's number is known with
        another name, birth date or sex (IDENTITY_CONFLICT). ``same_person``: a person has said
        that it is hers.
        """
        with self._db.writing() as db:
            if _is_taken(db, instance, copy):
                raise Hold(Code.UID_CONFLICT, "its SOP or Study Instance UID is taken")
            if not same_person and (differing := difference(db, identities)):
                raise Hold(Code.IDENTITY_CONFLICT, f"{differing} differs from what is known")
            enter(db, identities, now, accepted=same_person)
            db.execute(
                f"UPDATE instance SET {records.SET_COPY} WHERE orthanc_id = ?",  # noqa: S608
                (*records.copy_values(copy), instance),
            )

    def begin_capture(self, source: str, copy: Copy, now: float) -> None:
        """Before a capture is stored: makes it known as our own. Again and again the same."""
        with self._db.writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO instance (orthanc_id, study, role, source, stage, origin,"
                " received_at) SELECT ?, study, ?, orthanc_id, ?, 'router', ? FROM instance"
                " WHERE orthanc_id = ?",
                (copy.orthanc_id, Role.CAPTURE, Stage.RECEIVED, now, source),
            )
            db.execute(
                f"UPDATE instance SET {records.SET_COPY} WHERE orthanc_id = ?",  # noqa: S608
                (*records.copy_values(copy), copy.orthanc_id),
            )

    def finish_copy(self, instance: str) -> None:
        """The copy is stored and was read back."""
        with self._db.writing() as db:
            _finish(db, instance)

    def finish_capture(self, source: str, capture: str) -> None:
        """The capture is stored, and its source is decided: both or neither."""
        with self._db.writing() as db:
            _finish(db, capture)
            db.execute("UPDATE instance SET analysis = ? WHERE orthanc_id = ?", (CAPTURED, source))

    def may_have_been_sent(self, instance: str) -> bool:
        """Whether a try to send the instance was ever begun."""
        rows = self._db.rows(
            "SELECT 1 FROM receipt WHERE instance = ? AND begun_at IS NOT NULL LIMIT 1",
            (instance,),
        )
        return bool(rows)

    def count_failure(self, instance: str) -> int:
        """One more failed try of this instance; how many that makes."""
        with self._db.writing() as db:
            rows = db.execute(
                "UPDATE instance SET attempts = attempts + 1 WHERE orthanc_id = ?"
                " RETURNING attempts",
                (instance,),
            ).fetchall()
        return int(rows[0]["attempts"])

    def decide_analysis(self, decisions: Mapping[str, str]) -> None:
        """Writes once, for each instance, that a capture was made of it or why not."""
        with self._db.writing() as db:
            db.executemany(
                "UPDATE instance SET analysis = ? WHERE orthanc_id = ?"
                " AND (analysis IS NULL OR analysis = ?)",
                [(decision, instance, CAPTURE_GONE) for instance, decision in decisions.items()],
            )

    def hold(
        self, instance: str, code: Code, detail: str, now: float, destination: str | None = None
    ) -> None:
        """Keeps an instance on the truck until a person decides.

        ``destination``: the one that refused it; others may still be sent it.
        """
        with self._db.writing() as db:
            db.execute(
                "UPDATE instance SET stage = ?, hold_code = ?, hold_detail = ?, held_at = ?,"
                " hold_destination = ? WHERE orthanc_id = ? AND stage IN (?, ?)",
                (
                    Stage.HELD,
                    code,
                    detail,
                    now,
                    destination,
                    instance,
                    Stage.RECEIVED,
                    Stage.ANONYMIZED,
                ),
            )

    def release(self, instance: str, now: float, policy: str | None = None) -> bool:
        """Sends a held instance back to the start; whether it was held.

        Its receipts start over too: what a destination refused is asked of it again.
        ``policy``: the one it goes under from now on; ``None``: as before.
        """
        with self._db.writing() as db:
            rows = db.execute(
                "UPDATE instance SET stage = ?, attempts = 0, hold_code = NULL,"
                " hold_detail = NULL, held_at = NULL, hold_destination = NULL,"
                " policy = coalesce(?, policy) WHERE orthanc_id = ? AND stage = ? RETURNING study",
                (Stage.RECEIVED, policy, instance, Stage.HELD),
            ).fetchall()
            if rows:
                _capture_gone(db, instance)
            db.execute(
                "UPDATE receipt SET attempts = 0, due_at = ?, last_code = NULL"
                " WHERE instance = ? AND verified_at IS NULL",
                (now, instance),
            )
            for row in rows:
                _send_back(db, row["study"], Outcome.RELEASE, due_at=now, now=now)
        return bool(rows)

    def discard(self, instance: str, now: float) -> bool:
        """Gives a held instance up for good; whether it was held. Its bytes stay until purge."""
        with self._db.writing() as db:
            rows = db.execute(
                "UPDATE instance SET stage = ?, hold_code = NULL, hold_detail = NULL,"
                " held_at = NULL, hold_destination = NULL WHERE orthanc_id = ? AND stage = ?"
                " RETURNING study",
                (Stage.DISCARDED, instance, Stage.HELD),
            ).fetchall()
        for row in rows:
            self.settle(row["study"], now)
        return bool(rows)

    def make_again(self, instance: str, now: float) -> None:
        """The stored copy is gone: makes it once more, with the same bytes, and sends it then."""
        with self._db.writing() as db:
            _capture_gone(db, instance)
            rows = db.execute(
                "UPDATE instance SET stage = ? WHERE orthanc_id = ? AND stage = ? RETURNING study",
                (Stage.RECEIVED, instance, Stage.ANONYMIZED),
            ).fetchall()
            for row in rows:
                _send_back(db, row["study"], Outcome.RELEASE, due_at=now, now=now)

    def held(self) -> list[tuple[Study, Instance]]:
        """Every held instance with its study, the longest held first."""
        rows = self._db.rows(
            "SELECT * FROM instance WHERE hold_code IS NOT NULL ORDER BY held_at, rowid"
        )
        studies = {study.orthanc_id: study for study in self.studies()} if rows else {}
        return [(studies[row["study"]], records.instance(row)) for row in rows]

    # --- receipts -----------------------------------------------------------------------------

    def to_send(self, destination: str, now: float, limit: int) -> list[Receipt]:
        """Receipts whose instance is due to be sent: study by study, captures first.

        Images FOR PROCESSING come last: nobody reads them.
        """
        return self._receipts(
            "r.destination = ? AND r.sent_at IS NULL AND r.due_at <= ?",
            (destination, now),
            limit,
        )

    def to_verify(self, destination: str, now: float, limit: int) -> list[Receipt]:
        """Receipts whose instance was sent and is not verified, or may have been sent."""
        return self._receipts(
            "r.destination = ? AND r.sent_at IS NOT NULL AND r.due_at <= ?",
            (destination, now),
            limit,
        )

    def receipts(self, study: str) -> list[Receipt]:
        """Every receipt of a study, whatever has become of it."""
        return self._select_receipts("i.study = ?", (study,), -1)

    def _receipts(self, where: str, values: tuple[Any, ...], limit: int) -> list[Receipt]:
        return self._select_receipts(
            f"{where} AND r.verified_at IS NULL AND (i.stage = ?"
            " OR i.hold_destination IS NOT NULL AND i.hold_destination <> r.destination)",
            (*values, Stage.ANONYMIZED),
            limit,
        )

    def _select_receipts(self, where: str, values: tuple[Any, ...], limit: int) -> list[Receipt]:
        rows = self._db.rows(
            "SELECT i.*, r.destination, r.attempts AS r_attempts, r.due_at, r.last_code,"  # noqa: S608
            " r.begun_at, r.sent_at, r.verified_at, r.verified_by, r.breaks, s.alias"
            " FROM receipt r JOIN instance i ON i.orthanc_id = r.instance"
            " JOIN study s ON s.orthanc_id = i.study"
            f" WHERE {where}"
            " ORDER BY s.received_at, i.study, i.sop_class IN (SELECT value FROM json_each(?)),"
            " i.role, i.series_uid, i.instance_number LIMIT ?",
            (*values, json.dumps(FOR_PROCESSING), limit),
        )
        return [records.receipt(row) for row in rows]

    def begin_sending(self, receipt: Receipt, now: float) -> None:
        """Before the first byte: from now on the destination may hold the instance."""
        self._update_receipt(receipt, "begun_at = ?", (now,))

    def sent(self, receipt: Receipt, now: float) -> None:
        """The destination says that it stored the instance. Not yet delivery."""
        self._update_receipt(
            receipt, "sent_at = ?, due_at = ?, breaks = 0, last_code = NULL", (now, now)
        )

    def verified(self, receipt: Receipt, by: VerifiedBy, now: float) -> None:
        """The destination holds the instance: read back, not believed."""
        self._update_receipt(
            receipt,
            "verified_at = ?, verified_by = ?, sent_at = coalesce(sent_at, ?), last_code = NULL",
            (now, by, now),
        )

    def put_off(self, receipt: Receipt, code: Code, due_at: float, *, counts: bool) -> None:
        """The instance is sent, or asked about, again at ``due_at``; ``counts``: this was a try."""
        self._update_receipt(
            receipt,
            "due_at = ?, last_code = ?, attempts = attempts + ?",
            (due_at, code, int(counts)),
        )

    def broke_off(self, receipt: Receipt, code: Code, due_at: float) -> None:
        """The link broke in the middle of the instance; it may have arrived all the same."""
        self._update_receipt(
            receipt, "due_at = ?, last_code = ?, breaks = breaks + 1", (due_at, code)
        )

    def send_again(self, receipt: Receipt, code: Code, due_at: float) -> None:
        """The destination lost the instance: one more try, from the first byte on."""
        self._update_receipt(
            receipt,
            "sent_at = NULL, begun_at = NULL, due_at = ?, last_code = ?, attempts = attempts + 1",
            (due_at, code),
        )

    def _update_receipt(self, receipt: Receipt, assignment: str, values: Sequence[Any]) -> None:
        with self._db.writing() as db:
            db.execute(
                f"UPDATE receipt SET {assignment} WHERE instance = ? AND destination = ?"  # noqa: S608
                " AND verified_at IS NULL",
                (*values, receipt.instance, receipt.destination),
            )

    # --- figures ------------------------------------------------------------------------------

    def count_studies(self) -> dict[State, int]:
        rows = self._db.rows("SELECT state, count(*) AS n FROM study GROUP BY state")
        return {State(row["state"]): row["n"] for row in rows}

    def count_held(self) -> dict[Code, int]:
        rows = self._db.rows(
            "SELECT hold_code, count(*) AS n FROM instance WHERE hold_code IS NOT NULL"
            " GROUP BY hold_code"
        )
        return {Code(row["hold_code"]): row["n"] for row in rows}

    def oldest_undelivered(self) -> dict[str, float]:
        """For each destination, when the oldest image that it does not verifiably hold arrived."""
        rows = self._db.rows(
            "SELECT r.destination, min(i.received_at) AS oldest FROM receipt r"
            " JOIN instance i ON i.orthanc_id = r.instance"
            " WHERE r.verified_at IS NULL AND i.stage = ? GROUP BY r.destination",
            (Stage.ANONYMIZED,),
        )
        return {row["destination"]: row["oldest"] for row in rows}


def _is_taken(db: sqlite3.Connection, instance: str, copy: Copy) -> bool:
    """Whether another patient's or study's image has one of its UIDs."""
    found = db.execute(
        "SELECT 1 FROM instance WHERE orthanc_id <> ? AND stage <> ? AND (sop_uid = ?"
        " OR study_uid = ? AND study <> (SELECT study FROM instance WHERE orthanc_id = ?))",
        (instance, Stage.DISCARDED, copy.sop_uid, copy.study_uid, instance),
    )
    return found.fetchone() is not None


def _is_new(db: sqlite3.Connection, instance: str) -> bool:
    found = db.execute(
        "SELECT 1 FROM instance WHERE orthanc_id = ? OR copy_id = ?", (instance, instance)
    )
    return found.fetchone() is None


def _grow(db: sqlite3.Connection, study: str, pin: Pin, now: float) -> None:
    db.execute(
        "INSERT OR IGNORE INTO study (orthanc_id, alias, state, generation, key_id, profile_id,"
        " received_at, changed_at) VALUES (?, ?, ?, 0, ?, ?, ?, ?)",
        (study, pin.alias, State.RECEIVED, pin.key_id, pin.profile_id, now, now),
    )
    _send_back(db, study, Outcome.GREW, due_at=None, now=now)


def _send_back(
    db: sqlite3.Connection, study: str, outcome: Outcome, *, due_at: float | None, now: float
) -> None:
    """Back to RECEIVED from wherever it is, as a new generation: steps in flight no longer count."""
    sources = [state for (state, o), target in TABLE.items() if o is outcome]
    row = db.execute("SELECT state FROM study WHERE orthanc_id = ?", (study,)).fetchone()
    if State(row["state"]) not in sources:
        message = f"{outcome} is not possible in {row['state']}"
        raise IllegalTransition(message)
    db.execute(
        "UPDATE study SET state = ?, generation = generation + 1, attempts = 0, due_at = ?,"
        " last_code = NULL, changed_at = ? WHERE orthanc_id = ?",
        (advance(State(row["state"]), outcome), due_at, now, study),
    )


def _finish(db: sqlite3.Connection, instance: str) -> None:
    db.execute(
        "UPDATE instance SET stage = ? WHERE orthanc_id = ? AND stage = ?",
        (Stage.ANONYMIZED, instance, Stage.RECEIVED),
    )


def _capture_gone(db: sqlite3.Connection, capture: str) -> None:
    """A capture is made again of its source, and of no other image."""
    db.execute(
        "UPDATE instance SET analysis = ? WHERE orthanc_id ="
        " (SELECT source FROM instance WHERE orthanc_id = ?)",
        (CAPTURE_GONE, capture),
    )
