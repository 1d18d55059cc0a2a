"""The local steps: what is done in which state. Each instance's result is saved on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.pipeline.analyse import AnalyseStep
from router.pipeline.anonymize.attempts import Attempts
from router.pipeline.anonymize.compression import Compression
from router.pipeline.anonymize.instance import Anonymizer
from router.pipeline.anonymize.rejection import RejectionNotes
from router.pipeline.anonymize.scheduling import AnonymizeStep
from router.pipeline.anonymize.source import Sources
from router.pipeline.captures import Captures
from router.pipeline.copy_store import Copies
from router.pipeline.hold_or_retry import Holds
from router.pipeline.keys import StudyKeys
from router.pipeline.originals import Originals
from router.records.study import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.deid.policies import Policy
    from router.deid.pseudonyms import Key
    from router.imaging.worker_process import Analyser, HeaderCheck
    from router.journal import Journal
    from router.observe.metrics import Metrics
    from router.pipeline.anonymize.pixel_check import PixelCheck
    from router.pipeline.anonymize.quiet_period import QuietPeriod
    from router.records.instance import Instance
    from router.records.study import Outcome, Study
    from router.rules.routing import Routing
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Spool


@dataclass(frozen=True)
class Tools:
    """What the steps work with."""

    orthanc: TruckOrthanc
    journal: Journal
    spool: Spool
    headers: HeaderCheck
    quiet_period: QuietPeriod
    metrics: Metrics
    #: UTC, in seconds since 1970.
    now: Callable[[], float]
    stopping: Callable[[], bool]


@dataclass(frozen=True)
class Site:
    """What the settings and the site's own files say now.

    Of policies and words nothing changes the bytes of a copy that passes.
    """

    #: The truck's id, which copies bear.
    station: str
    #: By id, the current one first.
    keys: Mapping[str, Key]
    routing: Routing
    #: Of objects; the site's before the shipped ones.
    policies: tuple[Policy, ...]
    #: Words that identify no one: names equal to them are not looked for word by word.
    harmless: frozenset[str]


@dataclass(frozen=True)
class PixelWork:
    """Who works on pixels; ``None``: nobody does."""

    #: Looks at those of originals.
    check: PixelCheck
    #: Makes the captures.
    analyser: Analyser | None = None
    #: Compares the pixels of what was compressed; without it nothing is compressed.
    checker: Analyser | None = None


class Steps:
    """State → step. One thread uses it."""

    def __init__(self, anonymize: AnonymizeStep, analyse: AnalyseStep) -> None:
        self._anonymize = anonymize
        self._steps: dict[State, Callable[[Study], Outcome | None]] = {
            State.RECEIVED: anonymize.take,
            State.ANONYMIZED: analyse.take,
        }

    def take_ahead(self, study: Study, instance: Instance) -> None:
        """Makes one copy of a study that the scanner still sends of."""
        self._anonymize.take_ahead(study, instance)

    def take(self, study: Study) -> Outcome | None:
        """Does the step of the study's state; ``None``: broken off, because the router stops."""
        return self._steps[study.state](study)


def local_steps(tools: Tools, site: Site, pixels: PixelWork, pays: Callable[[], bool]) -> Steps:
    """The steps of a truck. ``pays``: whether compressing saves time now."""
    orthanc, journal, spool = tools.orthanc, tools.journal, tools.spool
    keys = StudyKeys(journal, site.keys)
    originals = Originals(orthanc, keys, site.station, site.harmless)
    copies = Copies(orthanc, journal)
    holds = Holds(journal, tools.metrics, tools.now)
    sources = Sources(
        orthanc, journal, keys, site.routing, site.policies, pixels.check, tools.headers
    )
    checker = pixels.checker
    compression = None if checker is None else Compression(orthanc, spool, checker, pays)
    anonymizer = Anonymizer(
        orthanc, journal, sources, originals, copies, compression, site.station, tools.metrics,
        tools.now,
    )  # fmt: skip
    attempts = Attempts(anonymizer, orthanc, journal, holds, tools.quiet_period, tools.now)
    notes = RejectionNotes(orthanc, journal, keys, originals, copies, holds, tools.now)
    anonymize = AnonymizeStep(
        attempts, notes, keys, orthanc, journal, tools.quiet_period, tools.metrics, tools.stopping
    )
    captures = Captures(
        pixels.analyser, orthanc, journal, spool, keys, originals, copies, tools.now
    )
    analyse = AnalyseStep(captures, orthanc, journal, keys, tools.metrics, tools.stopping)
    return Steps(anonymize, analyse)
