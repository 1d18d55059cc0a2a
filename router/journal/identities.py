"""Who stands behind a pseudonym. Leaves the truck never; every look-up is audited by its caller."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from router.deid import same_patient
from router.deid.issuers import NO_TABLE, Issuers
from router.deid.same_patient import Comparison, Likeness
from router.journal.conflicts import Conflict
from router.records.errors import Code

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from router.journal.database import Database


#: The field of an IdentityConflict that concerns a whole study.
ISSUER = "issuer"
_BLOB = "CAST(blob AS TEXT)"
#: Of a row of identity: the issuer in its pseudonym. Before there was a table it was as it was sent.
USED = f"coalesce(json_extract({_BLOB}, '$.issuer_used'), trim(json_extract({_BLOB}, '$.issuer')))"
_STUDY_PATIENT = ("pseudonym", "issuer", "said", "key_id")


@dataclass(frozen=True)
class Identities:
    """What identifies, beside the pseudonyms that stand for it: one row a kind."""

    key_id: str
    #: (kind, pseudonym) → the identifying values.
    rows: Mapping[tuple[str, str], Mapping[str, str]]
    #: The patient's, with the issuer that enters it; empty: whose the study is isn't told.
    pseudonym: str = ""
    issuer: str = ""
    #: The issuer that the image names, or its scanner stands for; empty: none.
    named: str = ""
    #: By which two names are compared.
    issuers: Issuers = NO_TABLE


@dataclass(frozen=True)
class Person:
    """A patient with her accession numbers."""

    pseudonym: str
    key_id: str
    #: issuer, patient_id, name, birth_date, sex.
    values: Mapping[str, str]
    #: Other writings of name, birth date or sex that a person has accepted as hers.
    also: Sequence[Mapping[str, str]]
    #: Pseudonym → accession number.
    accessions: Mapping[str, str]


@dataclass(frozen=True)
class StudyPatient:
    """Whose a study is, since its first copy is known."""

    pseudonym: str
    #: As it enters the pseudonym, and the first that an image named.
    issuer: str
    said: str
    key_id: str


@dataclass(frozen=True)
class Likely:
    """A study went on as a known patient's, though something of her is written otherwise."""

    #: What is written otherwise: the name.
    field: str
    pseudonym: str
    #: What the study says of her: name, birth_date, sex …
    said: Mapping[str, str]
    noted_at: float


class IdentityTable:
    """Pseudonym → patient or accession number."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def person(self, pseudonym: str) -> Person | None:
        """The patient of this pseudonym: hers, or that of an accession number of hers."""
        rows = self._db.rows("SELECT kind, blob FROM identity WHERE pseudonym = ?", (pseudonym,))
        for row in rows:
            if row["kind"] == "accession":
                return self.person(str(json.loads(row["blob"])["patient"]))
        rows = self._db.rows(
            "SELECT key_id, blob FROM identity WHERE kind = 'patient' AND pseudonym = ?",
            (pseudonym,),
        )
        if not rows:
            return None
        values = json.loads(rows[0]["blob"])
        accessions = self._db.rows(
            "SELECT pseudonym, json_extract(CAST(blob AS TEXT), '$.accession') AS number"
            " FROM identity WHERE kind = 'accession'"
            " AND json_extract(CAST(blob AS TEXT), '$.patient') = ? ORDER BY first_used_at",
            (pseudonym,),
        )
        return Person(
            pseudonym, rows[0]["key_id"], {k: v for k, v in values.items() if k != "also"},
            values.get("also", []), {row["pseudonym"]: row["number"] for row in accessions},
        )  # fmt: skip

    def likely(self, study: str) -> list[Likely]:
        """Fields of a study's patient that only probably agree with what was known of her number."""
        rows = self._db.rows(
            "SELECT * FROM likely_patient WHERE study = ? ORDER BY field", (study,)
        )
        return [
            Likely(row["field"], row["pseudonym"], json.loads(row["blob"]), row["noted_at"])
            for row in rows
        ]

    def of_study(self, study: str) -> StudyPatient | None:
        """Whose a study is; ``None`` while no copy of it is known."""
        rows = self._db.rows(
            "SELECT p.*, s.key_id FROM study_patient p JOIN study s ON s.orthanc_id = p.study"
            " WHERE p.study = ?",
            (study,),
        )
        return next((StudyPatient(*(row[f] for f in _STUDY_PATIENT)) for row in rows), None)

    def issuers(self) -> list[str]:
        """Every issuer that enters the pseudonym of a known patient."""
        rows = self._db.rows(f"SELECT DISTINCT {USED} AS used FROM identity WHERE kind = 'patient'")  # noqa: S608
        return [row["used"] for row in rows]

    def knows(self, pseudonym: str, key_id: str) -> bool:
        """Whether the patient is known under this key."""
        return bool(
            self._db.rows(
                "SELECT 1 FROM identity WHERE kind = 'patient' AND pseudonym = ? AND key_id = ?",
                (pseudonym, key_id),
            )
        )


class IdentityConflict(Conflict):
    """An image says of its patient what cannot be true of the one whose number it bears."""

    def __init__(self, field: str, pseudonym: str, said: Mapping[str, str]) -> None:
        """``field``: what differs. ``pseudonym``: of the patient who is known; ``said``: of this one."""
        super().__init__(Code.IDENTITY_CONFLICT, f"{field} differs from what is known")
        self.field = field
        self.pseudonym = pseudonym
        self.said = said


class PatientChanged(Exception):
    """Whose the study is was decided by another of its images, since the copy of this one was made."""


def enter_study(
    db: sqlite3.Connection, study: str, identities: Identities, *, accepted: bool
) -> None:
    """Makes the study this patient's, once. Raises IdentityConflict, PatientChanged."""
    if not identities.pseudonym:
        return
    row = db.execute("SELECT * FROM study_patient WHERE study = ?", (study,)).fetchone()
    if row is None:
        db.execute(
            "INSERT INTO study_patient (study, pseudonym, issuer, said) VALUES (?, ?, ?, ?)",
            (study, identities.pseudonym, identities.issuer, identities.named),
        )
        return
    named, said = identities.named, row["said"]
    differs = named and said and not identities.issuers.are_same(named, said)
    if differs and not accepted:
        found = identities.rows["patient", identities.pseudonym]
        raise IdentityConflict(ISSUER, row["pseudonym"], found)
    if row["pseudonym"] != identities.pseudonym:
        raise PatientChanged
    if named and not said:
        db.execute("UPDATE study_patient SET said = ? WHERE study = ?", (named, study))


def enter(
    db: sqlite3.Connection, study: str, identities: Identities, now: float, *, accepted: bool
) -> None:
    """Writes the rows that are new, and what was found likely of those that are known.

    ``accepted``: a person says that a differing patient is hers. Raises IdentityConflict.
    """
    for (kind, pseudonym), values in identities.rows.items():
        known = _row(db, pseudonym) if kind == "patient" else None
        if known is not None:
            found = _compare(known, values)
            if found.likeness is Likeness.OTHER and not accepted:
                raise IdentityConflict(found.field, pseudonym, values)
            if found.likeness is not Likeness.SAME:
                _accept(db, pseudonym, known, values)
            if found.likeness is Likeness.LIKELY and not accepted:
                _tell(db, study, pseudonym, found.field, values, now)
        db.execute(
            "INSERT OR IGNORE INTO identity (kind, pseudonym, key_id, scheme, blob, first_used_at)"
            " VALUES (?, ?, ?, 0, ?, ?)",
            (kind, pseudonym, identities.key_id, _blob(values), now),
        )


def _compare(known: Mapping[str, Any], found: Mapping[str, str]) -> Comparison:
    """Compares with what is known of a patient, and with each writing that was accepted as hers."""
    writings = [known, *({**known, **also} for also in known.get("also", []))]
    order = list(Likeness)
    return min(
        (same_patient.compare(one, found) for one in writings),
        key=lambda comparison: order.index(comparison.likeness),
    )


def _accept(
    db: sqlite3.Connection, pseudonym: str, known: dict[str, Any], found: Mapping[str, str]
) -> None:
    told = {field: found.get(field, "") for field in ("name", "birth_date", "sex")}
    known["also"] = [*known.get("also", []), told]
    db.execute(
        "UPDATE identity SET blob = ? WHERE kind = 'patient' AND pseudonym = ?",
        (_blob(known), pseudonym),
    )


def _tell(
    db: sqlite3.Connection, study: str, pseudonym: str, field: str, found: Mapping[str, str],
    now: float,
) -> None:  # fmt: skip
    db.execute(
        "INSERT OR IGNORE INTO likely_patient (study, field, pseudonym, scheme, blob, noted_at)"
        " VALUES (?, ?, ?, 0, ?, ?)",
        (study, field, pseudonym, _blob(found), now),
    )


def _row(db: sqlite3.Connection, pseudonym: str) -> dict[str, Any] | None:
    row = db.execute(
        "SELECT blob FROM identity WHERE kind = 'patient' AND pseudonym = ?", (pseudonym,)
    ).fetchone()
    return dict(json.loads(row["blob"])) if row is not None else None


def _blob(values: Mapping[str, object]) -> bytes:
    return json.dumps(dict(values), ensure_ascii=False, sort_keys=True).encode()
