"""What failed is put aside for a while, so that one item never keeps the others. In memory."""

from __future__ import annotations

from router.records import backoff

#: What is remembered; beyond it the oldest is forgotten, and simply tried again.
_MOST = 10_000


class SetAside:
    """The items of one loop that failed. One thread uses it; times are of a clock that only rises.

    Nothing in here has to survive: after a restart each is tried once more.
    """

    def __init__(self) -> None:
        self._items: dict[str, tuple[int, float]] = {}

    def put(self, item: str, now: float) -> int:
        """Passes over an item that failed for 2 s, then 4, at most 10 minutes; how often it has failed."""
        failures = self._items.pop(item, (0, 0.0))[0] + 1
        if len(self._items) >= _MOST:
            del self._items[next(iter(self._items))]
        self._items[item] = failures, now + backoff.delay_s(failures, 1.0)
        return failures

    def forget(self, item: str) -> None:
        """Forgets an item that was done, or given up."""
        self._items.pop(item, None)

    def passed_over(self, now: float) -> list[str]:
        """The items that are not to be tried yet."""
        return [item for item, (_, until) in self._items.items() if until > now]

    def __len__(self) -> int:
        return len(self._items)
