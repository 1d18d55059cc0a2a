"""DICOM archives that others wrote, as programs of this machine: DCMTK's and pynetdicom's."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
from pydicom.errors import InvalidDicomError

from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom import FileDataset

CALLED = "ARCHIVE"
#: Every user may read and write; a study may have 500 images.
_DCMQRSCP = """NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
{called} {folder} RW (500, 1024mb) ANY
AETable END
"""
_QRSCP = """[DEFAULT]
ae_title: {called}
port: {port}
max_pdu: 16382
acse_timeout: 30
dimse_timeout: 30
network_timeout: 30
bind_address: 127.0.0.1
instance_location: {folder}
database_location: {database}
log_identifier: False
"""


@dataclass(frozen=True)
class Program:
    """An archive that runs, and the folder where it keeps what it took."""

    port: int
    folder: Path

    def kept(self) -> list[FileDataset]:
        """What it keeps, whole."""
        found = []
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.name != "index.dat":
                try:
                    found.append(pydicom.dcmread(path))
                except (InvalidDicomError, EOFError):  # of an association that broke off
                    continue
        return found


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[Program]:
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder.parent)
        try:
            until(lambda: _answers(port), 30, what=f"the port of {command[0]}")
            yield Program(port, folder)
        finally:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def dcmqrscp(folder: Path) -> Iterator[Program]:
    """DCMTK's archive, with its defaults."""
    kept, port = folder / "kept", _port()
    kept.mkdir()
    config = folder / "dcmqrscp.cfg"
    config.write_text(_DCMQRSCP.format(port=port, called=CALLED, folder=kept))
    with _running(["dcmqrscp", "-c", str(config)], port, kept) as program:
        yield program


def storescp(folder: Path, *options: str) -> Iterator[Program]:
    """DCMTK's receiver; without ``--fork`` it takes one association at a time."""
    kept, port = folder / "kept", _port()
    kept.mkdir()
    command = ["storescp", *options, "-aet", CALLED, "-od", str(kept), str(port)]
    with _running(command, port, kept) as program:
        yield program


def qrscp(folder: Path) -> Iterator[Program]:
    """pynetdicom's archive."""
    kept, port = folder / "kept", _port()
    kept.mkdir()
    config = folder / "qrscp.ini"
    config.write_text(
        _QRSCP.format(called=CALLED, port=port, folder=kept, database=folder / "kept.sqlite")
    )
    command = [sys.executable, "-m", "pynetdicom", "qrscp", "-c", str(config)]
    with _running(command, port, kept) as program:
        yield program
