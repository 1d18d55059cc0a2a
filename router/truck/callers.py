"""Who called at the scanner's door: read from the file that the door keeps.

The door is another program, and what it writes down was said by whoever called: it is read within
bounds, and what is not as it should be is left out.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 1 << 20
_MOST = 256
_LONGEST = 64


@dataclass(frozen=True)
class Caller:
    """An AE title at an address, and what became of its calls. Times: seconds of Unix time."""

    calling: str
    called: str
    address: str
    first_at: float
    last_at: float
    accepted: int
    refused: int
    reason: str  #: why its last call was refused; empty: it was accepted


def read(path: Path) -> list[Caller]:
    """The callers of the door's file; none where there is no file, or it is not the door's."""
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(_LARGEST))["callers"][:_MOST]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return [caller for one in said if (caller := _caller(one)) is not None]


def _caller(said: object) -> Caller | None:
    try:
        caller = Caller(**said)  # type: ignore[arg-type]
        texts = (caller.calling, caller.called, caller.address, caller.reason)
        if not all(len(text) <= _LONGEST and (text.isprintable()) for text in texts):
            return None
        numbers = (float(caller.first_at), float(caller.last_at))
        if not all(map(math.isfinite, numbers)):
            return None
        counts = (int(caller.accepted), int(caller.refused))
    except (TypeError, ValueError, AttributeError, OverflowError):
        return None
    return Caller(caller.calling, caller.called, caller.address, *numbers, *counts, caller.reason)
