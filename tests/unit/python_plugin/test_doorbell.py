"""The plugin's doorbell and door: who waits is woken, and a router that died keeps nothing shut."""

from __future__ import annotations

import threading

import doorbell


def test_who_waits_is_woken_by_the_next_ring() -> None:
    bell = doorbell.Doorbell()
    heard: list[int] = []
    waiting = threading.Thread(target=lambda: heard.append(bell.wait(bell.boot, 0, 30.0)))
    waiting.start()
    bell.ring()
    waiting.join(10.0)
    assert heard == [1]


def test_a_count_of_another_start_is_not_waited_for() -> None:
    assert doorbell.Doorbell().wait("another start", 0, 30.0) == 0


def test_when_orthanc_stops_nobody_is_kept() -> None:
    bell = doorbell.Doorbell()
    bell.close()
    assert bell.wait(bell.boot, 0, 30.0) == 0


def test_the_door_opens_by_itself_and_when_it_is_told() -> None:
    door = doorbell.Door()
    seen = [door.is_closed]
    for seconds in (30.0, 0.0):
        door.close(seconds)
        seen.append(door.is_closed)
    assert seen == [False, True, False]
