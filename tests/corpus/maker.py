"""The corpus: patients with several studies, every kind of object, clean and planted, with its key.

``python -m tests.corpus FOLDER --seed N`` writes it out.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom

from tests.corpus import iods, key, people, planting
from tests.corpus.key import Verdict
from tests.corpus.people import Person
from tests.corpus.planting import Ink
from tests.corpus.visit import Planned, Visit
from tests.support import data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from pydicom.dataset import FileDataset

#: What a visit makes, in its order.
_VISITS = (
    ("CT", "CT", "CT", "CT", "SC", "RDSR"),
    ("MG", "MG", "MGP", "DBT", "CAD", "PR", "KO"),
    ("DX", "CR", "BTSR", "PDF", "DX"),
    ("MR", "MR", "EMR", "PR", "MR", "MR"),
    ("KO", "ECT", "ECT", "US", "RDSR", "EMR"),
    ("MG", "MG", "MG", "MG", "US", "RDSR", "PR"),
)
#: Kinds that nobody can make safe without looking at them.
_HELD_KINDS = {
    "US": "text in the pixels of ultrasound", "SC": "a picture of a screen",
    "PDF": "an encapsulated document",
}  # fmt: skip
_ATTRIBUTES_EACH = 36
SMALLEST = 500


@dataclass(frozen=True)
class Made:
    """A file of the corpus and its line of the key."""

    name: str
    kind: str
    person: Person
    visit: Visit
    clean: bool
    verdict: Verdict
    why: str
    file: bytes
    #: Of this file, its study and its patient: may be found nowhere in what leaves.
    traces: tuple[str, ...]
    checks: tuple[key.Check, ...]

    def dataset(self) -> FileDataset:
        return pydicom.dcmread(io.BytesIO(self.file))


class Corpus:
    """Made one after the other; the same seed makes the same bytes."""

    def __init__(self, seed: str, files: int = SMALLEST) -> None:
        self._seed = seed
        self._files = files
        tags = planting.plantable()
        people.dice(seed, "order").shuffle(tags)
        self._tags = tags
        self._next = 0

    def __iter__(self) -> Iterator[Made]:
        made = number = 0
        while made < self._files:
            person = Person.made(self._seed, number)
            # Every fourth patient is one as a truck has them.
            for file in self._of_person(person, number, clean=number % 4 == 0):
                made += 1
                yield file
            number += 1

    def _of_person(self, person: Person, number: int, *, clean: bool) -> Iterator[Made]:
        visits = [self._visit(person, number, n, clean=clean) for n in range(1 + (number % 3 != 0))]
        for visit in visits:
            for plan in visit.planned:
                yield self._file(visit, plan)

    def _visit(self, person: Person, number: int, n: int, *, clean: bool) -> Visit:
        visit = Visit.made(self._seed, person, n, clean=clean)
        # Every kind of visit for clean patients and for the others.
        kinds = _VISITS[(number // 4 + n if clean else number + n) % len(_VISITS)]
        rng = people.dice(self._seed, "plan", person.patient_id, n)
        series = people.uid(rng)
        for instance, kind in enumerate(kinds, start=1):
            visit.planned.append(
                Planned(
                    kind,
                    instance,
                    iods.CLASSES[kind],
                    people.uid(rng),
                    f"{series}.{kind_number(kind)}",
                )
            )
        return visit

    def _file(self, visit: Visit, plan: Planned) -> Made:
        ink = Ink(people.dice(self._seed, plan.sop_uid), visit)
        dataset = iods.make(visit, plan)
        verdict, why = Verdict.FLOWS, ""
        if plan.kind in _HELD_KINDS:
            verdict, why = Verdict.HELD, _HELD_KINDS[plan.kind]
        elif plan.kind == "BTSR":
            verdict, why = Verdict.EITHER, "sentences"
        if visit.clean:
            _as_trucks_do(dataset, ink)
        else:
            tried, reason = self._plant(dataset, plan, ink)
            if verdict is not Verdict.HELD and tried is not Verdict.FLOWS:
                verdict, why = tried, reason
        written = data.file_bytes(dataset)
        traces = tuple(
            dict.fromkeys(t for t in (*visit.person.traces(), *visit.traces(), *ink.traces) if t)
        )
        return Made(
            f"{plan.kind}-{plan.sop_uid.rpartition('.')[2]}", plan.kind, visit.person, visit,
            visit.clean, verdict, why, written, traces,
            tuple(key.checks(pydicom.dcmread(io.BytesIO(written)), plan.kind, key.Traces(traces))),
        )  # fmt: skip

    def _plant(self, dataset: FileDataset, plan: Planned, ink: Ink) -> tuple[Verdict, str]:
        rng = ink.rng
        # Reports and references of the kind itself stay as they are.
        has = set(dataset.keys())
        tags = [tag for tag in self._some() if tag not in has]
        planting.free_text(dataset, ink)
        planting.table(dataset, tags[0::2], ink)
        planting.nested(dataset, tags[1::2] + tags[0::2][:12], ink)
        planting.file_header(dataset, ink)
        if rng.random() < 0.5:
            planting.odd_elements(dataset, ink)
        if rng.random() < 0.5:
            planting.references(dataset, ink)
        if rng.random() < 0.4 and plan.kind not in {"RDSR", "CAD", "BTSR", "KO", "PDF"}:
            planting.pictures(dataset, ink)
        verdict, why = Verdict.FLOWS, ""
        chance = rng.random()
        if chance < 0.12:
            planting.as_unknown(dataset, ink, explicit=False)
        elif chance < 0.18:
            planting.as_unknown(dataset, ink, explicit=True)
            verdict, why = Verdict.EITHER, "explicit VR inside of UN"
        if plan.kind in {"CT", "MR", "MG", "DX", "CR"}:
            special, reason = _special(dataset, plan, ink, rng)
            verdict, why = (special, reason) if reason else (verdict, why)
        return verdict, why

    def _some(self) -> list[pydicom.tag.BaseTag]:
        """The next attributes of the table, in turn: all come up many times in a corpus."""
        start = self._next
        # One less: what stood at the top stands inside the next time.
        self._next = (start + _ATTRIBUTES_EACH - 1) % len(self._tags)
        return (self._tags + self._tags)[start : start + _ATTRIBUTES_EACH]


def kind_number(kind: str) -> int:
    """The series number of a kind within a visit."""
    return list(iods.CLASSES).index(kind) + 1


def _special(dataset: FileDataset, plan: Planned, ink: Ink, rng: Random) -> tuple[Verdict, str]:
    """Some images have text in their pixels, some an identifier where no rule looks."""
    chance = rng.random()
    person = ink.visit.person
    if chance < 0.06:
        iods.burn(dataset, person.family)
        dataset.BurnedInAnnotation = "YES"
        return Verdict.HELD, "it says that it has burned-in text"
    if chance < 0.1:
        iods.burn(dataset, person.patient_id)
        dataset.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
        return Verdict.HELD, "ImageType says a picture of a screen"
    if chance < 0.13 and plan.kind == "CT":
        iods.burn(dataset, person.patient_id)
        dataset.ImageType = ["DERIVED", "SECONDARY", "DOSE_INFO"]
        dataset.SeriesDescription = "Dose Report"
        return Verdict.HELD, "a CT's dose screen"
    if chance < 0.25:
        place = planting.STRANGE[rng.randrange(len(planting.STRANGE))]
        planting.strange(dataset, place, ink)
        return Verdict.EITHER, f"identifier in {place}"
    return Verdict.FLOWS, ""


def _as_trucks_do(dataset: FileDataset, ink: Ink) -> None:
    """The private blocks that every maker writes."""
    block = dataset.private_block(0x0019, "SIEMENS CT VA0  COAD", create=True)
    block.add_new(0x10, "DS", "1.25")
    block.add_new(0x11, "LO", ink.word())
    dataset.file_meta.SourceApplicationEntityTitle = "SCANNER"
