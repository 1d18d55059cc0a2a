"""A destination around another one: what caps, limits or stops it is written once, for every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.destinations import Destination
    from router.destinations.base import Outgoing, ReadBack, Stored
    from router.records.copies import Copy
    from router.records.errors import EdgeRouterError


class Wrapper:
    """Passes everything on; see ``router.destinations.Destination`` for the contract."""

    def __init__(self, inner: Destination) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def clock_offset_s(self) -> float | None:
        return self._inner.clock_offset_s

    @property
    def most_together(self) -> int:
        return self._inner.most_together

    def probe(self) -> None:
        self._inner.probe()

    def send(self, outgoing: Outgoing) -> Stored:
        return self._inner.send(outgoing)

    def send_together(self, outgoing: Sequence[Outgoing]) -> Mapping[str, Stored | EdgeRouterError]:
        return self._inner.send_together(outgoing)

    def verify(self, copies: Sequence[Copy]) -> ReadBack:
        return self._inner.verify(copies)

    def abort(self) -> None:
        self._inner.abort()

    def close(self) -> None:
        self._inner.close()
