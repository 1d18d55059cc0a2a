"""What may leave the truck, what has left it, and what came back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.journal import instances, studies
from router.records.instance import Role, Stage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from router.journal.database import Database

# An image may go when none of its receipts is on its way or held. While its study is still analysed
# it stays, and so does one whose capture may still have to be made of it again.
_MAY_GO = (
    "i.purged_at IS NULL AND i.role <> 'REPEATED' AND (i.stage = 'DISCARDED' AND s.state IN ('DELIVERED', 'DISCARDED')"
    " OR i.stage = 'ANONYMIZED' AND s.state IN ('DELIVERED', 'ANALYSED', 'DISCARDED')"
    " AND EXISTS (SELECT 1 FROM receipt r WHERE r.instance = i.orthanc_id)"
    " AND NOT EXISTS (SELECT 1 FROM receipt r WHERE r.instance = i.orthanc_id"
    "   AND r.state NOT IN ('VERIFIED', 'DISCARDED'))"
    " AND NOT EXISTS (SELECT 1 FROM instance c WHERE c.source = i.orthanc_id"
    "   AND c.stage <> 'DISCARDED' AND (c.stage <> 'ANONYMIZED' OR NOT EXISTS"
    "     (SELECT 1 FROM receipt r WHERE r.instance = c.orthanc_id)"
    "   OR EXISTS (SELECT 1 FROM receipt r WHERE r.instance = c.orthanc_id"
    "     AND r.state NOT IN ('VERIFIED', 'DISCARDED')))))"
)


_GIVEN_UP = (
    "i.stage = 'DISCARDED' AND NOT EXISTS (SELECT 1 FROM receipt r"
    " WHERE r.instance = i.orthanc_id AND r.begun_at IS NOT NULL) AS given_up"
)


@dataclass(frozen=True)
class Purgeable:
    """An instance whose files may leave the truck."""

    instance: str
    study: str
    #: Orthanc's ids of its files there: the original (none of a capture) and the copy.
    files: tuple[str, ...]
    #: Bytes of these files, as far as the journal knows them.
    size: int
    #: The scanner sent it, and what its content is was not noted yet.
    unnoted: bool = False


@dataclass(frozen=True)
class Returned:
    """An instance that was purged and that the truck holds again."""

    instance: str
    study: str
    alias: str
    file: str
    #: SHA-256 of the data set that was delivered; ``None`` where it was not noted yet.
    original_digest: str | None
    #: The identity of its content (``router.imaging.content_identity``), where it was noted.
    content: str | None
    #: Whether it is our copy that is there, and not the scanner's image.
    is_copy: bool
    #: Whether it was discarded before it left the truck: this is another one in its place.
    given_up: bool


class Purges:
    """Each change is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def candidates(self, limit: int, passed_over: Iterable[str] = ()) -> list[Purgeable]:
        """Instances that may leave, the oldest first; ``passed_over``: those left alone for now."""
        rows = self._db.rows(
            "SELECT i.orthanc_id, i.study, i.role, i.copy_id, i.size, i.original_size, i.content"  # noqa: S608
            " FROM instance i CROSS JOIN study s ON s.orthanc_id = i.study"
            f" WHERE {_MAY_GO} AND i.orthanc_id NOT IN (SELECT value FROM json_each(?))"
            " ORDER BY i.received_at LIMIT ?",
            (json.dumps(list(passed_over)), limit),
        )
        return [
            Purgeable(
                row["orthanc_id"],
                row["study"],
                tuple(
                    name
                    for name in dict.fromkeys((row["orthanc_id"], row["copy_id"]))
                    if name is not None
                ),
                (row["size"] or 0)
                + (0 if row["role"] == Role.CAPTURE else row["original_size"] or row["size"] or 0),
                row["role"] == Role.SOURCE and row["content"] is None,
            )
            for row in rows
        ]

    def to_remove(self) -> list[Purgeable]:
        """Instances that were discarded before they left the truck: their files are to make room."""
        rows = self._db.rows(
            "SELECT i.* FROM removal m JOIN instance i ON i.orthanc_id = m.instance"
            " WHERE i.stage = ?",
            (Stage.DISCARDED,),
        )
        return [
            Purgeable(
                row["orthanc_id"],
                row["study"],
                tuple(filter(None, (row["orthanc_id"], row["copy_id"]))),
                row["original_size"] or 0,
            )
            for row in rows
        ]

    def may_remove(self, instance: str, digest: str) -> bool:
        """Whether the files, about to be removed, are those that were discarded.

        ``digest``: of the file that is there. After a crash in between, it may be what the scanner
        has sent in their place.
        """
        with self._db.writing() as db:
            row = db.execute(
                "UPDATE removal SET digest = coalesce(digest, ?) WHERE instance = ? RETURNING digest",
                (digest, instance),
            ).fetchone()
        return row is not None and row["digest"] == digest

    def removed(self, instance: str, now: float) -> None:
        """Writes that a discarded image's files are gone: another one may come under its identifiers."""
        with self._db.writing() as db:
            forget_removal(db, instance)
            if instances.stage_of(db, instance) is Stage.DISCARDED:
                instances.purged(db, instance, now)

    def purgeable_bytes(self) -> int:
        """Bytes of all files that may leave the truck now."""
        (row,) = self._db.rows(
            "SELECT coalesce(sum(coalesce(i.size, 0) + iif(i.role = 'CAPTURE', 0,"  # noqa: S608
            " coalesce(i.original_size, i.size, 0))), 0) AS bytes"
            f" FROM instance i CROSS JOIN study s ON s.orthanc_id = i.study WHERE {_MAY_GO}"
        )
        return int(row["bytes"])

    def purged(self, gone: Iterable[Purgeable], now: float) -> None:
        """Writes that their files are gone; the receipts stay. A study is PURGED with its last instance."""
        with self._db.writing() as db:
            emptied = set()
            for purgeable in gone:
                instances.purged(db, purgeable.instance, now)
                emptied.add(purgeable.study)
            for study in emptied:
                left = db.execute(
                    "SELECT 1 FROM instance WHERE study = ? AND purged_at IS NULL LIMIT 1",
                    (study,),
                ).fetchone()
                if left is None:
                    studies.purged(db, study, now)

    def note_content(self, instance: str, content: str) -> None:
        """Writes, before its original leaves the truck, what the image is in whatever encoding."""
        with self._db.writing() as db:
            instances.note_content(db, instance, content)

    def returned(self, present: Iterable[str]) -> list[Returned]:
        """Instances that were purged and are on the truck all the same."""
        rows = self._db.rows(
            f"SELECT p.value, i.orthanc_id, i.study, s.alias, i.original_digest, i.content, {_GIVEN_UP}"  # noqa: S608
            " FROM json_each(?) p CROSS JOIN instance i ON i.orthanc_id = p.value"
            " JOIN study s ON s.orthanc_id = i.study WHERE i.purged_at IS NOT NULL"
            f" UNION ALL SELECT p.value, i.orthanc_id, i.study, s.alias, i.original_digest, i.content, {_GIVEN_UP}"
            " FROM json_each(?) p CROSS JOIN instance i ON i.copy_id = p.value"
            " JOIN study s ON s.orthanc_id = i.study"
            " WHERE i.purged_at IS NOT NULL AND i.orthanc_id <> i.copy_id",
            (names := json.dumps(list(present)), names),
        )
        return [
            Returned(
                row["orthanc_id"],
                row["study"],
                row["alias"],
                row["value"],
                row["original_digest"],
                row["content"],
                is_copy=row["value"] != row["orthanc_id"],
                given_up=bool(row["given_up"]),
            )
            for row in rows
        ]


def ask_removal(db: sqlite3.Connection, instance: str) -> None:
    """Has the files of a discarded image leave the truck, unless a destination may hold it."""
    db.execute(
        "INSERT OR IGNORE INTO removal (instance) SELECT orthanc_id FROM instance i WHERE orthanc_id = ?"
        " AND role = ? AND NOT EXISTS (SELECT 1 FROM receipt r WHERE r.instance = i.orthanc_id"
        "   AND r.begun_at IS NOT NULL)",
        (instance, Role.SOURCE),
    )


def forget_removal(db: sqlite3.Connection, instance: str) -> None:
    """Has the files of a discarded image stay: another one has come in its place."""
    db.execute("DELETE FROM removal WHERE instance = ?", (instance,))
