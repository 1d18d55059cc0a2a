"""Who stands behind a pseudonym. Leaves the truck never; every look-up is audited by its caller."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from router.deid import identity

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from router.journal.database import Database


@dataclass(frozen=True)
class Identities:
    """What identifies, beside the pseudonyms that stand for it: one row a kind."""

    key_id: str
    #: (kind, pseudonym) → the identifying values.
    rows: Mapping[tuple[str, str], Mapping[str, str]]


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


class IdentityTable:
    """Pseudonym → patient or accession number."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def person(self, pseudonym: str) -> Person | None:
        """By the pseudonym of a patient, or of an accession number of hers."""
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

    def knows(self, pseudonym: str, key_id: str) -> bool:
        """Whether the patient is known under this key."""
        return bool(
            self._db.rows(
                "SELECT 1 FROM identity WHERE kind = 'patient' AND pseudonym = ? AND key_id = ?",
                (pseudonym, key_id),
            )
        )


def difference(db: sqlite3.Connection, identities: Identities) -> str | None:
    """In what a patient of the rows differs from what is known of her; ``None``: in nothing."""
    for (kind, pseudonym), found in identities.rows.items():
        if kind != "patient":
            continue
        row = _row(db, pseudonym)
        if row is None:
            continue
        differing = identity.difference(row, found)
        also = row.get("also", [])
        if differing and all(identity.difference({**row, **a}, found) for a in also):
            return differing
    return None


def enter(db: sqlite3.Connection, identities: Identities, now: float, *, accepted: bool) -> None:
    """Writes the rows that are new. ``accepted``: a person says that a differing patient is hers."""
    if accepted and difference(db, identities):
        _accept(db, identities)
    for (kind, pseudonym), values in identities.rows.items():
        db.execute(
            "INSERT OR IGNORE INTO identity (kind, pseudonym, key_id, scheme, blob, first_used_at)"
            " VALUES (?, ?, ?, 0, ?, ?)",
            (kind, pseudonym, identities.key_id, _blob(values), now),
        )


def _accept(db: sqlite3.Connection, identities: Identities) -> None:
    for (kind, pseudonym), found in identities.rows.items():
        if kind == "patient" and (row := _row(db, pseudonym)) is not None:
            told = {field: found.get(field, "") for field in ("name", "birth_date", "sex")}
            row["also"] = [*row.get("also", []), told]
            db.execute(
                "UPDATE identity SET blob = ? WHERE kind = 'patient' AND pseudonym = ?",
                (_blob(row), pseudonym),
            )


def _row(db: sqlite3.Connection, pseudonym: str) -> dict[str, Any] | None:
    row = db.execute(
        "SELECT blob FROM identity WHERE kind = 'patient' AND pseudonym = ?", (pseudonym,)
    ).fetchone()
    return dict(json.loads(row["blob"])) if row is not None else None


def _blob(values: Mapping[str, object]) -> bytes:
    return json.dumps(dict(values), ensure_ascii=False, sort_keys=True).encode()
