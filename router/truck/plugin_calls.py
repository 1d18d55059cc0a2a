"""What the router asks of its own plugin in the truck's Orthanc: doorbell, door, and what came in.

An Orthanc without the plugin answers 404, and the router goes on with what Orthanc itself can tell.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from router.records.errors import ResourceMissing
from router.truck.answers import NOT_FOUND, check, coded, json_of, reading_again

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyorthanc

    from router.truck.spool import Body

#: To connect; its answer may take as long as the doorbell is waited for.
CONNECT_S = 5.0


@dataclass(frozen=True)
class Ring:
    """What the plugin's doorbell says: its start, and the changes it has counted since."""

    boot: str
    rings: int


@dataclass(frozen=True)
class Space:
    """Bytes that images take, or that are taken on their disk, of those that there are."""

    used: int
    total: int


class PluginCalls(ABC):
    """The part of ``TruckOrthanc`` that speaks with the plugin."""

    _client: pyorthanc.Orthanc

    @abstractmethod
    def _stream(self, method: str, path: str, body: Mapping[str, object] | None) -> Body:
        """The body of an answer, in memory or in the spool folder."""

    def wait(self, ring: Ring | None, timeout_s: float) -> Ring | None:
        """Waits at the plugin's doorbell for a change; ``None``: there is no plugin."""
        query = {"timeout": f"{timeout_s:.1f}"}
        if ring is not None:
            query |= {"boot": ring.boot, "since": str(ring.rings)}
        with coded():
            response = self._client.get(
                f"{self._client.url}/edge-router/wait",
                params=query,
                timeout=httpx.Timeout(timeout_s + 10.0, connect=CONNECT_S),
            )
            if response.status_code == NOT_FOUND:
                return None
            answer = json_of(response)
        return Ring(str(answer["boot"]), int(answer["rings"]))

    @reading_again
    def space(self, capacity_mib: int = 0) -> Space:
        """Of the limits that there are, the one that is nearest.

        ``capacity_mib``: one of our own; 0: none. Without any limit, and without the plugin, the
        total is infinite for practical purposes.
        """
        with coded():
            limit = int(json_of(self._client.get_system()).get("MaximumStorageSize") or 0)
            stored = int(json_of(self._client.get_statistics())["TotalDiskSize"])
            limits = [Space(stored, mib << 20) for mib in (limit, capacity_mib) if mib]
            response = self._client.get(f"{self._client.url}/edge-router/space")
            if response.status_code != NOT_FOUND:
                disk = json_of(response)
                limits.append(Space(int(disk["total"]) - int(disk["free"]), int(disk["total"])))
        unlimited = Space(stored, 1 << 62)
        return max(limits, key=lambda space: space.used / max(space.total, 1), default=unlimited)

    def close_door(self, seconds: float) -> None:
        """Lets the plugin refuse the scanner's images for so long; 0: no longer."""
        with coded():
            response = self._client.post(
                f"{self._client.url}/edge-router/door", content=f"{seconds:.0f}"
            )
            if response.status_code != NOT_FOUND:
                check(response)

    @reading_again
    def received(self) -> tuple[list[tuple[str, str]], int]:
        """What the scanner sent, as (SOP Instance UID, SHA-256); and what to say when it is noted."""
        with coded():
            response = self._client.get(f"{self._client.url}/edge-router/received")
            if response.status_code == NOT_FOUND:
                return [], 0
            check(response)
            # The last line may be half written.
            whole = response.text[: response.text.rfind("\n") + 1]
            lines = [line.split(" ") for line in whole.splitlines()]
        return [(line[0], line[1]) for line in lines if len(line) == 2], len(whole)  # noqa: PLR2004

    def forget_received(self, until: int) -> None:
        """What ``received`` told is written down."""
        with coded():
            check(self._client.post(f"{self._client.url}/edge-router/received", content=str(until)))

    @reading_again
    def repeated_file(self, digest: str, *, decoded: bool = False) -> Body | None:
        """A file that came under the UID of an earlier one, by its digest; ``None``: not kept.

        ``decoded``: its pixels are decoded by Orthanc, as those of ``decoded_file``.
        """
        path = f"/edge-router/repeated/{digest}{'?decoded=1' if decoded else ''}"
        with coded():
            try:
                return self._stream("GET", path, None)
            except ResourceMissing:
                return None

    def forget_repeated(self, digest: str) -> None:
        """What it is has been written down."""
        with coded():
            response = self._client.post(f"{self._client.url}/edge-router/repeated/{digest}")
            if response.status_code != NOT_FOUND:
                check(response)
