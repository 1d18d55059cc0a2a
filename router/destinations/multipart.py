"""The body of a STOW-RS request (PS3.18, 10.5.1): files as they lie in memory or are mapped."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from router.destinations.base import PIECE_BYTES, Outgoing
from router.dicom.mapped_bytes import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LINE_END = b"\r\n"


class Multipart:
    """DICOM files as multipart/related, streamed piece by piece with a known length."""

    def __init__(self, files: Sequence[Outgoing]) -> None:
        self._files = files
        # Fresh for each request, so that no file can hold it.
        boundary = uuid.uuid4().hex
        self.content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
        self._head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        between = (len(self._files) - 1) * len(_LINE_END)
        parts = sum(len(self._head) + len(file.view) for file in self._files)
        return parts + between + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        for number, file in enumerate(self._files):
            yield _LINE_END + self._head if number else self._head
            for piece in pieces(file.view, PIECE_BYTES):
                file.count(len(piece))
                yield bytes(piece)
        yield self._tail
