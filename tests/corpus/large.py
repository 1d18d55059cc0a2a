"""Large objects: 1000 frames, and a tomosynthesis of 557 MB with the memory that it takes."""

from __future__ import annotations

import copy
import os
import statistics
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests import data
from tests.conftest import Router
from tests.corpus import iods, people, way
from tests.corpus.people import Person
from tests.corpus.visit import Planned, Visit
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import FileDataset

    from tests.orthancs import Orthanc

_FRAMES = 1000
#: 60 slices of a detector of 2457×1890, 2 bytes a pixel: 557 MB.
_TOMO = (60, 2457, 1890)


def _made(kind: str, number: int) -> FileDataset:
    person = Person.made(data.fresh_seed(), number, "ascii")
    visit = Visit.made(data.fresh_seed(), person, 1, clean=True)
    rng = visit.rng
    visit.planned.append(Planned(kind, 1, iods.CLASSES[kind], people.uid(rng), people.uid(rng)))
    return iods.make(visit, visit.planned[0])


def _with_frames(count: int, rows: int, columns: int, kind: str, number: int) -> FileDataset:
    """The object with so many frames, each with its own functional groups."""
    dataset = _made(kind, number)
    first = dataset.PerFrameFunctionalGroupsSequence[0]
    frames = []
    for index in range(count):
        frame = copy.deepcopy(first)
        frame.FrameContentSequence[0].DimensionIndexValues = [index + 1]
        frame.PlanePositionSequence[0].ImagePositionPatient = [-180, -180, index]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = count, rows, columns
    noise = np.random.default_rng(number).integers(0, 1000, rows * columns, dtype=np.uint16)
    dataset.PixelData = noise.tobytes() * count
    return dataset


def frames_beyond_bytes(truck: Orthanc, cloud: Orthanc, folder: Path) -> tuple[float, float]:
    """Seconds of fetch … store of 1000 frames of 128², and of one frame with as many bytes."""
    many = [_with_frames(_FRAMES, 128, 128, "EMR", n) for n in range(3)]
    one = [_with_frames(1, 4096, 4000, "EMR", 10 + n) for n in range(3)]
    folder.mkdir()
    paths, kinds = [], {}
    for dataset in [*many, *one]:
        paths.append(folder / f"{dataset.SOPInstanceUID}.dcm")
        paths[-1].write_bytes(data.file_bytes(dataset))
        kinds[way.original_id(dataset)] = int(dataset.NumberOfFrames)
    came = way.through(truck, cloud, folder / "router", paths)
    assert len(came.copies) == len(paths), came.held
    of = {
        count: statistics.median(s for i, s in came.seconds.items() if kinds[i] == count)
        for count in (1, _FRAMES)
    }
    return of[_FRAMES], of[1]


class _Memory:
    """The highest resident set of a process and its children, in MiB; ``anon`` without files."""

    def __init__(self, pid: int) -> None:
        self.peak = self.anon = 0.0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(0.05):
            pages = [_resident(pid) for pid in _family(self._pid)]
            self.peak = max(self.peak, sum(all_ for all_, _ in pages))
            self.anon = max(self.anon, sum(anon for _, anon in pages))

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def _family(pid: int) -> list[int]:
    """The process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(below for child in children for below in _family(int(child)))]


def _resident(pid: int) -> tuple[float, float]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    sizes = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "RssAnon")))
    whole, anon = (int(sizes.get(k, "0 kB").split()[0]) / 1024 for k in ("VmRSS", "RssAnon"))
    return whole, anon


@contextmanager
def _router_process(router: Router) -> Iterator[subprocess.Popen[bytes]]:
    """The service as a process of its own, as it runs on the truck."""
    with subprocess.Popen(
        [sys.executable, "-m", "router", "run", "--config", str(router.config)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": "."},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()


def tomosynthesis(truck: Orthanc, cloud: Orthanc, folder: Path) -> tuple[float, float, float]:
    """Size in MB, and the peak of the router's resident set in MiB: all of it, without files."""
    folder.mkdir()
    dataset = _with_frames(*_TOMO, "DBT", 99)
    path = folder / "tomosynthesis.dcm"
    path.write_bytes(data.file_bytes(dataset))
    size = path.stat().st_size / 1e6
    del dataset
    truck.wipe()
    cloud.wipe()
    router = Router(folder, truck.url, cloud.url)
    with _router_process(router) as process:
        memory = _Memory(process.pid)
        assert way.store([path], truck.dicom_port) == [0]
        until(lambda: way.rested(folder / "journal.db", 1), 400, what="the tomosynthesis at rest")
        memory.close()
    delivered = [len(cloud.file(instance)) for instance in cloud.instances()]
    assert delivered, "the tomosynthesis was not delivered"
    assert max(delivered) > size * 0.99e6
    return size, memory.peak, memory.anon
