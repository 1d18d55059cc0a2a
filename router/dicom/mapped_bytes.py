"""Passing over long bytes once, piece by piece, without leaving them in the memory behind.

A large file is mapped. Each page that was looked at counts as the process's own until it is let
go; half a gigabyte that was hashed once would fill the truck's memory for nothing.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: As long as a piece is, it is worth the call that hashes or sends it, and lies in a core's cache.
PIECE_BYTES = 1 << 20
#: To let go takes a system call that goes through the whole map.
_LET_GO_BYTES = 8 << 20


class PageReleaser:
    """Lets go of what lies behind, for who goes through a view in steps of his own."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._behind = 0

    def passed(self, size: int) -> None:
        """So many bytes more are done with."""
        self._behind += size
        if self._behind >= _LET_GO_BYTES:
            release_pages(self._view)
            self._behind = 0


def pieces(view: memoryview, size: int = PIECE_BYTES) -> Iterator[memoryview]:
    """The bytes of ``view`` in order, in pieces of ``size``; a mapped file does not stay behind.

    What is let go is read from the file again if somebody asks for it.
    """
    releaser = PageReleaser(view)
    for start in range(0, len(view), size):
        piece = view[start : start + size]
        yield piece
        releaser.passed(len(piece))
    release_pages(view)


def release_pages(view: memoryview) -> None:
    """Of a mapped file nothing stays in memory; other bytes stay as they are."""
    if isinstance(view.obj, mmap.mmap):
        view.obj.madvise(mmap.MADV_DONTNEED)
