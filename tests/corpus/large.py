"""Large objects: 1000 frames, and a tomosynthesis of 557 MB with the memory that it takes."""

from __future__ import annotations

import copy
import os
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from testcontainers.core.container import DockerContainer

from tests.corpus import iods, people, way
from tests.corpus.people import Person
from tests.corpus.visit import Planned, Visit
from tests.support import data
from tests.support.in_process import Router
from tests.support.orthancs import IMAGES
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import FileDataset

    from tests.support.orthancs import Orthanc

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
        #: The highest that the system has seen of each process, also between two looks.
        self.highest: dict[int, float] = {}
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(0.05):
            sizes = {pid: _resident(pid) for pid in _family(self._pid)}
            self.peak = max(self.peak, sum(one.whole for one in sizes.values()))
            self.anon = max(self.anon, sum(one.anon for one in sizes.values()))
            for pid, one in sizes.items():
                self.highest[pid] = max(self.highest.get(pid, 0), one.highest)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def _family(pid: int) -> list[int]:
    """The process and all below it."""
    below = [child for thread in _listed(pid) for child in _children(thread)]
    return [pid, *(one for child in below for one in _family(child))]


def _listed(pid: int) -> list[Path]:
    """Its threads; none where it has ended."""
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _children(thread: Path) -> list[int]:
    """Each child belongs to the thread that began it; none where that has ended."""
    try:
        return [int(child) for child in (thread / "children").read_text().split()]
    except OSError:
        return []


class _Sizes(NamedTuple):
    """Of one process, in MiB: resident, of this without files, the highest resident so far."""

    whole: float
    anon: float
    highest: float


def _resident(pid: int) -> _Sizes:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return _Sizes(0, 0, 0)
    of = {name: rest for name, _, rest in (line.partition(":") for line in lines)}
    return _Sizes(
        *(int(of.get(k, "0 kB").split()[0]) / 1024 for k in ("VmRSS", "RssAnon", "VmHWM"))
    )


@contextmanager
def _router_process(router: Router) -> Iterator[int]:
    """The service as a process of its own; its number."""
    with subprocess.Popen(
        [sys.executable, "-m", "router", "run", "--config", str(router.config)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": "."},
    ) as process:  # fmt: skip
        try:
            yield process.pid
        finally:
            process.terminate()


@contextmanager
def _router_container(router: Router) -> Iterator[int]:
    """The service as it runs on the truck, with a limit to its memory; the number of its process."""
    container = DockerContainer(
        f"{IMAGES}/router", network_mode="host", user=f"{os.getuid()}:{os.getgid()}",
        mem_limit=_LIMIT, memswap_limit=_LIMIT,
    )  # fmt: skip
    container.with_volume_mapping(str(router.folder), str(router.folder), "rw")
    with container.with_command(["run", "--config", str(router.config)]):
        inside = container.get_wrapped_container()
        inside.reload()
        assert inside.attrs["HostConfig"]["Memory"] == _LIMIT
        yield inside.attrs["State"]["Pid"]
        inside.reload()
        assert inside.attrs["State"]["Running"], inside.logs()
        assert not inside.attrs["State"]["OOMKilled"]


@dataclass(frozen=True)
class Passed:
    """How a tomosynthesis went through: seconds, and MiB of the router and its children."""

    size_mb: float
    sent_mb: float
    seconds: float
    #: The highest sum of resident sets; without mapped files; and the highest of one process.
    resident: float
    anon: float
    highest: float


#: Bytes that the router's container may have, the system's cache of its files included.
_LIMIT = 512 << 20


def tomosynthesis(
    truck: Orthanc, cloud: Orthanc, folder: Path, *, compressed: bool, limited: bool
) -> Passed:
    """Sends one of 557 MB and waits until it is in the cloud.

    ``limited``: through the router's image, in a container that may have no more than 512 MiB;
    the system kills what needs more.
    """
    folder.mkdir()
    path = folder / "tomosynthesis.dcm"
    path.write_bytes(data.file_bytes(_with_frames(*_TOMO, "DBT", 99)))
    size = path.stat().st_size / 1e6
    truck.wipe()
    cloud.wipe()
    router = Router(folder, truck.url, cloud.url)
    router.write_config(truck.url, cloud.url, way.compression(on=compressed))
    with (_router_container if limited else _router_process)(router) as pid:
        memory = _Memory(pid)
        begun = time.monotonic()
        assert way.store([path], truck.dicom_port) == [0]
        until(lambda: way.rested(folder / "journal.db", 1), 400, what="the tomosynthesis at rest")
        seconds = time.monotonic() - begun
        memory.close()
    sent = max((len(cloud.file(instance)) / 1e6 for instance in cloud.instances()), default=0.0)
    assert sent, "the tomosynthesis was not delivered"
    assert (sent < size * 0.95) is compressed, f"{sent:.0f} MB were delivered"
    return Passed(size, sent, seconds, memory.peak, memory.anon, max(memory.highest.values()))
