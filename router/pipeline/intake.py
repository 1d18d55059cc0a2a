"""Intake: what is there that the journal does not know?

Orthanc's changes are only a hint: they are lost when Orthanc is killed before a study is stable,
erased with a deleted resource, and taken back when a power cut rolls its index back. The truth is
the list of images; a reconcile pass compares it with the journal.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from router.deid import pseudonyms
from router.dicom import part10
from router.journal import Cursor, Journal, Pin
from router.pipeline import discarded
from router.records.errors import (
    Code,
    EdgeRouterError,
    Hold,
    JournalError,
    OrthancDenied,
    OrthancUnreachable,
    ResourceMissing,
)
from router.records.instance import Stage
from router.records.set_aside import SetAside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from router.deid.pseudonyms import Key
    from router.journal.purges import Returned
    from router.journal.sightings import SameUidOtherBytes
    from router.observe.metrics import Metrics
    from router.pipeline.stored_content import StoredContent
    from router.records.instance import Arrival
    from router.truck.orthanc import TruckOrthanc

_PAGE = 200
#: Digests of what the scanner sent are compared for so long.
_SIGHTINGS_KEPT_S = 90 * 86400.0

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
        self._contents = contents
        #: Copies of ours that the journal does not know (it was lost): not asked for again.
        self._own: set[str] = set()
        #: The last change when they had gone back: they are not read again for the same one.
        self._went_back_to: int | None = None
        #: What could not be asked for: the next pass over all images tries it again.
        self._aside = SetAside()

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
            self._look_at_returned(page.new_instances)
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
        self._look_at_returned(present)
        self._look_at_sightings()
        if found:
            self._metrics.reconcile_found.inc(found)
            _log.info("found by reconciling", extra={"action": "reconcile", "count": found})
        return found

    def _look_at_returned(self, present: Iterable[str]) -> None:
        """What was purged and is there again: it goes again; of another image that is told."""
        for returned in self._journal.purges.returned(present):
            try:
                if returned.given_up and not returned.is_copy:
                    self._take_back(returned)
                    continue
                if not returned.is_copy and not self._is_done_with(returned):
                    continue
                self._orthanc.delete(returned.file, "delivered and purged before; sent again")
            except ResourceMissing:
                continue
            except Hold as hold:
                _log.warning(
                    "an image that was sent again cannot be read",
                    extra={"action": "intake", "study": returned.alias, "code": hold.code},
                )
            except Exception as error:  # noqa: BLE001
                self._failed(returned.file, error, "an image that was sent again is left alone")

    def _take_back(self, returned: Returned) -> None:
        """Another image in the place of one that was discarded: nothing need be compared with it."""
        with self._orthanc.file(returned.file) as body:
            self._orthanc.forget_repeated(part10.digest(body.view))
        self._journal.arrivals.take_back(returned.instance, self._now())
        self._metrics.instances_received.inc()

    def _look_at_sightings(self) -> None:
        """Other bytes under the UID of an image that the truck holds: Orthanc kept the first."""
        seen, until = self._orthanc.received()
        if until:
            self._journal.sightings.note(
                (
                    (pseudonyms.uid(key, sop_uid), digest)
                    for sop_uid, digest in seen
                    for key in self._keys
                ),
                self._now(),
            )
            self._orthanc.forget_received(until)
        for conflict in self._journal.sightings.conflicts():
            # In doubt it is held: the other bytes may be all that there is of an image.
            same = False
            try:
                same = self._is_kept(conflict) or self._is_same_image(conflict)
            except Exception as error:  # noqa: BLE001
                self._failed(conflict.instance, error, "other bytes of an image cannot be read")
            if same:
                self._orthanc.forget_repeated(conflict.digests[1])
            else:
                self._hold_other(conflict.instance, conflict.alias, conflict.digests)
        for other, digest in self._journal.sightings.given_up():
            self._orthanc.forget_repeated(digest)
            self._journal.purges.purged([other], self._now())
        self._journal.sightings.settle(self._now(), _SIGHTINGS_KEPT_S)

    def _is_kept(self, conflict: SameUidOtherBytes) -> bool:
        """Whether the other bytes are there too: under another patient or study, as an image of
        their own. Whether that may go on is decided where it is anonymized.
        """
        try:
            for other in self._orthanc.same_sop_uid(conflict.instance):
                with self._orthanc.file(other) as body:
                    if part10.digest(body.view) == conflict.digests[1]:
                        return True
        except (ResourceMissing, Hold):
            return False
        return False

    def _is_done_with(self, returned: Returned) -> bool:
        """Whether it may go again: the same image, or another one that a person has given up.

        Raises OrthancError, Hold.
        """
        others = self._journal.sightings.others(returned.instance)
        if Stage.HELD in others.values():
            return False  # a person was told of it, and its bytes stay until he has decided
        with self._orthanc.file(returned.file) as body:
            digest, first = part10.digest(body.view), returned.original_digest
            if first in {None, digest} or (
                returned.content is not None
                and self._contents.of_stored(returned.file, body) == returned.content
            ):
                self._metrics.duplicates.labels("SAME").inc()
                return True
        self._hold_other(returned.instance, returned.alias, (str(first), digest))
        return others.get(digest) is Stage.DISCARDED

    def _is_same_image(self, conflict: SameUidOtherBytes) -> bool:
        """Whether the other bytes are the same image, in another encoding."""
        other = self._orthanc.repeated_file(conflict.digests[1])
        if other is None:
            return False  # nobody has it any more: that it came is told
        with other:
            first = conflict.content or self._content_of(conflict.instance, conflict.digests[0])
            same = first is not None and first == self._contents.of_repeated(
                conflict.digests[1], other
            )
        if same:
            self._metrics.duplicates.labels("SAME").inc()
        return same

    def _content_of(self, instance: str, digest: str) -> str | None:
        """Of the file with this digest; ``None``: another one, or none, is there under its id."""
        try:
            with self._orthanc.file(instance) as body:
                if part10.digest(body.view) != digest:
                    return None
                return self._contents.of_stored(instance, body)
        except (ResourceMissing, Hold):
            return None

    def _hold_other(self, instance: str, alias: str, digests: tuple[str, str]) -> None:
        """The image that came first stands; the other one is held beside it, once."""
        detail = f"SHA-256 first {digests[0]}, then {digests[1]}"
        if not self._journal.sightings.hold(
            instance, digests[1], Code.SAME_UID_OTHER_BYTES, detail, self._now()
        ):
            return
        self._metrics.duplicates.labels(Code.SAME_UID_OTHER_BYTES).inc()
        self._metrics.holds.labels(Code.SAME_UID_OTHER_BYTES).inc()
        _log.warning(
            "an instance is held: %s",
            detail,
            extra={"action": "hold", "study": alias, "code": Code.SAME_UID_OTHER_BYTES},
        )

    def _arrivals(self, instances: Iterable[str]) -> list[Arrival]:
        arrivals = []
        passed_over = self._own | set(self._aside.passed_over(time.monotonic()))
        for instance in self._journal.arrivals.unknown(dict.fromkeys(instances)):
            if instance in passed_over:
                continue
            try:
                arrival = self._orthanc.arrival(instance)
            except ResourceMissing:  # deleted since
                continue
            except Exception as error:  # noqa: BLE001
                self._failed(instance, error, "an image that arrived cannot be asked for")
                continue
            self._aside.forget(instance)
            if arrival is None:
                self._own.add(instance)
            else:
                arrivals.append(arrival)
        return arrivals

    def _failed(self, item: str, error: Exception, what: str) -> None:
        """One item failed: the others go on. Raises the error where it is of all of them."""
        if isinstance(error, (OrthancUnreachable, OrthancDenied)) and not self._orthanc.answers():
            raise error
        failures = self._aside.put(item, time.monotonic())
        if isinstance(error, JournalError):
            raise error
        code = error.code if isinstance(error, EdgeRouterError) else Code.UNEXPECTED
        _log.error(
            "%s (%s)",
            what,
            type(error).__name__,
            extra={"action": "intake", "code": code, "attempt": failures},
        )

    def _is_stable(self, study: str) -> bool:
        try:
            return self._orthanc.is_stable(study)
        except ResourceMissing:
            # Its images are gone from Orthanc: the next step finds that out and says so.
            return True
        except Exception as error:  # noqa: BLE001
            self._failed(study, error, "a study cannot be asked for")
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
