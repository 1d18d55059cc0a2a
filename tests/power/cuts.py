"""powercut: the truck loses its power at random moments, and nothing that was acknowledged is lost.

The truck's Orthanc and the router work on one disk (see ``disk``); a scanner sends without pause.
At a random moment both stand still, what is on the disk is kept, both are killed, and the truck
starts again on what was kept. As a real scanner does, ours sends again what was not acknowledged.
At the end every acknowledged image is in the cloud once, or the run has failed.

``--control`` starts Orthanc without the plugin's fsync, as Orthanc is by itself: then images must
be missing, or this measurement could not see a loss.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from tests.power.disk import Disk, possible
from tests.support import data
from tests.support.in_process import Router
from tests.support.orthancs import ROOT, Orthanc, start
from tests.support.scanner import Entity, associated
from tests.support.waiting import until
from tools.audit import pseudonymous_uid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import FileDataset

_UID = 10001
_KEY = bytes.fromhex("5a" * 32)


class Scanner:
    """Sends small CT images one after another; remembers which were acknowledged, and when."""

    def __init__(self, seed: str) -> None:
        self.acknowledged: list[str] = []
        self._seed = seed
        self._sent_again: list[FileDataset] = []
        self._studies = 0

    def _images(self) -> Iterator[FileDataset]:
        while self._sent_again:
            yield self._sent_again[0]
        while True:
            patient = data.Patient.made(self._seed, self._studies)
            self._studies += 1
            for image in data.ct_series(self._seed, patient, slices=12, size=64):
                self._sent_again.append(image)
                yield image

    def work(self, port: int, off: threading.Event) -> None:
        """Until the power is off, which the broken association tells too."""
        entity = Entity("SCANNER")
        entity.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
        entity.network_timeout = entity.dimse_timeout = 5
        with associated(entity, port) as association:
            for image in self._images():
                if off.is_set() or not association.is_established:
                    return
                answer = association.send_c_store(image)
                if off.is_set() or answer.get("Status") != 0:
                    return  # not known to be stored: sent again after the cut
                self.acknowledged.append(str(image.SOPInstanceUID))
                self._sent_again.remove(image)


class Truck:
    """The truck's Orthanc in a container and the router as a process, both on the disk."""

    def __init__(self, orthanc: Orthanc, router: Router) -> None:
        self.orthanc = orthanc
        self.port = orthanc.dicom_port
        self._log = (router.folder / "log").open("w")
        self._router = subprocess.Popen(
            [sys.executable, "-m", "router", "run", "--config", str(router.config)],
            stdout=self._log, stderr=self._log, cwd=ROOT, start_new_session=True,
        )  # fmt: skip

    def freeze(self) -> None:
        self.orthanc.container.get_wrapped_container().pause()
        os.killpg(self._router.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """Without a chance to write anything more."""
        os.killpg(self._router.pid, signal.SIGKILL)
        self._router.wait(20)
        self._log.close()
        container = self.orthanc.container.get_wrapped_container()
        if container.attrs["State"]["Status"] != "exited":
            container.kill("SIGKILL")

    def stop(self) -> None:
        os.killpg(self._router.pid, signal.SIGTERM)
        self._router.wait(30)
        self._log.close()


@contextmanager
def powered(folder: Path, disk: Disk, cloud: Orthanc, *, control: bool) -> Iterator[Truck]:
    """The truck, on the disk as it is now."""
    state = disk.path / "orthanc"
    if not state.exists():
        state.mkdir()
        os.chown(state, _UID, _UID)
        (disk.path / "router").mkdir()
        os.sync()  # the truck leaves the yard before the first cut
    volumes = {str(state): "/var/lib/orthanc-data"}
    if control:
        plugin = folder / "plugin.py"
        text = (ROOT / "python_plugin" / "plugin.py").read_text()
        assert "orthanc.RegisterOnStoredInstanceCallback(on_stored)\n" in text
        plugin.write_text(text.replace("orthanc.RegisterOnStoredInstanceCallback(on_stored)\n", ""))
        volumes[str(plugin)] = "/opt/edge-plugin/plugin.py"
    users = ["router", "health", "other"]
    secrets = Path(tempfile.mkdtemp(dir=folder))
    running = contextmanager(start)
    with running("truck", secrets, users, volumes) as orthanc:
        router = Router(disk.path / "router", orthanc.url, cloud.url)
        yield Truck(orthanc, router)


def run(cuts: int, seed: int, folder: Path, *, control: bool) -> tuple[int, int, int]:
    """How many images were acknowledged, how many of them the cloud misses, and how many doubled."""
    moments = random.Random(seed)
    scanner = Scanner(data.fresh_seed())
    with ExitStack() as stack:
        users = ["truck", "health"]
        cloud = stack.enter_context(contextmanager(start)("cloud", folder, users))
        disk = Disk(folder)
        stack.callback(disk.close)
        for number in range(cuts):
            with powered(folder, disk, cloud, control=control) as truck:
                off = threading.Event()
                sending = threading.Thread(target=scanner.work, args=(truck.port, off))
                sending.start()
                time.sleep(moments.uniform(1.0, 8.0))  # the moment is the point
                off.set()  # what is acknowledged from here on came too late to count
                truck.freeze()
                disk.freeze_frame()
                truck.kill()
                sending.join()
            disk.cut()
            print(f"powercut: {number + 1} of {cuts}, {len(scanner.acknowledged)} acknowledged")
        with powered(folder, disk, cloud, control=control) as truck:
            expected = {pseudonymous_uid(_KEY, uid) for uid in scanner.acknowledged}
            arrived = _settled(cloud, expected, truck, give_up=control)
            truck.stop()
    return len(expected), len(expected - set(arrived)), len(arrived) - len(set(arrived))


def _settled(cloud: Orthanc, expected: set[str], truck: Truck, *, give_up: bool) -> list[str]:
    """The SOP Instance UIDs in the cloud, once no more arrive."""
    arrived: list[str] = []

    def all_there() -> bool:
        arrived[:] = [
            str(row["MainDicomTags"]["SOPInstanceUID"])
            for row in cloud.request("GET", "/instances?expand").json()
        ]
        return expected <= set(arrived)

    try:
        until(all_there, 30 if give_up else 180, what="the arrival of what was acknowledged")
    except AssertionError:
        assert requests.get(truck.orthanc.url, timeout=5).status_code, "the truck does not answer"
    return arrived


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--control", action="store_true", help="without the plugin's fsync")
    asked = parser.parse_args()
    if not possible():
        sys.exit("powercut: loop devices cannot be used here: run it as root on Linux")
    with tempfile.TemporaryDirectory() as name:
        found = run(asked.cuts, asked.seed, Path(name), control=asked.control)
    acknowledged, lost, duplicates = found
    print(
        f"powercut: cuts={asked.cuts} acknowledged={acknowledged} lost={lost}"
        f" duplicates={duplicates} control={asked.control}"
    )
    sys.exit(0 if asked.control else int(lost + duplicates > 0))


if __name__ == "__main__":
    main()
