"""bench main: how long the main way takes, how much memory, and what kills do to it.

Seconds are beyond StableAge: from the last C-STORE response until every image is verified in the
cloud, less the time that Orthanc waits for more. Memory is the resident set of the router's
container, children included, at its highest: sampled over the same studies once more, because
the sampling takes a share of the processor from the way that is timed.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from tests.support import data, scanner
from tests.support.stack import Stack, started
from tests.support.waiting import until
from tools.audit import audit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom.dataset import FileDataset

STABLE_AGE_S = 5
KILLS = 20


class Memory:
    """Samples the resident set of a container's processes."""

    def __init__(self, container: str) -> None:
        self.peak_mib = 0.0
        self._container = container
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(0.2):
            done = subprocess.run(
                ["docker", "top", self._container, "-o", "pid,rss"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            kib = sum(int(line.split()[1]) for line in done.stdout.splitlines()[1:])
            self.peak_mib = max(self.peak_mib, kib / 1024)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def seconds_beyond_stable(stack: Stack, images: Iterable[FileDataset]) -> float:
    """Sends a study and waits until all of it is verified in the cloud."""
    sent = list(images)
    port = stack.port("door", 4242)
    assert set(scanner.store(sent, port)) == {scanner.SUCCESS}
    begun = time.monotonic()
    (study,) = stack.at_rest([stack.alias(str(sent[0].PatientID), str(sent[0].StudyInstanceUID))])
    seconds = time.monotonic() - begun - STABLE_AGE_S
    assert study["state"] == "DELIVERED", study
    return seconds


def timed(stack: Stack) -> tuple[float, float]:
    """A CT of 100 slices, then a study of four mammograms: the seconds of each."""
    seed = data.fresh_seed()
    slices = data.ct_series(seed, data.Patient.made(seed, 1), slices=100)
    ct_s = seconds_beyond_stable(stack, slices)
    study = data.mammogram_study(seed, data.Patient.made(seed, 2))
    return ct_s, seconds_beyond_stable(stack, [image for image in study if image.Modality == "MG"])


def killed(stack: Stack, kills: int, folder: Path) -> tuple[int, int]:
    """Kills the router at random moments while studies go their way: (lost, duplicates)."""
    moments = random.Random(1)
    before = stack.cloud().instances()
    port = stack.port("door", 4242)
    sources: list[data.Source] = []
    while kills > 0:
        batch = data.demo_studies(data.fresh_seed(), folder, slices=40, mg_rows=1024)
        sources += batch
        images = [pydicom.dcmread(source.path) for source in batch]
        sender = threading.Thread(target=lambda i=images: scanner.store(i, port))
        sender.start()
        for _ in range(min(4, kills)):
            time.sleep(moments.uniform(0.3, 4.0))  # the moment is the point
            stack.docker("kill", "--signal", "KILL", stack.container("router"))
            stack.docker("start", stack.container("router"))
            until(stack.studies, 60, what="the router after its kill")
            kills -= 1
        sender.join()
    ids = {stack.alias(s.patient.patient_id, s.study_uid): s.study_uid for s in sources}
    studies = stack.at_rest(ids, 300)
    held = {ids[study["study"]]: study["held"] for study in studies}
    found = audit(stack.cloud(), sources, stack.key(), before, held)
    return found.lost, found.duplicates


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with started(folder / "secrets", STABLE_AGE_S) as stack:
            ct_s, mg_s = timed(stack)
            memory = Memory(stack.container("router"))
            timed(stack)
            memory.close()
            lost, duplicates = killed(stack, KILLS, folder / "sources")
    print(
        f"bench main: ct_s={ct_s:.1f} mg_s={mg_s:.1f} rss_mib={memory.peak_mib:.0f}"
        f" kills={KILLS} lost={lost} duplicates={duplicates}"
    )


if __name__ == "__main__":
    main()
