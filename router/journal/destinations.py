"""The destinations of the settings: new ones get receipts, those that are gone are given up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from router.journal import receipts, studies
from router.records.errors import Code
from router.records.instance import Stage
from router.records.study import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.journal.database import Database
    from router.journal.instances import Instances
    from router.journal.moves_by_people import Decisions
    from router.journal.studies import Studies


class Destinations:
    """Which destinations the studies on their way go to, by the settings of this start."""

    def __init__(
        self, database: Database, moved: Studies, held: Instances, decisions: Decisions
    ) -> None:
        self._db = database
        self._studies = moved
        self._instances = held
        self._decisions = decisions

    def adopt(self, destinations: Sequence[str], now: float) -> int:
        """Opens receipts, at start, at destinations that are new, and gives up those that are gone.

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
                studies.open_receipts(db, row["orthanc_id"], destinations, now)
        for name in self._stranded(destinations):
            detail = "no destination of its rule is left"
            self._instances.hold(name, Code.NO_DESTINATION, detail, now)
        for name in self._reachable_again(destinations):
            self._decisions.release(name, now)
        for row in sent:
            self._studies.settle(row["orthanc_id"], now)
        return gone

    def _stranded(self, destinations: Sequence[str]) -> list[str]:
        """Instances that would go, and have no receipt: none of their destinations is left."""
        rows = self._db.rows(
            "SELECT i.orthanc_id FROM instance i CROSS JOIN route r ON r.instance = i.orthanc_id"
            " WHERE i.stage = ? AND i.study IN"
            "   (SELECT orthanc_id FROM study WHERE state IN ('RECEIVED', 'ANONYMIZED', 'ANALYSED'))"
            " AND NOT EXISTS (SELECT 1 FROM receipt c WHERE c.instance = i.orthanc_id)"
            " AND r.destinations IS NOT NULL AND NOT EXISTS"
            "   (SELECT 1 FROM json_each(r.destinations)"
            "   WHERE value IN (SELECT value FROM json_each(?)))",
            (Stage.ANONYMIZED, json.dumps(list(destinations))),
        )
        return [row["orthanc_id"] for row in rows]

    def _reachable_again(self, destinations: Sequence[str]) -> list[str]:
        """Instances that were held for want of a destination, and have one again."""
        rows = self._db.rows(
            "SELECT i.orthanc_id FROM instance i JOIN route r ON r.instance = i.orthanc_id"
            " WHERE i.hold_code = ? AND EXISTS (SELECT 1 FROM json_each(r.destinations)"
            "   WHERE value IN (SELECT value FROM json_each(?)))",
            (Code.NO_DESTINATION, json.dumps(list(destinations))),
        )
        return [row["orthanc_id"] for row in rows]
