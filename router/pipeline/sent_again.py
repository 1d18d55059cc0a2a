"""Images that the scanner sent before: the same once more, or other bytes under the same UID."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from router.deid import pseudonyms
from router.dicom import part10
from router.pipeline.one_item import one_item
from router.records.errors import Code, EdgeRouterError, Hold, ResourceMissing
from router.records.instance import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from router.deid.pseudonyms import Key
    from router.journal import Journal
    from router.journal.purges import Returned
    from router.journal.sightings import SameUidOtherBytes
    from router.observe.metrics import Metrics
    from router.pipeline.item_failures import ItemFailures
    from router.pipeline.stored_content import StoredContent
    from router.truck.orthanc import TruckOrthanc

#: Digests of what the scanner sent are compared for so long.
_SIGHTINGS_KEPT_S = 90 * 86400.0

_log = logging.getLogger(__name__)


class SentAgain:
    """Decides what becomes of them. One thread uses it."""

    def __init__(
        self,
        orthanc: TruckOrthanc,
        journal: Journal,
        keys: Sequence[Key],
        metrics: Metrics,
        now: Callable[[], float],
        contents: StoredContent,
        failures: ItemFailures,
    ) -> None:
        """``contents``: tells what an image is, in whatever encoding."""
        self._orthanc = orthanc
        self._journal = journal
        self._keys = keys
        self._metrics = metrics
        self._now = now
        self._contents = contents
        self._failures = failures

    def look_at_returned(self, present: Iterable[str]) -> None:
        """Removes what was purged and came again; holds another image in its place. Raises OrthancError."""
        for returned in self._journal.purges.returned(present):
            try:
                with one_item("intake", returned.alias):
                    self._look_at(returned)
            except ResourceMissing:
                continue
            except Hold as hold:
                _log.warning(
                    "an image that was sent again cannot be read",
                    extra={"action": "intake", "study": returned.alias, "code": hold.code},
                )
            except EdgeRouterError as error:
                self._failures.add(
                    returned.file, error, "an image that was sent again is left alone"
                )

    def _look_at(self, returned: Returned) -> None:
        if returned.given_up and not returned.is_copy:
            self._take_back(returned)
        elif returned.is_copy or self._is_done_with(returned):
            self._orthanc.delete(returned.file, "delivered and purged before; sent again")

    def _take_back(self, returned: Returned) -> None:
        """Takes another image in the place of one that was discarded: nothing is compared with it."""
        with self._orthanc.file(returned.file) as body:
            self._orthanc.forget_repeated(part10.digest(body.view))
        self._journal.arrivals.take_back(returned.instance, self._now())
        self._metrics.instances_received.inc()

    def look_at_other_bytes(self) -> None:
        """Holds other bytes under the UID of an image that the truck has: Orthanc kept the first.

        Raises OrthancError, JournalError.
        """
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
                with one_item("intake", conflict.alias):
                    same = self._is_kept(conflict) or self._is_same_image(conflict)
            except EdgeRouterError as error:
                self._failures.add(
                    conflict.instance, error, "other bytes of an image cannot be read"
                )
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
