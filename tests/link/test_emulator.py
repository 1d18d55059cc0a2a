"""The link measured: does it do what it says?"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.link.conditions import Conditions, Slot
from tests.link.emulator import Link
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.link.sink import Sink

SOON_S = 10.0


def _connect(link: Link, timeout_s: float = SOON_S) -> socket.socket:
    return socket.create_connection((link.host, link.port), timeout=timeout_s)


def _seconds_for(link: Link, sink: Sink, size: int) -> float:
    begun = time.monotonic()
    with _connect(link) as client:
        client.sendall(b"\0" * size)
        until(lambda: sink.received >= size, 30)
    return sink.last_at - begun


@pytest.mark.parametrize("rate_bps", [2e6, 20e6])
def test_the_rate_is_kept_within_five_percent(sink: Sink, rate_bps: float) -> None:
    size = int(rate_bps / 8 * 2)
    with Link(sink.address, Conditions(rate_bps=rate_bps)) as link:
        assert _seconds_for(link, sink, size) == pytest.approx(2.0, rel=0.05)
        assert link.up_bytes == size


def test_two_connections_share_one_rate(sink: Sink) -> None:
    with (
        Link(sink.address, Conditions(rate_bps=4e6)) as link,
        _connect(link) as one,
        _connect(link) as other,
    ):
        begun = time.monotonic()
        threads = [
            threading.Thread(target=c.sendall, args=(b"\0" * 500_000,)) for c in (one, other)
        ]
        for thread in threads:
            thread.start()
        until(lambda: sink.received == 1_000_000, 30)
        for thread in threads:
            thread.join()
        assert sink.last_at - begun == pytest.approx(2.0, rel=0.05)


def test_an_answer_takes_a_round_trip_and_a_new_connection_another(sink: Sink) -> None:
    with Link(sink.address, Conditions(rtt_s=0.2)) as link, _connect(link) as client:
        taken = []
        for _ in range(3):
            begun = time.monotonic()
            client.sendall(b"?")
            assert client.recv(1) == b"!"
            taken.append(time.monotonic() - begun)
    assert taken[0] == pytest.approx(0.4, abs=0.05)
    assert taken[1:] == [pytest.approx(0.2, abs=0.05)] * 2


def test_jitter_makes_answers_late_and_keeps_their_order(sink: Sink) -> None:
    conditions = Conditions(rtt_s=0.02, jitter_s=0.1)
    with Link(sink.address, conditions, seed=5) as link, _connect(link) as client:
        taken = []
        for _ in range(12):
            begun = time.monotonic()
            client.sendall(b"?")
            assert client.recv(1) == b"!"
            taken.append(time.monotonic() - begun)
    assert max(taken[1:]) - min(taken[1:]) > 0.03
    assert max(taken[1:]) < 0.02 + 2 * 0.1 + 0.1


def test_loss_makes_one_connection_slower_than_the_link(sink: Sink) -> None:
    with Link(sink.address, Conditions(rate_bps=20e6, rtt_s=0.04, loss=0.02), seed=2) as link:
        seconds = _seconds_for(link, sink, 750_000)
        assert 750_000 * 8 / seconds < 6e6
        assert link.up_bytes == pytest.approx(750_000 * 1.02, rel=0.02)


def test_a_trace_with_a_gap_carries_nothing_in_the_gap(sink: Sink) -> None:
    trace = (Slot(0.5, 8e6), Slot(1.0, 0.0), Slot(10.0, 8e6))
    with Link(sink.address, Conditions(trace=trace)) as link:
        assert _seconds_for(link, sink, 1_000_000) == pytest.approx(2.0, rel=0.06)


def test_a_silent_cut_tells_no_one_and_answers_no_new_connection(sink: Sink) -> None:
    with Link(sink.address) as link, _connect(link) as client:
        client.sendall(b"x")
        until(lambda: sink.received == 1)
        link.cut()
        client.sendall(b"y" * 100)
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(1)
        with pytest.raises(TimeoutError):
            _connect(link, 0.5)
        assert sink.received == 1
        link.restore()
        until(lambda: sink.received == 101)
        with _connect(link) as fresh:
            fresh.sendall(b"?")
            assert fresh.recv(1) == b"!"


def test_a_connection_that_waited_through_a_cut_opens_when_its_syn_is_sent_again(
    sink: Sink,
) -> None:
    with Link(sink.address) as link:
        link.cut()
        threading.Timer(0.4, link.restore).start()
        begun = time.monotonic()
        with _connect(link):
            assert 0.4 < time.monotonic() - begun < 4


def test_a_cut_with_reset_breaks_every_connection(sink: Sink) -> None:
    with Link(sink.address) as link, _connect(link) as client:
        client.sendall(b"?")
        assert client.recv(1) == b"!"
        link.cut("reset")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        until(lambda: sink.resets == 1)


def test_a_reset_leaves_the_link_up(sink: Sink) -> None:
    with Link(sink.address) as link:
        with _connect(link) as client:
            client.sendall(b"?")
            assert client.recv(1) == b"!"
            link.reset()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        with _connect(link) as fresh:
            fresh.sendall(b"?")
            assert fresh.recv(1) == b"!"


@pytest.mark.parametrize("size", [10_000, 200_000])
def test_a_cut_after_n_bytes_comes_after_n_bytes(sink: Sink, size: int) -> None:
    conditions = Conditions(rate_bps=10e6)
    with Link(sink.address, conditions) as link, _connect(link) as client:
        link.cut_after(size)
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.sendall(b"\0" * 8_000_000)
        assert link.is_cut
        # What the bottleneck holds when the cut comes is still counted: two quanta.
        assert size <= link.up_bytes <= size + 2 * conditions.quantum_bytes
        assert sink.received <= size + conditions.quantum_bytes


def test_the_time_until_a_body_goes_after_a_cut_is_measured(sink: Sink) -> None:
    with Link(sink.address, Conditions(rate_bps=8e6)) as link, _connect(link) as client:
        client.sendall(b"x")
        until(lambda: sink.received == 1)
        link.cut()
        link.restore()
        client.sendall(b"small")
        time.sleep(0.3)  # the time is the point
        assert link.recoveries == []
        client.sendall(b"\0" * 10_000)
        until(lambda: bool(link.recoveries))
        assert link.recoveries[0] == pytest.approx(0.3, abs=0.1)


def test_a_target_that_is_not_there_resets_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])

    def first_byte(link: Link) -> bytes:
        with _connect(link) as client:
            client.settimeout(5)
            return client.recv(1)

    # As early as in the handshake, if the link is quick.
    with Link(("127.0.0.1", port)) as link, pytest.raises(ConnectionResetError):
        first_byte(link)
