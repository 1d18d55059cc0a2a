"""scripts/init: afterwards plain compose commands, in any shell, mean this machine's services."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support.orthancs import IMAGES, ROOT, suite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What a person's shell has; nothing of compose or of the project.
_PLAIN = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
#: Of a network that inspects TLS, and of a machine behind a proxy.
_BUILDING = {
    name: value
    for name, value in os.environ.items()
    if name.upper() in {"MACHINE_CA", "PIP_CERT", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY"}
}
_FOLDERS = ("scripts", "router", "monitoring", "orthanc", "python_plugin", "tests")
_FILES = ("docker-compose.yml", ".dockerignore", "pyproject.toml", "requirements.lock")


class Machine:
    """A clone in which scripts/init has run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, **more: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=_PLAIN | more, check=False, capture_output=True,
            text=True, timeout=280,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def compose(self, *arguments: str) -> set[str]:
        """The lines that plain ``docker compose`` prints."""
        return set(self.run("docker", "compose", *arguments).split())

    def started(self) -> set[str]:
        """When each container was started."""
        ids = self.compose("ps", "--quiet")
        return set(self.run("docker", "inspect", "-f", "{{.State.StartedAt}}", *ids).split())

    def states(self) -> set[str]:
        return self.compose("ps", "--all", "--format", "{{.State}}")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("clone")
    left_out = shutil.ignore_patterns("__pycache__", "node_modules", "made-*")
    for name in _FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    for path in (*_FILES, *(path.name for path in ROOT.glob("requirements*.lock"))):
        shutil.copy(ROOT / path, folder / path)
    # A person's own settings, that stay: nothing of this machine's stack is in the way.
    project = f"edge-test-{uuid.uuid4().hex[:8]}"
    settings = f"COMPOSE_PROJECT_NAME={project}\nDICOM_BIND=127.0.0.1\nDICOM_PORT=0\n"
    (folder / ".env").write_text(settings)
    made = Machine(folder)
    # Who chooses images and release for the set-up has chosen them for what follows.
    chosen = {"EDGE_IMAGES": IMAGES, "ORTHANC_SUITE": suite()}
    made.run("scripts/init", "truck", "MAMMO-7", **_BUILDING, **chosen)
    try:
        yield made
    finally:
        made.run("docker", "compose", "down", "--volumes", "--timeout", "1")


def test_plain_compose_means_the_services_of_this_machine(machine: Machine) -> None:
    services = machine.compose("config", "--services")
    assert {"truck-orthanc", "router", "vmagent", "node-exporter"} <= services
    assert not {"cloud-orthanc", "cloud-proxy", "prometheus", "tools", "browser"} & services


def test_the_truck_has_its_own_name_and_a_set_of_its_own(machine: Machine) -> None:
    assert 'id = "MAMMO-7"' in (machine.folder / "config.toml").read_text()
    assert 'user = "truck-MAMMO-7"' in (machine.folder / "config.toml").read_text()
    resolved = machine.run("docker", "compose", "config")
    assert str(machine.folder / ".secrets" / "trucks" / "MAMMO-7" / "programme_key") in resolved
    assert not (machine.folder / ".secrets" / "cloud").exists()


def test_stop_start_restart_and_down_do_what_they_say(machine: Machine) -> None:
    machine.compose("up", "--detach", "node-exporter", "vmagent")
    assert machine.states() == {"running"}
    machine.compose("stop", "--timeout", "1")
    assert machine.states() == {"exited"}
    machine.compose("start")
    assert machine.states() == {"running"}
    before = machine.started()
    machine.compose("restart", "--timeout", "1")
    assert len(machine.started()) == 2
    assert not machine.started() & before
    machine.compose("down", "--timeout", "1")
    assert machine.states() == set()


def test_a_second_time_keeps_what_a_person_has_set(machine: Machine) -> None:
    with (machine.folder / ".env").open("a") as file:
        file.write("STABLE_AGE_S=90\n")
    config = machine.folder / "config.toml"
    config.write_text(config.read_text() + "# mine\n")
    key = machine.folder / ".secrets" / "trucks" / "MAMMO-7" / "programme_key"
    before = key.read_bytes()
    machine.run("scripts/init", **_BUILDING)
    settings = (machine.folder / ".env").read_text().splitlines()
    assert "STABLE_AGE_S=90" in settings
    assert f"ORTHANC_SUITE={suite()}" in settings
    assert len({line.partition("=")[0] for line in settings}) == len(settings)
    assert "# mine" in config.read_text()
    assert key.read_bytes() == before
