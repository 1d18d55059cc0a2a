"""What the entrance remembers: which truck a study is of, and who has signed in. SQLite."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: A session ends so long after its last request, and after so long in any case.
IDLE_S, LONGEST_S = 30 * 60.0, 12 * 3600.0
#: A request of a session is noted at most so often.
_NOTED_S = 60.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS studies (
  study_uid TEXT PRIMARY KEY,
  truck TEXT NOT NULL,
  first_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS studies_of_truck ON studies (truck, first_at);
CREATE TABLE IF NOT EXISTS sessions (
  token_digest TEXT PRIMARY KEY,
  reader TEXT NOT NULL,
  begun_at REAL NOT NULL,
  seen_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""


class State:
    """One file. Thread-safe."""

    def __init__(self, path: Path, adopting: str = "") -> None:
        """``adopting``: the truck that stored what is in the archive and is nobody's."""
        self.adopting = adopting
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        # Whose a study is must be known after a power cut, too.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA cache_size = -2048")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def owner(self, study_uid: str) -> str | None:
        """The truck that stored a study first; None: nobody did."""
        rows = self._rows("SELECT truck FROM studies WHERE study_uid = ?", study_uid)
        return str(rows[0][0]) if rows else None

    def is_of(self, study_uid: str, truck: str) -> bool:
        """Whether a truck may ask for a study."""
        return (self.owner(study_uid) or self.adopting) == truck

    def claim(self, study_uid: str, truck: str, now: float) -> bool:
        """Whether the study is this truck's, which it becomes where it was nobody's."""
        owner = self.owner(study_uid)
        if owner is None:
            self._rows("INSERT OR IGNORE INTO studies VALUES (?, ?, ?)", study_uid, truck, now)
            owner = self.owner(study_uid)
        return owner == truck

    def newest(self, truck: str, most: int) -> list[str]:
        """The studies that a truck stored last."""
        rows = self._rows(
            "SELECT study_uid FROM studies WHERE truck = ? ORDER BY first_at DESC LIMIT ?",
            truck, most,
        )  # fmt: skip
        return [str(row[0]) for row in rows]

    def sign_in(self, reader: str, now: float) -> str:
        """A new session's token; only its digest is kept."""
        token = secrets.token_urlsafe(32)
        self._rows("DELETE FROM sessions WHERE seen_at < ? OR begun_at < ?",
                   now - IDLE_S, now - LONGEST_S)  # fmt: skip
        self._rows("INSERT INTO sessions VALUES (?, ?, ?, ?)", _digest(token), reader, now, now)
        return token

    def signed_in(self, token: str, now: float) -> str | None:
        """The reader whose session it is; None: nobody's, or it has ended."""
        rows = self._rows(
            "SELECT reader, begun_at, seen_at FROM sessions WHERE token_digest = ?", _digest(token)
        )
        if not rows:
            return None
        reader, begun_at, seen_at = str(rows[0][0]), float(rows[0][1]), float(rows[0][2])
        # A clock that was set back ends sessions that seem to come from the future.
        if not (0 <= now - seen_at <= IDLE_S and 0 <= now - begun_at <= LONGEST_S):
            self.sign_out(token)
            return None
        if now - seen_at > _NOTED_S:
            self._rows(
                "UPDATE sessions SET seen_at = ? WHERE token_digest = ?", now, _digest(token)
            )
        return reader

    def sign_out(self, token: str) -> None:
        self._rows("DELETE FROM sessions WHERE token_digest = ?", _digest(token))

    def _rows(self, statement: str, *values: str | float) -> list[tuple[str | float, ...]]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
