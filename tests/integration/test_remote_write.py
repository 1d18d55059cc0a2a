"""The truck's metrics on their shipped way: vmagent, HTTPS with a password, nginx, Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests import remote_way
from tests.certificates import Authority
from tests.orthancs import PASSWORD
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.monitoring import Service
    from tests.remote_way import Way

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
    way.password(PASSWORD)
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
    assert way.proxy.get(write, auth=("metrics-A", PASSWORD)).status_code == 403
    assert way.proxy.get(write).status_code == 401
    for path in ("/api/v1/query?query=up", "/metrics"):
        assert "scrapes" not in way.proxy.get(path, auth=("metrics-A", PASSWORD)).text
        assert "prometheus_" not in way.proxy.get(path, auth=("metrics-A", PASSWORD)).text


def test_after_an_outage_with_restarts_the_dashboards_gap_is_filled(way: Way) -> None:
    """The outage of `scripts/bench fleet`, with a second for twenty."""
    with way.truck() as vmagent:
        found = remote_way.outage(way, vmagent, 30, restarts=2)
    assert found.flat_before_s > 20
    assert found.missing <= 2, "a scrape whose vmagent was stopped while it was answered"
    assert found.missing == found.of_restarts
    assert found.longest_gap_s < 15, "a restart's own seconds"
    assert found.flat_after_s <= found.longest_gap_s + 2
