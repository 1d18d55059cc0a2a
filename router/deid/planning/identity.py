"""The identifying values of a data set beside their pseudonyms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.deid import pseudonyms

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from router.deid.pseudonyms import Key


@dataclass(frozen=True)
class Identity:
    """The patient behind a pseudonym. Stays on the truck, in the journal's identity table."""

    pseudonym: str
    #: As the image names it, and as it enters the pseudonym.
    issuer: str
    issuer_used: str
    patient_id: str
    name: str
    birth_date: str
    sex: str
    accession: str
    accession_pseudonym: str


def identity_of(dataset: Dataset, key: Key) -> Identity:
    """The identifying values of a data set beside their pseudonyms."""

    def text(keyword: str) -> str:
        return str(dataset.get(keyword, "") or "").strip()

    issuer, patient_id, number = (
        text("IssuerOfPatientID"),
        text("PatientID"),
        text("AccessionNumber"),
    )
    return Identity(
        pseudonym=pseudonyms.patient(key, issuer, patient_id),
        issuer=issuer,
        issuer_used=key.issuer(issuer),
        patient_id=patient_id,
        name=_readable(text("PatientName")),
        birth_date=text("PatientBirthDate"),
        sex=text("PatientSex"),
        accession=number,
        accession_pseudonym=pseudonyms.accession(key, number) if number else "",
    )


def _readable(text: str) -> str:
    """A text whose header named another character set than the UTF-8 that it is written in.

    By chance no name in another set is also UTF-8 with a letter of several bytes in it.
    """
    try:
        read = text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
    return read
