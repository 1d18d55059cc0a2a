"""Log lines as JSON: fixed words, accounts that exist, counts. No password, no header of an image."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_FIELDS = ("action", "account", "address", "truck", "count", "code", "reason", "status")


class JsonFormatter(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "ts": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        line["message"] = record.getMessage()
        if record.exc_info and record.exc_info[0]:
            # Its text may quote what it stumbled over.
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line)


def start() -> None:
    """Sends all log lines of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
