"""The command ``edge-router``. Exit codes: 0 fine, 1 something needs attention, 2 wrong usage."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import closing
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from router import __version__, decisions, log, status
from router.audit import Audit
from router.decisions import RELEASE_POLICIES, Reason
from router.deid.clearance import POLICIES
from router.destinations import KINDS
from router.errors import Code, EdgeRouterError, JournalError, OrthancError, SettingsError
from router.intake import Intake
from router.journal import Journal
from router.metrics import Metrics
from router.settings import DEFAULT_PATH, Settings
from router.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.destinations.stow import StowSettings

FINE, ATTENTION = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = asked.command
    try:
        return command(asked)
    except EdgeRouterError as error:
        if asked.json:
            print(json.dumps({"error": error.code, "message": error.sentence}))
        else:
            print(f"edge-router: {error}", file=sys.stderr)
        return ATTENTION


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-router",
        description="From the truck's Orthanc to the cloud PACS: exactly once, without identity.",
        epilog="Exit codes: 0 fine, 1 something needs attention, 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument(
            "--config", type=Path, default=DEFAULT_PATH, help="settings (default: %(default)s)"
        )
        sub.add_argument("--json", action="store_true", help="print JSON")
        sub.set_defaults(command=command, action=name)
        return sub

    add("run", _run, "run the router until it is told to stop")
    add("status", _status, "the way of each study, and whether the truck may drive on")
    add("held", _held, "what is held: why, since when, what to do")
    sub = add("receipts", _receipts, "what is proven of each instance of a study")
    sub.add_argument("study", help="a study, as status names it")
    sub = add("release", _release, "send held instances back to the start, under a policy")
    sub.add_argument("name", help="an instance, or a study for all that is held of it")
    policies = "; ".join(f"{name}: {POLICIES[name].meaning}" for name in RELEASE_POLICIES)
    sub.add_argument("--policy", required=True, choices=RELEASE_POLICIES, help=policies)
    _add_reason(sub)
    sub = add("discard", _discard, "give held instances up for good; they will never be sent")
    sub.add_argument("name", help="an instance, or a study for all that is held of it")
    _add_reason(sub)
    add("reconcile", _reconcile, "compare all images of the truck's Orthanc with the journal, now")
    sub = add(
        "check-config", _check_config,
        "read settings, keys and secrets, try each connection, and say all that is wrong",
    )  # fmt: skip
    sub.add_argument("--offline", action="store_true", help="try no connection")
    return parser


def _add_reason(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--reason", required=True, help="why; goes into the audit file")
    sub.add_argument("--by", default=_user(), help="who decides (default: %(default)s)")


def _run(asked: argparse.Namespace) -> int:
    from router.app import App  # the other commands need none of its threads  # noqa: PLC0415

    log.set_up()
    App(Settings.load(asked.config)).run()
    return FINE


def _journal(asked: argparse.Namespace) -> closing[Journal]:
    settings = Settings.load(asked.config)
    _note(settings, asked)
    return closing(Journal(settings.journal.path))


def _note(settings: Settings, asked: argparse.Namespace) -> None:
    """A line in the audit file for a look that changes nothing; it is not refused for the line."""
    try:
        Audit(settings.journal.audit).record(time.time(), {"action": asked.action, "by": _user()})
    except JournalError as error:
        print(f"edge-router: {error}", file=sys.stderr)


def _status(asked: argparse.Namespace) -> int:
    with _journal(asked) as journal:
        overview = status.overview(journal)
    lines = [
        f"{s['study']}  {s['state']:<10}  {s['images']} images, {s['captures']} captures: {s['way']}"
        + ("  (arriving)" if s["arriving"] else "")
        + (f"  (waits: {s['waits_for']})" if s["waits_for"] else "")
        for s in overview["studies"]
    ]
    _print(asked, overview, [*lines, overview["summary"]])
    return FINE if overview["safe"] else ATTENTION


def _held(asked: argparse.Namespace) -> int:
    with _journal(asked) as journal:
        rows = status.held_rows(journal)
    lines = []
    for row in rows:
        lines += [
            f"{row['instance']}  study {row['study']}  held since {_moment(row['since'])}",
            f"  {row['code']}: {row['why']} ({row['detail']})",
            f"  To do: {row['do']}",
        ]
    _print(asked, {"held": rows}, lines or ["nothing is held"])
    return ATTENTION if rows else FINE


def _receipts(asked: argparse.Namespace) -> int:
    with _journal(asked) as journal:
        study = decisions.find_study(journal, asked.study)
        rows = status.receipt_rows(journal, study)
    lines = [
        f"{row['instance']}  {row['role']:<7}  {row['destination']}  "
        f"sent {_moment(row['sent_at'])}  verified {_moment(row['verified_at'])}"
        f" {row['verified_by'] or '-'}  sha256 {row['digest']}"
        for row in rows
    ]
    _print(asked, {"study": study.alias, "receipts": rows}, lines or ["nothing was sent yet"])
    return FINE if all(row["verified_at"] for row in rows) else ATTENTION


def _release(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    with closing(Journal(settings.journal.path)) as journal:
        released = decisions.release(
            journal, Audit(settings.journal.audit), asked.name, asked.policy,
            Reason(asked.by, asked.reason), time.time(),
        )  # fmt: skip
    return _done(asked, "released", released)


def _discard(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    with closing(Journal(settings.journal.path)) as journal:
        discarded = decisions.discard(
            journal, Audit(settings.journal.audit), asked.name,
            Reason(asked.by, asked.reason), time.time(),
        )  # fmt: skip
    return _done(asked, "discarded", discarded)


def _done(asked: argparse.Namespace, what: str, instances: list[str]) -> int:
    _print(asked, {what: instances}, [f"{what} {instance}" for instance in instances])
    return FINE


def _reconcile(asked: argparse.Namespace) -> int:
    """What the running router does on its timer; both may do it at once."""
    from router.app import orthanc_of  # noqa: PLC0415

    settings = Settings.load(asked.config)
    now = time.time()
    Audit(settings.journal.audit).record(now, {"action": "reconcile", "by": _user()})
    with (
        closing(Journal(settings.journal.path)) as journal,
        closing(orthanc_of(settings, Spool(settings.journal.spool))) as orthanc,
    ):
        metrics = Metrics(CollectorRegistry())
        found = Intake(orthanc, journal, settings.keys()[0], metrics, time.time).reconcile()
    _print(asked, {"found": found}, [f"{found} images that the journal did not know"])
    return FINE


def _user() -> str:
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or "operator"


def _check_config(asked: argparse.Namespace) -> int:
    """Reads everything that ``run`` would read, tries what it would try; every fault at once."""
    faults: list[tuple[str, EdgeRouterError]] = []
    checks: list[tuple[str, Callable[[], object]]] = []
    try:
        settings = Settings.load(asked.config)
    except EdgeRouterError as error:
        faults.append(("settings", error))
    else:
        _note(settings, asked)
        checks += [
            ("keys", partial(_try_keys, settings)),
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
    shown = [{"part": n, "code": f.code, "message": f.sentence} for n, f in faults]
    lines = [f"{name}: {fault}" for name, fault in faults] or [f"{asked.config} is fine"]
    _print(asked, {"fine": not faults, "faults": shown}, lines)
    return ATTENTION if faults else FINE


def _try_keys(settings: Settings) -> None:
    """The keys can be read, and those that the journal's studies were begun with are there."""
    known = {key.id for key in settings.keys()}  # noqa: SIM118  (a method, no dictionary)
    with closing(Journal(settings.journal.path)) as journal:
        missing = {study.key_id for study in journal.studies()} - known
    if missing:
        raise SettingsError(
            Code.KEY_UNKNOWN,
            f"Studies in the journal need the keys {sorted(missing)}: add their files.",
        )


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


def _try_destination(settings: StowSettings, *, offline: bool) -> None:
    with closing(KINDS[settings.kind].make(settings)) as destination:
        if not offline:
            destination.probe()


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def _print(asked: argparse.Namespace, value: dict[str, Any], lines: Sequence[str]) -> None:
    print(json.dumps(value, indent=2) if asked.json else "\n".join(lines))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        sys.exit(ATTENTION)
