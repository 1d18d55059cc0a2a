"""The truck's metrics on their shipped way: vmagent, HTTPS with a password, nginx, Prometheus."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from testcontainers.core.network import Network

from tests import monitoring
from tests.certificates import Authority
from tests.monitoring import counting_target
from tests.orthancs import PASSWORD
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.monitoring import Counted, Service

#: Scrapes are every second; so many seconds are an outage.
_AWAY_S = 12.0
#: A vmagent that is killed loses what it was just sending and what it had not yet written to disk.
_OF_A_POWER_CUT = 10


@dataclass
class Way:
    """All that stands between a truck and the fleet's Prometheus."""

    network: Network
    folder: Path
    authority: Authority
    prometheus: Service
    proxy: Service
    target: Counted

    @contextmanager
    def truck(self, ca: Path | None = None, end: str = "stop") -> Iterator[Service]:
        """A vmagent that keeps its queue in the way's folder, as on a volume; ``end``: stop, kill."""
        queue = self.folder / "queue"
        queue.mkdir(exist_ok=True)
        queue.chmod(0o777)
        with monitoring.running(
            "vmagent", monitoring.VMAGENT, self.network, "/health",
            files={
                self.folder / "scrape.yml": "/etc/vmagent/scrape.yml",
                self.folder / "password": "/run/secrets/health_password",
                self.folder / "cloud_password": "/run/secrets/cloud_password",
                ca or self.authority.file: "/run/secrets/cloud_ca",
            },
            kept={queue: "/var/lib/vmagent"},
            REMOTE_WRITE_URL="https://cloud-proxy:8443/api/v1/write", TRUCK_ID="A",
            TRUCK_SITE="north", ROUTER_ADDRESS=f"{monitoring.HERE}:{self.target.port}",
        ) as vmagent:  # fmt: skip
            yield vmagent
            vmagent.docker(end)

    def password(self, value: str) -> None:
        """Into the file that vmagent reads, which stays the same file."""
        with (self.folder / "cloud_password").open("w") as file:
            file.write(value)

    def numbers(self) -> set[int]:
        """The scrapes that have arrived."""
        found = self.prometheus.query('scrapes{truck="A",site="north"}[15m]')
        return {int(float(value)) for one in found for _, value in one["values"]}

    def all_arrived(self) -> None:
        """Waits until what is measured now has arrived, and nothing is left in the queue."""
        last = self.target.count
        until(lambda: max(self.numbers(), default=0) > last, 90, what="what is measured now")


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    (tmp_path / "password").write_text("x")
    (tmp_path / "cloud_password").write_text(PASSWORD)
    for name in ("password", "cloud_password"):
        (tmp_path / name).chmod(0o644)
    scrape = monitoring.hastened("vmagent/scrape.yml", tmp_path)
    scrape.rename(tmp_path / "scrape.yml")
    settings = monitoring.hastened("prometheus/prometheus.yml", tmp_path)
    authority = Authority(tmp_path, "ca")
    with (
        Network() as network,
        monitoring.running(
            "prometheus", monitoring.PROMETHEUS, network, "/-/ready",
            files={settings: "/etc/edge-prometheus/prometheus.yml"},
        ) as prometheus,
        monitoring.cloud(network, tmp_path, authority) as proxy,
        counting_target() as target,
    ):  # fmt: skip
        yield Way(network, tmp_path, authority, prometheus, proxy, target)


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
    assert way.proxy.get(write, auth=("truck", PASSWORD)).status_code == 403
    assert way.proxy.get(write).status_code == 401
    for path in ("/api/v1/query?query=up", "/metrics"):
        assert "scrapes" not in way.proxy.get(path, auth=("truck", PASSWORD)).text
        assert "prometheus_" not in way.proxy.get(path, auth=("truck", PASSWORD)).text
