"""Files that a power cut left in the storage without a row in the index."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import orphans

if TYPE_CHECKING:
    from pathlib import Path

_DICOM = bytes(128) + b"DICM" + b"more"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "index"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE AttachedFiles (uuid TEXT)")
    return path


def _stored(storage: Path, content: bytes = _DICOM, name: str = "") -> Path:
    name = name or str(uuid.uuid4())
    path = storage / name[:2] / name[2:4] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _entered(index: Path, *files: Path) -> None:
    with closing(sqlite3.connect(index)) as connection, connection:
        connection.executemany("INSERT INTO AttachedFiles VALUES (?)", [(f.name,) for f in files])


def test_only_what_the_index_does_not_know_is_an_orphan(tmp_path: Path, index: Path) -> None:
    known, lost = _stored(tmp_path), _stored(tmp_path)
    _entered(index, known)
    assert orphans.find(tmp_path, index) == [lost]


def test_what_is_no_dicom_or_not_orthancs_is_left_alone(tmp_path: Path, index: Path) -> None:
    _stored(tmp_path, b"{}")
    _stored(tmp_path, name="edge-received.txt")
    assert orphans.find(tmp_path, index) == []


def test_what_stands_in_the_write_ahead_log_alone_is_known(tmp_path: Path, index: Path) -> None:
    known = _stored(tmp_path)
    killed = tmp_path / "killed"
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("INSERT INTO AttachedFiles VALUES (?)", (known.name,))
        connection.commit()
        # As a kill leaves them: nothing of the log has gone into the index.
        killed.mkdir()
        for name in ("index", "index-wal"):
            (killed / name).write_bytes((tmp_path / name).read_bytes())
    assert known.name.encode() not in (killed / "index").read_bytes()
    assert orphans.find(tmp_path, killed / "index") == []


def test_without_an_index_every_file_is_an_orphan(tmp_path: Path) -> None:
    lost = _stored(tmp_path)
    assert orphans.find(tmp_path, tmp_path / "index") == [lost]


def test_an_index_that_cannot_be_read_makes_no_orphans(tmp_path: Path, index: Path) -> None:
    _stored(tmp_path)
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError):
            orphans.find(tmp_path, index)
