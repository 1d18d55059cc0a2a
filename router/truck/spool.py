"""Bodies of any size: small ones in memory, large ones in a private folder that is cleared at start.

A tomosynthesis of half a gigabyte must pass through a router that has less memory than that.
"""

from __future__ import annotations

import io
import mmap
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self, cast

from router.records.errors import Code, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

#: Bodies above this many bytes go through the folder. A mammogram's view stays in memory: the fresh
#: pages of a file cost 60 ms for each body of 27 MB.
IN_MEMORY_BYTES = 32 * 1024 * 1024


class Body(Protocol):
    """The bytes of one DICOM file. Use it in a ``with``: its view dies with it."""

    size: int

    @property
    def view(self) -> memoryview:
        """The bytes of the file."""
        ...

    def stream(self) -> BinaryIO:
        """A new reader from the first byte on."""
        ...

    def overwrite(self, offset: int, data: bytes) -> None:
        """Puts other bytes of the same length there, for the view and for new readers."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class MemoryBody:
    """A body in memory."""

    def __init__(self, data: bytes) -> None:
        self._data: bytes | bytearray = data
        self.size = len(data)

    @property
    def view(self) -> memoryview:
        """The bytes of the file, in memory."""
        return memoryview(self._data)

    def stream(self) -> BinaryIO:
        """A new reader from the first byte on."""
        return io.BytesIO(self._data)

    def overwrite(self, offset: int, data: bytes) -> None:
        """Puts other bytes of the same length there."""
        if not isinstance(self._data, bytearray):
            self._data = bytearray(self._data)
        self._data[offset : offset + len(data)] = data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._data = b""


class FileBody:
    """A body in the spool folder; its file goes when it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._view = memoryview(self._map)
        self._streams: list[BinaryIO] = []
        self.size = len(self._view)

    @property
    def view(self) -> memoryview:
        """The bytes of the file, mapped."""
        return self._view

    def stream(self) -> BinaryIO:
        """A new reader from the first byte on."""
        stream = cast("BinaryIO", self.path.open("rb"))
        self._streams.append(stream)
        return stream

    def overwrite(self, offset: int, data: bytes) -> None:
        """Puts other bytes of the same length there."""
        self._file.seek(offset)
        self._file.write(data)
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.close()
        self._view.release()
        # A request that broke off may still look at a piece; the map goes with it.
        with suppress(BufferError):
            self._map.close()
        self._file.close()
        self.path.unlink(missing_ok=True)


class Spool:
    """The folder for large bodies, readable by the router's user alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def clear(self) -> None:
        """At start: makes the folder, and removes what a killed router left in it.

        Raises SettingsError (SPOOL_UNUSABLE).
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            for left in self.folder.iterdir():
                left.unlink()
        except OSError as error:
            raise SettingsError(
                Code.SPOOL_UNUSABLE,
                f"The spool folder {self.folder} cannot be used ({error.strerror}).",
            ) from None

    def collect(self, chunks: Iterable[bytes], expected: int | None = None) -> Body:
        """A body of all the chunks; ``expected``: how many bytes they will be, if that is known."""
        held: list[bytes] = []
        size = 0
        rest: Iterator[bytes] = iter(chunks)
        if expected is not None and expected > IN_MEMORY_BYTES:
            return self._to_file(held, rest)
        for chunk in rest:
            held.append(chunk)
            size += len(chunk)
            if size > IN_MEMORY_BYTES:
                return self._to_file(held, rest)
        return MemoryBody(b"".join(held))

    def path(self, suffix: str) -> Path:
        """A new name in the folder; the caller removes what it puts there."""
        descriptor, name = tempfile.mkstemp(suffix=suffix, dir=self.folder)
        os.close(descriptor)
        return Path(name)

    @contextmanager
    def as_file(self, body: Body) -> Iterator[Path]:
        """A body as a file for another process; one that lies in a file already is not copied."""
        if isinstance(body, FileBody):
            yield body.path
            return
        path = self.path(".task")
        try:
            path.write_bytes(body.view)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _to_file(self, held: list[bytes], rest: Iterator[bytes]) -> FileBody:
        path = self.path(".body")
        try:
            with path.open("wb") as file:
                file.writelines(held)
                held.clear()
                file.writelines(rest)
            return FileBody(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
