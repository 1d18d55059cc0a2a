"""The running router: the only module that knows all parts."""

from __future__ import annotations

import logging
import random
import shutil
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from router import __version__
from router.destinations import KINDS
from router.imaging.quality.public_names import public
from router.imaging.worker_process import Analyser, HeaderCheck
from router.journal import Journal, lock
from router.observe.figures import JournalFigures, QualityFigures
from router.observe.http import Api
from router.observe.machine import MachineFigures
from router.observe.metrics import Metrics
from router.operator import quality_report, status
from router.pipeline import regression_images
from router.pipeline.anonymize.pixel_check import PixelCheck
from router.pipeline.deliver import Delivery, Limits
from router.pipeline.intake import Intake
from router.pipeline.purge import Purger, Watermarks
from router.pipeline.quality_check import QualityChecker
from router.pipeline.steps import QuietPeriod, SiteRules, StepContext, Steps
from router.pipeline.stored_content import StoredContent
from router.pipeline.worker import Worker
from router.records.errors import Code, EdgeRouterError, JournalError, OrthancError
from router.truck import callers
from router.truck.orthanc import TruckOrthanc
from router.truck.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.config.settings import Settings
    from router.truck.plugin_calls import Ring

_IDLE_S = 1.0
#: Between two looks at the changes: an image that comes alone is seen at once, of many in a row
#: some are taken in together. Each look costs four requests.
_GATHER_S = 0.2
_RETRY_S = 2.0
#: The clock was set by so much: what was put off by the old one is due.
_CLOCK_STEP_S = 30.0
#: How long a loop may finish what it is at when the router is stopped.
_JOIN_S = 20.0

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


class App:
    """Threads: intake, the local worker, one delivery per destination, the API."""

    def __init__(self, settings: Settings) -> None:
        keys = settings.keys()
        self._settings = settings
        self._spool = spool = Spool(settings.journal.spool)
        self._stop = threading.Event()
        self._wake_worker = threading.Event()
        self._wake_delivery = threading.Event()
        self._wake_looking = threading.Event()
        self._orthanc_code: str | None = str(Code.ORTHANC_UNREACHABLE)
        self._journal = Journal(settings.journal.path)
        self._journal.keys.check(keys)
        self._journal.keys.check_issuers(settings.issuers())
        registry = CollectorRegistry()
        for collector in (GCCollector, PlatformCollector, ProcessCollector):
            collector(registry=registry)
        self._metrics = metrics = Metrics(registry)
        self._orthanc = orthanc_of(settings, spool)
        self._destinations = [
            KINDS[destination.kind].make(destination) for destination in settings.destinations
        ]
        names = [destination.name for destination in self._destinations]
        show_journal(
            registry,
            self._journal,
            names,
            settings.quality.expected_views,
            time.time,
            keys[0].digest,
        )
        registry.register(MachineFigures(self._disk, self._clock_offsets))
        analysis = settings.analysis
        self._analyser = Analyser(analysis.timeout_s, analysis.memory_mib)
        self._headers = HeaderCheck(spool)
        self._quiet_period = QuietPeriod()
        self._quality_checker = QualityChecker(
            self._orthanc,
            self._journal,
            spool,
            self._analyser,
            metrics,
            time.time,
            self._headers,
            self._quiet_period,
        )
        contents = StoredContent(self._orthanc, spool, self._analyser, self._headers)
        chosen = settings.profile()
        self._journal.profiles.enter(chosen.id, chosen.to_json())
        self._intake = Intake(
            self._orthanc, self._journal, keys, chosen.id, metrics, time.time, contents
        )
        context = StepContext(
            self._orthanc,
            self._journal,
            spool,
            {key.id: key for key in keys},
            settings.truck.id,
            SiteRules(settings.policies(), settings.own_words()),
            metrics,
            time.time,
            self._stop.is_set,
            self._quiet_period,
            self._headers,
        )
        steps = Steps(
            context,
            self._analyser if analysis.enabled else None,
            settings.routing,
            self._analyser if settings.compression.enabled else None,
            self._compressing_pays,
            PixelCheck(
                self._orthanc,
                spool,
                self._analyser,
                holds_unopenable=settings.sending.unopenable == "hold",
            ),
        )
        self._worker = Worker(
            self._journal,
            steps,
            names,
            time.time,
            random.random,
            ahead=settings.sending.start == "arrival",
        )
        space = settings.space
        self._purger = Purger(
            self._orthanc,
            self._journal,
            metrics,
            Watermarks(
                space.high_percent,
                space.low_percent,
                space.refuse_percent,
                space.capacity_mib,
                space.look_s,
            ),
            time.time,
            time.monotonic,
            self._stop.is_set,
            contents,
        )
        self._deliveries = [
            Delivery(
                destination,
                self._orthanc,
                self._journal,
                metrics,
                time.time,
                random.random,
                self._stop.is_set,
                Limits(told.most_connections, told.rate_bps, told.compressed),
            )
            for destination, told in zip(self._destinations, settings.destinations, strict=True)
        ]
        self._loops: list[threading.Thread] = []
        self._registry = registry

    def _compressing_pays(self) -> bool:
        fast = all(delivery.is_fast for delivery in self._deliveries)
        return self._settings.compression.always or not fast

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
        self._spool.clear()
        self._journal.decisions.apply_standing(time.time())
        gone = self._journal.destinations.adopt([d.name for d in self._deliveries], time.time())
        if died := self._journal.instances.count_crashes():
            _log.warning("the router died in a step", extra={"action": "start", "count": died})
        if gone:
            _log.warning(
                "receipts of destinations that are no longer configured were given up",
                extra={"action": "start", "count": gone},
            )
        api = self._settings.api
        self._api = Api(
            api.host,
            api.port,
            self._registry,
            self._alive,
            self._obstacles,
            lambda: status.overview(
                self._journal,
                self._settings.quality.expected_views,
                [delivery.name for delivery in self._deliveries],
            ),
        )
        self._begin("intake", self._intake_loop)
        if self._settings.analysis.golden is not None:
            self._begin("golden", self._golden_loop)
        self._begin("worker", self._worker_loop)
        self._begin("space", self._space_loop)
        if self._settings.analysis.enabled:
            self._begin("look", self._looking_loop)
        for delivery in self._deliveries:
            self._begin(f"deliver-{delivery.name}", partial(self._delivery_loop, delivery))
        _log.info("edge-router %s runs", __version__, extra={"action": "start"})

    @property
    def port(self) -> int:
        """Where the API listens; the system's choice where the settings say 0."""
        return self._api.port

    def stop(self) -> None:
        self._stop.set()
        self._wake_worker.set()
        self._wake_delivery.set()
        self._wake_looking.set()

    def close(self) -> None:
        """Ends the loops after the instance each is at, and gives everything back."""
        self.stop()
        intake, *others = self._loops
        for loop in others:
            loop.join(_JOIN_S)
        # Intake may be waiting at the doorbell; its wait ends with the connection.
        self._orthanc.close()
        intake.join(_JOIN_S)
        self._api.close()
        self._analyser.close()
        self._headers.close()
        for delivery in self._deliveries:
            delivery.close()
        for destination in self._destinations:
            destination.close()
        self._journal.close()
        _log.info("edge-router has stopped", extra={"action": "stop"})

    # --- loops --------------------------------------------------------------------------------

    def _begin(self, name: str, loop: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guarded, args=(name, loop), name=name, daemon=True)
        self._loops.append(thread)
        thread.start()

    def _guarded(self, name: str, loop: Callable[[], None]) -> None:
        """A loop goes on after a failure; what failed is retried by its journal entry."""
        while not self._stop.is_set():
            try:
                loop()
            except EdgeRouterError as error:
                if not self._stop.is_set():
                    _log.error(
                        "%s: %s",
                        name,
                        error.sentence,
                        extra={"action": name, "code": error.code},
                    )
            # The outermost boundary of a thread: a fault must not end the router silently.
            except Exception:  # noqa: BLE001
                if not self._stop.is_set():
                    _log.exception("%s failed", name, extra={"action": name})
            self._stop.wait(_RETRY_S)

    def _intake_loop(self) -> None:
        """Follows the changes whenever the doorbell rings, and reconciles at start and by timer."""
        intake, settings = self._settings.intake, self._settings
        reconcile_at = 0.0
        offset = time.time() - time.monotonic()
        ring: Ring | None = None
        try:
            while not self._stop.is_set():
                followed_at = time.monotonic()
                self._intake.follow_changes()
                self._orthanc_answers(None)
                stepped, offset = offset, time.time() - time.monotonic()
                if abs(offset - stepped) > _CLOCK_STEP_S:
                    self._journal.studies.cap_due_times(time.time(), 0.0)
                if time.monotonic() >= reconcile_at:
                    self._journal.studies.cap_due_times(time.time())  # the clock may have been set
                    self._intake.reconcile()
                    self._journal.callers.note(
                        callers.read(settings.door.callers_file), time.time()
                    )
                    reconcile_at = time.monotonic() + intake.reconcile_s
                self._wake_worker.set()
                self._wake_looking.set()
                heard = self._orthanc.wait(ring, settings.intake.poll_s)
                if heard is None:  # an Orthanc without the plugin
                    self._stop.wait(min(_IDLE_S, intake.poll_s))
                ring = heard
                self._stop.wait(max(0.0, followed_at + _GATHER_S - time.monotonic()))
        except OrthancError as error:
            self._orthanc_answers(str(error.code))
            self._quiet_period.broken()
            raise

    def _golden_loop(self) -> None:
        """Analyses the golden images at the start and every week."""
        folder = self._settings.analysis.golden
        while folder is not None and not self._stop.is_set():
            work = self._spool.path(".golden")
            for label, found in regression_images.check_all(folder, self._analyser, work).items():
                self._metrics.golden_moved.labels(label).set(len(found.moved))
                if found.moved:
                    _log.error(
                        "the analysis %s gives other results than before",
                        label,
                        extra={"action": "golden", "count": len(found.moved)},
                    )
                if found.failed:
                    _log.error(
                        "golden images could not be analysed by %s",
                        label,
                        extra={"action": "golden", "count": len(found.failed)},
                    )
            self._stop.wait(regression_images.WEEK_S)

    def _worker_loop(self) -> None:
        while not self._stop.is_set():
            self._wake_worker.clear()
            while not self._stop.is_set() and self._worker.work_once():
                self._wake_delivery.set()
            self._wake_worker.wait(_IDLE_S)

    def _space_loop(self) -> None:
        while not self._stop.is_set():
            self._purger.look()
            self._stop.wait(self._settings.space.look_s)

    def _looking_loop(self) -> None:
        while not self._stop.is_set():
            self._wake_looking.clear()
            while not self._stop.is_set() and self._quality_checker.check_next():
                pass
            self._wake_looking.wait(_IDLE_S)

    def _delivery_loop(self, delivery: Delivery) -> None:
        while not self._stop.is_set():
            self._wake_delivery.clear()
            wait = delivery.work_once()
            if wait > 0 and not delivery.gate.open:
                self._stop.wait(wait)
            elif wait > 0:
                self._wake_delivery.wait(wait)

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

    def _alive(self) -> bool:
        return all(loop.is_alive() for loop in self._loops)

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
