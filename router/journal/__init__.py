"""The journal: what the router knows, durably. The only importer of sqlite3.

Results of single instances commit on their own, so that no crash costs work already done; only a
study's move is compare-and-swap on (state, generation), so that an image that arrives in the
middle of a step is never lost. ``now`` is always an argument: UTC, seconds since 1970.

Each SQL table has one module that writes it. What a transaction changes in several of them is in
``arrivals``, ``copies``, ``decisions``, ``destinations`` and ``purges``, through these modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.journal.arrivals import Arrivals, Cursor
from router.journal.callers import Callers
from router.journal.conflicts import Conflicts
from router.journal.copies import Copies
from router.journal.corrections import Corrections
from router.journal.database import Database, lock
from router.journal.destinations import Destinations
from router.journal.held import Held, Holds
from router.journal.identities import Identities, IdentityTable
from router.journal.instances import Instances
from router.journal.keys import Keys
from router.journal.links import Links
from router.journal.moves_by_people import Decisions
from router.journal.outbox import Outbox
from router.journal.profiles import Profiles
from router.journal.purges import Purges
from router.journal.quality import Quality
from router.journal.receipts import Receipts
from router.journal.routes import Routes
from router.journal.sightings import Sightings
from router.journal.standing import StandingDecisions
from router.journal.studies import Pin, Studies

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Cursor", "Held", "Identities", "Journal", "Pin", "lock"]


class Journal:
    """The durable state of one router, by what it is about."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path)
        self.studies = Studies(self._db)
        self.instances = Instances(self._db)
        self.receipts = Receipts(self._db)
        self.outbox = Outbox(self._db)
        self.holds = Holds(self._db)
        self.standing = StandingDecisions(self._db)
        self.decisions = Decisions(self._db, self.studies, self.standing)
        self.arrivals = Arrivals(self._db, self.decisions)
        self.destinations = Destinations(self._db, self.studies, self.instances, self.decisions)
        self.copies = Copies(self._db)
        self.conflicts = Conflicts(self._db)
        self.purges = Purges(self._db)
        self.sightings = Sightings(self._db)
        self.routes = Routes(self._db)
        self.quality = Quality(self._db)
        self.profiles = Profiles(self._db)
        self.people = IdentityTable(self._db)
        self.keys = Keys(self._db)
        self.corrections = Corrections(self._db)
        self.links = Links(self._db)
        self.callers = Callers(self._db)

    def close(self) -> None:
        """Closes the file. Nothing can be asked afterwards."""
        self._db.close()
