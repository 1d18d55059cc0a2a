"""What went wrong with an instance, and what something died of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.journal.database import Database


class Trials:
    """Each change is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def count_failure(self, instance: str) -> int:
        """One more failed try of this instance; how many that makes."""
        with self._db.writing() as db:
            rows = db.execute(
                "UPDATE instance SET attempts = attempts + 1 WHERE orthanc_id = ?"
                " RETURNING attempts",
                (instance,),
            ).fetchall()
        return int(rows[0]["attempts"])

    def begin(self, instance: str, now: float) -> None:
        """A step is at the instance: if the router dies of it, the next start sees that."""
        with self._db.writing() as db:
            db.execute("UPDATE instance SET step_at = ? WHERE orthanc_id = ?", (now, instance))

    def begin_look(self, instance: str, now: float) -> None:
        """The quality check is at the instance: a mark of its own, since a step may be, too."""
        with self._db.writing() as db:
            db.execute("UPDATE instance SET look_at = ? WHERE orthanc_id = ?", (now, instance))

    def end_look(self, instance: str) -> None:
        """The quality check of the instance has come to an end, whichever."""
        with self._db.writing() as db:
            db.execute("UPDATE instance SET look_at = NULL WHERE orthanc_id = ?", (instance,))

    def end(self, instance: str) -> None:
        """The step has come to an end, whichever."""
        with self._db.writing() as db:
            db.execute(
                "UPDATE instance SET step_at = NULL WHERE orthanc_id = ? AND step_at IS NOT NULL",
                (instance,),
            )

    def count_crash(self, instance: str) -> None:
        """Orthanc died in the step with this instance."""
        with self._db.writing() as db:
            db.execute(
                "UPDATE instance SET crashes = crashes + 1, step_at = NULL WHERE orthanc_id = ?",
                (instance,),
            )

    def count_crashes(self) -> int:
        """At start: the router died in a step with these instances; how many they are."""
        with self._db.writing() as db:
            return db.execute(
                "UPDATE instance SET crashes = crashes + 1, step_at = NULL, look_at = NULL"
                " WHERE step_at IS NOT NULL OR look_at IS NOT NULL"
            ).rowcount
