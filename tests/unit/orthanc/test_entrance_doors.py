"""The entrance's accounts, sessions, lock-out, decisions and its sieve of samples, without a socket."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import cramjam
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance import remote_write as sieve
from entrance.accounts import Accounts, Identity
from entrance.archive import Upstream
from entrance.decide import LARGEST_BODY, Asked, Door
from entrance.lockout import FREE, LONGEST_S, Lockout
from entrance.metrics import Metrics
from entrance.pages import whither
from entrance.routes import Who
from entrance.series import SeriesBound
from entrance.state import IDLE_S, State
from entrance.state import LONGEST_S as SESSION_S
from entrance.tickets import Tickets
from tests.support import cloud, remote_write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NOW = 1_790_000_000.0


class _Clock:
    now = _NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    kept = State(tmp_path / "entrance.db")
    yield kept
    kept.close()


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(cloud.write_accounts(tmp_path / "accounts", ["A", "B"]))


@pytest.fixture
def door(accounts: Accounts, state: State) -> Door:
    archive = Upstream("http://archive:8042", "reader", "x")
    return Door(accounts, state, Tickets(), Lockout(), Metrics(), _Clock(), "http://entrance:8000",
                archive, Upstream("http://archive:8042", "store", "y"))  # fmt: skip


def _asked(
    method: str = "GET", raw: str = "/dicom-web/studies", user: str = "", **more: object
) -> Asked:
    known = base64.b64encode(f"{user}:{cloud.password_of(user)}".encode()).decode()
    asked = Asked(raw, method, "pacs.example", "10.0.0.1", f"Basic {known}" if user else "")
    return replace(asked, **more)  # type: ignore[arg-type]


def test_each_password_of_a_truck_opens_one_purpose(accounts: Accounts) -> None:
    for user, who in (("truck-A", Who.STORE), ("metrics-A", Who.METRICS)):
        assert accounts.machine(user, cloud.password_of(user), "") == Identity(who, "A")
        assert accounts.machine(user, cloud.password_of(user), "A") == Identity(who, "A")
        # With the certificate of another truck it is none.
        assert accounts.machine(user, cloud.password_of(user), "B") is None
    for user, word in (("truck-A", cloud.password_of("metrics-A")), ("truck-B", "x"), ("truck-A", ""),
                       ("truck-../trucks/A", cloud.password_of("truck-A")), ("A", "x"), ("truck-", "x"),
                       (cloud.READER, cloud.READERS_PASSWORD)):  # fmt: skip
        assert accounts.machine(user, word, "") is None, user


def test_a_reader_is_known_by_the_password_that_is_kept_as_a_digest(
    accounts: Accounts, tmp_path: Path
) -> None:
    kept = (tmp_path / "accounts" / "readers" / cloud.READER).read_text()
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert accounts.reader(cloud.READER, cloud.READERS_PASSWORD) == Identity(
        Who.READER, cloud.READER
    )
    for user, word in ((cloud.READER, "wrong"), ("nobody", ""), ("../readers/radiologist", "x")):
        assert accounts.reader(user, word) is None


def test_wrong_passwords_cost_ever_more_time_for_one_account_at_one_address() -> None:
    lockout, now = Lockout(), _NOW
    for _ in range(FREE):
        assert lockout.wait_s("a", "here", now) == 0
        lockout.wrong("a", "here", now)
    waits = []
    for _ in range(8):
        waits.append(lockout.wait_s("a", "here", now))
        now += waits[-1]
        assert lockout.wait_s("a", "here", now) == 0
        lockout.wrong("a", "here", now)
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_S
    assert lockout.wait_s("a", "elsewhere", now) == lockout.wait_s("b", "here", now) == 0
    lockout.right("a", "here")
    assert lockout.wait_s("a", "here", now) == 0


def test_guesses_from_many_addresses_cost_time_too() -> None:
    lockout = Lockout()
    for number in range(100):
        lockout.wrong("a", str(number), _NOW)
    assert lockout.wait_s("a", "another", _NOW) > 0
    assert lockout.wait_s("b", "another", _NOW) == 0


def test_a_session_ends_when_it_rests_when_it_is_old_and_when_it_is_signed_out(
    state: State,
) -> None:
    token = state.sign_in("r", _NOW)
    now = _NOW
    while now + IDLE_S - 1 < _NOW + SESSION_S:
        now += IDLE_S - 1
        assert state.signed_in(token, now) == "r"
    assert state.signed_in(token, _NOW + SESSION_S + 1) is None
    assert state.signed_in(token, _NOW) is None
    rested = state.sign_in("r", _NOW)
    assert state.signed_in(rested, _NOW + IDLE_S + 1) is None
    left = state.sign_in("r", _NOW)
    state.sign_out(left)
    assert state.signed_in(left, _NOW) is None
    assert state.signed_in("", _NOW) is None


def test_a_study_is_of_the_truck_that_stored_it_first(state: State, tmp_path: Path) -> None:
    assert state.claim("1.2", "A", _NOW)
    assert state.claim("1.2", "A", _NOW)
    assert not state.claim("1.2", "B", _NOW)
    assert (state.is_of("1.2", "A"), state.is_of("1.2", "B"), state.is_of("9", "A")) == (
        True,
        False,
        False,
    )
    again = State(tmp_path / "entrance.db", adopting="B")
    assert again.owner("1.2") == "A"
    assert again.is_of("9", "B")
    again.close()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (_asked(), 401),
        (_asked(user="truck-A"), 200),
        (_asked(user="metrics-A"), 403),
        (_asked("POST", user="truck-A", length="10"), 200),
        (_asked("POST", user="truck-A", length="10", chunked=True), 400),
        (_asked("POST", user="truck-A", length="-1"), 400),
        (_asked("POST", user="truck-A", length=str(LARGEST_BODY + 1)), 413),
        (_asked(user="truck-A", length="5"), 400),
        (_asked(user="truck-A", host="evil/x"), 400),
        (_asked(user="truck-A", origin="https://evil.example"), 403),
        (_asked(user="truck-A", site="cross-site"), 403),
        (_asked("POST", "/api/v1/write", user="metrics-A"), 200),
        (_asked("POST", "/api/v1/write", user="truck-A"), 403),
        (_asked(raw="/dicom-web/studies/1.2.3/metadata", user="truck-A"), 404),
        (_asked(raw="/system", user="truck-A"), 404),
        (_asked(raw="/dicom-web/..%5csystem", user="truck-A"), 400),
        (_asked("DELETE", user="truck-A"), 405),
        (_asked(raw="/", accept="text/html"), 303),
        (_asked(session="made up"), 401),
    ],
)  # fmt: skip
def test_a_request_is_let_in_by_who_asks_for_what_from_where(
    door: Door, asked: Asked, status: int
) -> None:
    assert door.decide(asked).status == status


def test_where_a_request_goes_is_built_and_shows_the_archives_own_account(
    door: Door, state: State
) -> None:
    state.claim("1.2", "A", _NOW)
    to = door.decide(_asked(raw="/dicom-web/studies?limit=1&_method=DELETE", user="truck-A"))
    assert to.to == "http://archive:8042/dicom-web/studies?limit=1&StudyInstanceUID=1.2"
    assert to.authorization == Upstream("http://archive", "store", "y").authorization
    none = door.decide(_asked(raw="/dicom-web/studies?limit=1", user="truck-B"))
    assert none.to.endswith("StudyInstanceUID=2.25.0")
    reader = door.decide(_asked(session=state.sign_in(cloud.READER, _NOW)))
    assert reader.to == "http://archive:8042/dicom-web/studies"
    assert reader.authorization == Upstream("http://archive", "reader", "x").authorization


def test_a_ticket_is_for_one_thing_and_a_moment() -> None:
    tickets = Tickets()
    sealed = tickets.sealed("store", "store", "A", "1.2", _NOW)
    opened = tickets.opened(sealed, "store", _NOW + 30)
    assert opened is not None
    assert (opened.name, opened.study) == ("A", "1.2")
    assert tickets.opened(sealed, "measure", _NOW) is None
    assert tickets.opened(sealed, "store", _NOW + 3600) is None
    assert Tickets().opened(sealed, "store", _NOW) is None
    for text in ("", "x", "x.y", sealed[:-1], "x" + sealed):
        assert tickets.opened(text, "store", _NOW) is None


@pytest.mark.parametrize(
    "to", ["//evil", "https://evil", "/sign-out", "/dicom-web/studies", "", "x"]
)
def test_a_sign_in_leads_to_the_viewer_alone(to: str) -> None:
    assert whither(to) == "/"
    assert whither("/viewer?StudyInstanceUIDs=1.2") == "/viewer?StudyInstanceUIDs=1.2"


# ---- samples


def _write(*many: tuple[float, dict[str, str]]) -> bytes:
    return remote_write.body(
        remote_write.series(
            remote_write.labels(labels),
            remote_write.stamps(np.array([int((_NOW + ahead) * 1000)], np.int64)),
            np.array([ahead]),
        )
        for ahead, labels in many
    )


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.sampled_from(["", "A", "B"])), max_size=20))
def test_what_passes_is_of_the_truck_and_not_of_the_future(many: list[tuple[float, str]]) -> None:
    body = _write(*((ahead, {"__name__": "m"} | ({"truck": truck} if truck else {}))
                    for ahead, truck in many))  # fmt: skip
    found = sieve.sieve(body, "A", _NOW, SeriesBound())
    sound = [
        ahead
        for ahead, truck in many
        if truck != "B" and int((_NOW + ahead) * 1000) <= (_NOW + 600) * 1000
    ]
    assert found.passed == len(sound)
    assert found.passed + sum(found.refused.values()) == len(many)
    expected = _write(*((ahead, {"__name__": "m", "truck": "A"}) for ahead in sound))
    plain = bytes(cramjam.snappy.decompress_raw(expected)) if sound else b""
    assert (bytes(cramjam.snappy.decompress_raw(found.body)) if found.body else b"") == plain
    assert not sieve.sieve(found.body, "A", _NOW, SeriesBound()).refused if found.body else True


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_refused_or_sieved_and_nothing_else(body: bytes, packed: bool) -> None:  # noqa: FBT001
    if packed:
        body = bytes(cramjam.snappy.compress_raw(body))
    try:
        found = sieve.sieve(body, "A", _NOW, SeriesBound())
    except sieve.BadWriteError:
        return
    assert found.passed >= 0


def test_a_body_that_would_be_huge_is_not_unpacked() -> None:
    with pytest.raises(sieve.BadWriteError):
        sieve.sieve(b"\xff\xff\xff\xff\x0f" + bytes(100), "A", _NOW, SeriesBound())


def test_a_truck_writes_so_many_series_and_no_more_and_no_other_truck_feels_it() -> None:
    bound = SeriesBound(10)
    many = _write(*((0, {"__name__": "m", "n": str(number)}) for number in range(25)))
    found = sieve.sieve(many, "A", _NOW, bound)
    assert (found.passed, found.refused) == (10, {"series": 15})
    again = sieve.sieve(many, "A", _NOW + 3600, bound)
    assert again.body == found.body, "what it writes already goes on"
    assert sieve.sieve(many, "B", _NOW, bound).passed == 10
    other = _write((0, {"__name__": "other"}))
    assert sieve.sieve(other, "A", _NOW + 3600, bound).refused == {"series": 1}
    # What has not come for a day makes room.
    kept = _write((0, {"__name__": "m", "n": "0"}))
    for hour in (13, 26, 39):
        assert sieve.sieve(kept, "A", _NOW + hour * 3600, bound).passed == 1
    assert sieve.sieve(other, "A", _NOW + 40 * 3600, bound).passed == 1


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 30), st.floats(-1e5, 1e5))))
def test_what_is_kept_of_a_trucks_series_is_bounded_whatever_the_clock_does(
    writes: list[tuple[str, int, float]],
) -> None:
    bound = SeriesBound(5)
    admitted: dict[str, set[int]] = {"A": set(), "B": set()}
    for truck, number, at in writes:
        if bound.admits(truck, b"%d" % number, at):
            admitted[truck].add(number)
        assert bound.known(truck) <= 5
    if all(at == writes[0][2] for _, _, at in writes):
        assert all(len(found) <= 5 for found in admitted.values())


def test_what_hides_a_time_is_refused() -> None:
    """Histograms and exemplars have times of their own; a time can stand twice."""
    label = remote_write.labels({"__name__": "m"})
    sample = b"\x09" + struct.pack("<d", 1.0) + b"\x10\x01"
    twice = sample + b"\x10" + b"\xff" * 6 + b"\x0f"
    for part in (b"\x12" + bytes([len(twice)]) + twice, b"\x22\x02\x08\x01"):
        series = label + part
        body = bytes(cramjam.snappy.compress_raw(b"\x0a" + bytes([len(series)]) + series))
        try:
            assert sieve.sieve(body, "A", _NOW, SeriesBound()).body == b""
        except sieve.BadWriteError:
            continue
