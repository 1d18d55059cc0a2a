"""The link of packets measured, with this machine's own TCP at both ends."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.link import packets
from tests.link.conditions import Conditions
from tests.link.packets import PacketLink
from tests.link.tcp import mathis_bps
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.link.sink import Sink

pytestmark = pytest.mark.skipif(not packets.is_possible(), reason="needs root, /dev/net/tun and ip")

RATE_BPS = 5e6
RTT_S = 0.08


def _connect(link: PacketLink, congestion: bytes = b"reno") -> socket.socket:
    client = socket.socket()
    client.settimeout(30)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion)
    client.connect((link.host, link.port))
    return client


def _rate_bps(link: PacketLink, sink: Sink, seconds: float, congestion: bytes = b"reno") -> float:
    """Of one connection that always has something to send."""
    with _connect(link, congestion) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 128 * 1024)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            client.sendall(bytes(8192))
        return sink.received * 8 / seconds


def test_the_rate_is_kept(sink: Sink) -> None:
    with PacketLink(sink.address, Conditions(rate_bps=RATE_BPS, rtt_s=0.02)) as link:
        assert _rate_bps(link, sink, 4.0) == pytest.approx(RATE_BPS, rel=0.08)
        assert link.up_bytes >= sink.received


def test_an_answer_takes_a_round_trip(sink: Sink) -> None:
    with PacketLink(sink.address, Conditions(rtt_s=0.2)) as link, _connect(link) as client:
        for _ in range(2):
            begun = time.monotonic()
            client.sendall(b"?")
            assert client.recv(1) == b"!"
            assert time.monotonic() - begun == pytest.approx(0.2, abs=0.05)


def test_loss_costs_reno_what_mathis_says(sink: Sink) -> None:
    conditions = Conditions(rate_bps=20e6, rtt_s=RTT_S, loss=0.02)
    with PacketLink(sink.address, conditions, seed=1) as link:
        assert _rate_bps(link, sink, 12.0) == pytest.approx(mathis_bps(RTT_S, 0.02), rel=0.4)


def test_bbr_keeps_most_of_a_link_that_loses(sink: Sink) -> None:
    conditions = Conditions(rate_bps=RATE_BPS, rtt_s=RTT_S, loss=0.02)
    with PacketLink(sink.address, conditions, seed=1) as link:
        try:
            rate_bps = _rate_bps(link, sink, 6.0, b"bbr")
        except OSError:
            pytest.skip("this system does not let us use bbr")
        assert rate_bps > 0.75 * RATE_BPS


def test_nothing_passes_a_cut_and_what_was_sent_arrives_after_it(sink: Sink) -> None:
    with PacketLink(sink.address, Conditions(rtt_s=0.02)) as link, _connect(link) as client:
        client.sendall(b"x")
        until(lambda: sink.received == 1)
        link.cut()
        client.sendall(bytes(9000))
        with pytest.raises(TimeoutError):
            socket.create_connection((link.host, link.port), timeout=1.5)
        assert sink.received == 1
        link.restore()
        until(lambda: sink.received == 9001, 30)
        until(lambda: len(link.recoveries) == 1)


def test_it_is_cut_after_so_many_bytes(sink: Sink) -> None:
    with PacketLink(sink.address, Conditions(rate_bps=RATE_BPS)) as link, _connect(link) as client:
        link.cut_after(50_000)
        client.setblocking(False)

        def cut_by_more() -> bool:
            with contextlib.suppress(BlockingIOError):
                client.send(bytes(8192))
            return link.is_cut

        until(cut_by_more, 10, pause_s=0.01)
        assert link.up_bytes_at_first_cut == pytest.approx(50_000, abs=3000)
