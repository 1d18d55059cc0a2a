"""Files to the truck: import."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from router.commands.terminal import ATTENTION, FINE, show

if TYPE_CHECKING:
    import argparse

    from router.commands.terminal import Add


def register(add: Add) -> None:
    """Adds the command that imports files."""
    sub = add("import", _import, "send the files of a folder or ZIP through the truck, by C-STORE")
    sub.add_argument("place", type=Path, metavar="FOLDER|ZIP")
    sub.add_argument("--host", default="127.0.0.1", help="the truck (default: %(default)s)")
    sub.add_argument("--port", type=int, default=4242, help="its DICOM port (default: %(default)s)")
    sub.add_argument(
        "--called", default=os.environ.get("TRUCK_AET", "EDGETRUCK"),
        help="its AE title (default: %(default)s)",
    )  # fmt: skip
    sub.add_argument(
        "--calling", default=os.environ.get("SCANNER_AET", "SCANNER"),
        help="our AE title, which the truck must know (default: %(default)s)",
    )  # fmt: skip


def _import(asked: argparse.Namespace) -> int:
    from router.operator import import_files  # pynetdicom takes its time  # noqa: PLC0415

    door = import_files.Door(asked.host, asked.port, asked.called, asked.calling)
    with (
        import_files.files_of(asked.place) as files,
        tqdm(total=len(files), unit="file", file=sys.stderr, disable=asked.json) as bar,
    ):
        results = import_files.send(files, door, bar.update)
    faults = [result for result in results if result.fault is not None]
    stored = len(results) - len(faults)
    show(
        asked,
        {"stored": stored, "faults": [{"file": f.name, "fault": f.fault} for f in faults]},
        [*(f"{f.name}: {f.fault}" for f in faults), f"{stored} of {len(results)} files stored"],
    )
    return ATTENTION if faults or not results else FINE
