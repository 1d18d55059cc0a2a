"""Files in Orthanc's storage that its index does not know: a power cut can leave them. No Orthanc here.

A file of the storage area is named by a UUID, two levels deep; the index lists the UUIDs.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAGIC_AT = 128


def find(storage: Path, index: Path, before: float) -> Iterator[Path]:
    """DICOM files that the index does not know, last written before ``before`` (seconds since 1970).

    What is written now is not in the index yet. Raises sqlite3.Error where the index is not
    SQLite's, or cannot be read.
    """
    files = [
        path
        for path in storage.glob("??/??/*")
        if _UUID.fullmatch(path.name) and path.stat().st_mtime < before
    ]
    with closing(sqlite3.connect(f"{index.as_uri()}?mode=ro", uri=True)) as connection:
        known = {row[0] for row in connection.execute("SELECT uuid FROM AttachedFiles")}
    for path in files:
        if path.name not in known and _is_dicom(path):
            yield path


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_MAGIC_AT)
        return file.read(4) == b"DICM"
