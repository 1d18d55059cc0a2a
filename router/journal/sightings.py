"""What the scanner sent under which SOP Instance UID: the second file of one is not kept by Orthanc."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.journal import instances
from router.journal.purges import Purgeable
from router.records.instance import Role, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.journal.database import Database
    from router.records.errors import Code


@dataclass(frozen=True)
class SameUidOtherBytes:
    """An instance that the scanner sent twice, with other bytes the second time."""

    instance: str
    study: str
    alias: str
    sop_uid: str
    #: SHA-256 of each data set, hexadecimal: the one that was kept first.
    digests: tuple[str, str]
    #: The identity of the first one's content, where it was noted.
    content: str | None


def repeated_name(instance: str, digest: str) -> str:
    """The journal's name of another image under the UID of a known one: Orthanc has none for it."""
    return f"{instance}+{digest[:12]}"


class Sightings:
    """Digests by pseudonymous SOP Instance UID: what identifies is not written down."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def note(self, seen: Iterable[tuple[str, str]], now: float) -> None:
        """Enters pseudonymous SOP Instance UIDs, each with the digest of the data set that was sent."""
        with self._db.writing() as db:
            db.executemany(
                "INSERT OR IGNORE INTO sighting (sop_uid, digest, seen_at) VALUES (?, ?, ?)",
                [(sop_uid, digest, now) for sop_uid, digest in seen],
            )

    def settled(self, sop_uids: Iterable[str], digest: str, now: float) -> None:
        """Writes that these bytes were discarded, noted yet or not: they are not compared."""
        with self._db.writing() as db:
            db.executemany(
                "INSERT OR REPLACE INTO sighting (sop_uid, digest, seen_at, settled)"
                " VALUES (?, ?, ?, 1)",
                [(sop_uid, digest, now) for sop_uid in sop_uids],
            )

    def conflicts(self) -> list[SameUidOtherBytes]:
        """Instances that are known by now, and of which other bytes were seen."""
        rows = self._db.rows(
            "SELECT i.orthanc_id, i.study, s.alias, i.sop_uid, i.original_digest, g.digest,"
            " i.content"
            " FROM sighting g JOIN instance i ON i.sop_uid = g.sop_uid"
            " JOIN study s ON s.orthanc_id = i.study"
            " WHERE g.settled = 0 AND i.role = ? AND i.original_digest IS NOT NULL"
            " AND i.original_digest <> g.digest ORDER BY g.seen_at",
            (Role.SOURCE,),
        )
        return [
            SameUidOtherBytes(
                row["orthanc_id"],
                row["study"],
                row["alias"],
                row["sop_uid"],
                (row["original_digest"], row["digest"]),
                row["content"],
            )
            for row in rows
        ]

    def hold(self, instance: str, digest: str, code: Code, detail: str, now: float) -> bool:
        """Holds another image that came under the UID of a known one, which is not touched.

        ``digest``: the other's. Whether it is new: an image that comes again is held once, and one
        that was given up stays so.
        """
        with self._db.writing() as db:
            return instances.enter_repeated(
                db, repeated_name(instance, digest), instance, digest, code, detail, now
            )

    def others(self, instance: str) -> dict[str, Stage]:
        """Other images under its UID that were told of: digest → what became of it."""
        rows = self._db.rows(
            "SELECT original_digest, stage FROM instance WHERE role = ? AND orthanc_id GLOB ?",
            (Role.REPEATED, f"{instance}+*"),
        )
        return {row["original_digest"]: Stage(row["stage"]) for row in rows}

    def given_up(self) -> list[tuple[Purgeable, str]]:
        """Repeated images that a person has discarded and whose bytes may be there, with the digest."""
        rows = self._db.rows(
            "SELECT orthanc_id, study, original_digest FROM instance"
            " WHERE role = ? AND stage = ? AND purged_at IS NULL",
            (Role.REPEATED, Stage.DISCARDED),
        )
        return [
            (Purgeable(row["orthanc_id"], row["study"], (), 0), row["original_digest"] or "")
            for row in rows
        ]

    def settle(self, now: float, kept_s: float) -> None:
        """Marks what was compared, so that it is not compared again, and forgets what is old."""
        with self._db.writing() as db:
            db.execute(
                "UPDATE sighting SET settled = 1 WHERE settled = 0 AND sop_uid IN"
                " (SELECT sop_uid FROM instance WHERE role = ? AND original_digest IS NOT NULL"
                "  AND sop_uid IN (SELECT sop_uid FROM sighting WHERE settled = 0))",
                (Role.SOURCE,),
            )
            db.execute("DELETE FROM sighting WHERE seen_at < ?", (now - kept_s,))
