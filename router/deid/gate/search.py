"""Looks for an original's values in what leaves the truck: as bytes, and as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from router.deid.gate.writings import compact, folded, spellings
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from router.deid.gate.traces import Traces

#: From this length on a value is searched as bytes; shorter ones only as words of text, because
#: they turn up in numbers and codes by chance.
LONG, LONG_NUMBER = 6, 8
_UID_SHAPED = re.compile(rb"[0-9]+(?:\.[0-9]+){3,}")
_FEWEST_DOTS = 3
#: VRs in which people write.
_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_LONG_TEXT = frozenset({"LO", "LT", "ST", "UC", "UT"})
_NUMBERS = frozenset({"AS", "DS", "IS"})


def search_bytes(outside_pixels: bytes, traces: Traces) -> None:
    """Raises Hold (GATE_IDENTIFIER, GATE_FOREIGN_UID) where a long value stands in the bytes."""
    lowered = outside_pixels.lower()
    if any(_stands(value, lowered) for value in traces.long):
        raise Hold(Code.GATE_IDENTIFIER, "an identifying value was found in the bytes of the copy")
    if _holds_uid(outside_pixels, traces.uids):
        raise Hold(Code.GATE_FOREIGN_UID, "an original UID was found in the bytes of the copy")


class TextSearch:
    """Looks for the values in decoded text, without case and accents."""

    def __init__(self, traces: Traces) -> None:
        self._short = traces.short
        self._short_numbers = traces.short_numbers
        self._dates = traces.dates
        self._years = {date[:4] for date in traces.dates if date[4:5] == "-"}
        self._foreign = {folded(_decoded(value)) for value in traces.long if not value.isascii()}
        self._foreign.discard("")
        #: What is found as the whole of a text of whatever VR.
        self._exact = {_decoded(value) for value in traces.long if value.isdigit()}
        #: Long numbers and words without what stands between their parts.
        joined = (compact(_decoded(value)) for value in traces.long)
        self._compact = {v for v in joined if len(v) >= (LONG_NUMBER if v.isdigit() else LONG)}

    def finds(self, vr: str, text: str) -> bool:
        """Whether a value stands in the text of an element of this VR."""
        plain = folded(text)
        if plain in self._exact or any(value in plain for value in self._foreign):
            return True
        if vr in _TEXT:
            words = set()
            for written in {plain} | spellings(text):
                # 12 34 56-78
                if not text.isalnum() or not text.isascii():
                    together = compact(written)
                    if any(value in together for value in self._compact):
                        return True
                words |= {written, *re.split(r"[\W_]+", written)}
            if self._dated(plain):
                return True
        elif vr in _NUMBERS and not plain.isdigit():
            words = {plain}  # numbers stand in IS and DS by chance
        else:
            return vr in _NUMBERS and plain in self._dates
        return not words.isdisjoint(self._short) or (
            vr in _LONG_TEXT and text in self._short_numbers
        )

    def _dated(self, plain: str) -> bool:
        return any(year in plain for year in self._years) and any(
            date in plain or date in compact(plain) for date in self._dates
        )


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return ""  # the value in another encoding; its text is searched in UTF-8


def _holds_uid(outside_pixels: bytes, uids: frozenset[str]) -> bool:
    """Whether one of the UIDs stands in the bytes, alone or with more components behind it."""
    for match in _UID_SHAPED.finditer(outside_pixels):
        token = match.group().decode()
        # Its last digit can be the group of the element behind it: (0032,…) begins with b"2\0".
        if outside_pixels[match.end() : match.end() + 1] == b"\0" and token[:-1] in uids:
            return True
        while token.count(".") >= _FEWEST_DOTS:
            if token in uids:
                return True
            token = token.rpartition(".")[0]
    return False


def _stands(value: bytes, lowered: bytes) -> bool:
    """Whether the value stands in the bytes, which are in lower case."""
    small = value.lower()
    if len(value) < LONG or small not in lowered:
        return False
    if not value.isdigit():
        return True
    # A number counts only where it stands alone: "12345678" in "0.12345678" is a pixel spacing.
    # A digit and a zero byte behind it are the group of the next element, (0030,…) to (0039,…).
    alone = rb"(?<![0-9])(?<![0-9]\.)%s(?![0-9](?!\0))(?!\.[0-9])" % value
    return re.search(alone, lowered) is not None
