"""What the scanner sent, by its digest: Orthanc keeps the first file of a SOP Instance UID and
answers Success for the second, without a word about it. Pure but for the one file; no Orthanc here.
"""

from __future__ import annotations

import hashlib
import re
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PREAMBLE_BYTES = 128
#: (0002,0003), Media Storage SOP Instance UID.
_SOP_INSTANCE_UID = (0x0002, 0x0003)
_LONG_VRS = frozenset({b"OB", b"OW", b"SQ", b"UN", b"UT"})
#: What is no word of ASCII could not be read back from its line.
_WORD = re.compile(r"[!-~]+")
#: A router that is gone for long must not fill the disk with lines.
_LARGEST = 16 * 1024 * 1024


def line_of(file: bytes) -> str | None:
    """``SOP Instance UID, SHA-256 of the data set without group 0002``; None: no such file."""
    start = _PREAMBLE_BYTES + 4
    if file[_PREAMBLE_BYTES:start] != b"DICM":
        return None
    uid, offset = "", start
    # Group 0002 is always Explicit VR Little Endian (PS3.10, 7.1).
    while offset + 8 <= len(file):
        group, element = struct.unpack_from("<HH", file, offset)
        if group != _SOP_INSTANCE_UID[0]:
            break
        if file[offset + 4 : offset + 6] in _LONG_VRS:
            head, (length,) = 12, struct.unpack_from("<L", file, offset + 8)
        else:
            head, (length,) = 8, struct.unpack_from("<H", file, offset + 6)
        if (group, element) == _SOP_INSTANCE_UID:
            uid = (
                file[offset + head : offset + head + length]
                .rstrip(b"\0 ")
                .decode("ascii", "replace")
            )
        offset += head + length
    if not _WORD.fullmatch(uid):
        return None
    return f"{uid} {hashlib.sha256(memoryview(file)[offset:]).hexdigest()}\n"


class Received:
    """Lines that the router has not fetched yet, in a file. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def note(self, line: str) -> None:
        """Appends a line, flushed to disk."""
        with self._lock, self._path.open("a", encoding="ascii") as file:
            if file.tell() < _LARGEST:
                file.write(line)

    def lines(self) -> str:
        """All that was noted and not yet fetched."""
        with self._lock:
            return self._path.read_text(encoding="ascii") if self._path.exists() else ""

    def forget(self, length: int) -> None:
        """The router has written down the first so many characters."""
        with self._lock:
            if self._path.exists():
                left = self._path.read_text(encoding="ascii")[length:]
                self._path.write_text(left, encoding="ascii")
