"""What the cloud PACS really holds, against what the truck said Success to.

Nothing here believes the router: the expected UIDs are computed from the programme's key, and every
file is fetched from the cloud and looked at.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pydicom

from tests.faults.truck import KEY
from tools.audit import names_anyone, pseudonymous_uid, study_alias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydicom.dataset import Dataset

    from tests.data import Patient
    from tests.faults.scanning import Image
    from tests.orthancs import Orthanc

_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True)
class Stored:
    """One file in the cloud."""

    sop_uid: str
    study_uid: str
    #: Digest of the decoded pixels: what it shows, in whatever transfer syntax.
    content: str
    is_capture: bool
    names_anyone: bool


@dataclass(frozen=True)
class Tally:
    """What was found. All below ``held`` should be 0."""

    acknowledged: int
    delivered: int
    held: int
    lost: int
    duplicates: int
    held_wrongly: int
    identified: int
    #: CT series without a segmentation in the cloud; small mammograms may rightly have none.
    uncaptured: int

    def line(self) -> str:
        return (
            f"acknowledged={self.acknowledged} delivered={self.delivered} held={self.held}"
            f" lost={self.lost} duplicates={self.duplicates}"
            f" held_wrongly={self.held_wrongly} identified={self.identified}"
            f" uncaptured={self.uncaptured}"
        )


@dataclass
class Auditor:
    """Fetches each file of the cloud once."""

    cloud: Orthanc
    _seen: dict[str, Stored] = field(default_factory=dict)

    def look(self, patients: Sequence[Patient]) -> list[Stored]:
        """Everything that the cloud holds now."""
        present = self.cloud.instances()
        for instance in present:
            if instance not in self._seen:
                self._seen[instance] = _stored(self.cloud.file(instance), patients)
        return [self._seen[instance] for instance in present]

    def tally(self, acknowledged: Mapping[str, Image], held: Mapping[str, int]) -> Tally:
        """``acknowledged``: by SOP Instance UID. ``held``: instances held, by the study's alias."""
        images = list(acknowledged.values())
        patients = list({image.patient.patient_id: image.patient for image in images}.values())
        found = self.look(patients)
        there = Counter(stored.sop_uid for stored in found if not stored.is_capture)
        expected = {pseudonymous_uid(KEY, image.sop_uid): image for image in images}
        away = [expected[uid] for uid in set(expected) - set(there)]
        missing = Counter(_alias(image) for image in away)
        # A report may be cleaned and sent, or held.
        reports = Counter(_alias(image) for image in away if image.is_report)
        wrongly = sum(max(0, number - reports[alias]) for alias, number in held.items())
        return Tally(
            acknowledged=len(images),
            delivered=len(expected) - missing.total(),
            held=sum(held.values()),
            # What is held, rightly or not, is still on the truck.
            lost=(missing - Counter(held)).total(),
            duplicates=_doubles(found, set(expected)),
            held_wrongly=wrongly,
            identified=sum(stored.names_anyone for stored in found),
            uncaptured=len(_ct_studies(images) - {s.study_uid for s in found if s.is_capture}),
        )


def _alias(image: Image) -> str:
    return study_alias(KEY, image.patient.patient_id, image.study_uid)


def _ct_studies(images: Sequence[Image]) -> set[str]:
    """Pseudonymous UIDs of the studies that hold a CT series."""
    return {
        pseudonymous_uid(KEY, image.study_uid) for image in images if image.dataset.Modality == "CT"
    }


def _doubles(found: Sequence[Stored], expected: set[str]) -> int:
    """Files nobody sent, UIDs stored twice, and one picture under several UIDs."""
    uids = Counter(stored.sop_uid for stored in found)
    foreign = sum(s.sop_uid not in expected and not s.is_capture for s in found)
    contents: dict[str, set[str]] = defaultdict(set)
    for stored in found:
        contents[f"{stored.study_uid}|{stored.content}"].add(stored.sop_uid)
    return (
        foreign
        + sum(number - 1 for number in uids.values())
        + sum(len(same) - 1 for same in contents.values())
    )


def _stored(raw: bytes, patients: Sequence[Patient]) -> Stored:
    dataset = pydicom.dcmread(io.BytesIO(raw))
    return Stored(
        sop_uid=str(dataset.SOPInstanceUID),
        study_uid=str(dataset.StudyInstanceUID),
        content=_content(dataset),
        is_capture=dataset.SOPClassUID == _CAPTURE,
        names_anyone=names_anyone(dataset, raw, patients),
    )


def _content(dataset: Dataset) -> str:
    if "PixelData" not in dataset:
        return str(dataset.SOPInstanceUID)
    return hashlib.sha256(dataset.pixel_array.tobytes()).hexdigest()
