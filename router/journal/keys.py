"""Which keys the journal's pseudonyms come from: a lost or exchanged key is found at start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deid import issuers
from router.journal.identities import USED
from router.records.errors import Code, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from router.deid.issuers import Issuers
    from router.deid.pseudonyms import Key
    from router.journal.database import Database


class Keys:
    """The keys that were ever used, by a fingerprint that says nothing of them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def check_issuers(self, table: Issuers) -> None:
        """Remembers, at start, the table of issuers.

        Raises SettingsError (ISSUERS_CHANGED) and changes nothing where a patient who is known
        would get another pseudonym by it.
        """
        rows = self._db.rows("SELECT definition FROM issuer_table")
        before = issuers.from_json(rows[0]["definition"]) if rows else issuers.NO_TABLE
        if table.to_json() == before.to_json():
            return
        if moved := sorted({*self._moved(table), *self._moved_scanners(before, table)}):
            raise SettingsError(
                Code.ISSUERS_CHANGED,
                f"By deid.issuers_file patients who are known would become others: {moved}. Put the"
                " table back as it was. What is new may be added: an issuer that no patient is known"
                " under, a writing that was not in use, or, where patients are known without an"
                " issuer, the name of theirs as `absent`.",
            )
        with self._db.writing() as db:
            db.execute(
                "INSERT INTO issuer_table (only, definition) VALUES (1, ?)"
                " ON CONFLICT (only) DO UPDATE SET definition = excluded.definition",
                (table.to_json(),),
            )

    def _moved(self, table: Issuers) -> Iterator[str]:
        """Issuers whose patients would get other pseudonyms."""
        known = self._db.rows(
            f"SELECT DISTINCT json_extract(CAST(blob AS TEXT), '$.issuer') AS said, {USED} AS used"  # noqa: S608
            " FROM identity WHERE kind = 'patient'"
        )
        for row in known:
            if (row["said"] or row["used"]) and table.in_pseudonym(
                row["said"] or row["used"]
            ) != row["used"]:
                yield row["said"] or row["used"]

    def _moved_scanners(self, before: Issuers, table: Issuers) -> Iterator[str]:
        """AE titles that sent patients without an issuer, who would get other pseudonyms."""
        nameless = self._db.rows(
            "SELECT DISTINCT i.origin FROM instance i"
            " LEFT JOIN study_patient p ON p.study = i.study"
            " LEFT JOIN identity d ON d.kind = 'patient' AND d.pseudonym = p.pseudonym"
            " WHERE i.role = 'SOURCE' AND i.copy_id IS NOT NULL AND (d.pseudonym IS NULL"
            "   OR json_extract(CAST(d.blob AS TEXT), '$.issuer') = '')"
            " AND EXISTS (SELECT 1 FROM identity WHERE kind = 'patient'"
            "   AND json_extract(CAST(blob AS TEXT), '$.issuer') = '')"
        )
        for row in nameless:
            one, other = (t.in_pseudonym(t.of_scanner(row["origin"])) for t in (before, table))
            if one != other:
                yield f"of the scanner {row['origin']}"

    def check(self, keys: Sequence[Key]) -> None:
        """Compares, at start, the keys with those ever used, and remembers new ones.

        Raises SettingsError (KEY_UNKNOWN, KEY_EXCHANGED).
        """
        given = {key.id: key.digest("fingerprint").hex() for key in keys}
        known = {
            row["id"]: row["fingerprint"]
            for row in self._db.rows("SELECT id, fingerprint FROM programme_key")
        }
        exchanged = sorted(i for i in given if known.get(i, given[i]) != given[i])
        if exchanged:
            raise SettingsError(
                Code.KEY_EXCHANGED,
                f"The key file holds another key under the known id {exchanged}. Restore the old "
                "one from its backup; a new key needs a new id.",
            )
        used = self._db.rows(
            "SELECT key_id FROM study UNION SELECT key_id FROM identity ORDER BY key_id"
        )
        missing = [row["key_id"] for row in used if row["key_id"] not in given]
        if missing:
            raise SettingsError(
                Code.KEY_UNKNOWN,
                f"Studies and patients in the journal need the keys {missing}: add their files to "
                "deid.key_files behind the current one.",
            )
        with self._db.writing() as db:
            db.executemany(
                "INSERT OR IGNORE INTO programme_key (id, fingerprint) VALUES (?, ?)",
                sorted(given.items()),
            )
