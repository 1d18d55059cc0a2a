"""What a person gave up before it left the truck makes room for what the scanner sends in its place.

Orthanc keeps the first file of an identifier and answers Success for the second. So an image that was
discarded, corrected on the scanner and sent again would be lost, and nobody told. Its files leave the
truck with the decision; an image that comes in its place is a new one.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from router.deid import pseudonyms
from router.dicom import part10
from router.records.errors import (
    Hold,
    OrthancDenied,
    OrthancError,
    OrthancUnreachable,
    ResourceMissing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.deid.pseudonyms import Key
    from router.journal import Journal
    from router.journal.purges import Purgeable
    from router.truck.orthanc import TruckOrthanc

_REASON = "discarded before it left the truck: the scanner may send it again"


def remove(orthanc: TruckOrthanc, journal: Journal, keys: Sequence[Key], now: float) -> int:
    """Removes the files of what was discarded and never sent; returns how many instances.

    ``keys``: the programme's. The digest is remembered as settled: what comes in its place is not
    compared with it. A file that Orthanc cannot remove is tried again at the next call. Raises
    OrthancUnreachable, OrthancDenied, JournalError.
    """
    gone = 0
    for waiting in journal.purges.to_remove():
        try:
            _remove(orthanc, journal, keys, waiting, now)
            gone += 1
        except (OrthancUnreachable, OrthancDenied):
            raise
        except OrthancError:
            continue
    return gone


def _remove(
    orthanc: TruckOrthanc, journal: Journal, keys: Sequence[Key], gone: Purgeable, now: float
) -> None:
    try:
        sop_uid, md5 = orthanc.sop_uid(gone.instance), orthanc.md5(gone.instance)
        with orthanc.file(gone.instance) as body, suppress(Hold):  # it may be no DICOM to its end
            uids = [pseudonyms.uid(key, sop_uid) for key in keys]
            journal.sightings.settled(uids, part10.digest(body.view), now)
    except ResourceMissing:
        pass  # removed before, and not yet written down
    else:
        if journal.purges.may_remove(gone.instance, md5):
            for file in gone.files:
                with suppress(ResourceMissing):
                    orthanc.delete(file, _REASON)
    journal.purges.removed(gone.instance, now)
