"""The copies that are sent, from the truck's Orthanc, in a syntax that the destination takes."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from router.destinations.base import Outgoing
from router.dicom import lossless, part10
from router.pipeline.one_item import one_item
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    EdgeRouterError,
    Hold,
    JournalError,
    LinkDown,
    OrthancDenied,
    OrthancUnreachable,
    Unforeseen,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from router.journal.receipts import Receipts
    from router.pipeline.deliver.batches import Batch
    from router.pipeline.deliver.outcomes import DeliveryOutcomes
    from router.records.copies import Copy
    from router.records.receipt import Receipt
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Body

_log = logging.getLogger(__name__)


class CopyFiles:
    """Opens what is sent to one destination. Thread-safe."""

    def __init__(
        self,
        orthanc: TruckOrthanc,
        receipts: Receipts,
        outcomes: DeliveryOutcomes,
        *,
        compressed: bool,
    ) -> None:
        """``compressed``: whether it is sent JPEG-LS."""
        self._orthanc = orthanc
        self._receipts = receipts
        self._outcomes = outcomes
        self._compressed = compressed
        self._lock = threading.Lock()
        #: SOP classes and transfer syntaxes that this destination was seen to refuse.
        self._refused: set[tuple[str, str]] = set()

    def refuses(self, copy: Copy) -> None:
        """Notes that its class is refused in its syntax: that is not tried again until a restart."""
        with self._lock:
            self._refused.add((copy.sop_class, copy.transfer_syntax))

    def opened(
        self, batch: Batch, bodies: ExitStack, count: Callable[[int], None]
    ) -> Iterator[tuple[str, tuple[Receipt, Outgoing]]]:
        """The files of a batch, by SOP Instance UID; what cannot be read is put off alone.

        ``count``: called with the bytes of each piece that is handed to the link. Raises LinkDown,
        DestinationPaused, OrthancUnreachable, OrthancDenied, JournalError.
        """
        for receipt in batch.receipts:
            try:
                with one_item("deliver", receipt.alias, (OSError,)):
                    outgoing = self._open(receipt, bodies, count)
            except (LinkDown, DestinationPaused, JournalError):
                raise
            except (OrthancUnreachable, OrthancDenied) as error:
                if not self._orthanc.answers():
                    raise
                self._put_off(receipt, error)
            except OSError as error:
                self._outcomes.no_room(receipt, error)
            except Unforeseen as error:
                self._put_off(receipt, DeliveryDeferred(error.code, error.sentence))
            except EdgeRouterError as error:
                self._put_off(receipt, error)
            else:
                yield receipt.copy.sop_uid, (receipt, outgoing)

    def _put_off(self, receipt: Receipt, error: EdgeRouterError) -> None:
        self._outcomes.attempted(error.code)
        self._outcomes.failed(receipt, error)

    def _open(self, receipt: Receipt, bodies: ExitStack, count: Callable[[int], None]) -> Outgoing:
        copy = receipt.copy
        if receipt.syntax is None and self._goes_as_it_is(copy):
            body = bodies.enter_context(self._orthanc.file(copy.orthanc_id))
            if part10.digest(body.view) != copy.digest:
                raise Hold(Code.COPY_DIFFERS, "the stored copy has changed")
            return Outgoing(copy, body.view, count)
        body = bodies.enter_context(
            self._orthanc.file(copy.orthanc_id, transcode=lossless.PLAIN_SYNTAX)
        )
        return Outgoing(self._as_plain(receipt, body), body.view, count)

    def _goes_as_it_is(self, copy: Copy) -> bool:
        if not self._compressed and copy.transfer_syntax == lossless.SYNTAX:
            return False
        with self._lock:
            return (copy.sop_class, copy.transfer_syntax) not in self._refused

    def _as_plain(self, receipt: Receipt, body: Body) -> Copy:
        """The copy in Explicit VR Little Endian, with a digest of its own in the receipt."""
        if part10.read(body.stream()).file_meta.TransferSyntaxUID != lossless.PLAIN_SYNTAX:
            raise Hold(Code.DESTINATION_REFUSED, "it takes another transfer syntax only")
        copy = replace(
            receipt.copy,
            transfer_syntax=lossless.PLAIN_SYNTAX,
            digest=part10.digest(body.view),
            md5=part10.md5(body.view),
            size=body.size,
        )
        self._receipts.send_as(receipt, copy)
        return copy
