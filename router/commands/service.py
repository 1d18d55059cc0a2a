"""The service itself: run it, compare its journal with Orthanc, check its settings."""

from __future__ import annotations

import os
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from router.commands import routes
from router.commands.terminal import ATTENTION, FINE, note, show, user
from router.config.settings import Settings
from router.destinations import KINDS
from router.imaging.worker_process import Analyser, HeaderCheck
from router.journal import Journal
from router.observe import log
from router.observe.audit import Audit
from router.observe.metrics import Metrics
from router.pipeline.intake import Intake
from router.pipeline.stored_content import StoredContent
from router.records.errors import Code, EdgeRouterError, OrthancError, SettingsError
from router.truck.spool import Spool

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from router.commands.terminal import Add
    from router.destinations import AnySettings


def register(add: Add) -> None:
    """Adds the commands that run and check the router."""
    add("run", _run, "run the router until it is told to stop")
    add("reconcile", _reconcile, "compare all images of the truck's Orthanc with the journal, now")
    sub = add(
        "check-config", _check_config,
        "read settings, keys and secrets, try each connection, and say all that is wrong",
    )  # fmt: skip
    sub.add_argument("--offline", action="store_true", help="try no connection")
    routes.add_arguments(sub)


def _run(asked: argparse.Namespace) -> int:
    from router.app import App  # the other commands need none of its threads  # noqa: PLC0415

    log.set_up()
    App(Settings.load(asked.config)).run()
    return FINE


def _reconcile(asked: argparse.Namespace) -> int:
    """What the running router does on its timer; both may do it at once."""
    from router.app import orthanc_of  # noqa: PLC0415

    settings = Settings.load(asked.config)
    now, analysis = time.time(), settings.analysis
    Audit(settings.journal.audit).record(now, {"action": "reconcile", "by": user()})
    spool = Spool(settings.journal.spool)
    with (
        closing(Journal(settings.journal.path)) as journal,
        closing(orthanc_of(settings, spool)) as orthanc,
        closing(Analyser(analysis.timeout_s, analysis.memory_mib)) as analyser,
        closing(HeaderCheck(spool)) as headers,
    ):
        metrics = Metrics(CollectorRegistry())
        chosen = settings.profile()
        journal.profiles.enter(chosen.id, chosen.to_json())
        contents = StoredContent(orthanc, spool, analyser, headers)
        intake = Intake(orthanc, journal, settings.keys(), chosen.id, metrics, time.time, contents)
        found = intake.reconcile()
    show(asked, {"found": found}, [f"{found} images that the journal did not know"])
    return FINE


def _check_config(asked: argparse.Namespace) -> int:
    """Reads everything that ``run`` would read, tries what it would try; every fault at once."""
    if asked.explain:
        settings = Settings.load(asked.config)
        note(settings, asked)
        return routes.explain(asked, settings, Path(asked.explain))
    faults: list[tuple[str, EdgeRouterError]] = []
    warnings: list[EdgeRouterError] = []
    table = ""
    checks: list[tuple[str, Callable[[], object]]] = []
    try:
        settings = Settings.load(asked.config)
    except EdgeRouterError as error:
        faults.append(("settings", error))
    else:
        note(settings, asked)
        warnings = _warnings(settings)
        checks += [
            ("keys", partial(_try_keys, settings)),
            ("deid", lambda: (settings.profile(), settings.policies(), settings.issuers())),
            ("journal", lambda: Journal(settings.journal.path).close()),
            ("orthanc", lambda: _try_orthanc(settings, offline=asked.offline)),
        ]
        checks += [
            (destination.name, partial(_try_destination, destination, offline=asked.offline))
            for destination in settings.destinations
        ]
    for name, check in checks:
        try:
            check()
        except EdgeRouterError as error:
            faults.append((name, error))
    if not faults and settings.deid.issuers_file is not None:
        table = settings.issuers().digest
    shown = [{"part": n, "code": f.code, "message": f.sentence} for n, f in faults]
    warned = [{"code": w.code, "message": w.sentence} for w in warnings]
    lines = [f"{name}: {fault}" for name, fault in faults] or [f"{asked.config} is fine"]
    lines += [f"warning: {warning}" for warning in warnings]
    lines += [f"table of issuers {table}: the same on each truck of the programme"] if table else []
    show(
        asked,
        {"fine": not faults, "faults": shown, "warnings": warned, "issuers": table or None},
        lines,
    )
    return ATTENTION if faults else FINE


def _try_keys(settings: Settings) -> None:
    """The keys can be read, and those that the journal's studies were begun with are there."""
    with closing(Journal(settings.journal.path)) as journal:
        journal.keys.check(settings.keys())
        journal.keys.check_issuers(settings.issuers())


def _warnings(settings: Settings) -> list[EdgeRouterError]:
    """What the router runs with, and a programme had better not."""
    found: list[EdgeRouterError] = []
    # Set by docker-compose.yml alone: from inside a container the machine cannot be seen.
    if os.environ.get("HOST_FIREWALL", "shut") not in {"shut", "engine"}:
        found.append(
            SettingsError(
                Code.HOST_OPEN,
                "Nothing is known to keep this machine's networks, such as the scanner's, from"
                " containers' own addresses: engines before 28 do not. Run scripts/firewall --boot"
                " as root, then docker compose up -d.",
            )
        )
    if settings.deid.issuers_file is None:
        found.append(
            SettingsError(
                Code.NO_ISSUERS,
                "There is no deid.issuers_file: two patients of two hospitals with one number are"
                " one patient where their images name no issuer, and one patient of one hospital is"
                " two where it is written in two ways. One table a programme, the same on each truck.",
            )
        )
    return found


def _try_orthanc(settings: Settings, *, offline: bool) -> None:
    from router.app import orthanc_of  # noqa: PLC0415

    with closing(orthanc_of(settings, Spool(settings.journal.spool))) as orthanc:
        if offline:
            return
        orthanc.system()
        if orthanc.wait(None, 0.0) is None:
            raise OrthancError(
                Code.PLUGIN_MISSING,
                "The truck's Orthanc runs without the plugin: nothing guards its images.",
            )


def _try_destination(settings: AnySettings, *, offline: bool) -> None:
    with closing(KINDS[settings.kind].make(settings)) as destination:
        if not offline:
            destination.probe()
