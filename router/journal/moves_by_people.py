"""What is decided about instances and moves their studies with them: release, discard, replace.

Each is a transaction over the tables of instances, receipts and studies, through their writers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.journal import corrections, instances, purges, receipts, studies
from router.records.study import Outcome, State

if TYPE_CHECKING:
    from router.journal.database import Database
    from router.journal.standing import StandingDecisions
    from router.journal.studies import Studies

#: A study is at rest in these, and something of it may be held.
_RESTS_WITH_HELD = (State.DELIVERED, State.HELD)


class Decisions:
    """Decisions of a person, and of the router where what an instance was held for has gone."""

    def __init__(self, database: Database, moved: Studies, standing: StandingDecisions) -> None:
        self._db = database
        self._studies = moved
        self._standing = standing

    def release(self, instance: str, now: float, policy: str | None = None) -> bool:
        """Sends a held instance back to the start; whether it was held.

        ``policy``: the one it goes under from now on; ``None``: as before. What single destinations
        hold up of it stays held there.
        """
        with self._db.writing() as db:
            released = instances.release(db, instance, policy)
            receipts.start_over(db, instance, now)
            if released:
                study = instances.study_of(db, instance)
                studies.send_back(db, study, Outcome.RELEASE, due_at=now, now=now)
        return released

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
                    studies.send_back(db, row["orthanc_id"], Outcome.RELEASE, due_at=now, now=now)
        return released

    def discard(self, instance: str, now: float, *, for_another: bool = False) -> bool:
        """Gives a held instance up for good; whether it was held. Its bytes stay until purge.

        ``for_another``: they are to go at once, where no destination may hold it, for the scanner
        may send another one in its place.
        """
        with self._db.writing() as db:
            discarded = instances.discard(db, instance)
            if discarded:
                study = instances.study_of(db, instance)
                if for_another:
                    purges.ask_removal(db, instance)
        if discarded:
            self._studies.settle(study, now)
        return discarded

    def discard_at(self, instance: str, destination: str, now: float) -> bool:
        """Gives up what a destination held up, there alone; whether it was held there."""
        with self._db.writing() as db:
            discarded = receipts.discard(db, instance, destination)
            study = instances.study_of(db, instance) if discarded else ""
        if discarded:
            self._studies.settle(study, now)
        return discarded

    def apply_standing(self, now: float) -> list[str]:
        """Discards what is held and was decided about for good with its kind; the instances."""
        found = self._standing.decided()
        for name in found:
            self._standing.settled(name, now)
            self.discard(name, now)
        return found

    def replace(self, study: str, replaces: str, title: str, now: float) -> bool:
        """Lets a corrected study take another's place; whether a note has to reject that first."""
        with self._db.writing() as db:
            needed = corrections.decide(db, study, replaces, title, now)
            studies.send_back(db, study, Outcome.RELEASE, due_at=now, now=now)
            if needed:
                studies.send_back(db, replaces, Outcome.GREW, due_at=now, now=now)
        self._studies.settle(replaces, now)
        return needed
