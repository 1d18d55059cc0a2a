"""How long a server wants to be left alone (Retry-After, RFC 9110, 10.2.3)."""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds from the answer on, never negative; ``None``: it does not say, or nothing readable.

    A date counts from the answer's own Date: the server's clock may be wrong, and ours. ``now`` (UTC,
    in seconds since 1970) stands for a Date that is missing.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        seconds = float(value)
        return seconds if math.isfinite(seconds) else None
    until = date_s(value)
    if until is None:
        return None
    there = date_s(headers.get("Date", ""))
    return max(0.0, until - (now if there is None else there))


def date_s(value: str) -> float | None:
    """An HTTP date (RFC 9110, 5.6.7) in seconds since 1970; ``None``: it is none."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
