"""The shipped way of a truck's metrics, in containers, and an outage of it."""

from __future__ import annotations

import itertools
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import requests
from testcontainers.core.network import Network

from tests.support import cloud, monitoring
from tests.support.certificates import Authority
from tests.support.orthancs import ROOT
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.cloud import Cloud
    from tests.support.monitoring import Counted, Service

#: A panel of the dashboard *Fleet*: what the target counts is shown by it.
PANEL = "Oldest undelivered image"


@dataclass
class Way:
    """All that stands between a truck and the fleet's Prometheus."""

    network: Network
    folder: Path
    authority: Authority
    prometheus: Service
    cloud: Cloud
    target: Counted
    #: The truck's certificate, where it shows one.
    shown: dict[Path, str]

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
                self.folder / "metrics_password": "/run/secrets/metrics_password",
                ca or self.authority.file: "/run/secrets/cloud_ca",
                **self.shown,
            },
            kept={queue: "/var/lib/vmagent"},
            REMOTE_WRITE_URL="https://cloud-proxy:8443/api/v1/write", TRUCK_ID="A",
            TRUCK_SITE="north", ROUTER_ADDRESS=f"{monitoring.HERE}:{self.target.port}",
        ) as vmagent:  # fmt: skip
            yield vmagent
            vmagent.docker(end)

    def password(self, value: str) -> None:
        """Into the file that vmagent reads, which stays the same file."""
        with (self.folder / "metrics_password").open("w") as file:
            file.write(value)

    def numbers(self) -> set[int]:
        """The scrapes that have arrived."""
        found = self.prometheus.query('scrapes{truck="A",site="north"}[15m]')
        return {int(float(value)) for one in found for _, value in one["values"]}

    def all_arrived(self, deadline_s: float = 90) -> None:
        """Waits until what is measured now has arrived, and nothing is left in the queue."""
        last = self.target.count
        until(
            lambda: max(self.numbers(), default=0) > last, deadline_s, what="what is measured now"
        )


@contextmanager
def way(folder: Path, scrape_s: int = 1, *, certificates: bool = False) -> Iterator[Way]:
    """vmagent is not started; it asks every so many seconds.

    With ``certificates`` the cloud lets no truck in without one, and this truck shows its own.
    """
    (folder / "password").write_text("x")
    (folder / "metrics_password").write_text(cloud.password_of("metrics-A"))
    for name in ("password", "metrics_password"):
        (folder / name).chmod(0o644)
    scrape = monitoring.hastened("vmagent/scrape.yml", folder, scrape_s)
    scrape.rename(folder / "scrape.yml")
    settings = monitoring.hastened("prometheus/prometheus.yml", folder)
    authority = Authority(folder, "ca")
    shown, asks, needs = {}, {}, {}
    if certificates:
        own = authority.sign("A", "clientAuth")
        shown = {own.file: "/run/secrets/truck_certificate",
                 own.key: "/run/secrets/truck_certificate_key"}  # fmt: skip
        asks = {authority.file: "/run/secrets/trucks_ca"}
        needs = {"TRUCK_CERTIFICATES": "required"}
    with (
        Network() as network,
        monitoring.running(
            "prometheus", monitoring.PROMETHEUS, network, "/-/ready",
            files={settings: "/etc/edge-prometheus/prometheus.yml"},
        ) as prometheus,
        cloud.cloud(network, folder / "cloud", authority, ("A", "B"),
                    proxy_files=asks, of_entrance=needs) as fleet,
        monitoring.counting_target() as target,
    ):  # fmt: skip
        yield Way(network, folder, authority, prometheus, fleet, target, shown)


@dataclass(frozen=True)
class Outage:
    """What an outage has cost."""

    missing: int  #: scrapes that were answered and never arrived …
    of_restarts: int  #: … of these, those that were answered while vmagent was restarted
    longest_gap_s: float  #: between two scrapes that arrived
    #: For so long at most the dashboard's own query shows the same value, while the link is away
    #: and after everything has arrived; the values change with each scrape.
    flat_before_s: float
    flat_after_s: float


def outage(way: Way, vmagent: Service, seconds: float, restarts: int) -> Outage:
    """The cloud's entrance does not answer for so long, and vmagent is restarted meanwhile."""
    until(way.numbers, 60, what="the first scrapes")
    begun = time.time()
    stopped: list[tuple[float, float]] = []
    way.cloud.proxy.docker("pause")
    for number in range(restarts + 1):
        end = begun + seconds * (number + 1) / (restarts + 1)
        until(lambda end=end: time.time() > end, seconds, what="the outage")  # type: ignore[misc]
        if number < restarts:
            at = time.time()
            vmagent.docker("restart")
            stopped.append((at, time.time()))
    ended = time.time()
    flat_before = _flat_s(way.prometheus, begun, ended)
    way.cloud.proxy.docker("unpause")
    way.all_arrived(180)
    found = way.prometheus.query(f'scrapes{{truck="A"}}[{int(time.time() - begun) + 60}s]')
    pairs = sorted((float(t), float(v)) for one in found for t, v in one["values"])
    missing = of_restarts = 0
    for (before, earlier), (after, later) in itertools.pairwise(pairs):
        lost = int(later - earlier) - 1
        missing += lost
        # One scrape can be under way when a restart begins, and one when it ends.
        during = sum(before < end and begin < after for begin, end in stopped)
        of_restarts += min(lost, 2 * during)
    return Outage(
        missing,
        of_restarts,
        float(np.max(np.diff([stamp for stamp, _ in pairs]))),
        flat_before,
        _flat_s(way.prometheus, begun, ended),
    )


def _flat_s(prometheus: Service, begin: float, end: float) -> float:
    """The longest time for which the panel shows the same, or nothing."""
    board = json.loads((ROOT / "monitoring/grafana/dashboards/fleet.json").read_text())
    (expression,) = [
        target["expr"] for panel in board["panels"] if panel["title"] == PANEL
        for target in panel["targets"]
    ]  # fmt: skip
    asked = {"query": expression.replace("$site", ".*"), "start": begin, "end": end, "step": 1}
    answer = requests.post(f"{prometheus.url}/api/v1/query_range", data=asked, timeout=60)
    answer.raise_for_status()
    (line,) = answer.json()["data"]["result"]
    shown = {round(float(t) - begin): float(v) for t, v in line["values"]}
    changed = [0, *(t for t in sorted(shown) if shown[t] != shown.get(t - 1)), int(end - begin)]
    return float(np.max(np.diff(changed)))
