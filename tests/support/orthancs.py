"""Real Orthancs in containers, for tests: the truck's with the plugin, the cloud's with DICOMweb."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import requests
from testcontainers.core.container import DockerContainer

from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parent.parent.parent
#: The first part of the names of the images, as in docker-compose.yml.
IMAGES = os.environ.get("EDGE_IMAGES", "edge-router")
PASSWORD = "a-test-password"
DELETE = {"X-Edge-Router-Delete": "test"}
STABLE_AGE_S = 1


def health_header() -> str:
    """What the health check of an image of Orthanc signs in with: a line of its request."""
    return f"Authorization: Basic {base64.b64encode(f'health:{PASSWORD}'.encode()).decode()}\n"


def suite() -> str:
    """The release that scripts/images built: from the environment, else what is there."""
    if chosen := os.environ.get("ORTHANC_SUITE"):
        return chosen
    for candidate in ("forky", "trixie"):
        image = f"{IMAGES}/orthanc-truck:{candidate}"
        if (
            subprocess.run(
                ["docker", "image", "inspect", image], capture_output=True, check=False
            ).returncode
            == 0
        ):
            return candidate
    raise AssertionError("no image of Orthanc: run scripts/images")


@dataclass
class Orthanc:
    """A running Orthanc."""

    container: DockerContainer
    user: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.container.get_exposed_port(8042)}"

    @property
    def dicom_port(self) -> int:
        return int(self.container.get_exposed_port(4242))

    def request(
        self, method: str, path: str, user: str | None = None, **more: object
    ) -> requests.Response:
        return requests.request(
            method,
            f"{self.url}{path}",
            auth=(user or self.user, PASSWORD),
            timeout=30,
            **more,  # type: ignore[arg-type]
        )

    def get(self, path: str) -> object:
        response = self.request("GET", path)
        response.raise_for_status()
        return response.json()

    def instances(self) -> list[str]:
        found = self.get("/instances")
        assert isinstance(found, list)
        return found

    def file(self, instance: str) -> bytes:
        response = self.request("GET", f"/instances/{instance}/file")
        response.raise_for_status()
        return response.content

    def wipe(self) -> None:
        for patient in self.request("GET", "/patients").json():
            self.request("DELETE", f"/patients/{patient}", headers=DELETE).raise_for_status()

    def wait_ready(self) -> None:
        def answers() -> bool:
            try:
                return self.request("GET", "/system").ok
            except requests.RequestException:
                return False

        until(answers, what="Orthanc's answer")

    def kill(self) -> None:
        """kill -9, and up again on the same data."""
        self.container.get_wrapped_container().kill("SIGKILL")
        self.container.get_wrapped_container().start()
        self.wait_ready()


def start(
    target: str,
    folder: Path,
    users: list[str],
    volumes: Mapping[str, str] = MappingProxyType({}),
    ports: Mapping[int, int] = MappingProxyType({}),
    **environment: str,
) -> Iterator[Orthanc]:
    """Starts the image of a target (truck or cloud); ends it with the generator.

    ``volumes``: folder or file of this machine → its place in the container. ``ports``: inside →
    on this machine; these stay through a restart, others change. The cloud's runs without its
    guard, as an archive of somebody else, so that a test can look at all of it and empty it;
    ``tests.support.cloud`` starts it as it is shipped.
    """
    secrets = folder / f"{target}-users.json"
    secrets.write_text(json.dumps({"RegisteredUsers": dict.fromkeys(users, PASSWORD)}))
    health = folder / f"{target}-health"
    health.write_text(health_header())
    for file in (secrets, health):
        file.chmod(0o444)
    container = DockerContainer(f"{IMAGES}/orthanc-{target}:{suite()}")
    container.with_volume_mapping(str(secrets), "/run/secrets/orthanc_users", "ro")
    container.with_volume_mapping(str(health), "/run/secrets/orthanc_health", "ro")
    if target == "truck":
        modalities = ROOT / "orthanc" / "modalities.json"
        container.with_volume_mapping(str(modalities), "/etc/edge-orthanc/modalities.json", "ro")
    elif "/etc/edge-orthanc/cloud.json" not in volumes.values():
        settings = ROOT / "tests" / "support" / "open_cloud.json"
        container.with_volume_mapping(str(settings), "/etc/edge-orthanc/cloud.json", "ro")
    for outside, inside in volumes.items():
        container.with_volume_mapping(outside, inside, "rw")
    container.with_exposed_ports(8042, 4242)
    for port, outside_port in ports.items():
        container.with_bind_ports(port, outside_port)
    container.with_env("STABLE_AGE_S", str(STABLE_AGE_S))
    for name, value in environment.items():
        container.with_env(name, value)
    with container:
        orthanc = Orthanc(container, users[0])
        orthanc.wait_ready()
        yield orthanc
