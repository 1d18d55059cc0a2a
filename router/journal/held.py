"""What waits for a person: instances that go nowhere, and what single destinations did not take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.journal import records
from router.records.errors import Code

if TYPE_CHECKING:
    import sqlite3

    from router.journal.database import Database
    from router.records.holds import HoldRecord
    from router.records.instance import Instance
    from router.records.study import Study


@dataclass(frozen=True)
class Held:
    """One decision that a person has to make."""

    study: Study
    instance: Instance
    hold: HoldRecord
    #: Where it cannot go on; ``None``: it goes nowhere.
    destination: str | None = None


class Holds:
    """The holds of instances and of receipts together."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> list[Held]:
        """Every hold of an instance and of a receipt, the longest held first."""
        instances = self._db.rows(
            "SELECT *, NULL AS destination FROM instance WHERE hold_code IS NOT NULL"
        )
        receipts = self._db.rows(
            "SELECT i.*, r.destination, r.hold_code AS r_hold_code, r.hold_detail AS r_hold_detail,"
            " r.held_at AS r_held_at FROM receipt r CROSS JOIN instance i"
            " ON i.orthanc_id = r.instance WHERE r.hold_code IS NOT NULL"
        )
        studies = {
            name: self._study(name) for name in {row["study"] for row in (*instances, *receipts)}
        }
        found = [_held(studies, row, "") for row in instances]
        found += [_held(studies, row, "r_") for row in receipts]
        return sorted(
            found, key=lambda one: (one.hold.since, one.instance.orthanc_id, one.destination or "")
        )

    def count(self) -> dict[Code, int]:
        """How many instances are held, anywhere, by the code they are held for."""
        rows = self._db.rows(
            "SELECT hold_code, count(DISTINCT instance) AS n FROM"
            " (SELECT hold_code, orthanc_id AS instance FROM instance WHERE hold_code IS NOT NULL"
            "  UNION ALL SELECT hold_code, instance FROM receipt WHERE hold_code IS NOT NULL)"
            " GROUP BY hold_code"
        )
        return {Code(row["hold_code"]): row["n"] for row in rows}

    def _study(self, name: str) -> Study:
        (row,) = self._db.rows("SELECT * FROM study WHERE orthanc_id = ?", (name,))
        return records.study(row)


def _held(studies: dict[str, Study], row: sqlite3.Row, prefix: str) -> Held:
    hold = records.hold(row, prefix)
    assert hold is not None  # noqa: S101  (it was asked for)
    return Held(studies[row["study"]], records.instance(row), hold, row["destination"])
