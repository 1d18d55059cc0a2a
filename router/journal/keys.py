"""Which keys the journal's pseudonyms come from: a lost or exchanged key is found at start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.errors import Code, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.deid.pseudonyms import Key
    from router.journal.database import Database


class Keys:
    """The keys that were ever used, by a fingerprint that says nothing of them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def check(self, keys: Sequence[Key]) -> None:
        """At start. Raises SettingsError (KEY_UNKNOWN, KEY_EXCHANGED)."""
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
