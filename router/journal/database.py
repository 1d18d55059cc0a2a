"""The journal's file: opened durably, migrated, locked, its errors given codes."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from router.journal.schema import MIGRATIONS, NEWEST
from router.records.errors import Code, JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_BUSY_S = 10.0


class Database:
    """One connection, shared by the threads of a process; each transaction is one of them at once.

    WAL with synchronous=FULL: a committed transaction survives a power cut (measured; NORMAL
    loses the last seconds).
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        with _coded(path):
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            _migrate(self._connection, path)
        self._path = path

    def close(self) -> None:
        """Closes the file, after the transaction that is open."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; rolled back by any exception. Raises JournalError."""
        with self._lock, _coded(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Rows that a query finds. Raises JournalError."""
        with self._lock, _coded(self._path):
            return self._connection.execute(sql, values).fetchall()


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keeps a second router off the same journal. Raises JournalError (JOURNAL_LOCKED)."""
    try:
        file = path.with_name(path.name + ".lock").open("a")
    except OSError as error:
        raise JournalError(
            Code.JOURNAL_READ_ONLY, f"The folder of {path} cannot be written ({error.strerror})."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise JournalError(
                Code.JOURNAL_LOCKED, f"Another router works with {path}. Only one may."
            ) from None
        yield


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > NEWEST:
        raise JournalError(
            Code.JOURNAL_NEWER,
            f"{path} has version {version}; this router knows versions up to {NEWEST}. "
            "Start the newer router again: a journal is never taken back.",
        )
    if 0 < version < NEWEST:
        backup = path.with_name(f"{path.name}.v{version}.bak")
        with sqlite3.connect(backup) as target:
            connection.backup(target)
    for number in range(version, NEWEST):
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
        )
    # A journal that can be read and not written must not be found out by the first image.
    connection.execute(f"PRAGMA user_version = {NEWEST}")


@contextmanager
def _coded(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
            raise JournalError(
                Code.JOURNAL_READ_ONLY,
                f"{path} cannot be written. Give its folder to the router's user.",
            ) from None
        raise JournalError(Code.JOURNAL_UNUSABLE, f"{path}: {name or 'unknown error'}.") from None
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise JournalError(Code.JOURNAL_UNUSABLE, f"{path} is damaged ({name}).") from None
