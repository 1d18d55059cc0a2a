"""The world around journal, worker and delivery: a truck's Orthanc and a PACS, both in memory."""

from __future__ import annotations

import threading
from collections import deque
from functools import cache
from typing import TYPE_CHECKING

from router.destinations.base import OneByOne, Outgoing, ReadBack, Stored
from router.dicom import part10
from router.journal import Identities, Journal
from router.records.copies import Copy
from router.records.errors import Code, DeliveryDeferred, Hold, LinkDown, ResourceMissing
from router.records.instance import Role, Stage
from router.records.receipt import VerifiedBy
from router.records.study import Outcome, State, Study, rest
from router.truck.spool import MemoryBody
from tests.support import data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.truck.spool import Body

#: So many instances each study of the world may have; the last is one that the truck must hold.
PER_STUDY = 4


class Killed(BaseException):
    """The process ends here, as by kill -9: nothing may catch it."""


class SentInVain(BaseException):
    """A body came of what its destination had refused for good. Nothing may catch it, or go on."""


@cache
def instance(study: str, number: int) -> tuple[bytes, Copy]:
    """The anonymized copy of an instance: the same every time it is made."""
    name = f"{study}-{number}"
    (dataset,) = data.ct_series(name, data.Patient.made(study), slices=1, size=8)
    dataset.StudyInstanceUID = f"1.2.826.0.1.3680043.10.1234.{study[1:]}"
    raw = data.file_bytes(dataset)
    view = memoryview(raw)
    return raw, Copy(
        orthanc_id=f"copy-{name}", study_uid=str(dataset.StudyInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID), sop_uid=str(dataset.SOPInstanceUID),
        sop_class=str(dataset.SOPClassUID), modality="CT",
        transfer_syntax="1.2.840.10008.1.2.1", instance_number=number,
        digest=part10.digest(view), md5=part10.md5(view), size=len(raw),
    )  # fmt: skip


def name_of(study: str, number: int) -> str:
    """Orthanc's id of an original."""
    return f"{study}-{number}"


def parse(name: str) -> tuple[str, int]:
    """Study and number of an original's id."""
    study, _, number = name.partition("-")
    return study, int(number)


def is_report(number: int) -> bool:
    """The truck must hold these."""
    return number == PER_STUDY - 1


class Truck:
    """Orthanc on the truck: originals and copies, by id."""

    def __init__(self) -> None:
        self.originals: dict[str, str] = {}
        self.copies: dict[str, bytes] = {}

    def answers(self) -> bool:
        """It always does."""
        return True

    def file(self, instance_id: str, transcode: str | None = None) -> Body:
        assert transcode is None
        if instance_id not in self.copies:
            raise ResourceMissing(Code.ORTHANC_REFUSED, "it is not there")
        return MemoryBody(self.copies[instance_id])


class LocalSteps:
    """The local steps without Orthanc and pixels: each instance's result is saved on its own."""

    def __init__(self, truck: Truck, journal: Journal, now: float) -> None:
        self._truck = truck
        self._journal = journal
        self.now = now
        #: Instances until the process is killed in the middle of one; negative: never.
        self.killed_after = -1

    def take(self, study: Study) -> Outcome:
        if study.state is State.ANONYMIZED:
            return Outcome.SKIP
        for found in self._journal.instances.of_study(study.orthanc_id):
            if found.role is Role.SOURCE and found.stage is Stage.RECEIVED:
                self._anonymize(found.orthanc_id)
        stages = {found.stage for found in self._journal.instances.of_study(study.orthanc_id)}
        return rest(sendable=Stage.ANONYMIZED in stages, held=Stage.HELD in stages)

    def _anonymize(self, original: str) -> None:
        study, number = parse(original)
        if is_report(number):
            self._journal.instances.hold(original, Code.SOP_CLASS_NOT_CLEARED, "a report", self.now)
            return
        raw, copy = instance(study, number)
        self._journal.copies.begin(original, copy, Identities("key", {}), self.now)
        self.killed_after -= 1
        if self.killed_after == 0:
            raise Killed
        self._truck.copies[copy.orthanc_id] = raw
        self._journal.copies.finish(original)


class Pacs(OneByOne):
    """A destination in memory that fails as it is told, and remembers all it was ever sent."""

    def __init__(self, name: str = "cloud") -> None:
        self.name = name
        self.link_up = True
        #: What happens to the next sends.
        self.script: deque[str] = deque()
        #: By SOP Instance UID: the digest of what is stored.
        self.stored: dict[str, str] = {}
        #: Times that an instance came with other bytes than it has.
        self.different = 0
        self.hidden: set[str] = set()
        #: Images that it will never take.
        self.refuses: set[str] = set()
        #: What it has refused for good, and nobody has released since.
        self.refused: set[str] = set()
        self.dead = False
        self._lock = threading.Lock()

    def probe(self) -> None:
        self._alive()

    def _alive(self) -> None:
        if self.dead:
            raise Killed
        if not self.link_up:
            raise LinkDown(Code.LINK_DOWN, "the link is down")

    def send(self, outgoing: Outgoing) -> Stored:
        self._alive()
        with self._lock:
            fault = self.script.popleft() if self.script else ""
        outgoing.count(len(outgoing.view))
        uid = outgoing.copy.sop_uid
        if uid in self.refused:
            raise SentInVain(uid)
        if fault == "killed before":
            self.dead = True
            raise Killed
        if fault == "lost before":
            raise LinkDown(Code.LINK_DOWN, "broke off")
        if fault == "busy":
            raise DeliveryDeferred(Code.DESTINATION_BUSY, "answered 503", 5.0)
        if fault == "refused" or uid in self.refuses:
            self.refused.add(uid)
            raise Hold(Code.DESTINATION_REFUSED, "answered 413")
        if fault == "forgotten":
            return Stored.STORED
        with self._lock:
            had = self.stored.setdefault(uid, part10.digest(outgoing.view))
            self.different += had != part10.digest(outgoing.view)
        if fault == "listed late":
            self.hidden.add(uid)
        if fault == "killed after":
            self.dead = True
            raise Killed
        if fault == "lost after":
            raise LinkDown(Code.LINK_DOWN, "no answer")
        return Stored.DUPLICATE if fault == "duplicate" else Stored.STORED

    def verify(self, copies: Sequence[Copy]) -> ReadBack:
        self._alive()
        found = {
            copy.sop_uid: VerifiedBy.PRESENCE
            for copy in copies
            if copy.sop_uid in self.stored and copy.sop_uid not in self.hidden
        }
        return ReadBack(found)

    def abort(self) -> None:
        """Nothing hangs in memory."""

    def close(self) -> None:
        """Nothing to give back."""


#: What ``Pacs`` understands in its script.
FAULTS = (
    "killed before", "killed after", "lost before", "lost after", "busy", "forgotten",
    "listed late", "duplicate", "refused",
)  # fmt: skip
