"""Files in Orthanc's storage that its index does not know: a power cut can leave them. No Orthanc here.

A file of the storage area is named by a UUID, two levels deep; the index lists the UUIDs.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAGIC_AT = 128


def find(storage: Path, index: Path) -> list[Path]:
    """DICOM files that the index does not know.

    To be asked before Orthanc has opened its index: it then locks everyone else out, and what it
    stores from there on is no orphan, whatever the clock says. Of an index that is not there yet
    all files are orphans. Raises sqlite3.Error where the index is not SQLite's or cannot be read.
    """
    known = _known(index) if index.exists() else frozenset()
    return [
        path
        for path in storage.glob("??/??/*")
        if _UUID.fullmatch(path.name) and path.name not in known and _is_dicom(path)
    ]


def _known(index: Path) -> frozenset[str]:
    with closing(sqlite3.connect(f"{index.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return frozenset(row[0] for row in connection.execute("SELECT uuid FROM AttachedFiles"))


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_MAGIC_AT)
        return file.read(4) == b"DICM"
