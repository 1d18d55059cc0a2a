# reason: it only wires: a part is built by one function, and all of them are read beside one another
"""The running router: the only module that knows all parts."""
# reason: each part is made by a function of a few lines, and there are many parts.

from __future__ import annotations

import logging
import random
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from router import __version__
from router.destinations import opened
from router.imaging.quality.public_names import public
from router.imaging.worker_process import Analyser, HeaderCheck
from router.journal import Journal, lock
from router.loops import Loop, all_alive, wake_all
from router.observe.figures import JournalFigures, QualityFigures
from router.observe.http import Api
from router.observe.machine import MachineFigures
from router.observe.metrics import Metrics
from router.operator import quality_report, status
from router.pipeline.anonymize.pixel_check import PixelCheck
from router.pipeline.anonymize.quiet_period import QuietPeriod
from router.pipeline.deliver import Delivery, Limits
from router.pipeline.intake import Intake
from router.pipeline.intake_rounds import IntakeRounds
from router.pipeline.purge import Purger, Watermarks
from router.pipeline.quality_check import QualityChecker
from router.pipeline.regression_images import WeeklyCheck
from router.pipeline.steps import PixelWork, Site, Steps, Tools, local_steps
from router.pipeline.stored_content import StoredContent
from router.pipeline.worker import Worker
from router.records.errors import Code, JournalError
from router.truck.orthanc import TruckOrthanc
from router.truck.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from router.config.settings import Settings
    from router.deid.pseudonyms import Key
    from router.destinations import Destination

_log = logging.getLogger(__name__)


def orthanc_of(settings: Settings, spool: Spool) -> TruckOrthanc:
    """The truck's Orthanc of the settings. Raises SettingsError (SECRET_UNREADABLE)."""
    orthanc = settings.orthanc
    return TruckOrthanc(
        str(orthanc.url), orthanc.user, settings.orthanc_password(), orthanc.timeout_s, spool
    )


def show_journal(
    registry: CollectorRegistry,
    journal: Journal,
    destinations: Sequence[str],
    expected_views: Sequence[str],
    now: Callable[[], float],
    digest: Callable[[str, str], bytes],
) -> None:
    """Registers all that is read from the journal at each scrape.

    ``digest``: keyed, for what machines say of themselves and no list knows.
    """
    registry.register(
        JournalFigures(
            journal.studies.count,
            journal.holds.count,
            journal.outbox.oldest_undelivered,
            now,
            destinations,
            journal.callers.count_refused,
        )
    )
    registry.register(
        QualityFigures(
            lambda: journal.quality.totals(now()),
            journal.quality.count_flags,
            lambda: [public(device, digest) for device in journal.quality.devices(now())],
            lambda: quality_report.count_missing(journal, expected_views, now()),
        )
    )


@dataclass(frozen=True)
class _Shared:
    """What several parts of the router work with."""

    settings: Settings
    keys: Sequence[Key]
    spool: Spool
    journal: Journal
    orthanc: TruckOrthanc
    metrics: Metrics
    analyser: Analyser
    headers: HeaderCheck
    quiet_period: QuietPeriod
    contents: StoredContent
    stopping: Callable[[], bool]

    def close(self) -> None:
        """Closes what is open still; the connections to Orthanc were closed to end intake's wait."""
        self.analyser.close()
        self.headers.close()
        self.journal.close()


def _shared(settings: Settings, metrics: Metrics, stopping: Callable[[], bool]) -> _Shared:
    """Opens the journal, and checks it against the settings' keys. Raises SettingsError."""
    keys = settings.keys()
    journal = Journal(settings.journal.path)
    journal.keys.check(keys)
    journal.keys.check_issuers(settings.issuers())
    spool = Spool(settings.journal.spool)
    orthanc = orthanc_of(settings, spool)
    analyser = Analyser(settings.analysis.timeout_s, settings.analysis.memory_mib)
    headers = HeaderCheck(spool)
    contents = StoredContent(orthanc, spool, analyser, headers)
    return _Shared(
        settings, keys, spool, journal, orthanc, metrics, analyser, headers, QuietPeriod(),
        contents, stopping,
    )  # fmt: skip


def _deliveries(shared: _Shared, destinations: Sequence[Destination]) -> list[Delivery]:
    return [
        Delivery(
            destination,
            shared.orthanc,
            shared.journal,
            shared.metrics,
            time.time,
            random.random,
            shared.stopping,
            Limits(told.most_connections, told.compressed),
        )
        for destination, told in zip(destinations, shared.settings.destinations, strict=True)
    ]


def _steps(shared: _Shared, pays: Callable[[], bool]) -> Steps:
    """``pays``: whether compressing saves time now."""
    settings, analyser = shared.settings, shared.analyser
    tools = Tools(
        shared.orthanc,
        shared.journal,
        shared.spool,
        shared.headers,
        shared.quiet_period,
        shared.metrics,
        time.time,
        shared.stopping,
    )
    site = Site(
        settings.truck.id,
        {key.id: key for key in shared.keys},
        settings.routing,
        settings.policies(),
        settings.own_words(),
    )
    holds_unopenable = settings.sending.unopenable == "hold"
    pixels = PixelWork(
        PixelCheck(shared.orthanc, shared.spool, analyser, holds_unopenable=holds_unopenable),
        analyser if settings.analysis.enabled else None,
        analyser if settings.compression.enabled else None,
    )
    return local_steps(tools, site, pixels, pays)


def _worker(shared: _Shared, deliveries: Sequence[Delivery], worked: Callable[[], None]) -> Worker:
    settings = shared.settings

    def compressing_pays() -> bool:
        return settings.compression.always or not all(one.is_fast for one in deliveries)

    return Worker(
        shared.journal,
        _steps(shared, compressing_pays),
        [delivery.name for delivery in deliveries],
        time.time,
        random.random,
        ahead=settings.sending.start == "arrival",
        worked=worked,
    )


def _purger(shared: _Shared) -> Purger:
    space = shared.settings.space
    marks = Watermarks(
        space.high_percent,
        space.low_percent,
        space.refuse_percent,
        space.capacity_mib,
        space.look_s,
    )
    return Purger(
        shared.orthanc,
        shared.journal,
        shared.metrics,
        marks,
        time.time,
        time.monotonic,
        shared.stopping,
        shared.contents,
    )


def _quality_checker(shared: _Shared) -> QualityChecker:
    return QualityChecker(
        shared.orthanc,
        shared.journal,
        shared.spool,
        shared.analyser,
        shared.metrics,
        time.time,
        shared.headers,
        shared.quiet_period,
    )


def _weekly_check(shared: _Shared, folder: Path) -> WeeklyCheck:
    return WeeklyCheck(folder, shared.analyser, shared.spool, shared.metrics)


def _intake_rounds(
    shared: _Shared, answers: Callable[[str | None], None], taken_in: Callable[[], None]
) -> IntakeRounds:
    """As of IntakeRounds. Enters the settings' profile into the journal: new studies are pinned to it."""
    settings = shared.settings
    profile = settings.profile()
    shared.journal.profiles.enter(profile.id, profile.to_json())
    intake = Intake(
        shared.orthanc,
        shared.journal,
        shared.keys,
        profile.id,
        shared.metrics,
        time.time,
        shared.contents,
    )
    return IntakeRounds(
        intake,
        shared.orthanc,
        shared.journal,
        shared.quiet_period,
        settings.door.callers_file,
        settings.intake.poll_s,
        settings.intake.reconcile_s,
        answers,
        taken_in,
    )


def _registry() -> CollectorRegistry:
    """A registry with the figures of this process."""
    registry = CollectorRegistry()
    for collector in (GCCollector, PlatformCollector, ProcessCollector):
        collector(registry=registry)
    return registry


class App:
    """Loops of their own: intake, the local worker, one delivery per destination, and the API."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._orthanc_code: str | None = str(Code.ORTHANC_UNREACHABLE)
        self._registry = _registry()
        self._metrics = Metrics(self._registry)
        self._shared = shared = _shared(settings, self._metrics, self._stop.is_set)
        self._journal = shared.journal
        self._destinations = [opened(one) for one in settings.destinations]
        self._deliveries = _deliveries(shared, self._destinations)
        self._show_figures()

        deliver = [Loop(f"deliver-{one.name}", one.work_once) for one in self._deliveries]
        worker = Loop("worker", _worker(shared, self._deliveries, partial(wake_all, deliver)).work)
        woken_by_intake = [worker]
        self._others = [worker, Loop("space", _purger(shared).work), *deliver]
        if settings.analysis.enabled:
            look = Loop("look", _quality_checker(shared).work)
            woken_by_intake.append(look)
            self._others.append(look)
        if settings.analysis.golden is not None:
            golden = _weekly_check(shared, settings.analysis.golden)
            self._others.append(Loop("golden", golden.work))
        rounds = _intake_rounds(shared, self._orthanc_answers, partial(wake_all, woken_by_intake))
        self._intake = Loop("intake", rounds.work)

    def _show_figures(self) -> None:
        """Registers what is read at each scrape."""
        settings = self._settings
        names = [destination.name for destination in self._destinations]
        views, digest = settings.quality.expected_views, self._shared.keys[0].digest
        show_journal(self._registry, self._journal, names, views, time.time, digest)
        self._registry.register(MachineFigures(self._disk, self._clock_offsets))

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        with lock(self._settings.journal.path):
            self.start()
            try:
                self._stop.wait()
            finally:
                self.close()

    def start(self) -> None:
        """Starts the loops and the API; returns at once."""
        self._shared.spool.clear()
        self._journal.decisions.apply_standing(time.time())
        names = [delivery.name for delivery in self._deliveries]
        gone = self._journal.destinations.adopt(names, time.time())
        if died := self._journal.instances.count_crashes():
            _log.warning("the router died in a step", extra={"action": "start", "count": died})
        if gone:
            _log.warning(
                "receipts of destinations that are no longer configured were given up",
                extra={"action": "start", "count": gone},
            )
        api, views = self._settings.api, self._settings.quality.expected_views
        self._api = Api(
            api.host,
            api.port,
            self._registry,
            partial(all_alive, self._loops),
            self._obstacles,
            lambda: status.overview(self._journal, views, names),
        )
        for loop in self._loops:
            loop.start()
        _log.info("edge-router %s runs", __version__, extra={"action": "start"})

    @property
    def _loops(self) -> list[Loop]:
        return [self._intake, *self._others]

    @property
    def port(self) -> int:
        """Where the API listens; the system's choice where the settings say 0."""
        return self._api.port

    def stop(self) -> None:
        """Has the loops end after the instance each is at; returns at once."""
        self._stop.set()
        for loop in self._loops:
            loop.stop()

    def close(self) -> None:
        """Ends the loops after the instance each is at, and gives everything back."""
        self.stop()
        for loop in self._others:
            loop.join()
        # Intake may be waiting at the doorbell; its wait ends with the connection.
        self._shared.orthanc.close()
        self._intake.join()
        self._api.close()
        for delivery in self._deliveries:
            delivery.close()
        for destination in self._destinations:
            destination.close()
        self._shared.close()
        _log.info("edge-router has stopped", extra={"action": "stop"})

    # --- figures of the machine ----------------------------------------------------------------

    def _disk(self) -> tuple[int, int]:
        usage = shutil.disk_usage(self._settings.journal.path.parent)
        return usage.total, usage.free

    def _clock_offsets(self) -> dict[str, float | None]:
        return {d.name: d.clock_offset_s for d in self._destinations}

    # --- health -------------------------------------------------------------------------------

    def _orthanc_answers(self, code: str | None) -> None:
        self._orthanc_code = code
        self._metrics.orthanc_up.set(code is None)

    def _obstacles(self) -> dict[str, Any]:
        """What keeps the router from doing its work; being offline is its work."""
        obstacles: dict[str, Any] = {}
        if self._orthanc_code is not None:
            obstacles["orthanc"] = self._orthanc_code
        try:
            self._journal.arrivals.cursor()
        except JournalError as error:
            obstacles["journal"] = error.code
        return obstacles
