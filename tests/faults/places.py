"""The destinations of a truck under test: each fails by itself, and keeps its own account.

What a destination was sent, what it said, and what it holds is told by the destination alone: the
audit asks nobody else.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tests.link.emulator import Link
from tests.support.fake_dimse import CALLED, Answer, FakeScp
from tests.support.faulty_pacs import HONEST, PASSING, Before, Fault, FaultyPacs
from tests.support.orthancs import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pynetdicom.events import Event

    from tests.link.conditions import Conditions
    from tests.support.orthancs import Orthanc

#: What is final for an image: the same bytes will never be taken (RFC 9110, 15.5.14; PS3.4, B.2.3;
#: dcm4chee's object that a note has rejected). 415 is about a transfer syntax, and has its tests.
FINAL: dict[str, Fault] = {
    "too large 413": Fault(413, b"", stores=0),
    "SOP class not supported 0122": Fault(409, stores=0, reason=0x0122),
    "data set does not match A900": Fault(409, stores=0, reason=0xA900),
    "rejected object A771": Fault(409, stores=0, reason=0xA771),
}
#: What may mend: tried three times, an hour or more apart.
MENDING: dict[str, Fault] = {
    "cannot understand C000": Fault(409, stores=0, reason=0xC000),
    "processing failure 0110, also called 272": Fault(409, stores=0, reason=0x0110),
    "a reason of no list 0999": Fault(409, stores=0, reason=0x0999),
    "bad request 400": Fault(400, b"", stores=0),
    "failed dependency 424": Fault(424, b"", stores=0),
    "a status of no list 418": Fault(418, b"", stores=0),
}
#: What is about the whole destination: it is paused, and nothing is held.
OF_ALL: dict[str, Fault] = {
    f"HTTP {status}": Fault(status, b"", stores=0)
    for status in (423, 429, 460, 500, 502, 503, 507, 509, *range(520, 531), 598)
}
#: … and what takes the router half a minute to try again.
OF_ALL_SLOWLY: dict[str, Fault] = {
    f"HTTP {status}": Fault(status, b"", stores=0) for status in (401, 403, 404, 501, 561)
}
#: Passing faults that this run has no time for: what is taken and forgotten needs a quarter of an
#: hour until the router is sure, what may mend an hour, and a date far away as long.
_SLOW = ("forgets", "without a word", "until a date", "processing failure")
#: What an archive answers to C-STORE for a while.
_PASSING_DIMSE = (
    Fault(stores=0, reason=0xA700), Fault(stores=0, reason=0x0213), Fault(mute=True),
    Fault(mute=True, stores=0), Fault(warning=0xB000), Fault(reason=0x0111, denies=True),
)  # fmt: skip


@dataclass
class Account:
    """What a destination writes down of the images that it refused by themselves."""

    #: Images that it refuses, and how, by SOP Instance UID.
    refuses: dict[str, Fault] = field(default_factory=dict)
    #: Bodies of an image that it answered with something final.
    final: Counter[str] = field(default_factory=Counter)
    #: When the bodies of an image came that it answered with something that may mend: by the clock
    #: of the truck.
    mending: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    clock: Callable[[], float] = time.time

    def answer(self, uids: list[str]) -> Fault | None:
        """What it says to a body with one of these; ``None``: it refuses none of them."""
        refused = [uid for uid in uids if uid in self.refuses]
        if not refused:
            return None
        if len(uids) > 1:  # a proxy says no to the whole of it, and not what of it
            return Fault(400, b"", stores=0)
        (uid,) = refused
        fault = self.refuses[uid]
        if fault in FINAL.values():
            self.final[uid] += 1
        else:
            self.mending[uid].append(self.clock())
        return fault

    def is_refused(self, uid: str) -> bool:
        """Whether the image is rightly held: refused for good, or as often as it is tried."""
        return self.final[uid] > 0 or len(self.mending.get(uid, ())) >= 3


class Peer(Protocol):
    """A destination that does as it is told."""

    script: deque[Fault]
    otherwise: Callable[[list[str]], Fault]
    account: Account

    @property
    def requests(self) -> int:
        """How many bodies came, whatever became of them."""


class StowPeer(FaultyPacs):
    """Takes STOW-RS."""

    def __init__(self, before: Before | None = None) -> None:
        super().__init__(before)
        self.account = Account()

    def next_fault(self, uids: list[str]) -> Fault:
        fault = super().next_fault(uids)
        if fault != HONEST:
            return fault
        return self.account.answer(uids) or HONEST


class DimsePeer(FakeScp):
    """Takes C-STORE, answers C-FIND."""

    def __init__(self) -> None:
        super().__init__()
        self.account = Account()
        self._taking = threading.Lock()
        #: As those of ``FaultyPacs``: what comes next, and what is answered when that is told.
        self.script: deque[Fault] = deque()
        self.otherwise: Callable[[list[str]], Fault] = lambda _: HONEST
        self.requests = 0
        self.files: dict[str, bytes] = {}
        self.different = 0

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def _store(self, event: Event) -> int:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        with self._taking:
            return self._answer(event, uid)

    def _answer(self, event: Event, uid: str) -> int:
        self.requests += 1
        fault = self.script.popleft() if self.script else self.otherwise([uid])
        if fault == HONEST:
            fault = self.account.answer([uid]) or HONEST
        keeps = fault.stores is None
        if keeps:
            file = event.encoded_dataset()
            self.different += self.files.setdefault(uid, file) != file
        status = fault.reason if fault.denies or not keeps else (fault.warning or 0)
        self.answers.append(Answer(status, abort=fault.mute, keep=keeps))
        return super()._store(event)


@dataclass
class Place:
    """A destination with the link to it."""

    name: str
    peer: Peer
    link: Link
    #: What it may answer for a while.
    passing: list[Fault]
    #: Keys of what it holds, and the file of each.
    present: Callable[[], list[str]]
    file: Callable[[str], bytes]
    #: How often a UID came with other bytes than it has.
    different: Callable[[], int]
    #: Its part of the router's settings, with the link's address in it.
    settings: str

    def heal(self, conditions: Conditions) -> None:
        """It is honest and reached again; what it refuses of single images stays."""
        self.peer.script.clear()
        self.peer.otherwise = lambda _: HONEST
        self.link.cut_after(1 << 60)
        self.link.restore()
        self.link.change(conditions)


def stow_settings(name: str, address: str, folder: Path, more: str = "") -> str:
    """The router's settings of a DICOMweb destination at this address."""
    return f"""
[[destinations]]
kind = "stow"
name = "{name}"
url = "http://{address}/dicom-web"
user = "truck"
password_file = "{folder}/password"
{more}
"""


def by_digest(address: str) -> str:
    """… of one that reports the digest of what it has."""
    return f'readback = "orthanc"\nreadback_url = "http://{address}"'


@contextmanager
def cloud(folder: Path, orthanc: Orthanc, conditions: Conditions | None) -> Iterator[Place]:
    """The cloud's Orthanc behind a PACS that lies; it reports the digest of what it has."""
    with (
        StowPeer(Before(orthanc.url, ("truck", PASSWORD))) as peer,
        Link(peer.address, conditions, seed=time.monotonic_ns()) as link,
    ):
        yield Place(
            "cloud", peer, link, _passing(), orthanc.instances, orthanc.file, lambda: 0,
            stow_settings("cloud", link.address, folder, by_digest(link.address)),
        )  # fmt: skip


@contextmanager
def archive(folder: Path, conditions: Conditions | None) -> Iterator[Place]:
    """A DICOMweb archive of our own, that only lists what it has."""
    with (
        StowPeer() as peer,
        Link(peer.address, conditions, seed=time.monotonic_ns()) as link,
    ):
        memory = peer.memory
        yield Place(
            "archive", peer, link, _passing(), lambda: list(memory.files),
            lambda uid: memory.files[uid], memory.different.total,
            stow_settings("archive", link.address, folder),
        )  # fmt: skip


@contextmanager
def research(conditions: Conditions | None) -> Iterator[Place]:
    """An archive on a DICOM network."""
    peer = DimsePeer.of_any_class()
    assert isinstance(peer, DimsePeer)
    with peer.serving(), Link(peer.address, conditions, seed=time.monotonic_ns()) as link:
        yield Place(
            "research", peer, link, list(_PASSING_DIMSE), lambda: list(peer.files),
            lambda uid: peer.files[uid], lambda: peer.different,
            f"""
[[destinations]]
kind = "dimse"
name = "research"
host = "{link.host}"
port = {link.port}
called_aet = "{CALLED}"
tls = false
""",
        )  # fmt: skip


def _passing() -> list[Fault]:
    return [fault for name, fault in PASSING.items() if not any(word in name for word in _SLOW)]
