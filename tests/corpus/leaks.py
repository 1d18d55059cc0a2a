"""Looks for planted values in all bytes of what would be sent, in every way they can be written."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pydicom
from pydicom import config

from tests.corpus.key import folded, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydicom.dataset import Dataset

_CODECS = (
    "utf-8", "latin-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso2022_jp", "shift_jis", "euc_jp",
    "euc_kr", "gb18030", "utf-16-le", "utf-16-be",
)  # fmt: skip
#: Shorter values turn up in bytes by chance; they are looked for as words of text.
_SHORTEST_BYTES = 6


def found(file: bytes, traces: Iterable[str]) -> list[str]:
    """The traces that are in the file: in its bytes (pixels too), or in its text without case,
    accents and punctuation.
    """
    wanted = list(traces)
    raw = file.lower()
    flat = _text_of(file)
    words = set(flat.split("\n"))
    return [trace for trace in wanted if _in_bytes(trace, raw) or _in_text(trace, flat, words)]


def _in_bytes(trace: str, raw: bytes) -> bool:
    return any(needle in raw for needle in _written(trace))


def _written(trace: str) -> Iterator[bytes]:
    """The trace in every character set that can write it."""
    seen = set()
    for codec in _CODECS:
        try:
            needle = trace.encode(codec).lower()
        except UnicodeEncodeError:
            continue
        # An escape sequence at the end belongs to what follows.
        needle = needle.removesuffix(b"\x1b(b")
        if len(needle) >= _SHORTEST_BYTES and needle not in seen:
            seen.add(needle)
            yield needle


def _in_text(trace: str, flat: str, words: set[str]) -> bool:
    needle = folded(trace)
    if len(needle) >= _SHORTEST_BYTES or (needle and not needle.isascii() and len(needle) > 1):
        return needle in flat
    return needle in words


def _text_of(file: bytes) -> str:
    """All values as folded text, one a line: headers of both kinds, every depth."""
    dataset = pydicom.dcmread(io.BytesIO(file))
    lines = [folded(text) for text in _values(dataset)]
    lines += [folded(text) for text in _values(dataset.file_meta)]
    return "\n".join(lines)


def _values(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _values(item)
        elif element.tag.group == 0x7FE0:
            continue
        elif isinstance(element.value, bytes):
            yield element.value.decode("latin-1")
        else:
            yield from texts(element)


config.settings.reading_validation_mode = config.IGNORE
