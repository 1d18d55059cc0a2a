"""Good studies that keep coming, and how long each takes to the cloud."""

from __future__ import annotations

import io
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pydicom
import requests

from tests.support import data, scanner
from tools.audit import pseudonymous_uid, study_alias

if TYPE_CHECKING:
    from tests.support.stack import Stack
    from tools.audit import Cloud

_PAUSE_S = 1.0
#: A study that has not arrived by then is lost, or as good as that.
_GIVEN_UP_S = 180.0
SLICES = 2


@dataclass
class Good:
    """One study: what became of it, and when. Seconds."""

    uids: list[str]
    alias: str
    begun: float
    door_s: float = 0.0
    sent: float = 0.0
    arrived: float | None = None
    statuses: list[int] = field(default_factory=list)


class Archive:
    """What the cloud's archive holds, asked of itself past its entrance."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._cloud: Cloud | None = None
        self._known: dict[str, tuple[str, str]] = {}

    def instances(self) -> dict[str, str]:
        """SOP Instance UID → Study Instance UID, as of the last time that it answered."""
        try:
            # After a restart its port is another.
            self._cloud = self._cloud or self._stack.cloud()
            held = self._cloud.instances()
            for one in held - self._known.keys():
                header = pydicom.dcmread(
                    io.BytesIO(self._cloud.file(one)), stop_before_pixels=True, force=True
                )
                self._known[one] = str(header.SOPInstanceUID), str(header.StudyInstanceUID)
        except (requests.RequestException, subprocess.CalledProcessError):
            self._cloud = None
            held = set(self._known)
        return dict(self._known[one] for one in held)


class Flow:
    """Sends a small study every second or so until it is closed, and follows each to the cloud."""

    def __init__(self, stack: Stack, stable_age_s: float) -> None:
        self._port = stack.port("door", 4242)
        self._key = stack.key()
        self._stable_age_s = stable_age_s
        self._archive = Archive(stack)
        self.studies: list[Good] = []
        self._number = 0
        self._seed = data.fresh_seed()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=work) for work in (self._send, self._follow)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        while not self._stop.is_set():
            self._number += 1
            patient = data.Patient.made(self._seed, self._number)
            images = list(data.ct_series(f"{self._seed}{self._number}", patient, SLICES, size=64))
            uids = [pseudonymous_uid(self._key, str(i.SOPInstanceUID)) for i in images]
            alias = study_alias(self._key, patient.patient_id, str(images[0].StudyInstanceUID))
            good = Good(uids, alias, time.monotonic())
            while not self._stop.is_set():
                # As a scanner does: what was not answered with Success is sent again.
                good.statuses = scanner.store(images, self._port)
                if good.statuses == [scanner.SUCCESS] * SLICES:
                    break
            good.sent = time.monotonic()
            good.door_s = good.sent - good.begun
            with self._lock:
                self.studies.append(good)
            self._stop.wait(_PAUSE_S)

    def _follow(self) -> None:
        while not self._stop.is_set() or self.waiting():
            there = self._archive.instances()
            for good in self.waiting():
                if there.keys() >= set(good.uids):
                    good.arrived = time.monotonic()
            time.sleep(0.5)

    def waiting(self) -> list[Good]:
        """Studies that are on their way, and not given up."""
        now = time.monotonic()
        with self._lock:
            return [g for g in self.studies if g.arrived is None and now - g.sent < _GIVEN_UP_S]

    def close(self) -> None:
        """Sends no more; waits until what was sent has arrived, or is given up."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def lost(self) -> list[str]:
        """Studies that did not arrive, as status names them."""
        return [good.alias for good in self.studies if good.arrived is None]

    def way_p95_s(self) -> float:
        """From the last answer to the cloud, beyond the time that the truck waits for more."""
        ways = [
            max(0.0, (g.arrived or g.sent + _GIVEN_UP_S) - g.sent - self._stable_age_s)
            for g in self.studies
        ]
        return p95(ways)

    def door_p95_s(self) -> float:
        """From the first connection to the last answer of a study."""
        return p95([good.door_s for good in self.studies])


def p95(values: list[float]) -> float:
    """The 95th percentile; of one value itself. Raises where there is none."""
    return values[0] if len(values) == 1 else statistics.quantiles(values, n=20)[-1]
