"""The same studies over the same kind of link: by us, by Orthanc's peer job, by OrthancForwarder."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pydicom

from tests.faults.places import by_digest, stow_settings
from tests.faults.scanning import Image, Scanner
from tests.faults.truck import CLOUD_USERS, TRUCK_USERS, RouterProcess, free_port
from tests.link.conditions import Conditions
from tests.link.emulator import Link
from tests.link.packets import PacketLink
from tests.support import data
from tests.support.orthancs import PASSWORD, Orthanc, start
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

_PEER = "cloud"
_POLL_S = 0.05
DONE_S = 3600.0
_FORWARDER = Path(__file__).with_name("forwarder.py")


@dataclass(frozen=True)
class Load:
    """The images that every system is given."""

    images: tuple[Image, ...]

    @property
    def pixel_bytes(self) -> int:
        """Bytes of the raw pixels."""
        return sum(len(image.dataset.PixelData) for image in self.images)

    @property
    def studies(self) -> int:
        return len({image.study_uid for image in self.images})


def ct_load(seed: str, slices: int) -> Load:
    """One CT series of 512 × 512."""
    patient = data.Patient.made(seed, 1)
    return Load(
        tuple(Image(d, patient, is_report=False) for d in data.ct_series(seed, patient, slices))
    )


def mg_load(seed: str, views: int) -> Load:
    """Views of one mammogram, 4096 × 3328."""
    patient = data.Patient.made(seed, 2)
    study = (d for d in data.mammogram_study(seed, patient) if d.Modality == "MG")
    return Load(
        tuple(Image(d, patient, is_report=False) for d, _ in zip(study, range(views), strict=False))
    )


def both(one: Load, other: Load) -> Load:
    return Load(one.images + other.images)


def inside(orthanc: Orthanc) -> str:
    """The container's own address: no port mapping in the way."""
    container = orthanc.container.get_wrapped_container()
    container.reload()
    networks = container.attrs["NetworkSettings"]["Networks"]
    return str(next(iter(networks.values()))["IPAddress"])


def gateway(orthanc: Orthanc) -> str:
    """The address of this machine as the container sees it."""
    container = orthanc.container.get_wrapped_container()
    container.reload()
    networks = container.attrs["NetworkSettings"]["Networks"]
    return str(next(iter(networks.values()))["Gateway"])


class System(Protocol):
    """A way to the cloud."""

    name: str
    cloud: Orthanc

    def take(self, load: Load) -> None:
        """The scanner hands the images over; returns when all are on the truck."""

    def deliver(self, load: Load) -> None:
        """Returns when the system itself says that all of it has arrived."""

    def end(self) -> None: ...


class Ours:
    """The truck's Orthanc and the router."""

    name = "ours"

    def __init__(self, folder: Path, truck: Orthanc, cloud: Orthanc, address: str) -> None:
        self.cloud = cloud
        self.truck = truck
        self.router = RouterProcess(folder, truck)
        self._journal = folder / "journal.db"
        self.scanner = Scanner(truck.dicom_port)
        self.point_at(address)

    def point_at(self, address: str) -> None:
        more = f"{by_digest(address)}\ninsecure = true"
        self.router.configure([stow_settings("cloud", address, self.router.folder, more)])

    def take(self, load: Load) -> None:
        if not self.router.runs:
            self.router.start()
            self.router.wait_up()
        assert self.scanner.hand_over(load.images) == len(load.images)

    def deliver(self, load: Load) -> None:
        def delivered() -> bool:
            studies = self.router.studies()
            return len(studies) >= load.studies and all(s["at_rest"] for s in studies)

        until(delivered, DONE_S, what="delivery of ours")

    def prepared(self, studies: int) -> None:
        """Waits until copies and captures of so many studies are made, while the link is down."""

        def waiting() -> bool:
            states = [study["state"] for study in self.router.studies()]
            return states.count("ANALYSED") >= studies

        until(waiting, 300, what="anonymized studies")

    def receipts(self) -> list[dict[str, Any]]:
        """Size, begun_at, sent_at and verified_at of all that was sent, from the journal."""
        with closing(sqlite3.connect(f"file:{self._journal}?mode=ro", uri=True)) as journal:
            journal.row_factory = sqlite3.Row
            rows = journal.execute("SELECT size, begun_at, sent_at, verified_at FROM receipt")
            return [dict(row) for row in rows]

    def end(self) -> None:
        self.router.stop()


class PeerJob:
    """Orthanc's own job to a peer, submitted again whenever it has failed."""

    name = "peer"

    def __init__(self, source: Orthanc, cloud: Orthanc, address: str) -> None:
        self.cloud = cloud
        self.source = source
        add_peer(source, address)

    def take(self, load: Load) -> None:
        upload(self.source, load)

    def deliver(self, load: Load) -> None:
        del load
        studies = self.source.get("/studies")
        job = self.source.request(
            "POST", f"/peers/{_PEER}/store",
            json={"Resources": studies, "Synchronous": False},
        ).json()["ID"]  # fmt: skip
        end = time.monotonic() + DONE_S
        while time.monotonic() < end:
            state = self.source.request("GET", f"/jobs/{job}").json()["State"]
            if state == "Success":
                return
            if state == "Failure":
                self.source.request("POST", f"/jobs/{job}/resubmit").raise_for_status()
            time.sleep(_POLL_S)
        raise AssertionError("the peer job never succeeded")

    def end(self) -> None:
        """Nothing of its own."""


class Forwarder:
    """orthanc-team's OrthancForwarder, by peering, with its defaults."""

    name = "forwarder"

    def __init__(self, python: str, source: Orthanc, cloud: Orthanc, address: str) -> None:
        self.cloud = cloud
        self._source = source
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        add_peer(source, address)

    def take(self, load: Load) -> None:
        upload(self._source, load)

    def deliver(self, load: Load) -> None:
        del load
        self._process = subprocess.Popen(
            [self._python, str(_FORWARDER), self._source.url, self._source.user, PASSWORD, _PEER],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )  # fmt: skip
        process = self._process

        def empty() -> bool:
            assert process.poll() is None, "the forwarder ended by itself"
            return not self._source.instances()

        until(empty, DONE_S, what="an empty forwarder")

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def add_peer(source: Orthanc, address: str) -> None:
    source.request(
        "PUT", f"/peers/{_PEER}",
        json={"Url": f"http://{address}/", "Username": "truck", "Password": PASSWORD},
    ).raise_for_status()  # fmt: skip


def upload(source: Orthanc, load: Load) -> None:
    """Puts the images into an Orthanc over REST."""
    for image in load.images:
        raw = data.file_bytes(image.dataset)
        source.request("POST", "/instances", data=raw).raise_for_status()


#: Either kind; ``packets`` has the sender's own TCP meet the loss.
AnyLink: TypeAlias = "Link | PacketLink"


@contextmanager
def system(
    name: str, folder: Path, conditions: Conditions | None, forwarder_python: str, seed: int,
    *, packets: bool = False,
) -> Iterator[tuple[System, AnyLink]]:  # fmt: skip
    """A system of its own with a cloud and a link of its own.

    ``packets``: a link packet by packet; one such system at a time.
    """
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    with ExitStack() as stack:

        def orthanc(target: str, users: list[str]) -> Orthanc:
            place = folder / target
            place.mkdir(exist_ok=True)
            ports = {8042: free_port()} | ({4242: free_port()} if target == "truck" else {})
            made = contextmanager(start)(
                target.split("-", maxsplit=1)[0], place, users, ports=ports
            )
            return stack.enter_context(made)

        cloud = orthanc("cloud", CLOUD_USERS)
        target = (inside(cloud), 8042)
        link: AnyLink
        if packets:
            made_of_packets = PacketLink(target, conditions or Conditions(), seed=seed)
            link = stack.enter_context(made_of_packets)
        else:
            link = stack.enter_context(Link(target, conditions, seed=seed, host=gateway(cloud)))
        made: System
        if name == Ours.name:
            truck = orthanc("truck", TRUCK_USERS)
            made = Ours(folder, truck, cloud, link.address)
        else:
            source = orthanc("cloud-source", CLOUD_USERS)
            made = (
                PeerJob(source, cloud, link.address)
                if name == PeerJob.name
                else Forwarder(forwarder_python, source, cloud, link.address)
            )
        stack.callback(made.end)
        yield made, link


@dataclass(frozen=True)
class Outcome:
    """What one system did with one load."""

    name: str
    #: From the last image on the truck until the system says that all has arrived, less the cut.
    seconds: float
    #: On the link, up, retransmissions included; and down.
    wire_bytes: int
    down_bytes: int
    arrived: int
    doubled: int
    expected: int
    cut_s: float


def arrived(cloud: Orthanc, load: Load) -> tuple[int, int]:
    """How many images of the load the cloud holds by their pixels, and how many doubly."""
    wanted = {image.dataset.pixel_array.tobytes() for image in load.images}
    seen: list[bytes] = []
    for instance in cloud.instances():
        dataset = pydicom.dcmread(io.BytesIO(cloud.file(instance)))
        if dataset.get("PhotometricInterpretation") == "RGB":
            continue
        seen.append(dataset.pixel_array.tobytes())
    return len(wanted & set(seen)), len(seen) - len(set(seen))


def cut_in_the_middle(
    link: AnyLink, after_bytes: int, seconds: float, done: threading.Event
) -> None:
    """Cuts the link silently once it has carried so much, for so long."""
    link.cut_after(after_bytes)
    until(lambda: link.is_cut or done.is_set(), DONE_S, what="the cut")
    if link.is_cut:
        done.wait(seconds)
        link.restore()


def measure(
    one: System, link: AnyLink, load: Load, *, cut_s: float = 0.0, share_before_cut: float = 0.4,
    compressed: float = 1.0,
) -> Outcome:  # fmt: skip
    """One delivery. The cut comes when this share of what the system will send has been sent."""
    one.take(load)
    begun = time.monotonic()
    up, down = link.up_bytes, link.down_bytes
    done = threading.Event()
    cutter = None
    if cut_s:
        size = int(share_before_cut * load.pixel_bytes * compressed)
        cutter = threading.Thread(target=cut_in_the_middle, args=(link, size, cut_s, done))
        cutter.start()
    one.deliver(load)
    seconds = time.monotonic() - begun
    done.set()
    if cutter is not None:
        cutter.join()
    there, doubled = arrived(one.cloud, load)
    return Outcome(
        one.name, seconds - cut_s, link.up_bytes - up, link.down_bytes - down, there, doubled,
        len(load.images), cut_s,
    )  # fmt: skip
