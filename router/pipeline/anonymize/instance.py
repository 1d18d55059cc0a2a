"""What happens to one instance: Orthanc makes its copy, the gate passes it, and it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deid import gate, mask
from router.deid.planning import plan
from router.deid.planning.identity import identity_of
from router.dicom import lossless, part10
from router.journal.identities import Identities
from router.pipeline.anonymize.background import hashed, run_in_background
from router.pipeline.copy_store import Copies, describe, read_made
from router.records.copies import Original
from router.records.errors import (
    OrthancDenied,
    OrthancError,
    OrthancFull,
    OrthancUnreachable,
    ResourceMissing,
)
from router.rules.routing import rank_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from pydicom.dataset import FileDataset

    from router.deid.mask import Region
    from router.deid.pseudonyms import Key
    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.pipeline.anonymize.compression import Compression
    from router.pipeline.anonymize.first_image import FirstImageBarrier
    from router.pipeline.anonymize.source import Source, Sources
    from router.pipeline.originals import Identifiers, Originals
    from router.records.instance import Instance
    from router.records.study import Study
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Body

    #: Waits for what the gate needs of the original.
    Known: TypeAlias = Callable[[], Identifiers]


class Anonymizer:
    """Makes the copy of one instance. Thread-safe."""

    def __init__(
        self,
        orthanc: TruckOrthanc,
        journal: Journal,
        sources: Sources,
        originals: Originals,
        copies: Copies,
        compression: Compression | None,
        station: str,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        """``compression``: ``None``: nothing is compressed; ``station``: the truck's id."""
        self._orthanc = orthanc
        self._journal = journal
        self._sources = sources
        self._originals = originals
        self._copies = copies
        self._compression = compression
        self._station = station
        self._metrics = metrics
        self._now = now

    def anonymize(
        self, study: Study, instance: Instance, key: Key, first_image: FirstImageBarrier
    ) -> None:
        """Makes the copy of an instance. ``key``: the study's.

        Raises Hold, PatientChanged, OrthancError, JournalError.
        """
        with self._sources.opened(study, instance, key, first_image) as source:
            compression = self._compression
            compresses = compression is not None and compression.is_wanted(source)
            planned = self._plan(source)
            # From here on nobody else reads the data set until that is known.
            with run_in_background(lambda: self._known(source)) as known:
                if not (
                    compresses
                    and compression is not None
                    and self._compressed_copy(source, planned, known, compression)
                ):
                    self._plain_copy(source, planned, known)
        self._journal.copies.finish(instance.orthanc_id)
        self._metrics.instances_anonymized.inc()

    def _plan(self, source: Source) -> dict[str, object]:
        # A fresh reading: the header that was looked at no longer tells what was sent as UN.
        return plan.make(
            part10.read(source.body.stream()), source.key, self._station, source.profile,
            masked=bool(source.regions),
        ).body()  # fmt: skip

    def _known(self, source: Source) -> Identifiers:
        return self._originals.remember(
            source.instance, source.dataset, source.key, source.profile, source.regions
        )

    def _plain_copy(self, source: Source, planned: Mapping[str, object], known: Known) -> None:
        with self._orthanc.anonymize(source.instance.orthanc_id, planned) as body:
            copied = read_made(body)
            if source.regions:
                _mask(copied, body, source.regions)
            with hashed(body, part10.digest, part10.md5) as digests:
                _check(source, copied, body, known, compressed=False)
                self._keep(source, copied, body, digests)

    def _compressed_copy(
        self, source: Source, planned: Mapping[str, object], known: Known, compression: Compression
    ) -> bool:
        """Makes a copy that is compressed without loss, where that is smaller; whether it did."""
        asked = {**planned, "Transcode": lossless.SYNTAX}
        try:
            with self._orthanc.anonymize(source.instance.orthanc_id, asked) as body:
                if body.size >= source.body.size:
                    return False
                copied = read_made(body)
                if copied.file_meta.TransferSyntaxUID != lossless.SYNTAX:
                    return False
                # Orthanc 1.12 leaves there what its memory held; the same image must make the
                # same bytes, or a copy that is made again is taken for another.
                for offset in part10.stray_padding(copied, body.view):
                    body.overwrite(offset, b"\0")
                # The child decodes on a core of its own; the gate looks meanwhile.
                with (
                    hashed(body, part10.digest, part10.md5) as digests,
                    run_in_background(
                        lambda: _check(source, copied, body, known, compressed=True)
                    ) as checked,
                ):
                    if not compression.same_pixels(source.body, body):
                        return False
                    checked()
                    self._keep(source, copied, body, digests)
                    self._metrics.saved_bytes.inc(source.body.size - body.size)
        except (OrthancUnreachable, OrthancDenied, OrthancFull, ResourceMissing):
            raise
        except OrthancError:
            return False  # it cannot compress this one
        return True

    def _keep(
        self,
        source: Source,
        copied: FileDataset,
        body: Body,
        digests: Callable[[], tuple[str, ...]],
    ) -> None:
        """Writes down the copy and where it goes, and then stores it."""
        copy = describe(copied, body.size, *digests())
        (digest,) = source.digest()
        original = Original(rank_of(source.dataset), digest, source.body.size)
        who = _identities(source.dataset, source.key, source.instance.origin)
        now = self._now()
        with source.first_image.before_patient(source.instance.orthanc_id):
            self._journal.copies.begin(
                source.instance.orthanc_id, copy, who, now, source.route, original,
                same_person=source.same_person,
            )  # fmt: skip
        self._copies.store(copy, body, source.instance.orthanc_id)


def _check(
    source: Source, copied: FileDataset, body: Body, known: Known, *, compressed: bool
) -> None:
    """Has the gate compare the copy with its original. Raises Hold."""
    expected, traces = known()
    gate.check_copy(
        source.dataset, source.body.view, copied, body.view, expected, traces,
        compressed=compressed,
    )  # fmt: skip


def _mask(copied: FileDataset, body: Body, regions: tuple[Region, ...]) -> None:
    """Paints the regions over in the bytes of the copy: nothing of them is ever stored."""
    span = part10.pixel_span(copied, body.view)
    assert span is not None  # noqa: S101  (a policy that masks was found to fit)
    for offset, length in mask.runs(mask.layout(copied), regions):
        body.overwrite(span[0] + offset, bytes(length))


def _identities(dataset: FileDataset, key: Key, origin: str) -> Identities:
    """Who the patient is, for the table that never leaves the truck."""
    who = identity_of(dataset, key)
    rows: dict[tuple[str, str], dict[str, str]] = {
        ("patient", who.pseudonym): {
            "issuer": who.issuer,
            "issuer_used": who.issuer_used,
            "patient_id": who.patient_id,
            "name": who.name,
            "birth_date": who.birth_date,
            "sex": who.sex,
        },
    }
    if who.accession:
        rows["accession", who.accession_pseudonym] = {
            "accession": who.accession,
            "patient": who.pseudonym,
        }
    named = key.issuers.name(who.issuer) or key.issuers.of_scanner(origin)
    return Identities(key.id, rows, who.pseudonym, who.issuer_used, named, key.issuers)
