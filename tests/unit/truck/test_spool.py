"""Bodies: small ones in memory, large ones in a private folder that is cleared at start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.records.errors import Code, SettingsError
from router.truck import spool
from router.truck.spool import FileBody, MemoryBody, Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _cleared(folder: Path) -> Spool:
    spool_folder = Spool(folder)
    spool_folder.clear()
    return spool_folder


def test_a_small_body_stays_in_memory(tmp_path: Path) -> None:
    with _cleared(tmp_path / "spool").collect([b"ab", b"c"]) as body:
        assert isinstance(body, MemoryBody)
        assert (bytes(body.view), body.size, body.stream().read()) == (b"abc", 3, b"abc")


def test_a_large_body_goes_through_the_folder_and_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 10)
    folder = tmp_path / "spool"
    with _cleared(folder).collect([b"0123456789", b"ab", b"cd"]) as body:
        assert isinstance(body, FileBody)
        assert (bytes(body.view), body.size) == (b"0123456789abcd", 14)
        assert body.stream().read() == b"0123456789abcd"
        assert len(list(folder.iterdir())) == 1
    assert list(folder.iterdir()) == []


def test_a_body_that_will_be_large_goes_to_the_folder_from_its_first_byte_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 10)
    folder = tmp_path / "spool"
    seen: list[int] = []

    def chunks() -> Iterator[bytes]:
        for chunk in (b"0123", b"4567", b"89ab"):
            seen.append(len(list(folder.iterdir())))
            yield chunk

    with _cleared(folder).collect(chunks(), expected=12) as body:
        assert bytes(body.view) == b"0123456789ab"
    assert seen == [1, 1, 1]


def test_what_is_longer_than_it_was_said_to_be_goes_to_the_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 10)
    with _cleared(tmp_path / "spool").collect([b"0123456789", b"ab"], expected=3) as body:
        assert isinstance(body, FileBody)
        assert bytes(body.view) == b"0123456789ab"


def test_a_body_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 1)

    def breaking() -> object:
        yield b"abc"
        raise ConnectionError

    folder = tmp_path / "spool"
    with pytest.raises(ConnectionError):
        _cleared(folder).collect(breaking())  # type: ignore[arg-type]
    assert list(folder.iterdir()) == []


def test_the_folder_is_private_and_cleared_at_start(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o755)
    (folder / "left over").write_text("x")
    _cleared(folder)
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SettingsError) as raised:
        _cleared(tmp_path / "file" / "spool")
    assert raised.value.code is Code.SPOOL_UNUSABLE
