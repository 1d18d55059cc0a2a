"""Who called at the scanner's door, by AE title and address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.truck.callers import Caller

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.journal.database import Database

#: A caller that has not called for so long is forgotten.
_KEPT_S = 400 * 86_400.0
#: Of what is remembered, the latest: somebody may try names for months.
_MOST = 1000
_COLUMNS = "calling, called, address, first_at, last_at, accepted, refused, reason"


class Callers:
    """The only writer of the table ``caller``."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def note(self, callers: Iterable[Caller], now: float) -> None:
        """Enters what the door knows; what it has forgotten stays."""
        with self._db.writing() as db:
            db.executemany(
                f"INSERT INTO caller ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
                " ON CONFLICT (calling, address) DO UPDATE SET called = excluded.called,"
                " last_at = excluded.last_at, accepted = excluded.accepted,"
                " refused = excluded.refused, reason = excluded.reason",
                [
                    (c.calling, c.called, c.address, c.first_at, c.last_at, c.accepted, c.refused,
                     c.reason)
                    for c in callers
                ],
            )  # fmt: skip
            db.execute(
                "DELETE FROM caller WHERE last_at < ? OR (calling, address) NOT IN"
                " (SELECT calling, address FROM caller ORDER BY last_at DESC LIMIT ?)",
                (now - _KEPT_S, _MOST),
            )

    def all(self) -> list[Caller]:
        """Every caller that is remembered, the latest first."""
        rows = self._db.rows(f"SELECT {_COLUMNS} FROM caller ORDER BY last_at DESC")  # noqa: S608
        return [Caller(*row) for row in rows]

    def count_refused(self) -> int:
        """How many callers were refused at their last call."""
        rows = self._db.rows("SELECT count(*) FROM caller WHERE reason <> ''")
        return int(rows[0][0])
