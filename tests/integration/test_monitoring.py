"""The metrics' way on real Prometheus, vmagent and Alertmanager."""

from __future__ import annotations

import http.server
import json
import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
from prometheus_client import CollectorRegistry, generate_latest
from testcontainers.core.network import Network

from door.figures import Figures, Reason
from fleet_qc import drift, miner
from fleet_qc.exporter import Exporter
from fleet_qc.prometheus import Prometheus
from router.journal import Journal
from tests.support import fleet_sim, fleet_traffic, monitoring, remote_write
from tests.support.every_metric import every_metric, fullest
from tests.support.orthancs import PASSWORD, ROOT
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.monitoring import Service
    from tests.support.orthancs import Orthanc

#: A truck has at most so many.
MOST_SERIES = 400
RULES = sorted((ROOT / "monitoring/prometheus/rules").glob("*.yml"))


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture
def prometheus(network: Network, tmp_path: Path) -> Iterator[Service]:
    settings = monitoring.hastened("prometheus/prometheus.yml", tmp_path)
    with monitoring.running(
        "prometheus", monitoring.PROMETHEUS, network, "/-/ready",
        files={settings: "/etc/edge-prometheus/prometheus.yml"},
    ) as service:  # fmt: skip
        yield service


@contextmanager
def _server(answer: Any) -> Iterator[int]:
    """A server of this machine that containers can reach."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(answer(b""))

        def do_POST(self) -> None:
            self._send(answer(self.rfile.read(int(self.headers["Content-Length"]))))

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not the test's output."""

    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)  # noqa: S104
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _write(prometheus: Service, name: str, value: float, **labels: str) -> None:
    frame = remote_write.stamps(np.array([int(time.time() * 1000)]))
    one = remote_write.series(
        remote_write.labels({"__name__": name, **labels}), frame, np.array([value])
    )
    remote_write.send(requests.Session(), f"{prometheus.url}/api/v1/write", [one])


# --- series -------------------------------------------------------------------------------------


def test_a_truck_that_has_seen_everything_stays_within_its_series(
    network: Network, prometheus: Service, truck: Orthanc, tmp_path: Path
) -> None:
    """Two devices of every modality, every code: what vmagent sends of it, and of all else."""
    journal = Journal(tmp_path / "journal.db")
    served = fullest(journal).encode()
    journal.close()
    (tmp_path / "health").write_text(PASSWORD)
    (tmp_path / "health").chmod(0o644)
    scrape = monitoring.hastened("vmagent/scrape.yml", tmp_path)
    figures = tmp_path / "figures"
    figures.mkdir()
    door_figures = Figures()
    door_figures.gauges = {f"edge_door_{name}": lambda: 1.0
                           for name in ("associations", "waiting", "unknown_callers")}  # fmt: skip
    door_figures.ended.update(Reason)
    door_figures.write(figures / "door.prom")
    with (
        _server(lambda _: served) as port,
        monitoring.running("node-exporter", 9100, network, "/metrics",
                           files={figures: "/var/lib/edge-door-figures"}),
        monitoring.running(
            "vmagent", monitoring.VMAGENT, network, "/health",
            files={
                scrape: "/etc/vmagent/scrape.yml",
                tmp_path / "health": "/run/secrets/health_password",
            },
            REMOTE_WRITE_URL="http://prometheus:9090/api/v1/write", TRUCK_ID="A",
            ROUTER_ADDRESS=f"{monitoring.HERE}:{port}",
            ORTHANC_ADDRESS=f"{monitoring.HERE}:{truck.container.get_exposed_port(8042)}",
        ),
    ):  # fmt: skip
        jobs = {"router", "orthanc", "node", "vmagent"}
        until(lambda: {one["metric"]["job"] for one in prometheus.query('up{truck="A"} == 1')}
              == jobs, 60, what="every job")  # fmt: skip
        series = prometheus.query(
            'count by (job) (last_over_time({truck="A",__name__!~"truck:.*|ALERTS.*"}[5m]))'
        )
        own_names = prometheus.query('{truck="A",__name__=~"up|scrape_.*"}')
        dropped = prometheus.query('scrape_series_limit_samples_dropped{truck="A"}')
        limit = prometheus.query('scrape_series_limit{truck="A"}')
        of_door = prometheus.query('{__name__=~"edge_door_.*|node_textfile_.*",truck="A"}')
        of_scrapes = prometheus.query(
            'count by (job) (last_over_time({truck="A",__name__=~"up|scrape_.*"}[5m]))'
        )
    count = {one["metric"]["job"]: int(one["value"][1]) for one in series}
    assert set(count) == jobs
    names = Counter(one["metric"]["__name__"] for one in of_door)
    assert names == {
        "edge_door_associations": 1, "edge_door_associations_total": 1, "edge_door_ended_total": 8,
        "edge_door_unknown_callers": 1, "edge_door_waiting": 1, "node_textfile_mtime_seconds": 1,
    }  # fmt: skip
    assert {one["metric"]["__name__"] for one in own_names} <= {
        "up", "scrape_series_current", "scrape_series_limit", "scrape_series_limit_samples_dropped",
    }  # fmt: skip
    assert sum(count.values()) <= MOST_SERIES, count
    # All of it: nothing was left out by the bound behind the bounds.
    assert {one["metric"]["job"]: float(one["value"][1]) for one in dropped} == {
        "router": 0.0, "node": 0.0,
    }  # fmt: skip
    # And that bound holds them, whatever a truck's machine has: vmagent's own are beside it.
    limits = {one["metric"]["job"]: int(one["value"][1]) for one in limit}
    own = {one["metric"]["job"]: int(one["value"][1]) for one in of_scrapes}
    left = sum(limits.get(job, count[job] - own[job]) + own[job] for job in jobs)
    assert left <= MOST_SERIES, (count, limits, own)


# --- rules --------------------------------------------------------------------------------------


def test_every_rule_does_what_its_test_says() -> None:
    names = (f"tests/{path.name}" for path in (ROOT / "monitoring/prometheus/tests").glob("*.yml"))
    done = monitoring.promtool("test", "rules", *names)
    assert done.returncode == 0, done.stdout + done.stderr
    shipped = monitoring.promtool("check", "rules", *(f"rules/{path.name}" for path in RULES))
    assert shipped.returncode == 0, shipped.stdout + shipped.stderr


def test_the_metrics_follow_the_conventions() -> None:
    registry = CollectorRegistry()
    exporter = Exporter()
    registry.register(exporter)
    exporter.show(miner.mine(fleet_sim.fleet(40, 30, seed=1, faults=5).history), 0.0, 1.0)
    for text in (every_metric(), generate_latest(registry).decode()):
        done = monitoring.promtool("check", "metrics", given=text)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not (done.stdout + done.stderr).strip()


# --- alerts -------------------------------------------------------------------------------------


def test_an_alert_reaches_the_webhook_grouped_by_truck(
    network: Network, prometheus: Service
) -> None:
    heard: list[dict[str, Any]] = []

    def hear(body: bytes) -> bytes:
        if body:
            heard.append(json.loads(body))
        return b""

    with (
        _server(hear) as port,
        monitoring.running(
            "alertmanager", monitoring.ALERTMANAGER, network, "/-/ready",
            ALERT_WEBHOOK_URL=f"http://{monitoring.HERE}:{port}/", ALERT_GROUP_WAIT="1s",
            ALERT_GROUP_INTERVAL="1s",
        ),
    ):  # fmt: skip
        # It drops what fires before it knows whom to tell; a minute later it would tell again.
        until(lambda: _alertmanagers(prometheus), 30, what="Prometheus knows Alertmanager")
        for truck in ("A", "B"):
            _write(
                prometheus, "edge_router_golden_moved", 2, truck=truck, site="n",
                algorithm="density-kmeans 1",
            )  # fmt: skip
        until(lambda: {m["groupLabels"]["truck"] for m in heard if m["groupLabels"]} >= {"A", "B"},
              60, what="both webhooks")  # fmt: skip
    message = next(m for m in heard if m["groupLabels"].get("truck") == "A")
    assert {a["labels"]["truck"] for a in message["alerts"]} == {"A"}
    (alert,) = message["alerts"]
    assert alert["labels"]["alertname"] == "GoldenSetMoved"
    assert alert["annotations"]["runbook"] == "docs/runbook.md#goldensetmoved"


def _alertmanagers(prometheus: Service) -> Any:
    answer = requests.get(f"{prometheus.url}/api/v1/alertmanagers", timeout=10).json()
    return answer["data"]["activeAlertmanagers"]


def test_a_silent_truck_is_the_only_news_of_that_truck(network: Network) -> None:
    heard: list[dict[str, Any]] = []

    def hear(body: bytes) -> bytes:
        heard.append(json.loads(body))
        return b""

    with (
        _server(hear) as port,
        monitoring.running(
            "alertmanager", monitoring.ALERTMANAGER, network, "/-/ready",
            ALERT_WEBHOOK_URL=f"http://{monitoring.HERE}:{port}/", ALERT_GROUP_WAIT="1s",
        ) as alertmanager,
    ):  # fmt: skip
        alerts = [
            {"labels": {"alertname": name, "truck": truck, "severity": "warning"}}
            for name, truck in (
                ("TruckSilent", "A"), ("HeldWaiting", "A"), ("OldestUndelivered", "A"),
                ("HeldWaiting", "B"),
            )
        ]  # fmt: skip
        requests.post(
            f"{alertmanager.url}/api/v2/alerts", json=alerts, timeout=10
        ).raise_for_status()
        until(lambda: {m["groupLabels"]["truck"] for m in heard} == {"A", "B"}, 30,
              what="both trucks")  # fmt: skip
    told = {(a["labels"]["truck"], a["labels"]["alertname"]) for m in heard for a in m["alerts"]}
    assert told == {("A", "TruckSilent"), ("B", "HeldWaiting")}


# --- fleet QC over Prometheus -------------------------------------------------------------------


def test_the_history_that_trucks_wrote_is_read_back_as_it_was(prometheus: Service) -> None:
    today = int(time.time() // fleet_traffic.DAY_S)
    fleet = fleet_sim.fleet(24, 20, seed=31, faults=5, first_day=today - 20, second_unit_every=2)
    _write_history(prometheus, fleet.history, today)
    found = Prometheus(prometheus.url).history(today - 1, 19)
    wanted = fleet.history.moments
    place = [wanted.streams.index(stream) for stream in found.moments.streams]
    order = [wanted.features.index(feature) for feature in found.moments.features]
    for name in ("count", "total", "squares"):
        expected = getattr(wanted, name)[place][:, order][:, :, 1:]
        assert np.allclose(getattr(found.moments, name), expected, rtol=1e-6), name
    named = {(f.stream.truck, f.stream.device) for f in miner.mine(found).findings}
    assert named == set(fleet.faults)


def test_what_happens_to_the_whole_fleet_reaches_its_metric_and_its_alert(
    network: Network, tmp_path: Path
) -> None:
    """Intensity, dense area, flags and software move in all trucks: no device is out of line."""
    today = int(time.time() // fleet_traffic.DAY_S)
    history = fleet_sim.fleet(24, 20, seed=51, first_day=today - 20).history
    for shift in fleet_sim.Shift:
        history = fleet_sim.moved(history, shift, 13)
    settings = monitoring.hastened("prometheus/prometheus.yml", tmp_path)
    rules = tmp_path / "rules"
    rules.mkdir(mode=0o755)
    shipped = (ROOT / "monitoring/prometheus/rules/fleet.yml").read_text()
    assert "for: 30m" in shipped  # nobody waits that long here; promtool's tests do
    (rules / "fleet.yml").write_text(shipped.replace("for: 30m", "for: 0s"))
    with (
        monitoring.running(
            "prometheus", monitoring.PROMETHEUS, network, "/-/ready",
            files={
                settings: "/etc/edge-prometheus/prometheus.yml",
                rules: "/etc/edge-prometheus/rules",
            },
        ) as prometheus,
    ):  # fmt: skip
        _write_history(prometheus, history, today)
        with monitoring.running(
            "fleet-qc", monitoring.FLEET_QC, network, "/metrics",
            command="--days 19 --every-s 5 --prometheus http://prometheus:9090",
        ):  # fmt: skip
            until(lambda: prometheus.query("fleet_qc_distribution_psi"), 60, what="the QC")
            psi = {
                one["metric"]["feature"]: float(one["value"][1])
                for one in prometheus.query("fleet_qc_distribution_psi")
            }
            wanted = {str(shift) for shift in fleet_sim.Shift}
            assert {name for name, value in psi.items() if value > drift.ACT} == wanted
            until(lambda: wanted <= _firing(prometheus, "QcDrift"), 60, what="the alerts")
            assert _firing(prometheus, "QcDrift") == wanted


def _firing(prometheus: Service, alert: str) -> set[str]:
    """The features of an alert of the whole fleet."""
    found = prometheus.query(f'ALERTS{{alertname="{alert}",alertstate="firing",truck=""}}')
    return {one["metric"]["feature"] for one in found}


def _write_history(prometheus: Service, history: Any, today: int) -> None:
    traffic = fleet_traffic.Traffic(history)
    session = requests.Session()
    for day in history.moments.days:
        begin = int(day) * fleet_traffic.DAY_S
        end = begin + fleet_traffic.DAY_S + (300 if day == today - 1 else 0)
        many = [one for _, one, _ in traffic.between(begin, min(end, today * 86_400), 3600)]
        remote_write.send(session, f"{prometheus.url}/api/v1/write", many)
    last = today * fleet_traffic.DAY_S
    many = [one for _, one, _ in traffic.between(last - 60, last, 60)]
    remote_write.send(session, f"{prometheus.url}/api/v1/write", many)


def test_every_alert_has_a_section_in_the_runbook_and_a_test() -> None:
    runbook = (ROOT / "docs/runbook.md").read_text()
    tests = "".join(p.read_text() for p in (ROOT / "monitoring/prometheus/tests").glob("*.yml"))
    alerts = [name for path in RULES for name in re.findall(r"- alert: (\w+)", path.read_text())]
    assert len(alerts) >= 10
    for alert in alerts:
        assert f"\n## {alert}\n" in runbook
        assert f"runbook: docs/runbook.md#{alert.lower()}" in "".join(p.read_text() for p in RULES)
        assert re.search(rf"alertname: {alert}\n +exp_alerts:\n", tests), alert
