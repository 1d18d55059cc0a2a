"""Intake: what is there that the journal does not know?

Orthanc's changes are only a hint: they are lost when Orthanc is killed before a study is stable,
erased with a deleted resource, and taken back when a power cut rolls its index back. The truth is
the list of images; a reconcile pass compares it with the journal.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.deid import pseudonyms
from router.journal import Cursor, Journal, Pin
from router.pipeline import discarded
from router.pipeline.item_failures import ItemFailures
from router.pipeline.one_item import one_item
from router.pipeline.sent_again import SentAgain
from router.records.errors import EdgeRouterError, ResourceMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from router.deid.pseudonyms import Key
    from router.observe.metrics import Metrics
    from router.pipeline.stored_content import StoredContent
    from router.records.instance import Arrival
    from router.truck.orthanc import TruckOrthanc

_PAGE = 200

_log = logging.getLogger(__name__)


class Intake:
    """Enters what Orthanc holds into the journal. One thread uses it.

    ``key`` and ``profile_id``: what new studies are pinned to; the journal knows the profile.
    """

    def __init__(
        self,
        orthanc: TruckOrthanc,
        journal: Journal,
        keys: Sequence[Key],
        profile_id: str,
        metrics: Metrics,
        now: Callable[[], float],
        contents: StoredContent,
    ) -> None:
        """``keys``: the current one first."""
        self._orthanc = orthanc
        self._journal = journal
        self._keys = keys
        self._key = keys[0]
        self._profile_id = profile_id
        self._metrics = metrics
        self._now = now
        #: Copies of ours that the journal does not know (it was lost): not asked for again.
        self._own: set[str] = set()
        #: The last change when they had gone back: they are not read again for the same one.
        self._went_back_to: int | None = None
        #: What could not be asked for: the next pass over all images tries it again.
        self._failures = ItemFailures(orthanc)
        self._sent_again = SentAgain(orthanc, journal, keys, metrics, now, contents, self._failures)

    def follow_changes(self) -> int:
        """Takes in everything behind the cursor. Returns how many instances were new.

        Raises OrthancError, JournalError.
        """
        database = str(self._orthanc.system()["DatabaseServerIdentifier"])
        cursor = self._journal.arrivals.cursor()
        since = cursor.sequence if cursor and cursor.database == database else 0
        last = self._orthanc.last_change()
        if since > last and last != self._went_back_to:
            # A power cut took them back; or what was purged took its changes with it, and then
            # nothing is found, and the last one stays below the cursor until an image comes.
            _log.warning("the changes went back: starting over", extra={"action": "intake"})
            since = 0
            self._went_back_to = last
        elif since <= last:
            self._went_back_to = None
        new = 0
        while True:
            page = self._orthanc.changes(since, _PAGE)
            arrivals = self._arrivals(page.new_instances)
            self._sent_again.look_at_returned(page.new_instances)
            new += self._take_in(arrivals, page.stable_studies, Cursor(database, page.last))
            since = page.last
            if page.done:
                return new

    def reconcile(self) -> int:
        """Takes in what no change told of. Returns how many instances that were.

        Raises OrthancError, JournalError.
        """
        discarded.remove(self._orthanc, self._journal, self._keys, self._now())
        present = self._orthanc.instance_ids()
        arrivals = self._arrivals(present)
        waiting = {arrival.study for arrival in arrivals} | set(self._journal.studies.arriving())
        stable = [study for study in sorted(waiting) if self._is_stable(study)]
        found = self._take_in(arrivals, stable, None)
        found += self._journal.arrivals.found_again(present, self._now())
        self._sent_again.look_at_returned(present)
        self._sent_again.look_at_other_bytes()
        if found:
            self._metrics.reconcile_found.inc(found)
            _log.info("found by reconciling", extra={"action": "reconcile", "count": found})
        return found

    def _arrivals(self, instances: Iterable[str]) -> list[Arrival]:
        arrivals = []
        passed_over = self._own | self._failures.passed_over()
        for instance in self._journal.arrivals.unknown(dict.fromkeys(instances)):
            if instance in passed_over:
                continue
            try:
                with one_item("intake"):
                    arrival = self._orthanc.arrival(instance)
            except ResourceMissing:  # deleted since
                continue
            except EdgeRouterError as error:
                self._failures.add(instance, error, "an image that arrived cannot be asked for")
                continue
            self._failures.forget(instance)
            if arrival is None:
                self._own.add(instance)
            else:
                arrivals.append(arrival)
        return arrivals

    def _is_stable(self, study: str) -> bool:
        try:
            with one_item("intake"):
                return self._orthanc.is_stable(study)
        except ResourceMissing:
            # Its images are gone from Orthanc: the next step finds that out and says so.
            return True
        except EdgeRouterError as error:
            self._failures.add(study, error, "a study cannot be asked for")
            return False

    def _take_in(
        self, arrivals: list[Arrival], stable: Iterable[str], cursor: Cursor | None
    ) -> int:
        pins = {
            arrival.study: Pin(
                pseudonyms.alias(self._key, arrival.study), self._key.id, self._profile_id
            )
            for arrival in arrivals
        }
        new = self._journal.arrivals.take_in(arrivals, stable, pins, cursor, self._now())
        if new:
            self._metrics.instances_received.inc(new)
        return new
