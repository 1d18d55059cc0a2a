"""What is put around a destination: a cap on the rate, a limit of requests, a circuit breaker."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, cast

import pytest

from router.destinations.base import Outgoing, ReadBack, Stored
from router.destinations.circuit_breaker import CircuitBreaker, CircuitBroken
from router.destinations.connection_limit import ConnectionLimited
from router.destinations.rate_cap import RateCapped
from router.destinations.wrapper import Wrapper
from router.records.errors import Code, LinkDown
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.destinations import Destination
    from router.records.copies import Copy


class Inner:
    """A destination that takes what it is sent as soon as it may."""

    name = "archive"
    clock_offset_s = 1.5
    most_together = 7

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.under_way = 0
        self.most_under_way = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._lock = threading.Lock()
        self.is_there = True

    def probe(self) -> None:
        self.asked.append("probe")
        if not self.is_there:
            raise LinkDown(Code.LINK_DOWN, "no answer")

    def send(self, outgoing: Outgoing) -> Stored:
        with self._lock:
            self.asked.append("send")
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        for _ in range(3):
            outgoing.count(1000)
        assert self.may_answer.wait(30)
        with self._lock:
            self.under_way -= 1
        return Stored.STORED

    def send_together(self, outgoing: Sequence[Outgoing]) -> dict[str, Stored]:
        return {str(number): self.send(one) for number, one in enumerate(outgoing)}

    def verify(self, copies: Sequence[Copy]) -> ReadBack:
        self.asked.append(f"verify {len(copies)}")
        return ReadBack({})

    def abort(self) -> None:
        self.asked.append("abort")
        self.may_answer.set()

    def close(self) -> None:
        self.asked.append("close")


def inner_of(made: Inner) -> Destination:
    return cast("Destination", made)


def file(count: Callable[[int], None] = lambda _: None) -> Outgoing:
    return Outgoing(cast("Copy", None), memoryview(b""), count)


WRAPPERS: dict[str, Callable[[Destination], Destination]] = {
    "wrapper": Wrapper,
    "rate cap": lambda inner: RateCapped(inner, 0),
    "connection limit": lambda inner: ConnectionLimited(inner, 1),
    "circuit breaker": lambda inner: CircuitBroken(inner, CircuitBreaker()),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_passes_on_whatever_it_does_not_change(name: str) -> None:
    inner = Inner()
    wrapped = WRAPPERS[name](inner_of(inner))
    assert (wrapped.name, wrapped.clock_offset_s, wrapped.most_together) == ("archive", 1.5, 7)
    counted: list[int] = []
    wrapped.probe()
    assert wrapped.send(file(counted.append)) is Stored.STORED
    assert wrapped.send_together([file(), file(counted.append)]).keys() == {"0", "1"}
    assert wrapped.verify([]).verified == {}
    wrapped.abort()
    wrapped.close()
    assert inner.asked == ["probe", "send", "send", "send", "verify 0", "abort", "close"]
    assert sum(counted) == 6000


def test_a_cap_lets_the_bytes_of_all_requests_together_wait() -> None:
    capped = RateCapped(inner_of(Inner()), 8 * 20_000)
    counted: list[int] = []
    begun = time.monotonic()
    capped.send(file(counted.append))
    capped.send_together([file(counted.append)])
    assert time.monotonic() - begun >= 5 * 1000 / 20_000
    assert counted.count(1000) == 6
    assert 0 in counted, "who waits by choice does not say so"


def _sends(wrapped: Destination, number: int) -> tuple[list[threading.Thread], list[LinkDown]]:
    failures: list[LinkDown] = []

    def send() -> None:
        try:
            wrapped.send(file())
        except LinkDown as error:
            failures.append(error)

    threads = [threading.Thread(target=send) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads, failures


def test_no_more_than_the_limit_send_at_once() -> None:
    inner = Inner()
    inner.may_answer.clear()
    threads, failures = _sends(ConnectionLimited(inner_of(inner), 2), 5)
    until(lambda: inner.under_way == 2)
    inner.may_answer.set()
    for thread in threads:
        thread.join(30)
    assert inner.most_under_way == 2
    assert inner.asked == 5 * ["send"]
    assert not failures


def test_who_waits_to_send_is_broken_off_too() -> None:
    inner = Inner()
    inner.may_answer.clear()
    limited = ConnectionLimited(inner_of(inner), 1)
    threads, failures = _sends(limited, 3)
    until(lambda: inner.under_way == 1)
    until(lambda: all(thread.is_alive() for thread in threads))
    limited.abort()
    for thread in threads:
        thread.join(30)
    assert len(failures) + inner.asked.count("send") == 3
    assert inner.most_under_way == 1
    assert limited.send(file()) is Stored.STORED


def test_while_a_breaker_is_tripped_nothing_is_sent_or_asked_until_a_probe_gets_through() -> None:
    inner, breaker = Inner(), CircuitBreaker()
    broken = CircuitBroken(inner_of(inner), breaker)
    breaker.trip(Code.DESTINATION_BUSY, paused=True, now=0.0)
    attempts: list[Callable[[], object]] = [
        lambda: broken.send(file()),
        lambda: broken.send_together([file()]),
        lambda: broken.verify([]),
    ]
    for attempt in attempts:
        with pytest.raises(LinkDown) as raised:
            attempt()
        assert raised.value.code is Code.DESTINATION_BUSY
    inner.is_there = False
    with pytest.raises(LinkDown):
        broken.probe()
    assert not breaker.passes
    inner.is_there = True
    broken.probe()
    assert broken.send(file()) is Stored.STORED
    assert inner.asked == ["probe", "probe", "send"]
