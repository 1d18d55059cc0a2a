"""Prometheus, vmagent, Alertmanager and the fleet's QC in containers, with the shipped settings."""

from __future__ import annotations

import http.server
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from docker.types import Mount
from testcontainers.core.container import DockerContainer

from tests.support.orthancs import IMAGES, ROOT
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testcontainers.core.network import Network


PROMETHEUS, ALERTMANAGER, VMAGENT, FLEET_QC = 9090, 9093, 8429, 9109
#: The cloud's entrance: nginx as it is shipped.
PROXY, ORTHANC = 8443, 8042
#: What asks for a password answers too.
_SERVER_ERROR = 500
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
    secrets: dict[Path, list[str]] | None = None, of_service: dict[str, str] | None = None,
    kept: dict[Path, str] | None = None, command: str = "", of: str = "",
    ca: Path | None = None, **environment: str,
) -> Iterator[Service]:  # fmt: skip
    """A container of an image of ours (``of``, else its own), in a network under its own name.

    It reads ``files`` and ``secrets`` (one file in several places), and writes into ``kept``, folders that outlive it. Where a ``ca`` is named it
    answers over HTTPS.
    """
    container = DockerContainer(image(of or name)).with_exposed_ports(port).with_network(network)
    # Of vmagent, which else answers inside its container alone.
    container.with_env("VMAGENT_LISTEN", f":{VMAGENT}")
    container.with_network_aliases(name)
    for here, there in (files or {}).items():
        container.with_volume_mapping(str(here), there, "ro")
    container.with_kwargs(extra_hosts={HERE: "host-gateway"}, mounts=[
        Mount(place, str(here), type="bind", read_only=True)
        for here, places in (secrets or {}).items() for place in places
    ])  # fmt: skip
    for here, there in (kept or {}).items():
        container.with_volume_mapping(str(here), there, "rw")
    for variable, value in (environment | (of_service or {})).items():
        container.with_env(variable, value)
    if command:
        container.with_command(command)
    with container:
        service = Service(container, port, ca)
        until(lambda: service.answers(path), 60, what=f"{name} answers")
        yield service


@dataclass
class Counted:
    """A target that vmagent asks: how often it was, is what it shows: ``scrapes``."""

    port: int = 0
    count: int = 0


@contextmanager
def counting_target() -> Iterator[Counted]:
    """A server of this machine that containers can reach."""
    counted, lock = Counted(), threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                counted.count += 1
                body = (
                    f"# TYPE scrapes counter\nscrapes {counted.count}\n"
                    "# TYPE edge_router_oldest_undelivered_seconds gauge\n"
                    f'edge_router_oldest_undelivered_seconds{{destination="cloud"}} {counted.count}\n'
                ).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not the test's output."""

    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)  # noqa: S104
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    counted.port = int(server.server_address[1])
    try:
        yield counted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Service:
    """A running container with a port."""

    def __init__(self, container: DockerContainer, port: int, ca: Path | None = None) -> None:
        self.container = container
        self._port = port
        self._ca = ca

    @property
    def id(self) -> str:
        return str(self.container.get_wrapped_container().id)

    @property
    def url(self) -> str:
        scheme = "https" if self._ca else "http"
        return f"{scheme}://127.0.0.1:{self.container.get_exposed_port(self._port)}"

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(
            f"{self.url}{path}", timeout=5, verify=str(self._ca) if self._ca else True, **more
        )

    def docker(self, verb: str) -> None:
        """pause, unpause, restart, stop, start."""
        subprocess.run(["docker", verb, self.id], check=True, capture_output=True)

    def metric(self, name: str) -> dict[str, float]:
        """What it says of itself at /metrics: labels, as written there → value."""
        found = {}
        for line in self.get("/metrics").text.splitlines():
            said, _, value = line.rpartition(" ")
            if said.partition("{")[0] == name:
                found[said.removeprefix(name)] = float(value)
        return found

    def answers(self, path: str) -> bool:
        try:
            return self.get(path).status_code < _SERVER_ERROR
        except requests.RequestException:
            return False

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The result of an instant query. Raises AssertionError where it fails."""
        asked = {"query": expression} | ({} if at is None else {"time": str(at)})
        answer = requests.post(f"{self.url}/api/v1/query", data=asked, timeout=60)
        assert answer.ok, f"{expression}: {answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found
