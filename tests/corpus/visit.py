"""One study of a patient: what all its instances share, and UIDs drawn before they are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.corpus import people

if TYPE_CHECKING:
    from random import Random

    from tests.corpus.people import Person


@dataclass(frozen=True)
class Planned:
    """An instance that will be made: known before, so that earlier ones can refer to it."""

    kind: str
    number: int
    sop_class: str
    sop_uid: str
    series_uid: str


@dataclass
class Visit:
    """A study. ``clean``: as a truck makes it, with nothing planted in odd places."""

    person: Person
    number: int
    clean: bool
    rng: Random
    study_uid: str
    frame_uid: str
    date: str
    time: str
    accession: str
    study_id: str
    referrer: str
    operator: str
    institution: str
    device_serial: str
    planned: list[Planned] = field(default_factory=list)

    @classmethod
    def made(cls, seed: str, person: Person, number: int, *, clean: bool) -> Visit:
        rng = people.dice(seed, "visit", person.patient_id, number)
        digits = rng.randrange(10**6, 10**7)
        return cls(
            person, number, clean, rng, people.uid(rng), people.uid(rng),
            people.date(rng, 2019, 2025), people.time(rng),
            rng.choice([f"A{digits}", f"{digits}{number}", f"2026-{digits}", f"ACC{digits}"]),
            f"S{rng.randrange(10**6, 10**7)}",
            f"{people.token(rng, 10)}^{people.token(rng, 8)}",
            f"{people.token(rng, 10)}^{people.token(rng, 6)}",
            f"{people.token(rng, 12)} Radiology", f"SN{rng.randrange(10**8, 10**9)}",
        )  # fmt: skip

    def traces(self) -> list[str]:
        """What may be found nowhere: of the study, not of the patient."""
        return [
            self.accession, self.study_id, self.study_uid, self.frame_uid, self.device_serial,
            f"ST{self.device_serial[2:8]}",
            self.institution, *self.referrer.split("^"), *self.operator.split("^"),
            *(uid for plan in self.planned for uid in (plan.sop_uid, plan.series_uid)),
        ]  # fmt: skip

    def head(self, dataset: Dataset, plan: Planned) -> None:
        """Patient, study, series and equipment as a scanner fills them in."""
        person = self.person
        if person.charset:
            dataset.SpecificCharacterSet = list(person.charset)
        dataset.PatientName = person.name
        dataset.PatientID = person.patient_id
        if person.issuer:
            dataset.IssuerOfPatientID = person.issuer
        dataset.PatientBirthDate = person.birth_date
        dataset.PatientSex = person.sex
        dataset.PatientAge = person.age
        dataset.PatientSize = "1.68"
        dataset.PatientWeight = "71"
        dataset.StudyInstanceUID = self.study_uid
        dataset.StudyDate, dataset.StudyTime = self.date, self.time
        dataset.AccessionNumber = self.accession
        dataset.StudyID = self.study_id
        dataset.ReferringPhysicianName = self.referrer
        dataset.SeriesInstanceUID = plan.series_uid
        dataset.SeriesNumber = dataset.InstanceNumber = plan.number
        dataset.SeriesDate, dataset.SeriesTime = self.date, self.time
        dataset.ContentDate, dataset.ContentTime = self.date, self.time
        dataset.InstanceCreationDate, dataset.InstanceCreationTime = self.date, self.time
        dataset.OperatorsName = self.operator
        dataset.InstitutionName = self.institution
        dataset.InstitutionAddress = f"{self.institution} 1"
        dataset.StationName = f"ST{self.device_serial[2:8]}"
        dataset.DeviceSerialNumber = self.device_serial
        dataset.SoftwareVersions = "VB20A"
        request = Dataset()
        request.RequestedProcedureID = self.accession
        request.ScheduledProcedureStepID = self.study_id
        dataset.RequestAttributesSequence = Sequence([request])
