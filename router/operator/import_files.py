"""Sends files to the truck as a scanner does, by C-STORE.

What comes in through the same door as a scanner's images gets the same treatment. One bad file
never stops the others.
"""

from __future__ import annotations

import mmap
import shutil
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pynetdicom.dsutils import split_dataset

from router.destinations.association import Association
from router.destinations.dimse_opening import Peer
from router.dicom import part10
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    Hold,
    LinkDown,
    OperatorError,
    SyntaxRefused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from router.destinations.association import Pair

#: An association has at most 128 presentation contexts (PS3.8, 9.3.2.2).
_MOST_CONTEXTS = 128
_SUCCESS = 0x0000
_NEEDED = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
_TIMEOUT_S = 60.0
#: What a file of an archive may hold unpacked: above the largest tomosynthesis.
_LARGEST_BYTES = 2 << 30


@dataclass(frozen=True)
class Door:
    """Where the truck takes images."""

    host: str
    port: int
    called: str
    calling: str


@dataclass(frozen=True)
class Sent:
    """What became of one file."""

    name: str
    #: ``None``: the truck has it.
    fault: str | None


@dataclass(frozen=True)
class _Readable:
    name: str
    path: Path
    pair: Pair
    sop_uid: str
    #: Where the data set begins.
    offset: int


@contextmanager
def files_of(place: Path) -> Iterator[list[tuple[str, Path]]]:
    """(name, path) of every file in a folder or a ZIP archive, in order of names.

    Raises OperatorError (FILE_UNREADABLE).
    """
    if place.is_dir():
        found = sorted(path for path in place.rglob("*") if path.is_file())
        yield [(str(path.relative_to(place)), path) for path in found]
        return
    with tempfile.TemporaryDirectory(prefix="edge-import-") as folder:
        try:
            with zipfile.ZipFile(place) as archive:
                unpacked = list(_unpacked(archive, Path(folder)))
        except (OSError, zipfile.BadZipFile) as error:
            raise OperatorError(
                Code.FILE_UNREADABLE, f"{place} is no folder and no ZIP ({type(error).__name__})."
            ) from None
        yield unpacked


def _unpacked(archive: zipfile.ZipFile, folder: Path) -> Iterator[tuple[str, Path]]:
    """Every member under a name of our own: names of archives may point anywhere.

    A member that cannot be unpacked leaves an empty file, which is then reported as unreadable.
    """
    members = sorted((m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename)
    for number, member in enumerate(members):
        path = folder / str(number)
        with path.open("wb") as target:
            if member.file_size <= _LARGEST_BYTES:
                try:
                    with archive.open(member) as source:
                        shutil.copyfileobj(source, target)
                except (OSError, RuntimeError, zipfile.BadZipFile, EOFError, ValueError):
                    target.truncate(0)
        yield member.filename, path


def send(files: Iterable[tuple[str, Path]], door: Door, done: Callable[[], object]) -> list[Sent]:
    """Sends every file; ``done`` is called after each. Raises OperatorError (TRUCK_UNREACHABLE)."""
    results: list[Sent] = []
    readable: list[_Readable] = []
    for name, path in files:
        try:
            readable.append(_read(name, path))
        except Hold as hold:
            results.append(Sent(name, hold.sentence))
            done()
    for batch in _batches(readable):
        results += _send_batch(batch, door, done)
    return results


def _read(name: str, path: Path) -> _Readable:
    """What is said of a file when it is sent. Raises Hold (UNREADABLE, NESTING_TOO_DEEP)."""
    with path.open("rb") as stream:
        meta = part10.read(stream).file_meta
    if not all(keyword in meta for keyword in _NEEDED):
        raise Hold(Code.UNREADABLE, "its file header is incomplete")
    _, offset = split_dataset(path)
    sop_class, sop_uid, syntax = (str(meta[keyword].value) for keyword in _NEEDED)
    return _Readable(name, path, (sop_class, syntax), sop_uid, offset)


def _batches(files: list[_Readable]) -> Iterator[list[_Readable]]:
    """Files that fit into one association: of so many kinds together."""
    batch: list[_Readable] = []
    pairs: set[Pair] = set()
    for file in files:
        if file.pair not in pairs and len(pairs) == _MOST_CONTEXTS:
            yield batch
            batch, pairs = [], set()
        batch.append(file)
        pairs.add(file.pair)
    if batch:
        yield batch


def _send_batch(batch: list[_Readable], door: Door, done: Callable[[], object]) -> list[Sent]:
    pairs = {file.pair for file in batch}
    results: list[Sent] = []
    association = None
    try:
        for file in batch:
            if association is not None and not association.alive:
                association.close()
                association = None
            association = association or _opened(door, pairs)
            results.append(Sent(file.name, _store(association, file)))
            done()
    finally:
        if association is not None:
            association.close()
    return results


def _opened(door: Door, pairs: set[Pair]) -> Association:
    """An association with the truck. Raises OperatorError (TRUCK_UNREACHABLE)."""
    peer = Peer(door.host, door.port, door.called, door.calling, _TIMEOUT_S, _TIMEOUT_S)
    try:
        return Association(peer, pairs, None, only_stores=True)
    except (LinkDown, DestinationPaused):
        raise OperatorError(
            Code.TRUCK_UNREACHABLE,
            f"No association with {door.called} at {door.host}:{door.port} as {door.calling}: "
            "is the truck running, and does it know this AE title?",
        ) from None


def _store(association: Association, file: _Readable) -> str | None:
    """``None``, or why the truck does not have the file."""
    try:
        with file.path.open("rb") as stream:
            view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        status, _ = association.store(file.pair, file.sop_uid, view[file.offset :], _ignore)
    except (SyntaxRefused, Hold, DeliveryDeferred) as error:
        return f"it was not sent: {error.sentence}"
    except LinkDown:
        association.cut()  # the next file has one of its own
        return "the truck did not answer"
    except (OSError, ValueError) as error:
        return f"it was not sent ({type(error).__name__})"
    return None if status == _SUCCESS else f"the truck answered 0x{status:04X}"


def _ignore(_: int) -> None:
    """Nobody counts the bytes."""
