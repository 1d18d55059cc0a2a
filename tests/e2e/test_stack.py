"""The compose stack end to end: scan, kill the router at random moments, ask the cloud."""

from __future__ import annotations

import json
import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pydicom
import requests

from tests.support import data, scanner
from tests.support.orthancs import IMAGES
from tests.support.stack import SERVICES
from tests.support.waiting import until
from tools.audit import audit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.stack import Stack


def test_killed_at_three_random_moments_nothing_is_lost_doubled_or_identified(
    stack: Stack, tmp_path: Path
) -> None:
    seed = data.fresh_seed()
    moments = random.Random(seed)
    print(f"seed {seed}")  # noqa: T201  (shown when the test fails)
    sources = data.demo_studies(seed, tmp_path, slices=40, mg_rows=1024)
    ids = {stack.alias(s.patient.patient_id, s.study_uid): s.study_uid for s in sources}
    before = stack.cloud().instances()
    images = [pydicom.dcmread(source.path) for source in sources]
    statuses: list[int] = []
    port = stack.port("door", 4242)
    sender = threading.Thread(target=lambda: statuses.extend(scanner.store(images, port)))
    sender.start()
    for _ in range(3):
        # The moment is the point: anywhere between the first image and the last receipt.
        time.sleep(moments.uniform(0.3, 3.0))
        stack.kill("router")
        until(stack.studies, 60, what="the router after its kill")
    sender.join()
    (router,) = json.loads(stack.docker("inspect", stack.container("router")))
    assert router["RestartCount"] >= 3
    assert set(statuses) == {scanner.SUCCESS}

    studies = stack.at_rest(ids)
    held = {ids[study["study"]]: study["held"] for study in studies}
    found = audit(stack.cloud(), sources, stack.key(), before, held)
    assert (found.lost, found.duplicates, found.identifiers) == (0, 0, 0)
    rows = [row for row in stack.edge_router("held")["held"] if row["study"] in ids]
    # The screen of the dose.
    assert [row["code"] for row in rows] == ["SOP_CLASS_NOT_CLEARED"], rows
    assert sum(held.values()) == 1
    assert len(found.arrived) == len(sources) - 1
    assert found.captures == 4 + 1 + 1 + len(data.PYDICOM_FILES)


def test_the_operator_sees_what_is_held_and_what_to_do(stack: Stack) -> None:
    rows = stack.edge_router("held")["held"]
    assert rows
    for row in rows:  # of each CT that a test has sent: the screen of its dose
        assert row["code"] == "SOP_CLASS_NOT_CLEARED"
        assert "Secondary Capture" in row["detail"]
        assert row["do"]
    assert stack.edge_router("check-config")["fine"] is True
    assert stack.edge_router("status")["safe"] is False


def test_metrics_and_health_are_served_on_this_machine_alone(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.port('router', 8080)}"
    assert requests.get(f"{url}/health/ready", timeout=10).json() == {"ready": True}
    metrics = requests.get(f"{url}/metrics", timeout=10).text
    assert 'edge_router_studies{state="DELIVERED"}' in metrics
    held = len(stack.edge_router("held")["held"])
    assert f'edge_router_instances_held{{code="SOP_CLASS_NOT_CLEARED"}} {held}.0' in metrics
    published = stack.docker("port", stack.container("router"))
    assert all(line.endswith(f"127.0.0.1:{stack.port('router', 8080)}")
               for line in published.splitlines())  # fmt: skip


def test_every_service_runs_as_a_user_of_its_own_on_a_read_only_system(stack: Stack) -> None:
    users = []
    for service in SERVICES:
        (found,) = json.loads(stack.docker("inspect", stack.container(service)))
        uid, _, gid = found["Config"]["User"].partition(":")
        assert int(uid) == int(gid) > 10000, service
        users.append(uid)
        assert found["HostConfig"]["ReadonlyRootfs"], service
        assert found["HostConfig"]["CapDrop"] == ["ALL"], service
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped", service
    assert len(set(users)) == len(SERVICES), users


def test_at_rest_no_check_is_started_and_each_service_is_still_known_to_be_well(
    stack: Stack,
) -> None:
    """A check stays and asks every half minute: what starts one costs more than all it does."""

    def stays(service: str) -> bool:
        """Whether the check that runs in it has outlived a pause."""
        told = stack.docker("top", stack.container(service), "-o", "pid,etimes,args")
        return any(int(row.split()[1]) > 35 for row in told.splitlines() if "/healthy" in row)

    for service in SERVICES:
        until(partial(stays, service), 90, what=f"{service}'s check stays")
        told = stack.docker("inspect", "-f", "{{.State.Health.Status}}", stack.container(service))
        assert told.strip() == "healthy", service


def test_no_log_line_names_a_patient(stack: Stack) -> None:
    log = stack.docker("logs", stack.container("router"))
    assert "PAT-" not in log
    assert "Canary" not in log


def test_the_clouds_entrance_asks_for_a_password(stack: Stack) -> None:
    ca = str(stack.secrets / "cloud" / "ca.pem")
    for path, status in (("/dicom-web/studies", 401), ("/", 401), ("/system", 404)):
        answer = requests.get(f"{stack.entrance}{path}", verify=ca, timeout=10)
        assert answer.status_code == status, path


def test_the_archive_is_said_to_be_down_and_is_found_again_at_another_address(
    stack: Stack,
) -> None:
    session = stack.reader()

    def viewer() -> requests.Response:
        return session.get(f"{stack.entrance}/dicom-web/studies?limit=1", timeout=30)

    def address(container: str) -> str:
        (found,) = json.loads(stack.docker("inspect", container))
        return str(found["NetworkSettings"]["Networks"][network]["IPAddress"])

    archive = stack.container("cloud-orthanc")
    network = f"{stack.project}_cloud"
    before = address(archive)
    stack.docker("stop", archive)
    squatter = ""
    try:
        answer = viewer()
        # Takes the address that has become free.
        squatter = stack.docker(
            "run", "--detach", "--network", network, "--init", "--entrypoint", "sleep",
            f"{IMAGES}/proxy", "600",
        ).strip()  # fmt: skip
        assert address(squatter) == before
    finally:
        stack.docker("start", archive)
        until(lambda: viewer().ok, 60, what="the viewer after the archive's restart")
        if squatter:
            stack.docker("rm", "--force", squatter)
    assert answer.status_code == 503
    assert "cloud-orthanc is down" in answer.text
