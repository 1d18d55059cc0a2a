"""Sends files to the truck as a scanner does, by C-STORE.

What comes in through the same door as a scanner's images gets the same treatment. One bad file
never stops the others.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pynetdicom import AE, _config
from pynetdicom.presentation import build_context

from router.dicom import part10
from router.records.errors import Code, Hold, OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# A tomosynthesis is not read into memory to be sent.
_config.STORE_SEND_CHUNKED_DATASET = True

#: An association has at most 128 presentation contexts (PS3.8, 9.3.2.2).
_MOST_CONTEXTS = 128
_SUCCESS = 0x0000
_TIMEOUT_S = 60
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
    sop_class: str
    syntax: str


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
    with path.open("rb") as stream:
        dataset = part10.read(stream)
        meta = dataset.file_meta
        if "MediaStorageSOPClassUID" not in meta or "TransferSyntaxUID" not in meta:
            raise Hold(Code.UNREADABLE, "its file header is incomplete")
        return _Readable(name, path, str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))


def _batches(files: list[_Readable]) -> Iterator[list[_Readable]]:
    """Files that fit into one association: of so many kinds together."""
    batch: list[_Readable] = []
    kinds: set[tuple[str, str]] = set()
    for file in files:
        kind = (file.sop_class, file.syntax)
        if kind not in kinds and len(kinds) == _MOST_CONTEXTS:
            yield batch
            batch, kinds = [], set()
        batch.append(file)
        kinds.add(kind)
    if batch:
        yield batch


def _send_batch(batch: list[_Readable], door: Door, done: Callable[[], object]) -> list[Sent]:
    entity = AE(ae_title=door.calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _TIMEOUT_S
    kinds = sorted({(file.sop_class, file.syntax) for file in batch})
    contexts = [build_context(sop_class, [syntax]) for sop_class, syntax in kinds]
    results: list[Sent] = []
    association = None
    try:
        for file in batch:
            if association is None or not association.is_established:
                association = entity.associate(
                    door.host, door.port, contexts=contexts, ae_title=door.called
                )
                if not association.is_established:
                    raise OperatorError(
                        Code.TRUCK_UNREACHABLE,
                        f"No association with {door.called} at {door.host}:{door.port} as "
                        f"{door.calling}: is the truck running, and does it know this AE title?",
                    )
            results.append(Sent(file.name, _store(association, file)))
            done()
    finally:
        if association is not None and association.is_established:
            association.release()
    return results


def _store(association: object, file: _Readable) -> str | None:
    """``None``, or why the truck does not have the file."""
    try:
        answer = association.send_c_store(file.path)  # type: ignore[attr-defined]
    except (ValueError, RuntimeError, AttributeError, OSError) as error:
        return f"it was not sent ({type(error).__name__})"
    status = answer.Status if "Status" in answer else None
    if status is None:
        return "the truck did not answer"
    return None if status == _SUCCESS else f"the truck answered 0x{status:04X}"
