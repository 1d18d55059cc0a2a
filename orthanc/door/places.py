"""Places for callers: bounded in all and for each address, so that none can take those of others."""

from __future__ import annotations

from collections import Counter
from typing import Generic, Protocol, TypeVar


class Taker(Protocol):
    """Who takes a place."""

    @property
    def address(self) -> str:
        """Where it calls from."""
        ...


T = TypeVar("T", bound=Taker)


class Places(Generic[T]):
    """Who is there, the longest first."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most = most
        self._most_each = most_each
        self._takers: dict[T, None] = {}
        self._of_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._takers)

    def __contains__(self, taker: T) -> bool:
        return taker in self._takers

    def all(self) -> list[T]:
        """Everyone, the longest there first."""
        return list(self._takers)

    def crowd(self, address: str) -> list[T]:
        """Of whom one has to go before an address gets a place, the longest there first.

        Empty: there is a place.
        """
        if self._of_address[address] >= self._most_each:
            return [one for one in self._takers if one.address == address]
        return self.all() if len(self._takers) >= self._most else []

    def take(self, taker: T) -> None:
        """It has a place from now on."""
        self._takers[taker] = None
        self._of_address[taker.address] += 1

    def leave(self, taker: T) -> None:
        """Its place is free; nothing happens where it has none."""
        if taker in self._takers:
            del self._takers[taker]
            self._of_address[taker.address] -= 1
            if not self._of_address[taker.address]:
                del self._of_address[taker.address]
