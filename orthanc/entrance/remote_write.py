"""Remote write 1.0, read in bounds: which samples of a truck go on to Prometheus.

    WriteRequest {repeated TimeSeries timeseries = 1}
    TimeSeries   {repeated Label labels = 1; repeated Sample samples = 2}
    Label        {string name = 1; string value = 2}
    Sample       {double value = 1; int64 timestamp = 2}    milliseconds since 1970-01-01

One sample from the future makes Prometheus refuse all later ones as too old, of every truck that
writes into the same block. So what is more than ten minutes ahead is left out here, and told.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cramjam

if TYPE_CHECKING:
    from entrance.series import SeriesBound

#: vmagent sends at most 8 MiB, unpacked.
LARGEST_BODY = 4 * 1024 * 1024
LARGEST_UNPACKED = 9 * 1024 * 1024
FUTURE_S = 600.0
_MOST_LABELS = 64
_LONGEST_LABEL = 2048
_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_METRIC = b"__name__"
#: What the fleet itself says: its alerts, and what the cloud's own services measure. What a rule
#: has recorded has a colon in its name.
_NOT_OF_A_TRUCK = re.compile(
    rb"ALERTS(_FOR_STATE)?|(edge_entrance|fleet_qc|prometheus|alertmanager)_.*"
)
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


class BadWriteError(ValueError):
    """The body is no WriteRequest, or too large a one. Answered with 400."""


@dataclass
class Sieved:
    """A body without what was refused."""

    body: bytes
    passed: int = 0
    #: Samples by the reason for which they were left out: future, label, name, form, series.
    refused: Counter[str] = field(default_factory=Counter)
    #: How far ahead the furthest was.
    ahead_s: float = 0.0


def sieve(body: bytes, truck: str, now: float, bound: SeriesBound) -> Sieved:
    """The samples that a truck may write, under its own label. Raises BadWriteError."""
    found = Sieved(b"")
    series = []
    for number, content in _fields(_unpacked(body)):
        if number == 1:
            kept = _series(content, truck, now, found, bound)
            if kept:
                series.append(_field(1, kept))
    if series:
        found.body = bytes(cramjam.snappy.compress_raw(b"".join(series)))
    return found


def _unpacked(body: bytes) -> memoryview:
    try:
        length, _ = _varint(memoryview(body), 0)
        if length > LARGEST_UNPACKED:
            raise BadWriteError
        return memoryview(bytes(cramjam.snappy.decompress_raw(body)))
    except (cramjam.DecompressionError, IndexError):
        raise BadWriteError from None


def _series(
    content: memoryview, truck: str, now: float, found: Sieved, bound: SeriesBound
) -> bytes:
    """One TimeSeries without what is refused; empty: nothing is left."""
    labels: dict[bytes, bytes] = {}
    samples = []
    sound = True
    for number, part in _fields(content):
        if number == 1:
            name, value = _label(part)
            sound = sound and name not in labels and len(labels) < _MOST_LABELS
            labels[name] = value
        elif number == 2:  # noqa: PLR2004  (the message's)
            samples.append(part)
        else:
            # Exemplars and histograms have times of their own; no truck sends any.
            sound = False
    reason = _reason(labels, truck.encode()) if sound else "form"
    if reason:
        found.refused[reason] += max(1, len(samples))
        return b""
    latest_ms = (now + FUTURE_S) * 1000
    passed = []
    for sample in samples:
        at_ms = _timestamp(sample)
        if at_ms > latest_ms:
            found.refused["future"] += 1
            found.ahead_s = max(found.ahead_s, at_ms / 1000 - now)
        else:
            passed.append(sample)
    if not passed:
        return b""
    labels[b"truck"] = truck.encode()
    head = b"".join(
        _field(1, _field(1, name) + _field(2, value)) for name, value in sorted(labels.items())
    )
    if not bound.admits(truck, head, now):
        found.refused["series"] += len(passed)
        return b""
    found.passed += len(passed)
    return head + b"".join(_field(2, bytes(sample)) for sample in passed)


def _reason(labels: dict[bytes, bytes], truck: bytes) -> str:
    name = labels.get(_METRIC, b"")
    if b":" in name or not _NAME.fullmatch(name) or _NOT_OF_A_TRUCK.fullmatch(name):
        return "name"
    if labels.get(b"truck", truck) != truck:
        return "label"
    for label, value in labels.items():
        if not _NAME.fullmatch(label) or len(label) + len(value) > _LONGEST_LABEL:
            return "form"
        try:
            value.decode()
        except UnicodeDecodeError:
            return "form"
    return ""


def _label(content: memoryview) -> tuple[bytes, bytes]:
    values = {1: b"", 2: b""}
    for number, part in _fields(content):
        if number not in values or values[number]:
            raise BadWriteError
        values[number] = bytes(part)
    return values[1], values[2]


def _timestamp(content: memoryview) -> int:
    """Of a sample, whose two fields stand once each, in milliseconds."""
    at, end, stamp, seen = 0, len(content), 0, set()
    while at < end:
        key, at = _varint(content, at)
        if key in seen:
            raise BadWriteError
        seen.add(key)
        if key == 1 << 3 | _EIGHT_BYTES:
            at += 8
        elif key == 2 << 3 | _VARINT:
            stamp, at = _varint(content, at)
        else:
            raise BadWriteError
    if at != end:
        raise BadWriteError
    # int64 in two's complement.
    return stamp - (1 << 64) if stamp >= 1 << 63 else stamp


def _fields(content: memoryview) -> list[tuple[int, memoryview]]:
    """The fields of a message, all of which have a length here."""
    found = []
    at, end = 0, len(content)
    while at < end:
        key, at = _varint(content, at)
        if key & 7 != _LENGTH:
            raise BadWriteError
        length, at = _varint(content, at)
        if at + length > end:
            raise BadWriteError
        found.append((key >> 3, content[at : at + length]))
        at += length
    return found


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """A number of up to 64 bits, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(content) or shift > 63:  # noqa: PLR2004
            raise BadWriteError
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004
            return value & (1 << 64) - 1, at
        shift += 7


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:  # noqa: PLR2004
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | _LENGTH) + _number(len(content)) + content
