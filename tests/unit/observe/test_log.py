"""Logs: one JSON object a line, and no text of anybody else's exception."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from door import figures
from entrance.log import JsonFormatter
from router.observe.log import _JsonLines

if TYPE_CHECKING:
    import pytest


def _line(**more: object) -> dict[str, object]:
    record = logging.LogRecord("router.x", logging.INFO, "f.py", 1, "study %s", ("moved",), None)
    record.__dict__.update(more)
    parsed: dict[str, object] = json.loads(_JsonLines().format(record))
    return parsed


def test_a_line_has_its_time_level_message_and_the_known_fields() -> None:
    line = _line(action="move", study="abc", code="LINK_DOWN", other="dropped")
    assert line["message"] == "study moved"
    assert line["level"] == "info"
    assert (line["action"], line["study"], line["code"]) == ("move", "abc", "LINK_DOWN")
    assert "other" not in line
    assert str(line["ts"]).endswith("+00:00")


def test_an_exception_is_told_by_type_and_place_and_never_by_its_text() -> None:
    try:
        raise ValueError("Doe^Jane")
    except ValueError as error:
        line = _line(exc_info=(ValueError, error, error.__traceback__))
    assert line["exception"] == "ValueError"
    assert line["where"]
    assert "Doe" not in json.dumps(line)


def test_every_program_of_ours_writes_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("any", logging.WARNING, "f.py", 1, "study %s", ("moved",), None)
    record.action = "move"
    figures.log("warning", "move", "study moved")
    lines = [
        json.loads(text)
        for text in (
            _JsonLines().format(record),
            JsonFormatter().format(record),
            capsys.readouterr().err,
        )
    ]
    for line in lines:
        moment = datetime.fromisoformat(line.pop("ts"))
        assert moment.utcoffset() == timedelta(0)
        assert line == {"level": "warning", "action": "move", "message": "study moved"}
