"""Long bytes are passed over piece by piece; what lies behind leaves the memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.dicom import part10
from router.dicom.mapped_bytes import PageReleaser, pieces, release_pages
from router.truck.spool import FileBody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MIB = 1 << 20
_SIZE = 64 * _MIB
#: What one pass may hold at a time: a piece that is hashed, and what is let go together.
_MOST = 20 * _MIB


@pytest.fixture
def body(tmp_path: Path) -> Iterator[FileBody]:
    """A DICOM file of 64 MiB, mapped."""
    path = tmp_path / "long.body"
    head = bytes(128) + b"DICM" + bytes.fromhex("02000000554c040000000000")
    with path.open("wb") as file:
        file.write(head)
        for number in range(_SIZE // _MIB):
            file.write(bytes([number]) * _MIB)
    with FileBody(path) as made:
        yield made


def resident(path: Path) -> int:
    """Bytes of a mapped file that are this process's memory now (proc(5), smaps)."""
    # Found by the bytes: this process has thousands of mappings, and is asked hundreds of times.
    told, ending = Path("/proc/self/smaps").read_bytes(), f" {path}\n".encode()
    return (
        sum(
            int(below.partition(b"\nRss:")[2].split(None, 1)[0]) for below in told.split(ending)[1:]
        )
        * 1024
    )


def test_pieces_are_the_whole_in_order() -> None:
    data = bytes(range(256)) * 10
    for size in (1, 7, 256, 2560, 4000):
        assert b"".join(pieces(memoryview(data), size)) == data
    assert list(pieces(memoryview(b""))) == []


def test_what_was_looked_at_stays_in_memory_until_it_is_let_go(body: FileBody) -> None:
    assert bytes(body.view).count(b"\x05") == _MIB
    assert resident(body.path) > _SIZE
    release_pages(body.view)
    assert resident(body.path) == 0


def test_a_mapped_file_that_is_passed_over_does_not_fill_the_memory(body: FileBody) -> None:
    most = 0
    for piece in pieces(body.view):
        assert bytes(piece)
        most = max(most, resident(body.path))
    assert 0 < most <= _MOST
    assert resident(body.path) == 0


def test_steps_of_ones_own_let_go_too(body: FileBody) -> None:
    releaser, most, step = PageReleaser(body.view), 0, 100_000
    for start in range(0, body.size, step):
        assert bytes(body.view[start : start + step])
        releaser.passed(step)
        most = max(most, resident(body.path))
    assert 0 < most <= _MOST


def test_let_go_bytes_are_read_again_and_show_what_was_written_meanwhile(body: FileBody) -> None:
    assert all(bytes(piece) for piece in pieces(body.view))
    body.overwrite(5 * _MIB, b"another")
    assert bytes(body.view[5 * _MIB : 5 * _MIB + 7]) == b"another"


@pytest.mark.parametrize("make", [part10.digest, part10.md5])
def test_a_digest_leaves_nothing_behind(body: FileBody, make: Callable[[memoryview], str]) -> None:
    whole = bytes(body.view)
    assert make(body.view) == make(memoryview(whole))
    assert resident(body.path) == 0


def test_bytes_in_memory_are_left_alone() -> None:
    view = memoryview(b"abc")
    release_pages(view)
    assert bytes(view) == b"abc"


def test_a_body_closes_although_a_broken_off_request_still_looks_at_a_piece(
    body: FileBody,
) -> None:
    request = pieces(body.view)
    piece = next(request)
    with body:
        pass
    assert not body.path.exists()
    assert bytes(piece[128:132]) == b"DICM"
