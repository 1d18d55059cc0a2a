"""The command ``edge-router``. Exit codes: 0 fine, 1 something needs attention, 2 wrong usage."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router import __version__, log, status
from router.errors import EdgeRouterError
from router.journal import Journal
from router.settings import DEFAULT_PATH, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FINE, ATTENTION, WRONG_USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    asked = parser.parse_args(arguments)
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
    for name, command, text in (
        ("run", _run, "run the router until it is told to stop"),
        ("status", _status, "the way of each study, and whether the truck may drive on"),
        ("held", _held, "what is held: why, since when, what to do"),
        (
            "check-config",
            _check_config,
            "read the settings, keys and secrets, and say what is wrong",
        ),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument(
            "--config", type=Path, default=DEFAULT_PATH, help="settings (default: %(default)s)"
        )
        sub.add_argument("--json", action="store_true", help="print JSON")
        sub.set_defaults(command=command)
    return parser


def _run(asked: argparse.Namespace) -> int:
    from router.app import App  # the other commands need none of its parts  # noqa: PLC0415

    log.set_up()
    App(Settings.load(asked.config)).run()
    return FINE


def _journal(asked: argparse.Namespace) -> Journal:
    return Journal(Settings.load(asked.config).journal.path)


def _status(asked: argparse.Namespace) -> int:
    overview = status.overview(_journal(asked))
    lines = [
        f"{s['study']}  {s['state']:<10}  {s['images']} images, {s['captures']} captures: {s['way']}"
        + ("  (arriving)" if s["arriving"] else "")
        for s in overview["studies"]
    ]
    _print(asked, overview, [*lines, overview["summary"]])
    return FINE if overview["safe"] else ATTENTION


def _held(asked: argparse.Namespace) -> int:
    rows = status.held_rows(_journal(asked))
    lines = []
    for row in rows:
        since = datetime.fromtimestamp(row["since"], timezone.utc).isoformat(timespec="seconds")
        lines += [
            f"{row['instance']}  study {row['study']}  held since {since}",
            f"  {row['code']}: {row['why']} ({row['detail']})",
            f"  To do: {row['do']}",
        ]
    _print(asked, {"held": rows}, lines or ["nothing is held"])
    return ATTENTION if rows else FINE


def _check_config(asked: argparse.Namespace) -> int:
    """Reads everything that ``run`` would read, and reports every fault at once."""
    faults: list[EdgeRouterError] = []
    checks: list[Callable[[], object]] = []
    try:
        settings = Settings.load(asked.config)
        checks = [settings.keys, settings.orthanc_password]
        checks += [destination.password for destination in settings.destinations]
        checks.append(lambda: Journal(settings.journal.path).close())
    except EdgeRouterError as error:
        faults.append(error)
    for check in checks:
        try:
            check()
        except EdgeRouterError as error:
            faults.append(error)
    shown = [{"code": fault.code, "message": fault.sentence} for fault in faults]
    lines = [str(fault) for fault in faults] or [f"{asked.config} is fine"]
    _print(asked, {"fine": not faults, "faults": shown}, lines)
    return ATTENTION if faults else FINE


def _print(asked: argparse.Namespace, value: dict[str, Any], lines: Sequence[str]) -> None:
    print(json.dumps(value, indent=2) if asked.json else "\n".join(lines))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        sys.exit(ATTENTION)
