"""The original that a copy is made of: read, and found fit before anything is made of it."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.deid import eligibility
from router.dicom import part10
from router.pipeline.anonymize.background import hashed
from router.records.errors import Code, Hold
from router.rules import rule_policy
from router.rules.routing import Header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.dataset import FileDataset

    from router.deid.mask import Region
    from router.deid.policies import Policy
    from router.deid.profile import Profile
    from router.deid.pseudonyms import Key
    from router.imaging.worker_process import HeaderCheck
    from router.journal import Journal
    from router.pipeline.anonymize.first_image import FirstImageBarrier
    from router.pipeline.anonymize.pixel_check import PixelCheck
    from router.pipeline.keys import StudyKeys
    from router.records.copies import Route
    from router.records.instance import Instance
    from router.records.study import Study
    from router.rules.routing import Routing
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Body


@dataclass(frozen=True)
class Source:
    """What a copy is made of, and for."""

    instance: Instance
    body: Body
    dataset: FileDataset
    #: Waits for the digest of the body.
    digest: Callable[[], tuple[str, ...]]
    key: Key
    profile: Profile
    #: Of its pixels, to be masked.
    regions: tuple[Region, ...]
    #: A person has said that it is the patient's whose number it bears.
    same_person: bool
    #: Where its copy goes.
    route: Route
    #: Of its study: what it waits for before its patient becomes known.
    first_image: FirstImageBarrier


class Sources:
    """Opens originals, and holds those that no copy may be made of. Thread-safe."""

    def __init__(
        self,
        orthanc: TruckOrthanc,
        journal: Journal,
        keys: StudyKeys,
        routing: Routing,
        policies: tuple[Policy, ...],
        pixels: PixelCheck,
        headers: HeaderCheck,
    ) -> None:
        """``policies``: of objects; the site's before the shipped ones."""
        self._orthanc = orthanc
        self._journal = journal
        self._keys = keys
        self._routing = routing
        self._policies = policies
        self._pixels = pixels
        self._headers = headers
        #: A header of 100,000 attributes is read three times over, 100 MB each: one at a time.
        self._large_header = threading.Lock()

    @contextmanager
    def opened(
        self, study: Study, instance: Instance, key: Key, first_image: FirstImageBarrier
    ) -> Iterator[Source]:
        """The original of an instance, while a copy is made of it. ``key``: the study's.

        Raises Hold, OrthancError, JournalError.
        """
        with (
            self._orthanc.file(instance.orthanc_id) as body,
            hashed(body, part10.digest) as digest,
            ExitStack() as held,
        ):
            if not self._headers.is_plain(body):
                # Who holds this waits for the first image later on, which may want it, too.
                first_image.wait_for_key(instance.orthanc_id)
                held.enter_context(self._large_header)
            dataset = part10.read(body.stream())
            route = self._route(instance, dataset)
            release = eligibility.released(instance.policy)
            profile = self._keys.profile(study)
            regions = eligibility.check(dataset, release, self._policies, profile)
            rule_policy.check(dataset, route.policy, release.clears)
            with first_image.before_key(instance.orthanc_id):
                key = self._keys.key_of_patient(instance, dataset, key)
            part10.pixel_span(dataset, body.view)
            self._pixels.check(instance, dataset, body, release)
            same_person = Code.IDENTITY_CONFLICT in release.clears
            yield Source(
                instance, body, dataset, digest, key, profile, regions, same_person, route,
                first_image,
            )  # fmt: skip

    def _route(self, instance: Instance, original: FileDataset) -> Route:
        """The route that was decided with its first copy, or else by the rules.

        Raises Hold (NO_DESTINATION) where none of the destinations is left.
        """
        route = self._journal.routes.of(instance.orthanc_id)
        if route is None:
            header = Header.of(original, instance.origin)
            route = self._routing.rule_for(header).route(header)
        if not self._routing.destinations_of(route):
            raise Hold(Code.NO_DESTINATION, "no destination of its rule is left")
        return route
