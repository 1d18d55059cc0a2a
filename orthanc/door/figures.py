"""What the door has counted, for Prometheus, and a log whose lines hold no AE title."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
from collections import Counter
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_ASK_S = 3.0
_LARGEST_ASK = 4096


class Reason(StrEnum):
    """Why a connection or an association came to its end, or did not come to be."""

    # Before there was an association
    NO_REQUEST = "NO_REQUEST"  #: no whole A-ASSOCIATE-RQ in time
    NOT_DICOM = "NOT_DICOM"
    MADE_ROOM = "MADE_ROOM"  #: the oldest silent one went for a new one
    GONE = "GONE"  #: it hung up by itself
    UNKNOWN_CALLER = "UNKNOWN_CALLER"
    OTHER_CALLED_AE = "OTHER_CALLED_AE"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    TOO_MANY = "TOO_MANY"
    ORTHANC_UNREACHABLE = "ORTHANC_UNREACHABLE"
    ORTHANC_REFUSED = "ORTHANC_REFUSED"
    # Of associations
    ENDED = "ENDED"
    IDLE = "IDLE"
    STALLED = "STALLED"
    NO_ANSWER = "NO_ANSWER"
    MALFORMED = "MALFORMED"
    YIELDED = "YIELDED"  #: at rest, and another one needed its place


class Figures:
    """Counts since the start."""

    def __init__(self) -> None:
        self.ended: Counter[Reason] = Counter()
        self.connections = 0
        self.associations = 0  #: that Orthanc accepted
        self.bytes_in = 0
        self.bytes_out = 0
        self.gauges: Mapping[str, Callable[[], float]] = {}

    def text(self) -> str:
        """All of it in Prometheus' text format."""
        lines = [
            "# HELP edge_door_connections_total Connections that were taken.",
            "# TYPE edge_door_connections_total counter",
            f"edge_door_connections_total {self.connections}",
            "# HELP edge_door_associations_total Associations that Orthanc accepted.",
            "# TYPE edge_door_associations_total counter",
            f"edge_door_associations_total {self.associations}",
            "# HELP edge_door_bytes_total Bytes that were passed on.",
            "# TYPE edge_door_bytes_total counter",
            f'edge_door_bytes_total{{to="orthanc"}} {self.bytes_in}',
            f'edge_door_bytes_total{{to="caller"}} {self.bytes_out}',
            "# HELP edge_door_ended_total Connections and associations that ended, by reason.",
            "# TYPE edge_door_ended_total counter",
            *(f'edge_door_ended_total{{reason="{one}"}} {self.ended[one]}' for one in Reason),
        ]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        gauges = {name: read() for name, read in self.gauges.items()} | {
            "edge_door_peak_memory_bytes": memory
        }
        for name, value in gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value:.0f}"]
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> None:
        """Puts the text where the machine's exporter finds it, whole at any moment. Raises OSError."""
        fresh = path.with_suffix(".fresh")
        fresh.write_text(self.text(), encoding="ascii")
        fresh.chmod(0o644)
        fresh.replace(path)

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Answers ``GET /metrics`` and ``GET /health`` until it is closed."""
        return await asyncio.start_server(self._answer, host, port, limit=_LARGEST_ASK)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            asked = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _ASK_S)
            path = asked.partition(b"\r\n")[0].split(b" ")[1:2]
            found = path in ([b"/metrics"], [b"/health"])
            body = (self.text() if found else "not found\n").encode()
            status = "200 OK" if found else "404 Not Found"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await asyncio.wait_for(writer.drain(), _ASK_S)
        writer.close()


def log(level: str, action: str, message: str, **more: object) -> None:
    """One JSON line on stderr, as the router writes them."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"ts": stamp, "level": level.lower(), "action": action, "message": message, **more}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()
