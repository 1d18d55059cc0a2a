"""Remote write 1.0 as Prometheus takes it: a WriteRequest in protobuf, compressed by Snappy.

The message has three fixed shapes, and a fleet's month is hundreds of millions of samples: they are
laid out by numpy, 18 bytes a sample, instead of one object each.

    WriteRequest {repeated TimeSeries timeseries = 1}
    TimeSeries   {repeated Label labels = 1; repeated Sample samples = 2}
    Label        {string name = 1; string value = 2}
    Sample       {double value = 1; int64 timestamp = 2}    milliseconds since 1970-01-01
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cramjam
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import requests
    from numpy.typing import NDArray

#: Varints of these instants are six bytes long: 2004 to 2109.
_FIRST_MS, _LAST_MS = 1 << 35, 1 << 42
_SAMPLE_BYTES = 18
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def labels(values: Mapping[str, str]) -> bytes:
    """The labels of a series, the name among them, in the order that Prometheus wants."""
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for name, value in sorted(values.items())
    )


def stamps(times_ms: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Samples without their values: a template of (samples, 18) bytes that many series share."""
    assert _FIRST_MS <= times_ms.min() <= times_ms.max() < _LAST_MS
    frame = np.empty((len(times_ms), _SAMPLE_BYTES), np.uint8)
    frame[:, 0], frame[:, 1] = 2 << 3 | 2, _SAMPLE_BYTES - 2
    frame[:, 2], frame[:, 11] = 1 << 3 | 1, 2 << 3
    for place in range(6):
        more = 0x80 if place < 5 else 0
        frame[:, 12 + place] = times_ms >> 7 * place & 0x7F | more
    return frame


def series(name_and_labels: bytes, frame: NDArray[np.uint8], values: NDArray[np.float64]) -> bytes:
    """One TimeSeries; ``values`` (samples,) belong to the template's instants."""
    filled = frame.copy()
    filled[:, 3:11] = values.astype("<f8").view(np.uint8).reshape(len(values), 8)
    return _field(1, name_and_labels + filled.tobytes())


def body(many: Iterable[bytes]) -> bytes:
    """A request's body."""
    return bytes(cramjam.snappy.compress_raw(b"".join(many)))


def send(session: requests.Session, url: str, many: Iterable[bytes]) -> None:
    """Posts one request to …/api/v1/write. Raises HTTPError where it is refused."""
    answer = session.post(url, data=body(many), headers=HEADERS, timeout=300)
    answer.raise_for_status()
