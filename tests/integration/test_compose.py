"""docker-compose.yml as compose reads it: who reaches whom, and who sees what."""

from __future__ import annotations

import json
import os
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.support.orthancs import ROOT

#: What somebody outside needs: the scanner, the readers and trucks, the readers of dashboards
#: (Grafana asks for a password).
_PUBLISHED = {"door", "cloud-proxy", "grafana"}
#: Without a sign-in of their own.
_OPEN = ("prometheus", "alertmanager", "vmagent", "node-exporter", "fleet-qc", "router")


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    done = subprocess.run(
        ["docker", "compose", "--project-directory", ROOT, "config", "--format", "json"],
        check=True, capture_output=True, text=True,
        env=os.environ
        | {"COMPOSE_PROFILES": "truck,cloud,grafana", "COMPOSE_DISABLE_ENV_FILE": "1"},
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _networks(stack: dict[str, Any], service: str) -> set[str]:
    return set(stack["services"][service].get("networks") or ())


def test_only_what_somebody_outside_needs_is_published(stack: dict[str, Any]) -> None:
    published = {name for name, service in stack["services"].items() if service.get("ports")}
    assert published == _PUBLISHED


def test_what_has_no_sign_in_shares_no_network_with_what_faces_outside(
    stack: dict[str, Any],
) -> None:
    """The router sends over the network that the cloud's entrance listens on, and scrapes are
    answered by it; all others are apart."""
    internal = {name for name, network in stack["networks"].items() if network.get("internal")}
    for service in _OPEN:
        assert not _networks(stack, service) & _networks(stack, "door"), service
        if service not in {"router", "vmagent", "prometheus"}:
            assert not _networks(stack, service) & _networks(stack, "cloud-proxy"), service
    # Prometheus takes what the entrance has let in; nobody else of the cloud reaches it there.
    beside = {
        name for name in stack["services"] if _networks(stack, name) & {"metrics"}
    } - {"prometheus"}  # fmt: skip
    assert beside <= {"cloud-proxy", "entrance"}
    assert {"truck", "cloud", "metrics", "monitoring"} <= internal


def test_nothing_of_the_machine_is_mounted_but_settings_to_read(stack: dict[str, Any]) -> None:
    for name, service in stack["services"].items():
        assert not service.get("privileged"), name
        assert not {"pid", "ipc", "network_mode", "userns_mode", "cap_add"} & set(service), name
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                assert mount.get("read_only"), (name, mount)
                source = Path(mount["source"])
                assert source.is_relative_to(ROOT) or source == Path("/dev/null"), (name, mount)
                assert source != ROOT, (name, mount)


def test_no_two_services_read_one_secret_but_what_is_public(stack: dict[str, Any]) -> None:
    public = {"cloud_ca", "readers_ca", "trucks_ca", "cloud_certificate", "truck_certificate"}
    secrets = {
        name: {secret["source"] for secret in service.get("secrets", [])} - public
        for name, service in stack["services"].items()
    }
    # The truck shows one certificate, for its images and for its metrics.
    key = {"truck_certificate_key"}
    assert {name for name, read in secrets.items() if read & key} == {"router", "vmagent"}
    for one, other in combinations(secrets, 2):
        assert not (secrets[one] & secrets[other]) - key, (one, other)


def test_the_two_machines_share_no_secret(stack: dict[str, Any]) -> None:
    def folders(profile: str) -> set[str]:
        return {
            Path(stack["secrets"][secret["source"]]["file"]).parent.name
            for service in stack["services"].values()
            if profile in service["profiles"]
            for secret in service.get("secrets", [])
        } - {"dev"}  # /dev/null: not given

    assert folders("truck") == {"TRUCK1"}
    assert folders("cloud") == {"cloud"}


def test_no_service_waits_for_another(stack: dict[str, Any]) -> None:
    """One that fails to start would leave those behind it created and never started."""
    assert not [name for name, service in stack["services"].items() if service.get("depends_on")]
