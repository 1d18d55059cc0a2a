"""The truck's metrics on their shipped way: vmagent, HTTPS with a password, nginx, Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support import remote_way, remote_write
from tests.support.certificates import Authority
from tests.support.cloud import password_of
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import requests

    from tests.support.monitoring import Service
    from tests.support.remote_way import Way

#: Scrapes are every second; so many seconds are an outage.
_AWAY_S = 12.0
#: A vmagent that is killed loses what it was just sending and what it had not yet written to disk.
_OF_A_POWER_CUT = 10


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    with remote_way.way(tmp_path) as made:
        yield made


def _refused(vmagent: Service) -> float:
    said = vmagent.metric("vmagent_remotewrite_requests_total")
    return sum(value for labels, value in said.items() if 'status_code="401"' in labels)


def _waiting(vmagent: Service) -> float:
    return sum(vmagent.metric("vmagent_remotewrite_pending_data_bytes").values())


@pytest.mark.parametrize(("end", "most_lost"), [("stop", 0), ("kill", _OF_A_POWER_CUT)])
def test_metrics_arrive_over_https_and_what_a_wrong_password_held_back_follows(
    way: Way, end: str, most_lost: int
) -> None:
    with way.truck(end=end) as vmagent:
        until(way.numbers, 60, what="the first scrapes")
        assert not _refused(vmagent)
        way.password("wrong")
        until(lambda: _refused(vmagent), 60, what="a refusal")
        begun, before = time.monotonic(), max(way.numbers())
        until(lambda: time.monotonic() > begun + _AWAY_S, 60, what="some scrapes")
        assert _waiting(vmagent) > 0
        assert max(way.numbers()) <= before + 2
        # What operations see of it: the truck grows silent (the alert tells it after two hours).
        silent = way.prometheus.query('time() - truck:last_seen:timestamp_seconds{truck="A"}')
        assert not silent or float(silent[0]["value"][1]) > _AWAY_S / 2
        kept = way.target.count
    # The truck is switched off and on; the password is right again.
    way.password(password_of("metrics-A"))
    with way.truck() as vmagent:
        way.all_arrived()
        assert not _refused(vmagent)
        arrived = way.numbers()
    missing = set(range(min(arrived), kept - 1)) - arrived
    assert len(missing) <= most_lost, missing


def test_a_cloud_with_a_certificate_of_an_unknown_authority_gets_nothing(way: Way) -> None:
    stranger = Authority(way.folder, "stranger")
    with way.truck(stranger.file) as vmagent:
        until(lambda: sum(vmagent.metric("vmagent_remotewrite_errors_total").values()), 60,
              what="an error")  # fmt: skip
        until(lambda: way.target.count > 5, 60, what="some scrapes")
        assert not sum(vmagent.metric("vmagent_remotewrite_requests_total").values())
        assert not way.numbers()
        assert _waiting(vmagent) > 0
        kept = way.target.count
    with way.truck():
        way.all_arrived()
        assert not set(range(1, kept - 1)) - way.numbers()


def test_only_a_truck_may_write_and_nobody_may_read(way: Way) -> None:
    write = "/api/v1/write"
    ask = way.cloud.ask
    assert ask("GET", write, "metrics-A").status_code == 405
    assert ask("POST", write).status_code == 401
    assert ask("POST", write, "truck-A").status_code == 403
    for path in ("/api/v1/query?query=up", "/metrics"):
        for user in ("metrics-A", "truck-A", ""):
            assert ask("GET", path, user).status_code == 404


def test_after_an_outage_with_restarts_the_dashboards_gap_is_filled(way: Way) -> None:
    """The outage of `scripts/bench fleet`, with a second for twenty."""
    with way.truck() as vmagent:
        found = remote_way.outage(way, vmagent, 30, restarts=2)
    assert found.flat_before_s > 20
    assert found.missing <= 2, "a scrape whose vmagent was stopped while it was answered"
    assert found.missing == found.of_restarts
    assert found.longest_gap_s < 15, "a restart's own seconds"
    assert found.flat_after_s <= found.longest_gap_s + 2


def test_metrics_arrive_where_the_cloud_asks_trucks_for_a_certificate(tmp_path: Path) -> None:
    with remote_way.way(tmp_path, certificates=True) as made, made.truck() as vmagent:
        until(made.numbers, 60, what="the first scrapes")
        assert not _refused(vmagent)


def _series(now: float, ahead_s: float, **labels: str) -> bytes:
    times = np.array([int((now + ahead_s) * 1000)], np.int64)
    return remote_write.series(
        remote_write.labels(labels), remote_write.stamps(times), np.array([1.0])
    )


def test_samples_from_the_future_are_refused_and_told_and_block_nobody(way: Way) -> None:
    now = time.time()

    def write(truck: str, *many: bytes) -> requests.Response:
        return way.cloud.ask(
            "POST", "/api/v1/write", f"metrics-{truck}", data=remote_write.body(many),
            headers=remote_write.HEADERS,
        )  # fmt: skip

    ahead = write("A", _series(now, 3 * 86400, __name__="a", truck="A"),
                  _series(now, 590, __name__="b", truck="A"), _series(now, 0, __name__="c"))  # fmt: skip
    assert (ahead.status_code, ahead.text) == (400, "samples of truck A were refused: future 1\n")
    assert write("B", _series(now, -600, __name__="b", truck="B")).status_code == 204
    assert write("A", _series(now, -300, __name__="b", truck="A")).status_code == 204
    asked = way.prometheus.query
    for name, truck, at in (("b", "A", 590), ("b", "B", -600), ("b", "A", -300), ("c", "A", 0)):
        there = f'{name}{{truck="{truck}"}}'
        until(lambda: asked(there, now + at + 1), what=f"{there} at {at}")  # noqa: B023
    assert not asked("max_over_time(a[10d])", now + 5 * 86400)
    told = '{reason="future",truck="A"}'
    assert way.cloud.entrance.metric("edge_entrance_refused_samples_total")[told] == 1
    ahead_s = way.cloud.entrance.metric("edge_entrance_clock_ahead_seconds")['{truck="A"}']
    assert ahead_s == pytest.approx(3 * 86400, abs=60)


def test_a_truck_writes_its_own_series_and_no_others(way: Way) -> None:
    now = time.time()
    for reason, labels in (
        ("label", {"__name__": "b", "truck": "B"}), ("name", {"__name__": "ALERTS", "truck": "A"}),
        ("name", {"__name__": "ALERTS_FOR_STATE"}), ("name", {"__name__": "truck:last_seen:x"}),
        ("name", {"__name__": "edge_entrance_refused_samples_total"}), ("name", {"x": "y"}),
        ("form", {"__name__": "b", "x-y": "z"}),
    ):  # fmt: skip
        body = remote_write.body([_series(now, 0, **labels), _series(now, 0, __name__="good")])
        answer = way.cloud.ask("POST", "/api/v1/write", "metrics-A", data=body,
                               headers=remote_write.HEADERS)  # fmt: skip
        assert (answer.status_code, reason in answer.text) == (400, True), labels
    asked = way.prometheus.query
    until(lambda: asked('good{truck="A"}'), what="what was sound")
    for name in ("b", "ALERTS", "ALERTS_FOR_STATE", "truck:last_seen:x"):
        assert not asked(f'{{__name__="{name}",truck!=""}}'), name
    for body in (b"", b"\xff" * 20, b"\xff\xff\xff\x7f" + bytes(100)):
        answer = way.cloud.ask("POST", "/api/v1/write", "metrics-A", data=body)
        assert answer.status_code in {204, 400}
    assert way.cloud.ask(
        "POST", "/api/v1/write", "metrics-A", data=bytes(5 << 20)).status_code == 413  # fmt: skip
