"""Fixtures that integration, contract and end-to-end tests share."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import requests

from tests.orthancs import PASSWORD, Orthanc, start
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from router.app import App

    #: Waits until so many studies are known and all are at rest, and returns them.
    AtRest: TypeAlias = Callable[..., list[dict[str, Any]]]

pytest_plugins = ["tests.moved_metrics"]

KEY = "test-key:" + "5a" * 32


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps tests that share the stack, or a fixture of their module, in one worker, in order."""
    for item in items:
        made = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009
        if "stack" in made and made["stack"][-1].scope == "session":
            item.add_marker(pytest.mark.xdist_group("stack"))
        elif any(one.scope == "module" for fixtures in made.values() for one in fixtures):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def truck_container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    yield from start("truck", tmp_path_factory.mktemp("truck"), ["router", "health", "other"])


@pytest.fixture(scope="session")
def cloud_container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    yield from start("cloud", tmp_path_factory.mktemp("cloud"), ["truck", "health"])


@pytest.fixture
def truck(truck_container: Orthanc) -> Orthanc:
    """The truck's Orthanc, empty."""
    truck_container.wipe()
    return truck_container


@pytest.fixture
def cloud(cloud_container: Orthanc) -> Orthanc:
    """The cloud's Orthanc, empty."""
    cloud_container.wipe()
    return cloud_container


class Router:
    """A router in this process, with its files in a folder of the test."""

    def __init__(self, folder: Path, truck_url: str, cloud_url: str) -> None:
        self.folder = folder
        self.config = folder / "config.toml"
        (folder / "key").write_text(KEY)
        (folder / "password").write_text(PASSWORD)
        self.write_config(truck_url, cloud_url)

    def write_config(self, truck_url: str, cloud_url: str, extra: str = "") -> None:
        self.config.write_text(f"""
[truck]
id = "TRUCK1"
[orthanc]
url = "{truck_url}"
password_file = "{self.folder}/password"
timeout_s = 30
[journal]
path = "{self.folder}/journal.db"
spool = "{self.folder}/spool"
audit = "{self.folder}/audit.jsonl"
[deid]
key_files = ["{self.folder}/key"]
[intake]
poll_s = 0.5
reconcile_s = 2
[api]
port = 0
[[destinations]]
kind = "stow"
name = "cloud"
url = "{cloud_url}/dicom-web"
user = "truck"
password_file = "{self.folder}/password"
readback = "orthanc"
readback_url = "{cloud_url}"
connect_timeout_s = 2
answer_timeout_s = 20
{extra}
""")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line, with --json."""
        return subprocess.run(
            [sys.executable, "-m", "router", *arguments, "--json", "--config", str(self.config)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    @contextmanager
    def running(self) -> Iterator[App]:
        from router.app import App  # noqa: PLC0415  (unit tests never need it)
        from router.config.settings import Settings  # noqa: PLC0415

        app = App(Settings.load(self.config))
        app.start()
        try:
            yield app
        finally:
            app.close()


@pytest.fixture
def router(tmp_path: Path, truck: Orthanc, cloud: Orthanc) -> Router:
    return Router(tmp_path, truck.url, cloud.url)


@pytest.fixture
def at_rest() -> AtRest:
    """Waits until so many studies are known and all are at rest, and returns them."""

    def wait(app: App, studies: int, deadline_s: float = 60.0) -> list[dict[str, Any]]:
        def rested() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = requests.get(
                f"http://127.0.0.1:{app.port}/status", timeout=10
            ).json()["studies"]
            done = len(found) == studies and all(study["at_rest"] for study in found)
            return found if done else []

        return until(rested, deadline_s, what=f"{studies} studies at rest")

    return wait
