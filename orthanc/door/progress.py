"""Whether an association moves, so that one that stalls gives its place to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from door import pdus
from door.figures import Reason

if TYPE_CHECKING:
    from door.settings import Limits


class Progress:
    """Whether an association moves: times are seconds of a clock that only rises."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._stream = pdus.Stream()
        self._moved_at = now
        self._window_at = now
        self._window_bytes = 0
        self._owed = True  #: an answer, by Orthanc
        self.answered = False  #: whether the request was
        self.held = False  #: because Orthanc takes nothing more for now

    def came(self, data: bytes, now: float) -> None:
        """From the caller. Raises Malformed."""
        if not self._stream.busy:
            self.restart(now)
        self._stream.feed(data)
        self._window_bytes += len(data)
        self._moved_at = now
        self._owed = not self._stream.busy

    def went(self, now: float) -> None:
        """To the caller."""
        self.answered = True
        self._moved_at = now
        self._owed = False

    def restart(self, now: float) -> None:
        """The time in which a message must get on begins now."""
        self._window_at, self._window_bytes = now, 0

    def rests(self, now: float) -> float:
        """How long it has been between two messages, with nothing to wait for; 0: it is not."""
        return 0.0 if self._stream.busy or self._owed or self.held else now - self._moved_at

    def fault(self, now: float) -> Reason | None:
        """Why it is to be ended; None: it moves as it should."""
        limits = self._limits
        if self._stream.busy and not self.held:
            if now - self._window_at < limits.progress_s:
                return None
            if self._window_bytes < limits.progress_bytes:
                return Reason.STALLED
            self.restart(now)
            return None
        waits = self._owed or self.held
        if now - self._moved_at > (limits.answer_s if waits else limits.idle_s):
            return Reason.NO_ANSWER if waits else Reason.IDLE
        return None
