"""What was seen of the images: figures, flags, baselines, sums for metrics. Never leaves the truck
but as sums.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from router.qc import EXPORTED, Acquisition, Flag, Raised, Shown, Total
from router.qc.baseline import WINDOW, Baseline
from router.study import Role

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from router.errors import Code
    from router.journal.database import Database

#: Images that arrived longer ago are not looked at any more: their patients have left.
_LATEST_S = 24 * 3600.0
#: After a long standstill the newest come first: their patients may still be there.
_RECENT_S = 1800.0
#: A device that made no image for so long is gone from the truck.
_DEVICE_S = 7 * 86_400.0
#: More say more of what is wrong in the headers than of devices.
_MOST_DEVICES = 6


@dataclass(frozen=True)
class Unseen:
    """An original that nobody has looked at."""

    instance: str
    study: str
    alias: str


class Quality:
    """The journal's tables of quality. They never touch the state of a study."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def unseen(self, now: float) -> Unseen | None:
        """The original that is to be looked at next, in order of arrival."""
        rows = self._db.rows(
            "SELECT i.orthanc_id, i.study, s.alias FROM instance i"
            " JOIN study s ON s.orthanc_id = i.study"
            " WHERE i.role = ? AND i.received_at > ?"
            " AND NOT EXISTS (SELECT 1 FROM quality q WHERE q.instance = i.orthanc_id)"
            " ORDER BY i.received_at <= ?, i.received_at, i.rowid LIMIT 1",
            (Role.SOURCE, now - _LATEST_S, now - _RECENT_S),
        )
        return Unseen(*rows[0]) if rows else None

    def baseline(self, acquisition: Acquisition) -> Baseline:
        """What is usual for the device and view of an image, by its unflagged images."""
        rows = self._db.rows(
            "SELECT features FROM quality q WHERE device = ? AND modality = ? AND view = ?"
            " AND code IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM quality_flag f WHERE f.instance = q.instance)"
            " ORDER BY looked_at DESC LIMIT ?",
            (acquisition.device, acquisition.modality, acquisition.view, WINDOW),
        )
        return Baseline.of(json.loads(row["features"]) for row in rows)

    def shown(self, study: str) -> list[Shown]:
        """The images of a study that could be read, in the order in which they were looked at."""
        rows = self._db.rows(
            "SELECT instance, acquisition FROM quality WHERE study = ? AND acquisition <> ''"
            " ORDER BY looked_at, rowid",
            (study,),
        )
        return [
            Shown(row["instance"], Acquisition(**json.loads(row["acquisition"]))) for row in rows
        ]

    def flags(self, study: str) -> dict[str, list[Raised]]:
        """The flagged images of a study."""
        rows = self._db.rows(
            "SELECT f.* FROM quality_flag f JOIN quality q ON q.instance = f.instance"
            " WHERE q.study = ? ORDER BY q.looked_at, q.rowid, f.rowid",
            (study,),
        )
        found: dict[str, list[Raised]] = {}
        for row in rows:
            raised = Raised(Flag(row["flag"]), row["value"], row["bound"])
            found.setdefault(row["instance"], []).append(raised)
        return found

    def enter(
        self,
        unseen: Unseen,
        acquisition: Acquisition,
        features: Mapping[str, float],
        code: Code | None,
        raised: Sequence[Raised],
        now: float,
    ) -> None:
        """What was seen of an image, once: flags and sums with it, or nothing."""
        with self._db.writing() as db:
            new = db.execute(
                "INSERT OR IGNORE INTO quality VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    unseen.instance, unseen.study, now, code, acquisition.modality,
                    acquisition.view, acquisition.device, json.dumps(asdict(acquisition)),
                    json.dumps(dict(features)),
                ),
            ).rowcount  # fmt: skip
            if not new:
                return
            db.executemany(
                "INSERT INTO quality_flag VALUES (?, ?, ?, ?)",
                [(unseen.instance, one.flag, one.value, one.limit) for one in raised],
            )
            if code is None:
                _add(db, acquisition, features)

    def enter_unreadable(self, unseen: Unseen, code: Code, now: float) -> None:
        """An object that no look can be taken at; it is not tried again."""
        with self._db.writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO quality VALUES (?, ?, ?, ?, '', '', '', '', '{}')",
                (unseen.instance, unseen.study, now, code),
            )

    def expect(self, study: str, views: Sequence[str]) -> None:
        """For this patient: what is expected instead of the protocol's views."""
        with self._db.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO quality_expected VALUES (?, ?)",
                (study, json.dumps(list(views))),
            )

    def expected(self, study: str) -> list[str] | None:
        """The exception for a study; ``None``: the protocol's views are expected."""
        rows = self._db.rows("SELECT views FROM quality_expected WHERE study = ?", (study,))
        return list(json.loads(rows[0]["views"])) if rows else None

    def totals(self) -> list[Total]:
        rows = self._db.rows("SELECT * FROM quality_total ORDER BY modality, view, feature")
        return [Total(*row) for row in rows]

    def devices(self, now: float) -> list[tuple[str, str, str, str]]:
        """Modality and build of the devices of the last week, the most used first; a few."""
        rows = self._db.rows(
            "SELECT modality, json_extract(acquisition, '$.build') AS build, count(*) AS n"
            " FROM quality WHERE acquisition <> '' AND looked_at > ?"
            " GROUP BY 1, 2 HAVING build IS NOT NULL ORDER BY n DESC, 1, 2 LIMIT ?",
            (now - _DEVICE_S, _MOST_DEVICES),
        )
        return [(row["modality"], *json.loads(row["build"])) for row in rows]

    def count_flags(self) -> dict[tuple[str, str], int]:
        """(flag, modality) → how many images ever had it."""
        rows = self._db.rows(
            "SELECT f.flag, q.modality, count(*) AS n FROM quality_flag f"
            " JOIN quality q ON q.instance = f.instance GROUP BY f.flag, q.modality"
        )
        return {(row["flag"], row["modality"]): row["n"] for row in rows}


def _add(db: sqlite3.Connection, acquisition: Acquisition, features: Mapping[str, float]) -> None:
    for name in EXPORTED:
        value = features.get(name)
        if value is None:
            continue
        db.execute(
            "INSERT INTO quality_total VALUES (?, ?, ?, 1, ?, ?)"
            " ON CONFLICT (modality, view, feature) DO UPDATE SET number = number + 1,"
            " total = total + excluded.total, squares = squares + excluded.squares",
            (acquisition.modality, acquisition.view, name, value, value * value),
        )
