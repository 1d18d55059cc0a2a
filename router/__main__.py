"""The command ``edge-router``. Exit codes: 0 fine, 1 something needs attention, 2 wrong usage."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from router import __version__
from router.commands import TOPICS
from router.commands.terminal import ATTENTION
from router.config.settings import DEFAULT_PATH
from router.records.errors import EdgeRouterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.commands.terminal import Command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    asked = _parser().parse_args(arguments)
    command: Command = asked.command
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

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument(
            "--config", type=Path, default=DEFAULT_PATH, help="settings (default: %(default)s)"
        )
        sub.add_argument("--json", action="store_true", help="print JSON")
        sub.set_defaults(command=command, action=name)
        return sub

    for register in TOPICS:
        register(add)
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        sys.exit(ATTENTION)
