"""Every panel of every dashboard against a Prometheus that the real router feeds."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from testcontainers.core.network import Network

from door.figures import Figures, Reason
from tests.support import data, fleet_sim, fleet_traffic, monitoring, remote_write, scanner
from tests.support.dashboard_panels import panels
from tests.support.orthancs import PASSWORD
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.in_process import AtRest, Router
    from tests.support.monitoring import Service
    from tests.support.orthancs import Orthanc

TRUCK = "TRUCK1"
_VALUES = {
    "site": ".*", "device": ".*", "modality": "MG", "view": "CC", "feature": "contrast", "__rate_interval": "2m",
}  # fmt: skip
#: A truck has at most so many series.
MOST_SERIES = 400


def _expression(board: str, panel: dict[str, Any]) -> Iterator[str]:
    for target in panel["targets"]:
        expression = target["expr"]
        values = _VALUES | {"truck": TRUCK if board == "truck" else ".*"}
        for name, value in values.items():
            expression = re.sub(rf"\$({name}\b|\{{{name}\}})", value, expression)
        assert "$" not in expression, expression
        yield expression


@pytest.fixture
def fed(router: Router, truck: Orthanc, at_rest: AtRest, tmp_path: Path) -> Iterator[Service]:
    """A Prometheus with a real truck's metrics, a simulated fleet's, and its QC's."""
    config = router.config.read_text()
    router.config.write_text(config.replace("[api]\n", '[api]\nhost = "0.0.0.0"\n'))
    (tmp_path / "health").write_text(PASSWORD)
    (tmp_path / "health").chmod(0o644)
    scrape = monitoring.hastened("vmagent/scrape.yml", tmp_path)
    settings = monitoring.hastened("prometheus/prometheus.yml", tmp_path)
    door = tmp_path / "door"
    door.mkdir()
    calls = _door_figures()
    calls.write(door / "door.prom")
    today = int(time.time() // fleet_traffic.DAY_S)
    fleet = fleet_sim.fleet(40, 20, seed=41, faults=5, first_day=today - 19)
    with (
        Network() as network,
        monitoring.running(
            "prometheus", monitoring.PROMETHEUS, network, "/-/ready",
            files={settings: "/etc/edge-prometheus/prometheus.yml"},
        ) as prometheus,
        router.running() as app,
        monitoring.running("node-exporter", 9100, network, "/metrics",
                           files={door: "/var/lib/edge-door-figures"}),
        monitoring.running(
            "vmagent", monitoring.VMAGENT, network, "/health",
            files={
                scrape: "/etc/vmagent/scrape.yml",
                tmp_path / "health": "/run/secrets/health_password",
            },
            REMOTE_WRITE_URL="http://prometheus:9090/api/v1/write", TRUCK_ID=TRUCK,
            TRUCK_SITE="north", ROUTER_ADDRESS=f"{monitoring.HERE}:{app.port}",
            ORTHANC_ADDRESS=f"{monitoring.HERE}:{truck.container.get_exposed_port(8042)}",
        ),
    ):  # fmt: skip
        until(lambda: prometheus.query(f'edge_router_build_info{{truck="{TRUCK}"}}'), 60,
              what="the router's metrics")  # fmt: skip
        # What was counted before the first scrape shows no increase.
        until(lambda: prometheus.query("edge_door_ended_total"), 60, what="the door's")
        calls.ended.update(Reason)
        calls.write(door / "door.prom")
        _write(prometheus, fleet)
        patient = data.Patient.made("panels")
        images = list(data.mammogram_study("panels", patient, rows=256, columns=208))
        held = data.radiograph("held", data.Patient.made("held"), 96, 64)
        held.BurnedInAnnotation = "YES"
        images.append(held)
        assert set(scanner.store(images, truck.dicom_port)) == {scanner.SUCCESS}
        at_rest(app, 2)
        with monitoring.running(
            "fleet-qc", monitoring.FLEET_QC, network, "/metrics",
            command="--days 18 --every-s 5 --prometheus http://prometheus:9090",
        ):  # fmt: skip
            yield prometheus


def _door_figures() -> Figures:
    """Those of a door that each kind of caller has met."""
    figures = Figures()
    figures.gauges = {
        f"edge_door_{name}": lambda: 1.0 for name in ("associations", "waiting", "unknown_callers")
    }
    figures.ended.update(Reason)
    return figures


def _write(prometheus: Service, fleet: fleet_sim.Fleet) -> None:
    traffic = fleet_traffic.Traffic(fleet.history)
    session = requests.Session()
    now = int(time.time())
    for day in fleet.history.moments.days:
        begin = int(day) * fleet_traffic.DAY_S
        end = min(begin + fleet_traffic.DAY_S, now)
        many = [one for _, one, _ in traffic.between(begin, end, 1800)]
        remote_write.send(session, f"{prometheus.url}/api/v1/write", many)
    many = [one for _, one, _ in traffic.between(now - 60, now, 60)]
    remote_write.send(session, f"{prometheus.url}/api/v1/write", many)


def test_no_panel_fails_and_none_is_empty(fed: Service) -> None:
    wanted = [(b, p["title"], e) for b, p in panels() for e in _expression(b, p)]
    assert len(wanted) > 40

    def empty() -> list[tuple[str, str, str]]:
        return [one for one in wanted if not _has_values(fed.query(one[2]))]

    try:
        until(lambda: not empty(), 90, what="every panel has values")
    except AssertionError:
        assert not empty()
    series = fed.query(f'count({{truck="{TRUCK}",__name__!~"truck:.*|ALERTS.*"}})')
    assert 100 < float(series[0]["value"][1]) <= MOST_SERIES
    jobs = {one["metric"]["job"] for one in fed.query(f'up{{truck="{TRUCK}"}} == 1')}
    assert jobs == {"router", "orthanc", "node", "vmagent"}


def _has_values(result: list[dict[str, Any]]) -> bool:
    return any(one["value"][1] != "NaN" for one in result)
