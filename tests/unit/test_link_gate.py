"""The link gate: closed by the link, opened by a probe, and never an item's fault."""

from __future__ import annotations

from router.delivery import LinkGate
from router.errors import Code


def test_a_gate_is_open_at_first() -> None:
    assert LinkGate().open


def test_probes_come_every_second_or_two() -> None:
    gate = LinkGate()
    waits = []
    for _ in range(10):
        gate.close(Code.LINK_DOWN, paused=False, now=100.0)
        waits.append(gate.wait_s(100.0))
    assert waits[0] == 1.0
    assert max(waits) == 2.0
    assert waits == sorted(waits)


def test_a_destination_that_refuses_us_is_asked_less_often() -> None:
    gate = LinkGate()
    gate.close(Code.DESTINATION_DENIED, paused=True, now=0.0)
    assert gate.wait_s(0.0) == 30.0
    assert not gate.open


def test_an_opened_gate_starts_over() -> None:
    gate = LinkGate()
    for _ in range(5):
        gate.close(Code.LINK_DOWN, paused=False, now=0.0)
    gate.opened()
    assert (gate.open, gate.code) == (True, None)
    gate.close(Code.LINK_DOWN, paused=False, now=0.0)
    assert gate.wait_s(0.0) == 1.0
    assert gate.wait_s(10.0) == 0.0
