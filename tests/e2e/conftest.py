"""The whole compose stack, under a project of its own, with the images of scripts/images."""

from __future__ import annotations

import json
import subprocess
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests
from testcontainers.compose import DockerCompose

from tests.orthancs import ROOT, suite
from tools.audit import Cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICES = ["truck-orthanc", "router", "cloud-orthanc", "cloud-proxy"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in item.nodeid:
            item.add_marker(pytest.mark.e2e)


@dataclass
class Stack:
    """A running stack."""

    compose: DockerCompose
    project: str
    secrets: Path

    def docker(self, *arguments: str) -> str:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, check=True, timeout=120
        )
        return done.stdout

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def port(self, service: str, inside: int) -> int:
        return int(self.docker("port", self.container(service), str(inside)).split(":")[-1])

    def kill(self, service: str) -> None:
        """kill -9 of every process in the container; the engine's restart policy brings it back.

        From inside, because the engine takes its own ``kill`` for a wish to stop.
        """
        self.docker("exec", self.container(service), "sh", "-c", "kill -9 -1")

    def edge_router(self, *arguments: str) -> Any:
        """What the command prints with --json, whatever its exit code."""
        done = subprocess.run(
            ["docker", "exec", self.container("router"), "edge-router", *arguments, "--json"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return json.loads(done.stdout)

    def studies(self) -> list[dict[str, Any]]:
        """The studies that the router knows; none while it is down."""
        try:
            url = f"http://127.0.0.1:{self.port('router', 8080)}/status"
            found: list[dict[str, Any]] = requests.get(url, timeout=10).json()["studies"]
        except (requests.RequestException, subprocess.CalledProcessError):
            return []
        return found

    def cloud(self) -> Cloud:
        password = (self.secrets / "auditor_password").read_text().strip()
        return Cloud(f"http://127.0.0.1:{self.port('cloud-orthanc', 8042)}", "auditor", password)

    def key(self) -> bytes:
        return bytes.fromhex((self.secrets / "programme_key").read_text().partition(":")[2])


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    secrets = tmp_path_factory.mktemp("secrets")
    subprocess.run([ROOT / "scripts" / "secrets", secrets], check=True, capture_output=True)
    project = f"edge-test-{uuid.uuid4().hex[:8]}"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "COMPOSE_PROJECT_NAME": project, "COMPOSE_PROFILES": "truck,cloud",
            "ORTHANC_SUITE": suite(), "SECRETS_DIR": str(secrets), "STABLE_AGE_S": "2",
            "DICOM_BIND": "127.0.0.1", "DICOM_PORT": "0", "ROUTER_PORT": "0", "CLOUD_PORT": "0",
        }.items():  # fmt: skip
            environment.setenv(name, value)
        files = ["docker-compose.yml", "tests/e2e/compose.audit.yml"]
        with DockerCompose(str(ROOT), files, wait=True, services=SERVICES) as compose:
            yield Stack(compose, project, secrets)
