"""The scanner's door in this process, and callers that misbehave."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import requests

from door.service import Door
from door.settings import Limits, Settings, Tls
from tests.support.nuisance import item, request
from tests.support.orthancs import ROOT

__all__ = ["Nuisance", "Running", "answer", "exactly", "item", "opened", "request"]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODALITIES = """{
  // as orthanc/modalities.json has it
  "DicomModalities": {
    "one": {"AET": "SCANNER", "Host": "127.0.0.1", "Port": 104},
    "elsewhere": ["ELSEWHERE", "192.0.2.1", 104],
    "reader": {"AET": "READER", "Host": "127.0.0.1", "Port": 104, "AllowStore": false}
  }
}"""


@dataclass(frozen=True)
class Running:
    """A door that is open."""

    port: int
    tls_port: int
    figures_port: int
    callers: Path

    def figures(self) -> dict[str, float]:
        """Its metrics by name and labels."""
        text = requests.get(f"http://127.0.0.1:{self.figures_port}/metrics", timeout=10).text
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in rows}

    def ended(self, reason: str) -> float:
        """How many connections ended for a reason."""
        return self.figures()[f'edge_door_ended_total{{reason="{reason}"}}']


@contextmanager
def opened(
    folder: Path, orthanc_port: int, limits: Limits | None = None, tls: Tls | None = None,
    *, check_host: bool = True,
) -> Iterator[Running]:  # fmt: skip
    """A door before a port of this machine; it is closed at the end."""
    (folder / "modalities.json").write_text(_MODALITIES)
    callers = folder / "callers.json"
    settings = Settings(
        "127.0.0.1", 0, "127.0.0.1", 0, "127.0.0.1", orthanc_port, "EDGETRUCK", folder / "modalities.json",
        check_host, callers, tls, limits or Limits(), folder / "door.prom",
    )  # fmt: skip
    loop = asyncio.new_event_loop()
    door = Door(settings)
    thread = threading.Thread(target=loop.run_forever, name="door")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(door.start(), loop).result(10)
        yield Running(
            door.port, door.tls_port if tls is not None else 0, door.figures_port, callers
        )
    finally:
        asyncio.run_coroutine_threadsafe(door.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def exactly(connection: socket.socket, number: int) -> bytes:
    """So many bytes, or fewer where the other side hangs up."""
    got = b""
    while len(got) < number and (more := connection.recv(number - len(got))):
        got += more
    return got


def answer(port: int, sent: bytes) -> bytes:
    """The ten bytes that are answered first; fewer: the door hung up."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        try:
            connection.sendall(sent)
            return exactly(connection, 10)
        except ConnectionError:
            return b""


class Nuisance:
    """Connections that say nothing, or a byte now and then; what is hung up is opened again.

    In a process of its own, so that it takes no time from those who share this one.
    """

    def __init__(self, port: int, number: int, *, drips: bool = False, host: str = "127.0.0.1",
    ) -> None:  # fmt: skip
        self._command = [
            sys.executable, "-m", "tests.support.nuisance", host, str(port), str(number), str(int(drips)),
        ]  # fmt: skip

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "opened\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0
