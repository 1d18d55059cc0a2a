"""What was seen of the images: figures, flags, baselines, sums for metrics. Never leaves the truck
but as sums.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from router.imaging.quality import EXPORTED, Acquisition, Device, Flag, Raised, Shown, Total
from router.imaging.quality.baseline import WINDOW, Baseline
from router.journal import devices
from router.records.errors import Code
from router.records.instance import Role
from router.records.study import State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from router.journal.database import Database

#: Images that arrived longer ago are not looked at any more: their patients have left.
_LATEST_S = 24 * 3600.0
#: After a long standstill the newest come first: their patients may still be there.
_RECENT_S = 1800.0
#: A device that made no image for so long is gone from the truck.
_DEVICE_S = 7 * 86_400.0
#: What metrics show, so that a truck stays within its series: that many machines, that many views
#: of them, that many kinds of flags. All is counted; the rest is seen on the truck.
MOST_DEVICES = 5
MOST_VIEWS = 5
MOST_FLAGS = 16


@dataclass(frozen=True)
class Unseen:
    """An original that nobody has looked at."""

    instance: str
    study: str
    alias: str
    #: How often a step or the quality check died of it.
    crashes: int


class Quality:
    """The journal's tables of quality. They never touch the state of a study."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._devices = devices.Devices(db)

    def unseen(self, now: float, passed_over: Collection[str] = ()) -> Unseen | None:
        """The original that is to be looked at next, in order of arrival; what crashed something last.

        ``passed_over``: instances that are not to be tried yet.
        """
        rows = self._db.rows(
            "SELECT i.orthanc_id, i.study, s.alias, i.crashes FROM instance i"
            " JOIN study s ON s.orthanc_id = i.study"
            " WHERE i.role = ? AND i.received_at > ?"
            " AND NOT EXISTS (SELECT 1 FROM quality q WHERE q.instance = i.orthanc_id)"
            " AND i.orthanc_id NOT IN (SELECT value FROM json_each(?))"
            " ORDER BY i.crashes, i.received_at <= ?, i.received_at, i.rowid LIMIT 1",
            (Role.SOURCE, now - _LATEST_S, json.dumps(list(passed_over)), now - _RECENT_S),
        )
        return Unseen(*rows[0]) if rows else None

    def count_unseen(self, study: str) -> int:
        """Images of a study that nobody has looked at yet."""
        rows = self._db.rows(
            "SELECT count(*) FROM instance i WHERE i.study = ? AND i.role = ?"
            " AND NOT EXISTS (SELECT 1 FROM quality q WHERE q.instance = i.orthanc_id)",
            (study, Role.SOURCE),
        )
        return int(rows[0][0])

    def left_out(self, study: str) -> dict[str, str]:
        """Images of a study that no look could be taken at → why: nothing is known of them."""
        rows = self._db.rows(
            "SELECT instance, code FROM quality WHERE study = ? AND acquisition = ''"
            " AND code IS NOT NULL ORDER BY looked_at, rowid",
            (study,),
        )
        return {row["instance"]: row["code"] for row in rows}

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

    def arrived_since(self, moment: float, modalities: Iterable[str]) -> dict[str, list[Shown]]:
        """Studies that the scanner has finished with → their images of these modalities.

        Only what began to arrive since then is read, however many studies the journal has: every
        scrape asks this.
        """
        rows = self._db.rows(
            "SELECT q.study, q.instance, q.acquisition FROM study s"
            " JOIN quality q ON q.study = s.orthanc_id WHERE s.received_at >= ?"
            " AND (s.due_at IS NOT NULL OR s.state <> ?) AND q.acquisition <> ''"
            " AND q.modality IN (SELECT value FROM json_each(?))"
            " ORDER BY s.received_at, q.looked_at, q.rowid",
            (moment, State.RECEIVED, json.dumps(sorted(modalities))),
        )
        found: dict[str, list[Shown]] = {}
        for row in rows:
            shown = Shown(row["instance"], Acquisition(**json.loads(row["acquisition"])))
            found.setdefault(row["study"], []).append(shown)
        return found

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
        """Enters what was seen of an image, once: flags and sums with it, or nothing."""
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
            _enter_flags(db, unseen, raised)
            device = devices.note(db, acquisition, now, is_image=code is not Code.NO_PIXELS)
            db.executemany(
                "INSERT INTO quality_flag_total VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE"
                " SET number = number + 1, raised_at = excluded.raised_at",
                [(device, acquisition.modality, one.flag, now) for one in raised],
            )
            if code is None:
                _add(db, device, acquisition, features)

    def enter_unreadable(
        self, unseen: Unseen, code: Code, now: float, raised: Sequence[Raised] = ()
    ) -> None:
        """Enters that an object's quality cannot be checked; it is not tried again."""
        with self._db.writing() as db:
            new = db.execute(
                "INSERT OR IGNORE INTO quality VALUES (?, ?, ?, ?, '', '', '', '', '{}')",
                (unseen.instance, unseen.study, now, code),
            ).rowcount
            if new:
                _enter_flags(db, unseen, raised)

    def expect(self, study: str, views: Sequence[str]) -> None:
        """Enters the views that are expected of this study instead of the protocol's."""
        with self._db.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO quality_expected VALUES (?, ?)",
                (study, json.dumps(list(views))),
            )

    def expected(self, study: str) -> list[str] | None:
        """The exception for a study; ``None``: the protocol's views are expected."""
        rows = self._db.rows("SELECT views FROM quality_expected WHERE study = ?", (study,))
        return list(json.loads(rows[0]["views"])) if rows else None

    def totals(self, now: float) -> list[Total]:
        """Sums over all images, of the views that metrics show.

        Of each machine of the last week its most frequent view, then each one's second, and so on.
        """
        rows = self._db.rows(
            "WITH ranked AS (SELECT *, row_number() OVER (PARTITION BY device"
            " ORDER BY images DESC, modality, view) AS place FROM device_view WHERE seen_at > ?)"
            " SELECT t.* FROM quality_total t JOIN (SELECT device, modality, view FROM ranked"
            " ORDER BY place, images DESC, device LIMIT ?) USING (device, modality, view)"
            " ORDER BY t.device, t.modality, t.view, t.feature",
            (now - _DEVICE_S, MOST_VIEWS),
        )
        return [Total(*row) for row in rows]

    def devices(self, now: float) -> list[Device]:
        """The machines of the last week that metrics show, the most used first."""
        return self._devices.seen_since(now - _DEVICE_S)[:MOST_DEVICES]

    def all_devices(self) -> list[Device]:
        """Every machine that the truck knows, the most used first."""
        return self._devices.seen_since(0.0)

    def count_flags(self) -> dict[tuple[str, str, str], int]:
        """(device, flag, modality) → how many images ever had it; what was raised last."""
        rows = self._db.rows(
            "SELECT * FROM quality_flag_total ORDER BY raised_at DESC, device, modality, flag"
            " LIMIT ?",
            (MOST_FLAGS,),
        )
        return {(row["device"], row["flag"], row["modality"]): row["number"] for row in rows}


def _enter_flags(db: sqlite3.Connection, unseen: Unseen, raised: Sequence[Raised]) -> None:
    db.executemany(
        "INSERT INTO quality_flag VALUES (?, ?, ?, ?)",
        [(unseen.instance, one.flag, one.value, one.limit) for one in raised],
    )


def _add(
    db: sqlite3.Connection, device: str, acquisition: Acquisition, features: Mapping[str, float]
) -> None:
    for name in EXPORTED:
        value = features.get(name)
        if value is None:
            continue
        db.execute(
            "INSERT INTO quality_total VALUES (?, ?, ?, ?, 1, ?, ?)"
            " ON CONFLICT DO UPDATE SET number = number + 1,"
            " total = total + excluded.total, squares = squares + excluded.squares",
            (device, acquisition.modality, acquisition.view, name, value, value * value),
        )


def forget(db: sqlite3.Connection, instance: str) -> None:
    """Deletes what was seen of an image: another one has come in its place."""
    db.execute("DELETE FROM quality_flag WHERE instance = ?", (instance,))
    db.execute("DELETE FROM quality WHERE instance = ?", (instance,))
