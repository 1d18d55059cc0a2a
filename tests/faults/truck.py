"""A truck for faults: Orthanc in a container, the router as a process, and up to three destinations."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests

from tests.faults import places
from tests.link.conditions import Conditions
from tests.support.orthancs import PASSWORD, ROOT, Orthanc, start
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.faults.places import Place

KEY = bytes.fromhex("5a" * 32)
CLOUD_USERS = ["truck", "health"]
TRUCK_USERS = ["router", "health"]


def free_port() -> int:
    """A port that is free now; the next to ask for it gets it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def cloud_pacs(folder: Path) -> Iterator[Orthanc]:
    """The cloud's Orthanc, on a port that stays through its restarts."""
    yield from start("cloud", folder, CLOUD_USERS, ports={8042: free_port()})


class RouterProcess:
    """``edge-router run`` as a process that may be killed."""

    def __init__(self, folder: Path, truck: Orthanc) -> None:
        self.folder = folder
        self.kills = 0
        self._truck = truck
        self._offset = folder / "clock-offset"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        (folder / "key").write_text(f"test-key:{KEY.hex()}")
        (folder / "password").write_text(PASSWORD)
        self.set_clock(0.0)

    def configure(self, destinations: Sequence[str]) -> None:
        """Writes the settings; the next start reads them.

        Timeouts of the link are the shipped ones: how soon a dead link is noticed is measured.
        """
        folder = self.folder
        (folder / "config.toml").write_text(f"""
[truck]
id = "TRUCK1"
[orthanc]
url = "{self._truck.url}"
password_file = "{folder}/password"
timeout_s = 30
[journal]
path = "{folder}/journal.db"
spool = "{folder}/spool"
audit = "{folder}/audit.jsonl"
[deid]
key_files = ["{folder}/key"]
[intake]
poll_s = 0.5
reconcile_s = 2
[api]
port = {self.port}
{"".join(destinations)}
""")

    def set_clock(self, seconds: float) -> None:
        """Sets the clock of the router, running or not, so many seconds before or after the time."""
        fresh = self._offset.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self._offset)

    def now(self) -> float:
        """What time it is by its clock."""
        return time.time() + float(self._offset.read_text())

    def start(self) -> None:
        with (self.folder / "router.observe.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.clocked", str(self._offset), "run",
                 "--config", str(self.folder / "config.toml")],
                cwd=ROOT, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9, as a power cut does it to this process."""
        if self._process is None:
            return
        assert self._process.poll() is None, f"the router ended by itself: {self.last_words()}"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None
        self.kills += 1

    def stop(self) -> None:
        """SIGTERM, and as long as it takes."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def last_words(self) -> str:
        return (self.folder / "router.observe.log").read_text(errors="replace")[-2000:]

    def studies(self) -> list[dict[str, Any]]:
        """What its status says of each study that is under way or held, and of the newest others.

        None while it is down.
        """
        try:
            answer = requests.get(f"http://127.0.0.1:{self.port}/status", timeout=10)
            found: list[dict[str, Any]] = answer.json()["studies"]
        except (requests.RequestException, ValueError):
            return []
        return found

    def held(self) -> list[dict[str, Any]]:
        """What it says that it holds: by instance, and by destination where only one is meant."""
        told = subprocess.run(
            [sys.executable, "-m", "router", "held", "--json",
             "--config", str(self.folder / "config.toml")],
            cwd=ROOT, capture_output=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        rows: list[dict[str, Any]] = json.loads(told.stdout)["held"]
        return rows

    def known(self) -> set[str]:
        """All studies of the journal; the status shows only the newest of those at rest."""
        return set(self._aliases("SELECT alias FROM study"))

    def sent(self, destination: str) -> list[str]:
        """Studies in the order in which a destination took the first instance of each."""
        return self._aliases(
            "SELECT s.alias FROM receipt r JOIN instance i ON i.orthanc_id = r.instance"
            " JOIN study s ON s.orthanc_id = i.study WHERE r.sent_at IS NOT NULL"
            " AND r.destination = ? GROUP BY s.alias ORDER BY min(r.sent_at)",
            destination,
        )

    def _aliases(self, sql: str, *values: str) -> list[str]:
        path = self.folder / "journal.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
            return [str(alias) for (alias,) in journal.execute(sql, values)]

    def metric(self, prefix: str) -> float:
        """The sum of the metrics whose line begins so."""
        text = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10).text
        lines = (line for line in text.splitlines() if line.startswith(prefix))
        return sum(float(line.split()[-1]) for line in lines)

    def wait_up(self) -> None:
        def answers() -> bool:
            assert self.runs, f"the router ended by itself: {self.last_words()}"
            try:
                return requests.get(f"http://127.0.0.1:{self.port}/health/live", timeout=2).ok
            except requests.RequestException:
                return False

        until(answers, 60, what="the router")


@dataclass
class Truck:
    """All that a scenario may break."""

    orthanc: Orthanc
    router: RouterProcess
    places: list[Place]
    cloud: Orthanc
    conditions: Conditions = field(default_factory=Conditions)
    orthanc_kills: int = 0

    def kill_orthanc(self) -> None:
        """kill -9; it is started again by ``start_orthanc``."""
        self.orthanc.container.get_wrapped_container().kill("SIGKILL")
        self.orthanc_kills += 1

    def start_orthanc(self) -> None:
        self.orthanc.container.get_wrapped_container().start()

    def heal(self) -> None:
        """Ends every fault: the link is up, all processes run, the PACS is honest."""
        for place in self.places:
            place.heal(self.conditions)
        self.router.set_clock(0.0)
        self.start_orthanc()
        self.orthanc.wait_ready()
        self.start_cloud()
        if not self.router.runs:
            self.router.start()
        self.router.wait_up()

    def start_cloud(self) -> None:
        self.cloud.container.get_wrapped_container().start()
        self.cloud.wait_ready()

    def undelivered(self) -> int:
        """Images that the router knows and that are not verified at each destination."""
        return sum(
            study["images"] - study["delivered"]
            for study in self.router.studies()
            if not study["at_rest"]
        )

    def waits_for(self, place: Place) -> bool:
        """Whether something waits to be sent there; the router is asked, if it runs."""
        name = f'edge_router_oldest_undelivered_seconds{{destination="{place.name}"}}'
        try:
            return self.router.metric(name) > 0
        except requests.RequestException:
            return False

    @property
    def are_all_closed(self) -> bool:
        """Whether the router knows that it reaches none of its destinations."""
        return not self.router.metric("edge_router_link_up")


@contextmanager
def started(
    folder: Path,
    cloud: Orthanc,
    storage_mib: int = 0,
    conditions: Conditions | None = None,
    destinations: int = 3,
) -> Iterator[Truck]:
    """A truck in a folder of its own, with its router running and so many destinations (1 to 3)."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        ports = {8042: free_port(), 4242: free_port()}
        running = contextmanager(start)(
            "truck", folder, TRUCK_USERS, ports=ports, STORAGE_MIB=str(storage_mib)
        )
        orthanc = stack.enter_context(running)
        chosen = (
            places.cloud(folder, cloud, conditions),
            places.archive(folder, conditions),
            places.research(conditions),
        )[:destinations]
        there = [stack.enter_context(place) for place in chosen]
        router = RouterProcess(folder, orthanc)
        for place in there:
            place.peer.account.clock = router.now
        router.configure([place.settings for place in there])
        truck = Truck(orthanc, router, there, cloud, conditions or Conditions())
        router.start()
        stack.callback(router.stop)
        router.wait_up()
        yield truck
