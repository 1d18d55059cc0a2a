"""bench rest: what the truck's stack takes of a processor while nothing happens.

The whole stack runs, the truck's part and the cloud's beside it, with nothing to do. Counted is the
processor's time of the truck's containers (their control groups, health checks included), and what
the engine takes for them: the shims, with the runtimes that they start for a health check, and of
dockerd and containerd the share that the truck's containers are of all that run (all of it, where
no others run; too much, where others keep the engine busy).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.orthancs import ROOT
from tests.support.stack import Stack, started

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: After the last service is well: caches are warm, first looks are over.
_SETTLE_S = 60
_DAEMONS = ("dockerd", "containerd")
_SHIM = "containerd-shim"
_TICKS = os.sysconf("SC_CLK_TCK")
_PERCENT = 100.0


@dataclass(frozen=True)
class Sample:
    """Seconds of processor time so far."""

    at: float
    containers: Mapping[str, float]  #: by service
    shims: Mapping[str, float]  #: by service
    daemons: float


@dataclass(frozen=True)
class Rest:
    """What was taken, in percent of one core."""

    seconds: float
    services: Mapping[str, float]
    shims: float  #: with the runtimes that they start
    daemons: float  #: the truck's share of dockerd and containerd
    others: int  #: containers of this engine that are not the truck's

    @property
    def percent(self) -> float:
        """All of it."""
        return sum(self.services.values()) + self.shims + self.daemons


def truck_services() -> list[str]:
    """The services of the truck's profile, as compose reads them."""
    done = subprocess.run(
        ["docker", "compose", "--project-directory", ROOT, "config", "--services"],
        check=True, capture_output=True, text=True,
        env=os.environ | {"COMPOSE_PROFILES": "truck", "COMPOSE_DISABLE_ENV_FILE": "1"},
    )  # fmt: skip
    return sorted(done.stdout.split())


def measure(stack: Stack, services: Sequence[str], seconds: float) -> Rest:
    """Looks on for so long. The services must run already."""
    ids = {service: _id(stack.container(service)) for service in services}
    before = _sample(ids)
    time.sleep(seconds)  # what is measured is this time itself
    after = _sample(ids)
    took = after.at - before.at
    running = len(_docker("ps", "--quiet").split())
    share = len(ids) / running
    return Rest(
        took,
        {
            service: _PERCENT * (after.containers[service] - before.containers[service]) / took
            for service in ids
        },
        _PERCENT * sum(after.shims[one] - before.shims[one] for one in ids) / took,
        _PERCENT * share * (after.daemons - before.daemons) / took,
        running - len(ids),
    )


def main() -> None:
    asked = argparse.ArgumentParser(prog="scripts/bench rest")
    asked.add_argument("--seconds", type=float, default=150.0)
    seconds = asked.parse_args().seconds
    services = truck_services()
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder), stable_age_s=60, services=None) as stack,
    ):
        time.sleep(_SETTLE_S)  # until what a start costs is over
        rest = measure(stack, services, seconds)
    for service, percent in sorted(rest.services.items(), key=lambda one: -one[1]):
        print(f"  {service:<16} {percent:5.2f} %")
    print(f"  {'shims':<16} {rest.shims:5.2f} %")
    print(f"  {'daemons':<16} {rest.daemons:5.2f} %   (other containers meanwhile: {rest.others})")
    print(
        f"bench rest: seconds={rest.seconds:.0f} services={len(services)}"
        f" truck_percent={rest.percent:.2f} containers_percent={sum(rest.services.values()):.2f}"
        f" engine_percent={rest.shims + rest.daemons:.2f}"
    )


def _id(container: str) -> str:
    return _docker("inspect", "--format", "{{.Id}}", container).strip()


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def _sample(ids: Mapping[str, str]) -> Sample:
    processes = list(_processes())
    shims = {
        service: sum(s for name, line, s in processes if name == _SHIM and container in line)
        for service, container in ids.items()
    }
    assert all(shims.values()), shims
    return Sample(
        time.monotonic(),
        {service: _container_s(container) for service, container in ids.items()},
        shims,
        sum(seconds for name, _, seconds in processes if name in _DAEMONS),
    )


def _processes() -> Iterator[tuple[str, str, float]]:
    """Name, command line and processor time, that of ended children included, of each process."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            line = (folder / "cmdline").read_text()
        except OSError:
            continue  # it has just ended
        name, rest = stat.partition("(")[2].rsplit(")", 1)
        fields = rest.split()
        # utime, stime, cutime and cstime of proc(5).
        yield name, line, sum(map(int, fields[11:15])) / _TICKS


def _container_s(container: str) -> float:
    """Processor time of a container's control group, of version 1 or 2."""
    pid = _docker("inspect", "--format", "{{.State.Pid}}", container).strip()
    for entry in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = entry.split(":", 2)
        if "cpuacct" in controllers.split(","):
            usage = Path("/sys/fs/cgroup/cpuacct", path.lstrip("/"), "cpuacct.usage")
            return int(usage.read_text()) / 1e9
        stat = Path("/sys/fs/cgroup", path.lstrip("/"), "cpu.stat")
        if not controllers and stat.exists():
            return int(stat.read_text().split("usage_usec ")[1].split()[0]) / 1e6
    raise AssertionError(f"no control group of {container} counts the processor's time")


if __name__ == "__main__":
    main()
