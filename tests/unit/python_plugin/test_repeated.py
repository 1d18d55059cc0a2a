from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from received import line_of
from repeated import Repeated
from tests.support import data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST, OTHER, THIRD = "a" * 64, "b" * 64, "c" * 64
DAY = 86_400


@pytest.fixture
def repeated(tmp_path: Path) -> Iterator[Repeated]:
    with closing(Repeated(tmp_path / "repeated", largest=100)) as made:
        yield made


def test_only_another_file_under_a_uid_that_came_before_is_kept(repeated: Repeated) -> None:
    assert not repeated.note("1.2.3", FIRST, b"first", 0.0)
    assert not repeated.note("1.2.3", FIRST, b"first", 1.0)
    assert not repeated.note("1.2.4", OTHER, b"elsewhere", 2.0)
    assert repeated.note("1.2.3", OTHER, b"other", 3.0)
    assert repeated.file(FIRST) is None
    assert repeated.file(OTHER) == b"other"
    repeated.forget(OTHER)
    repeated.forget(OTHER)
    assert repeated.file(OTHER) is None


def test_it_is_known_after_a_restart_and_forgotten_after_three_months(tmp_path: Path) -> None:
    for moment, kept in ((0.0, False), (80.0 * DAY, True), (100.0 * DAY, False)):
        with closing(Repeated(tmp_path / "repeated")) as repeated:
            digest = FIRST if not moment else OTHER
            assert repeated.note("1.2.3", digest, b"file", moment) is kept


def test_a_spoilt_table_is_begun_anew(tmp_path: Path) -> None:
    folder = tmp_path / "repeated"
    folder.mkdir()
    (folder / "first.db").write_bytes(b"spoilt" * 1000)
    with closing(Repeated(folder)) as repeated:
        with pytest.raises(sqlite3.DatabaseError):
            repeated.note("1.2.3", FIRST, b"first", 0.0)
        assert not repeated.note("1.2.3", FIRST, b"first", 0.0)
        assert repeated.note("1.2.3", OTHER, b"other", 0.0)


def test_it_does_not_fill_the_disk(repeated: Repeated) -> None:
    repeated.note("1.2.3", FIRST, b"first", 0.0)
    assert repeated.note("1.2.3", OTHER, bytes(200_000), 0.0)
    assert repeated.file(OTHER) is None


def test_a_uid_that_is_no_word_makes_no_line_and_stops_nothing() -> None:
    image = next(data.ct_series("word", data.Patient.made("word"), slices=1, size=16))
    file = data.file_bytes(image)
    uid = str(image.SOPInstanceUID).encode()
    line = line_of(file)
    assert line is not None
    assert line.split(" ")[0].encode() == uid
    for odd in (b"1 2".ljust(len(uid), b"3"), b"\xfc".ljust(len(uid), b"3")):
        assert line_of(file.replace(uid, odd)) is None
