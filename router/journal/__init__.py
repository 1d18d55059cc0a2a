"""The journal: what the router knows, durably. The only importer of sqlite3.

Results of single instances commit on their own, so that no crash costs work already done; only a
study's move is compare-and-swap on (state, generation), so that an image that arrives in the
middle of a step is never lost. ``now`` is always an argument: UTC, seconds since 1970.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.journal import corrections, holds, purges, quality, receipts, records
from router.journal.callers import Callers
from router.journal.copies import Copies
from router.journal.corrections import Corrections
from router.journal.database import Database, lock
from router.journal.holds import Held
from router.journal.identities import Identities, IdentityTable
from router.journal.keys import Keys
from router.journal.links import Links
from router.journal.profiles import Profiles
from router.journal.purges import Purges
from router.journal.quality import Quality
from router.journal.receipts import Receipts, open_for
from router.journal.routes import Routes
from router.journal.sightings import Sightings
from router.journal.standing import StandingDecisions
from router.journal.trials import Trials
from router.records import backoff
from router.records.errors import Code, IllegalTransition
from router.records.instance import CAPTURE_GONE, Arrival, Instance, Role, Stage
from router.records.study import TABLE, Outcome, State, Study, advance, rest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from router.records.receipt import Receipt

__all__ = ["Cursor", "Held", "Identities", "Journal", "Pin", "lock"]

#: A local step is due in these states; in ANALYSED the receipts are.
_WORKED_ON = (State.RECEIVED, State.ANONYMIZED)
#: A study is at rest in these, and something of it may be held.
_RESTS_WITH_HELD = (State.DELIVERED, State.HELD)


#: Holds that say that a file is broken or hostile; those for privacy say nothing of its sender.
_JUNK = (Code.UNREADABLE, Code.NESTING_TOO_DEEP, Code.HEADER_TOO_LARGE, Code.INSTANCE_CRASHES)
#: A sender is thought of so long, and its studies wait at most so long behind others.
_JUNK_S = 600.0
_BEHIND_S = 60.0


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
        self.outbox = Receipts(self._db)
        self.copies = Copies(self._db)
        self.trials = Trials(self._db)
        self.purges = Purges(self._db)
        self.sightings = Sightings(self._db)
        self.routes = Routes(self._db)
        self.quality = Quality(self._db)
        self.profiles = Profiles(self._db)
        self.people = IdentityTable(self._db)
        self.keys = Keys(self._db)
        self.standing = StandingDecisions(self._db)
        self.corrections = Corrections(self._db)
        self.links = Links(self._db)
        self.callers = Callers(self._db)

    def close(self) -> None:
        self._db.close()

    # --- intake -------------------------------------------------------------------------------

    def cursor(self) -> Cursor | None:
        rows = self._db.rows("SELECT database, sequence FROM cursor")
        return Cursor(rows[0]["database"], rows[0]["sequence"]) if rows else None

    def unknown(self, ids: Iterable[str]) -> list[str]:
        """Those of Orthanc's instance ids that are neither an original nor a copy of ours."""
        rows = self._db.rows(
            "SELECT value FROM json_each(?) WHERE"
            " NOT EXISTS (SELECT 1 FROM instance WHERE orthanc_id = value)"
            " AND NOT EXISTS (SELECT 1 FROM instance WHERE copy_id = value)",
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

    def studies(self, most: int = -1) -> list[Study]:
        """Studies, the newest first; ``most``: so many of those at rest with nothing held.

        What is on its way or held is always among them.
        """
        rows = self._db.rows(
            "SELECT * FROM study WHERE orthanc_id IN"
            " (SELECT orthanc_id FROM (SELECT orthanc_id FROM study ORDER BY received_at DESC"
            "   LIMIT ?)"
            "  UNION ALL SELECT orthanc_id FROM study WHERE state IN (?, ?, ?)"
            "  UNION ALL SELECT study FROM instance WHERE hold_code IS NOT NULL"
            "  UNION ALL SELECT study FROM receipt WHERE hold_code IS NOT NULL)"
            " ORDER BY received_at DESC, orthanc_id",
            (most, State.RECEIVED, State.ANONYMIZED, State.ANALYSED),
        )
        return [records.study(row) for row in rows]

    def due_study(self, now: float) -> Study | None:
        """The study whose local step is due the longest.

        One that failed before counts as due a minute later, and so does one of a sender that
        lately sent what no parser can read: a flood of junk waits behind what is sound.
        """
        rows = self._db.rows(
            "SELECT s.* FROM study s WHERE state IN (?, ?) AND due_at <= ?"
            # A study's priority is known when its first image was read.
            " ORDER BY max(priority, 0) DESC, due_at + iif(s.attempts > 0"
            " OR EXISTS (SELECT 1 FROM instance i WHERE i.study = s.orthanc_id"
            " AND i.origin IN (SELECT value FROM json_each(?))), ?, 0), received_at LIMIT 1",
            (*_WORKED_ON, now, json.dumps(self._senders_of_junk(now)), _BEHIND_S),
        )
        return records.study(rows[0]) if rows else None

    def _senders_of_junk(self, now: float) -> list[str]:
        rows = self._db.rows(
            "SELECT DISTINCT origin FROM instance WHERE held_at > ?"
            " AND hold_code IN (SELECT value FROM json_each(?))",
            (now - _JUNK_S, json.dumps(_JUNK)),
        )
        return [row["origin"] for row in rows]

    def find_study(self, name: str) -> Study | None:
        """By Orthanc's id, or by the alias of logs and status."""
        rows = self._db.rows(
            "SELECT * FROM study WHERE orthanc_id = ? OR alias = ? LIMIT 1", (name, name)
        )
        return records.study(rows[0]) if rows else None

    def arrived(self) -> tuple[Study, list[Instance]] | None:
        """A study that the scanner still sends of, with its images that nobody has tried yet."""
        rows = self._db.rows(
            "SELECT s.* FROM study s WHERE s.state = ? AND s.due_at IS NULL AND EXISTS"
            " (SELECT 1 FROM instance i WHERE i.study = s.orthanc_id AND i.stage = ?"
            " AND i.attempts = 0 AND i.crashes = 0) ORDER BY s.received_at LIMIT 1",
            (State.RECEIVED, Stage.RECEIVED),
        )
        if not rows:
            return None
        fresh = self._db.rows(
            "SELECT * FROM instance WHERE study = ? AND stage = ? AND role = ? AND attempts = 0"
            " AND crashes = 0 ORDER BY received_at, rowid",
            (rows[0]["orthanc_id"], Stage.RECEIVED, Role.SOURCE),
        )
        return records.study(rows[0]), [records.instance(row) for row in fresh]

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
                open_for(db, study.orthanc_id, destinations, now)
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
        """Moves a study whose last receipt is verified, held or discarded; what it moved by."""
        study = self.study(orthanc_id)
        if study is None or study.state not in {State.ANALYSED, State.HELD}:
            return None
        (count,) = self._db.rows(
            "SELECT"
            " count(*) FILTER (WHERE i.stage = 'RECEIVED' AND i.role = 'SOURCE'"
            "   OR i.stage = 'ANONYMIZED' AND"
            "   coalesce(r.state, 'WAITING') IN ('WAITING', 'UNCERTAIN', 'SENT')) AS open,"
            " count(*) FILTER (WHERE i.stage = 'ANONYMIZED' AND r.state = 'VERIFIED') AS delivered,"
            " count(*) FILTER (WHERE i.stage = 'HELD'"
            "   OR i.stage = 'ANONYMIZED' AND r.state = 'HELD') AS held"
            " FROM instance i LEFT JOIN receipt r ON r.instance = i.orthanc_id"
            " WHERE i.study = ?",
            (orthanc_id,),
        )
        if count["open"]:
            return None
        if count["held"] and study.state is State.HELD:
            return None
        outcome = rest(sendable=bool(count["delivered"]), held=bool(count["held"]))
        return outcome if self.move(study, outcome, now) else None

    def adopt_destinations(self, destinations: Sequence[str], now: float) -> int:
        """At start: opens receipts at destinations that are new, and gives up those that are gone.

        Only for studies that are on their way; what was DELIVERED stays so. What has no destination
        left is held; it goes on when one is there again. What a destination that is gone held up
        waits for a person still. Returns how many open receipts were given up.
        """
        with self._db.writing() as db:
            gone = receipts.give_up(db, destinations)
            sent = db.execute(
                "SELECT orthanc_id, state FROM study WHERE state IN (?, ?)",
                (State.ANONYMIZED, State.ANALYSED),
            ).fetchall()
            for row in sent:
                open_for(db, row["orthanc_id"], destinations, now)
        for instance in self.routes.stranded(destinations):
            self.hold(instance, Code.NO_DESTINATION, "no destination of its rule is left", now)
        for instance in self.routes.reachable_again(destinations):
            self.release(instance, now)
        for row in sent:
            self.settle(row["orthanc_id"], now)
        return gone

    def open_receipts(self, study: str, destinations: Sequence[str], now: float) -> None:
        """Lets the copies that a study has by now travel, while the scanner still sends of it."""
        with self._db.writing() as db:
            open_for(db, study, destinations, now)

    def cap_due_times(self, now: float, longest_s: float = backoff.LONGEST_S) -> None:
        """What is due later than the longest wait was put off by a wrong clock: it is due now.

        ``longest_s``: 0.0 where the clock was seen to step: nothing that was written down counts.
        An image that a destination refused keeps its hour all the same, from now on.
        """
        latest = now + longest_s
        with self._db.writing() as db:
            # Only what is wrong is written: this runs every minute over years of studies.
            for state in _WORKED_ON:
                db.execute(
                    "UPDATE study SET due_at = ? WHERE state = ? AND due_at > ?",
                    (now, state, latest),
                )
            receipts.cap_due_times(db, now, longest_s)

    # --- instances ----------------------------------------------------------------------------

    def instances(self, study: str) -> list[Instance]:
        rows = self._db.rows(
            "SELECT * FROM instance WHERE study = ? ORDER BY received_at, rowid", (study,)
        )
        return [records.instance(row) for row in rows]

    def may_have_been_sent(self, instance: str) -> bool:
        """Whether a try to send the instance was ever begun."""
        rows = self._db.rows(
            "SELECT 1 FROM receipt WHERE instance = ? AND begun_at IS NOT NULL LIMIT 1",
            (instance,),
        )
        return bool(rows)

    def decide_analysis(self, decisions: Mapping[str, str]) -> None:
        """Writes once, for each instance, that a capture was made of it or why not."""
        with self._db.writing() as db:
            db.executemany(
                "UPDATE instance SET analysis = ? WHERE orthanc_id = ?"
                " AND (analysis IS NULL OR analysis = ?)",
                [(decision, instance, CAPTURE_GONE) for instance, decision in decisions.items()],
            )

    def hold(self, instance: str, code: Code, detail: str, now: float) -> None:
        """Keeps an instance on the truck, away from every destination, until a person decides.

        What a single destination does not take is held by ``outbox.hold``.
        """
        with self._db.writing() as db:
            db.execute(
                "UPDATE instance SET stage = ?, hold_code = ?, hold_detail = ?, held_at = ?"
                " WHERE orthanc_id = ? AND stage IN (?, ?)",
                (
                    Stage.HELD,
                    code,
                    detail,
                    now,
                    instance,
                    Stage.RECEIVED,
                    Stage.ANONYMIZED,
                ),
            )

    def release(self, instance: str, now: float, policy: str | None = None) -> bool:
        """Sends a held instance back to the start; whether it was held.

        ``policy``: the one it goes under from now on; ``None``: as before. What single destinations
        hold up of it stays held there.
        """
        with self._db.writing() as db:
            rows = db.execute(
                "UPDATE instance SET stage = ?, attempts = 0, crashes = 0, hold_code = NULL,"
                " hold_detail = NULL, held_at = NULL, policy = coalesce(?, policy)"
                " WHERE orthanc_id = ? AND stage = ? RETURNING study",
                (Stage.RECEIVED, policy, instance, Stage.HELD),
            ).fetchall()
            if rows:
                _capture_gone(db, instance)
            receipts.start_over(db, instance, now)
            for row in rows:
                _send_back(db, row["study"], Outcome.RELEASE, due_at=now, now=now)
        return bool(rows)

    def release_at(self, instance: str, destination: str, now: float) -> bool:
        """Lets what a destination held up be sent there again; whether it was held there.

        A study that was at rest goes its way again; its copies are there, and are not made anew.
        """
        with self._db.writing() as db:
            released = receipts.release(db, instance, destination, now)
            if released:
                row = db.execute(
                    "SELECT s.orthanc_id, s.state FROM instance i"
                    " JOIN study s ON s.orthanc_id = i.study WHERE i.orthanc_id = ?",
                    (instance,),
                ).fetchone()
                if State(row["state"]) in _RESTS_WITH_HELD:
                    _send_back(db, row["orthanc_id"], Outcome.RELEASE, due_at=now, now=now)
        return released

    def discard(self, instance: str, now: float, *, for_another: bool = False) -> bool:
        """Gives a held instance up for good; whether it was held. Its bytes stay until purge.

        ``for_another``: they are to go at once, where no destination may hold it, for the scanner
        may send another one in its place.
        """
        with self._db.writing() as db:
            rows = db.execute(
                "UPDATE instance SET stage = ?, hold_code = NULL, hold_detail = NULL,"
                " held_at = NULL WHERE orthanc_id = ? AND stage = ? RETURNING study",
                (Stage.DISCARDED, instance, Stage.HELD),
            ).fetchall()
            if rows and for_another:
                purges.ask_removal(db, instance)
        for row in rows:
            self.settle(row["study"], now)
        return bool(rows)

    def apply_standing(self, now: float) -> list[str]:
        """Discards what is held and was decided about for good with its kind; the instances."""
        found = self.standing.decided()
        for name in found:
            self.standing.settled(name, now)
            self.discard(name, now)
        return found

    def discard_at(self, instance: str, destination: str, now: float) -> bool:
        """Gives up what a destination held up, there alone; whether it was held there."""
        with self._db.writing() as db:
            discarded = receipts.discard(db, instance, destination)
        if discarded:
            (row,) = self._db.rows("SELECT study FROM instance WHERE orthanc_id = ?", (instance,))
            self.settle(row["study"], now)
        return discarded

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

    def take_back(self, instance: str, now: float) -> None:
        """Another image has come in the place of one that was discarded: it is a new one."""
        with self._db.writing() as db:
            quality.forget(db, instance)
            purges.take_back(db, instance, now)
            row = db.execute(
                "SELECT study FROM instance WHERE orthanc_id = ?", (instance,)
            ).fetchone()
            _send_back(db, row["study"], Outcome.GREW, due_at=None, now=now)

    def replace(self, study: str, replaces: str, title: str, now: float) -> bool:
        """Lets a corrected study take another's place; whether a note has to reject that first."""
        with self._db.writing() as db:
            needed = corrections.decide(db, study, replaces, title, now)
            _send_back(db, study, Outcome.RELEASE, due_at=now, now=now)
            if needed:
                _send_back(db, replaces, Outcome.GREW, due_at=now, now=now)
        self.settle(replaces, now)
        return needed

    def held(self) -> list[Held]:
        """Every hold of an instance and of a receipt, the longest held first."""
        return holds.held(self._db)

    # --- receipts -----------------------------------------------------------------------------

    def receipts(self, study: str) -> list[Receipt]:
        """Every receipt of a study, whatever has become of it."""
        return self.outbox.of_study(study)

    # --- figures ------------------------------------------------------------------------------

    def count_studies(self) -> dict[State, int]:
        rows = self._db.rows("SELECT state, count(*) AS n FROM study GROUP BY state")
        return {State(row["state"]): row["n"] for row in rows}

    def count_held(self) -> dict[Code, int]:
        """How many instances are held, anywhere, by the code they are held for."""
        return holds.count_held(self._db)


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


def _capture_gone(db: sqlite3.Connection, capture: str) -> None:
    """A capture is made again of its source, and of no other image."""
    db.execute(
        "UPDATE instance SET analysis = ? WHERE orthanc_id ="
        " (SELECT source FROM instance WHERE orthanc_id = ?)",
        (CAPTURE_GONE, capture),
    )
