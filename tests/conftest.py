"""Fixtures that integration, contract and end-to-end tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.support.in_process import Router
from tests.support.orthancs import Orthanc, start
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.app import App
    from tests.support.in_process import AtRest


pytest_plugins = ["tests.moved_metrics"]


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
