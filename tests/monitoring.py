"""Prometheus, vmagent, Alertmanager and the fleet's QC in containers, with the shipped settings."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests
from testcontainers.core.container import DockerContainer

from tests.orthancs import IMAGES, ROOT
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testcontainers.core.network import Network

PROMETHEUS, ALERTMANAGER, VMAGENT, FLEET_QC = 9090, 9093, 8429, 9109
#: How a container calls this machine.
HERE = "host.docker.internal"


def image(name: str) -> str:
    return f"{IMAGES}/{name}"


def promtool(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Runs promtool of the image; monitoring/prometheus is its working folder."""
    return subprocess.run(
        [
            "docker", "run", "--rm", "--interactive", "--network", "none", "--entrypoint",
            "promtool", "--volume", f"{ROOT}/monitoring/prometheus:/p:ro", "--workdir", "/p",
            image("prometheus"), *arguments,
        ],
        input=given, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def hastened(name: str, folder: Path, seconds: int = 1) -> Path:
    """A shipped file of settings with another interval than 30 s, and nothing else changed."""
    text = (ROOT / "monitoring" / name).read_text()
    assert ": 30s" in text
    text = text.replace(": 30s", f": {seconds}s").replace(": 10s", f": {seconds}s")
    copy = folder / name.replace("/", "-")
    copy.write_text(text)
    copy.chmod(0o644)
    return copy


@contextmanager
def running(
    name: str, port: int, network: Network, path: str, *, files: dict[Path, str] | None = None,
    command: str = "", **environment: str,
) -> Iterator[Service]:  # fmt: skip
    """A container of an image of ours, in a network under its own name."""
    container = DockerContainer(image(name)).with_exposed_ports(port).with_network(network)
    container.with_network_aliases(name).with_kwargs(extra_hosts={HERE: "host-gateway"})
    for here, there in (files or {}).items():
        container.with_volume_mapping(str(here), there, "ro")
    for variable, value in environment.items():
        container.with_env(variable, value)
    if command:
        container.with_command(command)
    with container:
        service = Service(container, port)
        until(lambda: service.answers(path), 60, what=f"{name} answers")
        yield service


class Service:
    """A running container with a port."""

    def __init__(self, container: DockerContainer, port: int) -> None:
        self.container = container
        self._port = port

    @property
    def id(self) -> str:
        return str(self.container.get_wrapped_container().id)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.container.get_exposed_port(self._port)}"

    def answers(self, path: str) -> bool:
        try:
            return requests.get(f"{self.url}{path}", timeout=5).ok
        except requests.RequestException:
            return False

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The result of an instant query. Raises AssertionError where it fails."""
        asked = {"query": expression} | ({} if at is None else {"time": str(at)})
        answer = requests.post(f"{self.url}/api/v1/query", data=asked, timeout=60)
        assert answer.ok, f"{expression}: {answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found
