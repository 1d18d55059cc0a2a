"""The audit file: what operators decided, one JSON object a line, only ever appended to."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from router.records.errors import Code, JournalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Audit:
    """Written before a decision takes effect: what cannot be recorded is not done."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, now: float, entry: Mapping[str, object]) -> None:
        """Appends a line and flushes it to disk. Raises JournalError (AUDIT_UNWRITABLE)."""
        moment = datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds")
        line = json.dumps({"ts": moment, **entry}, ensure_ascii=False) + "\n"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise JournalError(
                Code.AUDIT_UNWRITABLE, f"{self._path} cannot be written ({error.strerror})."
            ) from None
