"""Which machines a truck has, and the names that the fleet knows them by.

A name is a kind and a number, in the order in which they were first seen: MG-1, MG-2. What tells
machines apart (station, serial number) is kept as a digest and never leaves the truck.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from router.imaging.quality import Device

if TYPE_CHECKING:
    import sqlite3

    from router.imaging.quality import Acquisition
    from router.journal.database import Database

#: Names of a kind. A header that says something else each time makes no more than these.
MOST_OF_A_KIND = 4
#: What a machine is called whose objects say nothing of what it is.
NO_KIND = "OTHER"
#: Whose images are of none of them: one more for all others together.
_OTHER = "other"
#: A machine that made no image for so long has left the truck: longer than the fleet's QC looks
#: back, so that its name can be another's.
_FORGOTTEN_S = 60 * 86_400.0


def note(
    db: sqlite3.Connection, acquisition: Acquisition, now: float, *, is_image: bool = True
) -> str:
    """Counts an object of a machine, within a transaction; the machine's name.

    ``is_image``: it has pixels. A report comes of a machine that it says nothing of: it names none.
    """
    if not is_image:
        known = _known(db, acquisition)
        return f"{acquisition.machine_kind}-{_OTHER}" if known is None else str(known["name"])
    name = _name(db, acquisition, now)
    build = json.dumps(acquisition.build)
    machine = (
        f"{_OTHER} {acquisition.machine_kind}" if name.endswith(_OTHER) else acquisition.machine
    )
    db.execute(
        "INSERT INTO device VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT (name) DO UPDATE SET"
        " images = iif(machine = excluded.machine, images + 1, 1), machine = excluded.machine,"
        " build = excluded.build, seen_at = excluded.seen_at",
        (name, acquisition.machine_kind, machine, build, now),
    )
    db.execute(
        "INSERT INTO device_view VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET"
        " images = images + 1, seen_at = excluded.seen_at",
        (name, acquisition.modality, acquisition.view, now),
    )
    return name


def _name(db: sqlite3.Connection, acquisition: Acquisition, now: float) -> str:
    kind = acquisition.machine_kind
    known = _known(db, acquisition)
    if known is not None:
        if known["kind"] != NO_KIND or kind == NO_KIND:
            return str(known["name"])
        # It was named after a saved screen or, before, after a report: its images say what it is.
        db.execute("DELETE FROM device WHERE name = ?", (known["name"],))
        db.execute("DELETE FROM device_view WHERE device = ?", (known["name"],))
    borne = {
        row["name"]
        for row in db.execute(
            "SELECT name FROM device WHERE kind = ? AND seen_at > ?", (kind, now - _FORGOTTEN_S)
        )
    }
    names = (f"{kind}-{number}" for number in range(1, MOST_OF_A_KIND + 1))
    return next((name for name in names if name not in borne), f"{kind}-{_OTHER}")


def _known(db: sqlite3.Connection, acquisition: Acquisition) -> sqlite3.Row | None:
    found: sqlite3.Row | None = db.execute(
        "SELECT name, kind FROM device WHERE machine = ?", (acquisition.machine,)
    ).fetchone()
    return found


class Devices:
    """The journal's table of machines."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def seen_since(self, moment: float) -> list[Device]:
        """The machines that have made images since, the most used first."""
        rows = self._db.rows(
            "SELECT * FROM device WHERE seen_at > ? ORDER BY images DESC, name", (moment,)
        )
        found = []
        for row in rows:
            manufacturer, model, software = json.loads(row["build"])
            found.append(
                Device(
                    row["name"], row["kind"], manufacturer, model, software, row["images"],
                    row["seen_at"],
                )
            )  # fmt: skip
        return found
