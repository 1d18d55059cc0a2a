"""scripts/firewall: what is published to this machine alone is not for its neighbours."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support.orthancs import IMAGES, ROOT
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = os.geteuid() == 0
_HERE, _NEIGHBOUR, _FOREIGN = "198.51.100.1", "198.51.100.2", "192.0.2.7"
_ASK = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.exit(opener.open(sys.argv[1], timeout=3).status != 200)
"""


def _run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, check=check, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


def _firewall(*arguments: str) -> int:
    return subprocess.run(
        [ROOT / "scripts" / "firewall", *arguments], check=False, capture_output=True
    ).returncode


@pytest.fixture
def neighbour() -> Iterator[str]:
    """A network namespace that is beside this machine as a scanner is: on a wire of its own."""
    name = f"lan{uuid.uuid4().hex[:6]}"
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "address", "add", f"{_HERE}/24", "dev", name)
        _run("ip", "link", "set", name, "up")
        for command in (
            ("address", "add", f"{_NEIGHBOUR}/24", "dev", "eth0"), ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"), ("route", "add", "default", "via", _HERE),
        ):  # fmt: skip
            _run("ip", "-n", name, *command)
        yield name
    finally:
        _run("ip", "netns", "delete", name, check=False)
        _run("ip", "link", "delete", name, check=False)


@pytest.fixture
def published() -> Iterator[tuple[str, int]]:
    """A container with a port that is published to 127.0.0.1 and one to all addresses.

    Its own address, and the port that all may use.
    """
    network = f"edge-test-{uuid.uuid4().hex[:8]}"
    _run("docker", "network", "create", network)
    container = ""
    try:
        container = _run(
            "docker", "run", "--detach", "--rm", "--network", network, "--publish",
            "127.0.0.1::9100", "--publish", "0.0.0.0::9101", f"{IMAGES}/node-exporter",
            "--web.listen-address=:9100", "--web.listen-address=:9101",
        )  # fmt: skip
        (found,) = json.loads(_run("docker", "inspect", container))
        settings = found["NetworkSettings"]
        yield (
            settings["Networks"][network]["IPAddress"],
            int(settings["Ports"]["9101/tcp"][0]["HostPort"]),
        )
    finally:
        if container:
            _run("docker", "kill", container, check=False)
        _run("docker", "network", "rm", network, check=False)


@pytest.mark.alone
@pytest.mark.skipif(not _ROOT, reason="needs root: a network namespace, and the firewall's rules")
def test_a_neighbour_reaches_the_scanners_port_and_nothing_else(
    neighbour: str, published: tuple[str, int]
) -> None:
    address, port = published

    def reaches(url: str) -> bool:
        done = subprocess.run(
            ["ip", "netns", "exec", neighbour, "python3", "-c", _ASK, url],
            check=False, capture_output=True, timeout=30,
        )  # fmt: skip
        return done.returncode == 0

    was_shut = _firewall("--check") == 0
    _firewall("--remove")
    try:
        until(lambda: reaches(f"http://{_HERE}:{port}/"), 20, what="the port for all")
        # What this is about; an engine from 28 on shuts it itself.
        open_before = reaches(f"http://{address}:9100/")
        assert open_before == (_firewall("--check") == 1)
        assert _firewall() == 0
        assert _firewall() == 0  # again: the same rules, once
        assert _firewall("--check") == 0
        assert not reaches(f"http://{address}:9100/")
        assert not reaches(f"http://{address}:9101/")
        assert reaches(f"http://{_HERE}:{port}/")
        assert _run("iptables", "-w", "-S", "DOCKER-USER").count("DROP") == 2
    finally:
        _firewall("--remove")
        if was_shut:
            _firewall()
