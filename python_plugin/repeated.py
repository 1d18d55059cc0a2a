"""Another file under a SOP Instance UID that came before: Orthanc drops it, and answers Success.

Only the router can tell whether it is the same image in another encoding. So it is kept here until
the router has looked at it. Pure but for the folder; no Orthanc here.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: A router that is gone for long must not fill the disk.
_LARGEST = 1 << 30
#: UIDs of earlier images are forgotten; a file that comes again so late is told, and not kept.
_KEPT_S = 90 * 86_400
_BUSY_S = 5.0


class Repeated:
    """The first digest of each UID, and files that had another one. Thread-safe.

    Each method but ``forget`` raises OSError or sqlite3.Error, of a full disk for instance.
    """

    def __init__(self, folder: Path, largest: int = _LARGEST) -> None:
        self._folder = folder
        self._largest = largest
        self._lock = threading.Lock()
        self._table: sqlite3.Connection | None = None

    def note(self, uid: str, digest: str, file: bytes, now: float) -> bool:
        """Whether the UID came before with another digest: then the file is kept."""
        name = hashlib.sha256(uid.encode()).digest()[:16]
        with self._lock:
            try:
                first = self._first(name, digest, now)
            except sqlite3.DatabaseError:
                self._start_over()
                raise
            if first == digest:
                return False
            self._keep(digest, file)
        return True

    def _first(self, name: bytes, digest: str, now: float) -> str:
        table = self._opened(now)
        table.execute("INSERT OR IGNORE INTO first VALUES (?, ?, ?)", (name, digest, int(now)))
        (first,) = table.execute("SELECT digest FROM first WHERE uid = ?", (name,)).fetchone()
        return str(first)

    def _start_over(self) -> None:
        """A power cut can spoil the table: the next image begins a new one."""
        self.close()
        for path in self._folder.glob("first.db*"):
            path.unlink()

    def file(self, digest: str) -> bytes | None:
        """The file that has this digest; ``None``: there is none (any more)."""
        path = self._folder / digest
        return path.read_bytes() if path.exists() else None

    def forget(self, digest: str) -> None:
        """The router has looked at it."""
        (self._folder / digest).unlink(missing_ok=True)

    def _opened(self, now: float) -> sqlite3.Connection:
        if self._table is None:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            table = sqlite3.connect(
                self._folder / "first.db", timeout=_BUSY_S, isolation_level=None,
                check_same_thread=False,
            )  # fmt: skip
            # Every image waits for it. What a power cut takes is told as before: that other bytes came.
            table.execute("PRAGMA journal_mode = WAL")
            table.execute("PRAGMA synchronous = OFF")
            table.execute(
                "CREATE TABLE IF NOT EXISTS first (uid BLOB PRIMARY KEY, digest TEXT NOT NULL,"
                " seen_at INTEGER NOT NULL) WITHOUT ROWID"
            )
            table.execute("DELETE FROM first WHERE seen_at < ?", (int(now) - _KEPT_S,))
            self._table = table
        return self._table

    def _keep(self, digest: str, file: bytes) -> None:
        kept = sum(path.stat().st_size for path in self._folder.glob("?" * len(digest)))
        if kept + len(file) <= self._largest:
            path = self._folder / digest
            part = path.with_suffix(".part")
            part.write_bytes(file)
            part.replace(path)

    def close(self) -> None:
        """The next image opens it again."""
        if self._table is not None:
            with closing(self._table):
                self._table = None
