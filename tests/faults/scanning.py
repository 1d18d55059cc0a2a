"""A scanner that behaves: what was not answered with Success is handed over again."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support import data
from tests.support.scanner import SUCCESS, Entity, associated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydicom.dataset import FileDataset

_OUT_OF_RESOURCES = range(0xA700, 0xA800)
_TIMEOUT_S = 10
_AGAIN_S = 0.3


@dataclass(frozen=True)
class Image:
    """An instance that the scanner made."""

    dataset: FileDataset
    patient: data.Patient
    #: It names the patient in its content: the truck cleans it, or keeps it.
    is_report: bool

    @property
    def sop_uid(self) -> str:
        return str(self.dataset.SOPInstanceUID)

    @property
    def study_uid(self) -> str:
        return str(self.dataset.StudyInstanceUID)


@dataclass
class Scanner:
    """Makes small studies and hands them over."""

    port: int
    seed: str = field(default_factory=data.fresh_seed)
    made: int = 0
    #: By SOP Instance UID, what the truck answered Success to.
    acknowledged: dict[str, Image] = field(default_factory=dict)
    refused: int = 0

    def ct(self, slices: int = 3, size: int = 96) -> list[Image]:
        """A CT series of its own patient."""
        self.made += 1
        patient = data.Patient.made(self.seed, self.made)
        series = data.ct_series(f"{self.seed}{self.made}", patient, slices, size)
        return [Image(dataset, patient, is_report=False) for dataset in series]

    def mammogram(self, rows: int = 256) -> list[Image]:
        """Four views and the dose report."""
        self.made += 1
        patient = data.Patient.made(self.seed, self.made)
        study = data.mammogram_study(f"{self.seed}{self.made}", patient, rows, rows * 13 // 16)
        return [Image(d, patient, is_report=d.Modality == "SR") for d in study]

    def hand_over(self, images: Sequence[Image], deadline_s: float = 120.0) -> int:
        """Sends until every image is answered with Success; how many were.

        Fewer only where the truck refuses for want of space, or the deadline passes.
        """
        end = time.monotonic() + deadline_s
        waiting = [image for image in images if image.sop_uid not in self.acknowledged]
        begun = len(waiting)
        while waiting and time.monotonic() < end:
            full = self._send(waiting)
            waiting = [image for image in waiting if image.sop_uid not in self.acknowledged]
            if full:
                break
            if waiting:
                time.sleep(_AGAIN_S)  # as scanners do before they try again
        return begun - len(waiting)

    def _send(self, images: Sequence[Image]) -> bool:
        """One association; whether the truck said that it is full."""
        entity = Entity("SCANNER")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _TIMEOUT_S
        for sop_class, syntax in sorted(
            {(str(i.dataset.SOPClassUID), str(i.dataset.file_meta.TransferSyntaxUID))
             for i in images}
        ):  # fmt: skip
            entity.add_requested_context(sop_class, syntax)
        with associated(entity, self.port) as association:
            for image in images:
                if not association.is_established:
                    return False
                try:
                    answer = association.send_c_store(image.dataset)
                except RuntimeError:  # aborted between the question and the sending
                    return False
                status = int(answer.get("Status", -1))
                if status == SUCCESS:
                    self.acknowledged[image.sop_uid] = image
                elif status in _OUT_OF_RESOURCES:
                    self.refused += 1
                    return True
        return False


class Scanning:
    """Hands studies over in the background, one after another, until it is closed."""

    def __init__(self, scanner: Scanner, make: Callable[[], list[Image]], pause_s: float) -> None:
        self._scanner = scanner
        self._make = make
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(150)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._scanner.hand_over(self._make())
            self._stop.wait(self._pause_s)
