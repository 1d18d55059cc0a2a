"""A bounded reading of a DICOM file while it passes: whether it is sound, and whose study it is.

An archive's parser works through what it is sent on small stacks and without bounds: 50 nested
sequences end Orthanc 1.13 at its HTTP threads, a million empty items fill its memory.
"""

from __future__ import annotations

import re
import struct

from entrance.elements import (
    CLASS,
    SOP,
    STUDY,
    SYNTAX,
    WANTED,
    Fault,
    RefusedFileError,
    Walk,
    unsound,
)

#: One file. Above the largest tomosynthesis; the archive's own bound.
LARGEST_BYTES = 1024 * 1024 * 1024

_PREAMBLE = 128
_START = _PREAMBLE + 4
#: (0002,0000) File Meta Information Group Length, UL, four bytes (PS3.10, 7.1).
_META_START = b"\x02\x00\x00\x00UL\x04\x00"
_META_HEADER = len(_META_START) + 4
_LONGEST_META = 64 * 1024
_META_GROUP = 2

_IMPLICIT = "1.2.840.10008.1.2"
#: Explicit VR Little Endian, also around compressed frames (PS3.5, A.4). Deflated is not among
#: them: the size of such a file says nothing about the size of what is in it.
_EXPLICIT = re.compile(r"1\.2\.840\.10008\.1\.2\.(1|4\.[0-9]{1,3}|5)")


class Reading:
    """One file, fed piece by piece."""

    def __init__(self) -> None:
        self._position = 0
        self._kept = b""
        self._meta: Walk | None = None
        self._meta_end = _START
        self._data_set: Walk | None = None

    @property
    def sop_class(self) -> str | None:
        return self._uids.get(CLASS)

    @property
    def sop_uid(self) -> str | None:
        return self._uids.get(SOP)

    @property
    def study_uid(self) -> str | None:
        return self._uids.get(STUDY)

    @property
    def is_known(self) -> bool:
        """Whether all that decides where the file belongs has been read."""
        return self._uids.keys() >= WANTED

    @property
    def _uids(self) -> dict[int, str]:
        return self._data_set.uids if self._data_set else {}

    def feed(self, piece: bytes) -> None:
        """Reads on. Raises RefusedFileError."""
        if self._position + len(self._kept) + len(piece) > LARGEST_BYTES:
            raise unsound("the file is too large")
        data = self._kept + piece if self._kept else piece
        at = 0
        while True:
            walk = self._data_set or self._meta
            if walk is not None and walk.skip:
                used = min(walk.skip, len(data) - at)
                walk.skip -= used
            else:
                used = self._step(data, at)
            if not used:
                break
            at += used
            self._position += used
        self._kept = data[at:]

    def close(self) -> None:
        """The file ends here. Raises RefusedFileError."""
        if self._data_set is None or self._kept:
            raise unsound("the file breaks off")
        self._data_set.leave(self._position)
        if not self._data_set.is_whole:
            raise unsound("the file breaks off")
        if not self.is_known:
            raise unsound("a UID is missing")

    def _step(self, data: bytes, at: int) -> int:
        if self._data_set is not None:
            return self._data_set.step(data, at, self._position)
        if self._meta is None:
            return self._begin(data, at)
        if self._position == self._meta_end:
            self._data_set = self._opened(self._meta)
            return self._data_set.step(data, at, self._position)
        if len(data) - at >= 2 and struct.unpack_from("<H", data, at)[0] != _META_GROUP:  # noqa: PLR2004
            raise unsound("the file meta information has another length")
        return self._meta.step(data, at, self._position)

    def _begin(self, data: bytes, at: int) -> int:
        """The preamble, and how long the file meta information is."""
        if len(data) - at < _START + _META_HEADER:
            return 0
        at += _PREAMBLE
        if data[at : at + 4] != b"DICM":
            raise unsound("no DICOM file")
        at += 4
        if data[at : at + len(_META_START)] != _META_START:
            raise unsound("the file meta information has no length")
        (length,) = struct.unpack_from("<L", data, at + len(_META_START))
        if length > _LONGEST_META:
            raise unsound("the file meta information is too long")
        self._meta_end = _START + _META_HEADER + length
        self._meta = Walk(
            explicit=True, first_group=_META_GROUP, end=self._meta_end, last=_META_GROUP << 16
        )
        return _START + _META_HEADER

    def _opened(self, meta: Walk) -> Walk:
        """The data set begins."""
        if not meta.is_whole:
            raise unsound("the file meta information has another length")
        syntax = meta.uids.get(SYNTAX, "")
        if syntax != _IMPLICIT and not _EXPLICIT.fullmatch(syntax):
            raise RefusedFileError(Fault.SYNTAX, "its transfer syntax is not taken")
        return Walk(explicit=syntax != _IMPLICIT)
