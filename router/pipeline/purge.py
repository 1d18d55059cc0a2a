"""Space on the truck: what is verified everywhere leaves it when room is needed, the oldest first.

Receipts stay, for audit and for late images. Images are refused at the door only when all that is
left is not delivered yet, and before the disk is so full that copies find no room: then nothing
could be delivered any more, and so nothing removed.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.pipeline.one_item import one_item
from router.records.errors import (
    EdgeRouterError,
    OrthancDenied,
    OrthancUnreachable,
    ResourceMissing,
)
from router.records.set_aside import SetAside

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.journal import Journal
    from router.journal.purges import Purgeable
    from router.observe.metrics import Metrics
    from router.pipeline.stored_content import StoredContent
    from router.truck.orthanc import TruckOrthanc

_BATCH = 50
#: The door stays shut for so many looks, if the router dies.
_SHUT_LOOKS = 4
#: What the forecast is made of.
_FORECAST_S = 6 * 3600.0
_SAMPLE_S = 60.0
_REASON = "verified at every destination, and its space is needed"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watermarks:
    """Shares of the capacity, in percent. ``capacity_mib`` 0: what Orthanc or its disk says."""

    high: float
    low: float
    refuse: float
    capacity_mib: int
    look_s: float


class Forecast:
    """When the truck is full, if it goes on like this: the slope of what cannot be removed."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def add(self, now: float, stuck: float) -> None:
        """``stuck``: bytes that may not be removed; ``now``: seconds of a clock that only rises."""
        if self._samples and now - self._samples[-1][0] < _SAMPLE_S:
            return
        self._samples.append((now, stuck))
        while now - self._samples[0][0] > _FORECAST_S:
            self._samples.popleft()

    def seconds_to(self, limit: float) -> float:
        """Until ``limit`` bytes; infinite where it does not rise."""
        if len(self._samples) < 2:  # noqa: PLR2004  (a line needs two points)
            return math.inf
        times = [time for time, _ in self._samples]
        levels = [stuck for _, stuck in self._samples]
        middle, level = sum(times) / len(times), sum(levels) / len(levels)
        spread = sum((time - middle) ** 2 for time in times)
        rising = sum((t - middle) * (s - level) for t, s in self._samples)
        if spread <= 0 or rising <= 0:
            return math.inf
        return max(0.0, limit - levels[-1]) / (rising / spread)


class Purger:
    """Looks at the truck's disk from time to time. One thread uses it."""

    def __init__(
        self,
        orthanc: TruckOrthanc,
        journal: Journal,
        metrics: Metrics,
        marks: Watermarks,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        stopping: Callable[[], bool],
        contents: StoredContent,
    ) -> None:
        """``contents``: tells what an image is, so that it is known again when it is gone."""
        self._orthanc = orthanc
        self._journal = journal
        self._metrics = metrics
        self._marks = marks
        self._now = now
        self._monotonic = monotonic
        self._stopping = stopping
        self._contents = contents
        self._forecast = Forecast()
        self._refusing = False
        self._aside = SetAside()

    def work(self) -> float:
        """Removes what has to go; the seconds until the next look. Raises as ``look``."""
        self.look()
        return self._marks.look_s

    def look(self) -> int:
        """Removes what has to go; how many instances that were. Raises OrthancError, JournalError."""
        space = self._orthanc.space(self._marks.capacity_mib)
        removable = self._journal.purges.purgeable_bytes()
        self._forecast.add(self._monotonic(), space.used - removable)
        refuse_at = space.total * self._marks.refuse / 100
        self._metrics.disk_full_seconds.set(self._forecast.seconds_to(refuse_at))
        self._metrics.disk_used_ratio.set(space.used / max(space.total, 1))
        gone = 0
        used = float(space.used)
        if used > space.total * self._marks.high / 100:
            gone, freed = self._purge(used - space.total * self._marks.low / 100)
            used -= freed
        self._guard(full=used > refuse_at)
        return gone

    def _purge(self, bytes_needed: float) -> tuple[int, float]:
        gone, freed = 0, 0.0
        while freed < bytes_needed and not self._stopping():
            passed_over = self._aside.passed_over(self._monotonic())
            candidates = self._journal.purges.candidates(_BATCH, passed_over)
            if not candidates:
                break
            removed: list[Purgeable] = []
            for candidate in candidates:
                if not self._try_remove(candidate):
                    continue
                removed.append(candidate)
                freed += candidate.size
                if freed >= bytes_needed or self._stopping():
                    break
            self._journal.purges.purged(removed, self._now())
            gone += len(removed)
        if gone:
            self._metrics.purged.inc(gone)
            _log.info(
                "verified images left the truck, for space",
                extra={"action": "purge", "count": gone},
            )
        return gone, freed

    def _try_remove(self, candidate: Purgeable) -> bool:
        """Whether its files are gone. Raises what is of all of them: Orthanc does not answer."""
        try:
            with one_item("purge"):
                self._remove(candidate)
        except EdgeRouterError as error:
            of_all = (OrthancUnreachable, OrthancDenied)
            if isinstance(error, of_all) and not self._orthanc.answers():
                raise
            failures = self._aside.put(candidate.instance, self._monotonic())
            _log.warning(
                "an image cannot be removed (%s)",
                type(error).__name__,
                extra={
                    "action": "purge",
                    "code": error.code,
                    "attempt": failures,
                },
            )
            return False
        self._aside.forget(candidate.instance)
        return True

    def _remove(self, candidate: Purgeable) -> None:
        """First the files, then the word for it: a router that dies in between removes them again."""
        if candidate.unnoted:
            self._note_content(candidate.instance)
        for file in candidate.files:
            try:
                self._orthanc.delete(file, _REASON)
            except ResourceMissing:
                continue

    def _note_content(self, instance: str) -> None:
        try:
            with self._orthanc.file(instance) as body:
                content = self._contents.of_stored(instance, body)
        except ResourceMissing:
            return
        if content is not None:
            self._journal.purges.note_content(instance, content)

    def _guard(self, *, full: bool) -> None:
        """Shuts the door while there is room for nothing but the copies of what is there."""
        if full:
            self._orthanc.close_door(self._marks.look_s * _SHUT_LOOKS)
        elif self._refusing:
            self._orthanc.close_door(0.0)
        if full is not self._refusing:
            if full:
                _log.error(
                    "the truck is full of images that are not delivered: it takes no more",
                    extra={"action": "space", "code": "TRUCK_FULL"},
                )
            else:
                _log.warning("the truck takes images again", extra={"action": "space"})
        self._refusing = full
        self._metrics.ingest_refused.set(full)
