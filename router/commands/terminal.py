"""What the commands share: how they read the settings, note themselves, and print."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeAlias

from router.config.settings import Settings
from router.journal import Journal
from router.observe.audit import Audit
from router.records.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Exit codes; argparse ends with 2 for wrong usage.
FINE, ATTENTION = 0, 1

Command: TypeAlias = Callable[[argparse.Namespace], int]
#: Adds a command: its name, what it does, and a sentence. Returns its parser, for its arguments.
Add: TypeAlias = Callable[[str, Command, str], argparse.ArgumentParser]


def open_journal(asked: argparse.Namespace) -> closing[Journal]:
    """The journal of the settings, for a command. Raises SettingsError, JournalError."""
    settings = Settings.load(asked.config)
    note(settings, asked)
    return closing(Journal(settings.journal.path))


def note(settings: Settings, asked: argparse.Namespace) -> None:
    """A line in the audit file for a look that changes nothing; it is not refused for the line."""
    try:
        Audit(settings.journal.audit).record(time.time(), {"action": asked.action, "by": user()})
    except JournalError as error:
        print(f"edge-router: {error}", file=sys.stderr)


def add_reason(sub: argparse.ArgumentParser) -> None:
    """Adds the options that a decision needs: why, and by whom."""
    sub.add_argument("--reason", required=True, help="why; goes into the audit file")
    sub.add_argument("--by", default=user(), help="who decides (default: %(default)s)")


def user() -> str:
    """The name of who decides, where nobody says it."""
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or "operator"


def moment(seconds: float | None) -> str:
    """A time (UTC seconds since 1970) as people read it."""
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def show(asked: argparse.Namespace, value: dict[str, Any], lines: Sequence[str]) -> None:
    """Prints the value as JSON where it was asked for, else the lines."""
    print(json.dumps(value, indent=2) if asked.json else "\n".join(lines))
