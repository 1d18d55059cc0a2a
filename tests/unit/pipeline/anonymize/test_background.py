"""Work beside other work: its result, its errors, and that it has ended with its block."""

from __future__ import annotations

import threading

import pytest

from router.dicom import part10
from router.pipeline.anonymize.background import hashed, run_in_background
from router.records.errors import Code, Hold
from router.truck.spool import MemoryBody

_HEAD = bytes(128) + b"DICM" + bytes.fromhex("02000000554c040000000000")
_DEADLINE_S = 10


def test_it_runs_while_the_block_does() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        assert go_on.wait(_DEADLINE_S)
        return "done"

    with run_in_background(work) as result:
        assert begun.wait(_DEADLINE_S)  # nobody has asked for the result yet
        go_on.set()
        assert result() == result() == "done"


def test_its_error_is_raised_where_the_result_is_asked_for() -> None:
    def work() -> None:
        raise Hold(Code.GATE_IDENTIFIER, "found")

    with run_in_background(work) as result, pytest.raises(Hold) as raised:
        result()
    assert raised.value.code is Code.GATE_IDENTIFIER


def test_a_block_that_fails_ends_only_after_the_work() -> None:
    go_on = threading.Event()
    ended: list[bool] = []

    def work() -> None:
        assert go_on.wait(_DEADLINE_S)
        ended.append(True)

    def block() -> None:
        with run_in_background(work):
            go_on.set()
            raise KeyError

    with pytest.raises(KeyError):
        block()
    assert ended == [True]


@pytest.mark.parametrize("size", [200, 3 << 20], ids=["at once", "on other cores"])
def test_a_body_of_any_size_gets_its_digests(size: int) -> None:
    body = MemoryBody(_HEAD + bytes(size))
    with hashed(body, part10.digest, part10.md5) as digests:
        assert digests() == (part10.digest(body.view), part10.md5(body.view))


@pytest.mark.parametrize("size", [200, 3 << 20], ids=["at once", "on other cores"])
def test_what_has_no_file_header_gets_no_digest(size: int) -> None:
    with hashed(MemoryBody(bytes(size)), part10.digest) as digests, pytest.raises(Hold):
        digests()
