"""What both kinds of link tell of the bytes that they carried."""

from __future__ import annotations

import math
import time

#: More than a probe or the head of a request: the first byte of an image is among them.
BODY_BYTES = 4096


class Traffic:
    """Bytes up and down, the first cut, and how soon a body went again after each."""

    def __init__(self) -> None:
        self.up_bytes = 0
        self.down_bytes = 0
        #: Seconds from each restoring until the link carried a body again.
        self.recoveries: list[float] = []
        #: When it was first cut, monotonic; infinite: never.
        self.first_cut_at = math.inf
        self.up_bytes_at_first_cut = 0
        self._restored_at: float | None = None
        self._carried_since = 0

    def _has_been_cut(self) -> None:
        if self.first_cut_at == math.inf:
            self.first_cut_at, self.up_bytes_at_first_cut = time.monotonic(), self.up_bytes
        self._restored_at = None

    def _has_been_restored(self) -> None:
        self._restored_at, self._carried_since = time.monotonic(), 0

    def _has_carried(self, size: int, *, up: bool) -> None:
        if not up:
            self.down_bytes += size
            return
        self.up_bytes += size
        self._carried_since += size
        if self._restored_at is not None and self._carried_since > BODY_BYTES:
            self.recoveries.append(time.monotonic() - self._restored_at)
            self._restored_at = None
