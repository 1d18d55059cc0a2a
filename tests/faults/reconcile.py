"""What each destination really holds, against what the truck said Success to.

Nothing here believes the router: the expected UIDs are computed from the programme's key, every file
is fetched from its destination and looked at, and what a destination has refused it says itself.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pydicom

from tests.faults.truck import KEY
from tools.audit import names_anyone, pseudonymous_uid, study_alias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydicom.dataset import Dataset

    from tests.faults.places import Place
    from tests.faults.scanning import Image
    from tests.support.data import Patient

_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True)
class Stored:
    """One file at a destination."""

    sop_uid: str
    study_uid: str
    #: Digest of the decoded pixels: what it shows, in whatever transfer syntax.
    content: str
    is_capture: bool
    names_anyone: bool


@dataclass(frozen=True)
class Tally:
    """What was found. All below ``held`` should be 0, but for a single body of what is refused."""

    acknowledged: int
    #: Of these, at every destination.
    delivered: int
    #: Held at one destination at least.
    held: int
    #: Neither at a destination nor held for it: summed over the destinations, as all that follows.
    lost: int
    duplicates: int
    held_wrongly: int
    identified: int
    #: CT series without a segmentation there; small mammograms may rightly have none.
    uncaptured: int
    #: Bodies of one image that one destination answered with something final.
    wasted_bodies_max: int

    def line(self) -> str:
        return (
            f"acknowledged={self.acknowledged} delivered={self.delivered} held={self.held}"
            f" lost={self.lost} duplicates={self.duplicates}"
            f" held_wrongly={self.held_wrongly} identified={self.identified}"
            f" uncaptured={self.uncaptured} wasted_bodies_max={self.wasted_bodies_max}"
        )


class Held:
    """What the router says that it holds, by study and destination."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = Counter((str(row["study"]), row["destination"]) for row in rows)
        self.instances = len({row["instance"] for row in rows})

    def at(self, place: str) -> Counter[str]:
        """How many instances of each study it keeps from a destination."""
        found: Counter[str] = Counter()
        for (study, where), number in self._rows.items():
            if where in {None, place}:
                found[study] += number
        return found


@dataclass
class Auditor:
    """Fetches each file of each destination once."""

    places: Sequence[Place]
    _seen: dict[tuple[str, str], Stored] = field(default_factory=dict)

    def look(self, place: Place, patients: Sequence[Patient]) -> list[Stored]:
        """Everything that a destination holds now."""
        present = [(place.name, key) for key in place.present()]
        for name, key in present:
            if (name, key) not in self._seen:
                self._seen[name, key] = _stored(place.file(key), patients)
        return [self._seen[one] for one in present]

    def tally(self, acknowledged: Mapping[str, Image], held: Held) -> Tally:
        """``acknowledged``: by SOP Instance UID."""
        images = {pseudonymous_uid(KEY, image.sop_uid): image for image in acknowledged.values()}
        everywhere = set(images)
        lost = duplicates = wrongly = identified = uncaptured = 0
        patients = list({i.patient.patient_id: i.patient for i in images.values()}.values())
        for place in self.places:
            found = self.look(place, patients)
            there = {stored.sop_uid for stored in found if not stored.is_capture}
            everywhere &= there
            away = {uid: image for uid, image in images.items() if uid not in there}
            missing = Counter(_alias(image) for image in away.values())
            rightly = Counter(
                _alias(image)
                for uid, image in away.items()
                # A report may be cleaned and sent, or held.
                if image.is_report or place.peer.account.is_refused(uid)
            )
            said = held.at(place.name)
            # What is held, rightly or not, is still on the truck.
            lost += (missing - said).total()
            wrongly += (said - rightly).total()
            duplicates += _doubles(found, set(images)) + place.different()
            identified += sum(stored.names_anyone for stored in found)
            captured = {stored.study_uid for stored in found if stored.is_capture}
            uncaptured += len(_ct_studies(list(images.values())) - captured)
        return Tally(
            acknowledged=len(images),
            delivered=len(everywhere),
            held=held.instances,
            lost=lost,
            duplicates=duplicates,
            held_wrongly=wrongly,
            identified=identified,
            uncaptured=uncaptured,
            wasted_bodies_max=max(
                (n for place in self.places for n in place.peer.account.final.values()), default=0
            ),
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
