"""A body of multipart/related (RFC 2387), read as it comes, in one way only.

What it means is put into an envelope of the entrance's own for the archive: two readings of one
boundary could find different parts.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_HEAD = 1024
#: RFC 2046, 5.1.1; a quoted boundary may hold more, and no client here needs it.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}")
_PARAMETER = re.compile(r';\s*([A-Za-z-]+)=(?:"([^"\\]*)"|([^\s";]+))\s*')
_DICOM = re.compile(rb"application/dicom\s*(;[ -~]*)?", re.IGNORECASE)


class BadBodyError(ValueError):
    """The body is not what its Content-Type says. Answered with 400."""


class Edge(Enum):
    """Between pieces of a part: it begins, it ends."""

    BEGIN = auto()
    END = auto()


def boundary_of(content_type: str) -> str:
    """The boundary in a request's Content-Type of STOW-RS (PS3.18, 10.5.1).

    Raises BadBodyError where it is something else than DICOM files in multipart/related.
    """
    kind, _, _ = content_type.partition(";")
    parameters: dict[str, str] = {}
    at = len(kind)
    while found := _PARAMETER.match(content_type, at):
        name = found[1].lower()
        if name in parameters:
            raise BadBodyError
        parameters[name] = found[2] if found[2] is not None else found[3]
        at = found.end()
    if kind.strip().lower() != "multipart/related" or at != len(content_type):
        raise BadBodyError
    boundary = parameters.get("boundary", "")
    if parameters.get("type", "").lower() != "application/dicom" or not _BOUNDARY.fullmatch(
        boundary
    ):
        raise BadBodyError
    return boundary


class Parts:
    """Takes a body piece by piece, and gives its parts piece by piece."""

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode()
        #: The first delimiter need not have a line before it.
        self._kept = b"\r\n"
        self._state = self._before
        self._done = False

    def feed(self, piece: bytes) -> Iterator[bytes | Edge]:
        """What the piece brings. Raises BadBodyError."""
        self._kept = self._kept + piece if self._kept else piece
        while (given := self._state()) is not None:
            if given != b"":
                yield given

    def close(self) -> None:
        """The body ends here. Raises BadBodyError."""
        if not self._done:
            raise BadBodyError

    def _before(self) -> bytes | Edge | None:
        """Nothing but empty lines stands before the first part."""
        if len(self._kept) < len(self._delimiter):
            return None
        if self._kept.startswith(b"\r\n\r\n"):
            self._kept = self._kept[2:]
            return b""
        if not self._kept.startswith(self._delimiter):
            raise BadBodyError
        self._kept = self._kept[len(self._delimiter) :]
        self._state = self._between
        return b""

    def _between(self) -> bytes | Edge | None:
        """Behind a delimiter: another part, or the end."""
        if len(self._kept) < 2:  # noqa: PLR2004  (two hyphens, or the line's end)
            return None
        mark, self._kept = self._kept[:2], self._kept[2:]
        if mark == b"--":
            self._done = True
            self._state = self._after
        elif mark == b"\r\n":
            # A head without a line ends at once.
            self._kept = b"\r\n" + self._kept
            self._state = self._head
        else:
            raise BadBodyError
        return b""

    def _head(self) -> bytes | Edge | None:
        end = self._kept.find(b"\r\n\r\n")
        if end < 0 or end > _LONGEST_HEAD:
            if len(self._kept) > _LONGEST_HEAD:
                raise BadBodyError
            return None
        _check_head(self._kept[2 : end + 2])
        self._kept = self._kept[end + 4 :]
        self._state = self._body
        return Edge.BEGIN

    def _body(self) -> bytes | Edge | None:
        if not self._kept:
            return None
        at = self._kept.find(self._delimiter)
        if at == 0:
            self._kept = self._kept[len(self._delimiter) :]
            self._state = self._between
            return Edge.END
        if at < 0:
            at = self._safe()
            if at == 0:
                return None
        # Mostly all of it: then nothing is copied.
        given, self._kept = self._kept[:at], self._kept[at:]
        return given

    def _safe(self) -> int:
        """Up to where what is kept holds no beginning of a delimiter."""
        at = max(0, len(self._kept) - len(self._delimiter) + 1)
        while (at := self._kept.find(b"\r", at)) >= 0:
            if self._delimiter.startswith(self._kept[at:]):
                return at
            at += 1
        return len(self._kept)

    def _after(self) -> bytes | Edge | None:
        """What follows the last part is nothing, or a line's end."""
        if self._kept.strip(b"\r\n"):
            raise BadBodyError
        self._kept = b""
        return None


def _check_head(lines: bytes) -> None:
    """One Content-Type, of a DICOM file; other lines say nothing that is needed."""
    found = []
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if line and not (colon and re.fullmatch(rb"[A-Za-z-]+", name)):
            raise BadBodyError
        if name.lower() == b"content-type":
            found.append(value.strip())
        if name.lower() in {b"content-transfer-encoding", b"content-encoding"}:
            raise BadBodyError
    if len(found) != 1 or not _DICOM.fullmatch(found[0]):
        raise BadBodyError
