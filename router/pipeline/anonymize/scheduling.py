"""The step RECEIVED → ANONYMIZED: a copy of each instance, made by Orthanc, passed by the gate."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.deid import eligibility, gate, mask, pseudonyms
from router.deid.planning import plan
from router.dicom import lossless, part10
from router.imaging.worker_process import Analyser, Comparison
from router.journal.identities import Identities, PatientChanged
from router.pipeline.anonymize.background import hashed, run_in_background
from router.pipeline.anonymize.first_image import FirstImageBarrier
from router.pipeline.anonymize.rejection import RejectionNotes
from router.pipeline.context import (
    MOST_CRASHES,
    StepContext,
    StepIncomplete,
    StepTooSoon,
    describe,
    read_made,
)
from router.records.copies import Original
from router.records.errors import (
    AnalysisSkipped,
    Code,
    Hold,
    JournalError,
    OrthancBrokeOff,
    OrthancDenied,
    OrthancError,
    OrthancFull,
    OrthancUnreachable,
    ResourceMissing,
)
from router.records.instance import Instance, Role, Stage
from router.records.study import Outcome, Study, rest
from router.rules import rule_policy
from router.rules.routing import Header, rank_of
from router.truck.orthanc import instance_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from pydicom.dataset import FileDataset

    from router.deid.mask import Region
    from router.deid.profile import Profile
    from router.deid.pseudonyms import Key
    from router.pipeline.anonymize.pixel_check import PixelCheck
    from router.records.copies import Route
    from router.rules.routing import Routing
    from router.truck.spool import Body

    #: Waits for what the gate needs of the original.
    Known: TypeAlias = Callable[[], tuple[gate.Expected, gate.Traces]]

#: One is at Orthanc while another is at the gate.
_AT_ONCE = 2
#: Of larger originals one is under way at a time: there is room for one in memory and on disk.
_ALONE_BYTES = 64 << 20

_log = logging.getLogger(__name__)


class AnonymizeStep:
    """Makes the copies that are sent. One thread uses it; it has others work for it."""

    def __init__(
        self, context: StepContext, routing: Routing, checker: Analyser | None, pays: Callable[[], bool],
        pixels: PixelCheck,
    ) -> None:  # fmt: skip
        """``checker``: looks whether compressed pixels are the same; None: nothing is compressed.

        ``pays``: whether compressing saves time now. ``pixels``: looks at those of originals.
        """
        self._context = context
        self._routing = routing
        self._checker = checker
        self._pays = pays
        self._first_image = FirstImageBarrier()
        self._pixels = pixels
        self._rejection_notes = RejectionNotes(context)
        #: A header of 100,000 attributes is read three times over, 100 MB each: one at a time.
        self._large_header = threading.Lock()

    def take(self, study: Study) -> Outcome | None:
        """Makes the missing copies.

        Raises OrthancError, StepIncomplete, StepTooSoon, JournalError.
        """
        key = self._context.key(study)
        wait_s = 0.0
        instances = self._context.journal.instances.of_study(study.orthanc_id)
        sources = [instance for instance in instances if instance.role is Role.SOURCE]
        todo = [instance for instance in sources if instance.stage is Stage.RECEIVED]
        fresh = [instance for instance in todo if not instance.crashes]
        # Where it has a copy already, it is known whose it is.
        leads = bool(fresh) and not any(instance.copy for instance in sources)
        self._first_image = FirstImageBarrier(fresh[0].orthanc_id if leads else None)
        failed = self._try_several(study, fresh, key)
        # What something died of goes last, when the others are safe, and alone: it is not to take
        # another with it.
        for instance in sorted((i for i in todo if i.crashes), key=lambda i: i.crashes):
            if instance.crashes == MOST_CRASHES - 1 and (
                missing := self._context.quiet_period.remaining_s()
            ):
                wait_s = max(wait_s, missing)
                continue
            failed += self._try_several(study, [instance], key)
        if self._context.stopping():
            return None
        if failed:
            raise StepIncomplete(Code.ANONYMIZATION_REFUSED, f"{failed} instances to try again")
        if wait_s > 0:
            raise StepTooSoon(Code.INSTANCE_CRASHES, "something died of it, or by chance", wait_s)
        self._rejection_notes.make_missing(study)
        stages = {
            instance.stage
            for instance in self._context.journal.instances.of_study(study.orthanc_id)
        }
        return rest(sendable=Stage.ANONYMIZED in stages, held=Stage.HELD in stages)

    def _try_several(self, study: Study, instances: Sequence[Instance], key: Key) -> int:
        """Some at a time, as long as nobody stops; how many are to be tried again.

        Raises what one of them raises, when those that were begun have come to an end.
        """
        broken = threading.Event()
        large: list[Instance] = []

        def one(instance: Instance, *, shares: bool = True) -> bool:
            try:
                if self._context.stopping() or broken.is_set():
                    return True
                if shares and instance is not instances[0] and self._is_large(instance):
                    large.append(instance)
                    return True
                with self._context.timed("anonymize"):
                    return self._try_anonymize(study, instance, key)
            except BaseException:
                broken.set()
                raise
            finally:
                self._first_image.finished(instance.orthanc_id)

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            tries = [threads.submit(one, instance) for instance in instances]
        failed, tried = 0, None
        try:
            for tried in tries:
                failed += not tried.result()
        finally:
            # An exception holds the frames that it went through, and they the images: no circle.
            tried = None
            tries.clear()
        return failed + sum(not one(instance, shares=False) for instance in large)

    def _is_large(self, instance: Instance) -> bool:
        try:
            return self._context.orthanc.size(instance.orthanc_id) > _ALONE_BYTES
        except (OrthancUnreachable, OrthancDenied):
            raise
        except OrthancError:
            return False  # of this one alone, and its own step says what it is

    def take_ahead(self, study: Study, instance: Instance) -> None:
        """Makes one copy, before the scanner is through with the study. Raises as ``take``."""
        with self._context.timed("anonymize"):
            self._try_anonymize(study, instance, self._context.key(study))

    def _try_anonymize(self, study: Study, instance: Instance, key: Key) -> bool:
        """Whether the instance is decided (copied or held); otherwise it is tried again."""
        if instance.crashes >= MOST_CRASHES:
            detail = f"{instance.crashes} times"
            self._context.hold(study, instance, Code.INSTANCE_CRASHES, detail)
            return True
        self._context.journal.instances.begin_step(instance.orthanc_id, self._context.now())
        try:
            decided = self._try_once(study, instance, key)
        except OrthancBrokeOff:
            self._context.journal.instances.count_crash(instance.orthanc_id)
            self._context.quiet_period.broken()
            raise
        except BaseException:
            self._context.journal.instances.end_step(instance.orthanc_id)
            raise
        self._context.journal.instances.end_step(instance.orthanc_id)
        return decided

    def _try_once(self, study: Study, instance: Instance, key: Key) -> bool:
        try:
            self._anonymize(study, instance, key)
        except PatientChanged:
            return False  # tried again, as what the study has become
        except (OrthancFull, JournalError, OrthancBrokeOff):
            raise  # says nothing of the instance, or is counted where it is caught
        except (OrthancUnreachable, OrthancDenied) as error:
            if not self._context.orthanc.answers():
                raise
            return self._context.try_again_or_hold(
                study, instance, Code.ANONYMIZATION_REFUSED, error.sentence
            )
        except OSError as error:
            raise StepIncomplete(Code.SPOOL_UNUSABLE, f"{error.strerror}") from None
        except Hold as hold:
            self._context.hold_for(study, instance, hold)
        except ResourceMissing as missing:
            self._context.hold(study, instance, Code.SOURCE_MISSING, missing.sentence)
        except OrthancError as error:
            return self._context.try_again_or_hold(
                study, instance, Code.ANONYMIZATION_REFUSED, error.sentence
            )
        # A fault of ours in one instance must neither stop the others nor let this one through.
        except Exception as error:  # noqa: BLE001
            _log.exception(
                "an instance failed", extra={"action": "anonymize", "study": study.alias}
            )
            return self._context.try_again_or_hold(
                study, instance, Code.UNEXPECTED, type(error).__name__
            )
        return True

    def _anonymize(self, study: Study, instance: Instance, key: Key) -> None:
        chosen = self._context.profile(study)
        with (
            self._context.orthanc.file(instance.orthanc_id) as original,
            hashed(original, part10.digest) as digest,
            ExitStack() as held,
        ):
            if not self._context.headers.is_plain(original):
                # Who holds this waits for the first image later on, which may want it, too.
                self._first_image.wait_for_key(instance.orthanc_id)
                held.enter_context(self._large_header)
            dataset = part10.read(original.stream())
            route = self._route(instance, dataset)
            release = eligibility.released(instance.policy)
            regions = eligibility.check(dataset, release, self._context.site.policies, chosen)
            rule_policy.check(dataset, route.policy, release.clears)
            with self._first_image.before_key(instance.orthanc_id):
                key = self._context.key_of_patient(instance, dataset, key)
            part10.pixel_span(dataset, original.view)
            self._pixels.check(instance, dataset, original, release)
            same_person = Code.IDENTITY_CONFLICT in release.clears
            source = _Source(instance, original, dataset, digest, key, chosen, regions, same_person)
            compress = self._to_be_compressed(source)
            planned = self._plan(source)
            # From here on nobody else reads the data set until that is known.
            with run_in_background(lambda: self._known(source)) as known:
                if not (compress and self._compressed_copy(source, route, planned, known)):
                    self._plain_copy(source, route, planned, known)
        self._context.journal.copies.finish(instance.orthanc_id)
        self._context.metrics.instances_anonymized.inc()

    def _plain_copy(
        self, source: _Source, route: Route, planned: Mapping[str, object], known: Known
    ) -> None:
        with self._context.orthanc.anonymize(source.instance.orthanc_id, planned) as body:
            copied = read_made(body)
            if source.regions:
                _mask(copied, body, source.regions)
            with hashed(body, part10.digest, part10.md5) as digests:
                self._check(source, copied, body, known, compressed=False)
                self._keep(source, route, copied, body, digests)

    def _plan(self, source: _Source) -> dict[str, object]:
        # A fresh reading: the header that was looked at no longer tells what was sent as UN.
        return plan.make(
            part10.read(source.body.stream()), source.key, self._context.station, source.chosen,
            masked=bool(source.regions),
        ).body()  # fmt: skip

    def _known(self, source: _Source) -> tuple[gate.Expected, gate.Traces]:
        return self._context.remember(
            source.instance, source.dataset, source.key, source.chosen, source.regions
        )

    @staticmethod
    def _check(
        source: _Source, copied: FileDataset, body: Body, known: Known, *, compressed: bool
    ) -> None:
        expected, traces = known()
        gate.check_copy(
            source.dataset, source.body.view, copied, body.view, expected, traces,
            compressed=compressed,
        )  # fmt: skip

    def _route(self, instance: Instance, original: FileDataset) -> Route:
        """What was decided with its first copy, and else what the rules say.

        Raises Hold (NO_DESTINATION) where none of the destinations is left.
        """
        route = self._context.journal.routes.of(instance.orthanc_id)
        if route is None:
            header = Header.of(original, instance.origin)
            route = self._routing.rule_for(header).route(header)
        if not self._routing.destinations_of(route):
            raise Hold(Code.NO_DESTINATION, "no destination of its rule is left")
        return route

    def _to_be_compressed(self, source: _Source) -> bool:
        if self._checker is None or source.regions or not lossless.compressible(source.dataset):
            return False
        # Made again, it becomes what it was: its first bytes may have been sent. Where the journal
        # was lost, the truck's Orthanc still has them.
        earlier = source.instance.copy
        syntax = earlier.transfer_syntax if earlier else self._syntax_there(source)
        return self._pays() if syntax is None else syntax == lossless.SYNTAX

    def _syntax_there(self, source: _Source) -> str | None:
        original, key = source.dataset, source.key
        uids = (original.StudyInstanceUID, original.SeriesInstanceUID, original.SOPInstanceUID)
        patient = plan.identity_of(original, key).pseudonym
        copy = instance_id(patient, *(pseudonyms.uid(key, str(uid)) for uid in uids))
        return self._context.orthanc.transfer_syntax(copy)

    def _compressed_copy(
        self, source: _Source, route: Route, planned: Mapping[str, object], known: Known
    ) -> bool:
        """Makes a copy that is compressed without loss, where that is smaller; whether it did."""
        asked = {**planned, "Transcode": lossless.SYNTAX}
        try:
            with self._context.orthanc.anonymize(source.instance.orthanc_id, asked) as body:
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
                        lambda: self._check(source, copied, body, known, compressed=True)
                    ) as checked,
                ):
                    if not self._same_pixels(source.body, body):
                        return False
                    checked()
                    self._keep(source, route, copied, body, digests)
                    self._context.metrics.saved_bytes.inc(source.body.size - body.size)
        except (OrthancUnreachable, OrthancDenied, OrthancFull, ResourceMissing):
            raise
        except OrthancError:
            return False  # it cannot compress this one
        return True

    def _same_pixels(self, original: Body, copy: Body) -> bool:
        assert self._checker is not None  # noqa: S101  (the caller has looked)
        with (
            self._context.spool.as_file(original) as one,
            self._context.spool.as_file(copy) as other,
        ):
            try:
                return self._checker.same_pixels(Comparison(one, other))
            except AnalysisSkipped:
                return False

    def _keep(
        self, source: _Source, route: Route, copied: FileDataset, body: Body,
        digests: Callable[[], tuple[str, ...]],
    ) -> None:  # fmt: skip
        """Writes down the copy and where it goes, and then stores it."""
        copy = describe(copied, body.size, *digests())
        (digest,) = source.digest()
        original = Original(rank_of(source.dataset), digest, source.body.size)
        who = _identities(source.dataset, source.key, source.instance.origin)
        now = self._context.now()
        with self._first_image.before_patient(source.instance.orthanc_id):
            self._context.journal.copies.begin(
                source.instance.orthanc_id, copy, who, now, route, original,
                same_person=source.same_person,
            )  # fmt: skip
        self._context.store(copy, body, source.instance.orthanc_id)


@dataclass(frozen=True)
class _Source:
    """What a copy is made of."""

    instance: Instance
    body: Body
    dataset: FileDataset
    #: Waits for the digest of the body.
    digest: Callable[[], tuple[str, ...]]
    key: Key
    chosen: Profile
    #: Of its pixels, to be masked.
    regions: tuple[Region, ...]
    #: A person has said that it is the patient's whose number it bears.
    same_person: bool


def _mask(copied: FileDataset, body: Body, regions: tuple[Region, ...]) -> None:
    """Paints the regions over in the bytes of the copy: nothing of them is ever stored."""
    span = part10.pixel_span(copied, body.view)
    assert span is not None  # noqa: S101  (a policy that masks was found to fit)
    for offset, length in mask.runs(mask.layout(copied), regions):
        body.overwrite(span[0] + offset, bytes(length))


def _identities(dataset: FileDataset, key: Key, origin: str) -> Identities:
    """Who the patient is, for the table that never leaves the truck."""
    who = plan.identity_of(dataset, key)
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
