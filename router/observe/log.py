"""Logs: one JSON object a line. No patient's identity, no text of a third party's exception."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import datetime, timezone

#: What a line may carry beside its message; anything else is a fault of the caller.
FIELDS = ("action", "study", "destination", "code", "attempt", "ms", "count")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, object] = {
            "ts": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        line |= {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}
        line["message"] = record.getMessage()
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
            line["where"] = _where(record)
        return json.dumps(line, ensure_ascii=False)


def _where(record: logging.LogRecord) -> list[str]:
    """File and line of each frame: enough to find the fault, without the exception's text."""
    trace = record.exc_info[2] if record.exc_info else None
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return frames


def set_up(level: str = "INFO", program: str = "router") -> None:
    """Sends the log of a program (its root package) to stderr, and keeps the libraries quiet."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(program).setLevel(level)
    # They quote values of the files they read, and addresses of the requests they make.
    for name in ("pydicom", "pynetdicom", "httpx", "httpcore", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
