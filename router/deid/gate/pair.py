"""One attribute of the original beside the same one of the copy: what each rule of the gate judges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import keyword_for_tag
from pydicom.tag import BaseTag

from router.deid.gate.search import search_bytes
from router.dicom.element_index import known_vr
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.deid.gate.expected import Expected
    from router.deid.gate.search import TextSearch
    from router.deid.gate.traces import Traces
    from router.deid.profile import Profile
    from router.dicom.element_index import Element, Level

#: VRs whose values are no text.
BINARY = frozenset({
    "AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SQ", "SS", "SV", "UL", "UN", "US",
    "UV",
})  # fmt: skip
LATIN_1 = ("iso8859",)
#: Sequences that are longer are not compared as bytes: frames repeat what is short.
REPEATING = 4096  # bytes
_SINGLE = frozenset({"LT", "ST", "UT", "UR"})
#: What resets an ISO 2022 code extension (PS3.5, 6.1.2.5.3).
_DELIMITERS = {ord(char) for char in "\\^=\r\n\f\t"}


def shown(tag: int, depth: int) -> str:
    """An attribute in a detail: its name and depth, never its value."""
    return f"{keyword_for_tag(BaseTag(tag)) or BaseTag(tag)} at depth {depth}"


@dataclass(frozen=True)
class Context:
    """What one copy is judged by, whatever the attribute."""

    view: memoryview
    #: The original's file; ``None``: the router made the object itself.
    source: memoryview | None
    expected: Expected
    traces: Traces
    search: TextSearch
    #: The kind of the object (iod.kind_of).
    kind: str
    #: Attributes of the top level that the router wrote itself, with the one value of each.
    own: Mapping[int, str]
    #: Texts that the router writes, in whatever attribute.
    own_texts: frozenset[str]
    #: The top level of the copy that a capture was made of.
    reference: Mapping[int, bytes]

    @property
    def profile(self) -> Profile:
        """The profile of the study."""
        return self.expected.profile


class Pair(NamedTuple):
    """An attribute of the copy and what the original has in its place."""

    context: Context
    tag: int
    depth: int
    copy: Element
    #: ``None``: nothing is there, or the router made the object itself.
    original: Element | None
    #: Bytes of the copy's value; of a long sequence none.
    value: bytes
    #: Bytes of the original's value; of a long sequence none.
    was: bytes
    #: The copy's values as text; none of bytes and sequences.
    texts: list[str]
    encodings: tuple[str, ...]
    #: What lies beside it in the copy.
    level: Level

    @property
    def is_original_there(self) -> bool:
        """Whether an original is known, and has the attribute as a value."""
        return self.original is not None and self.original.items is None

    @property
    def vrs(self) -> frozenset[str]:
        """The VR of the file and that of the dictionary: senders use others."""
        return _vrs(self.copy.vr, known_vr(self.tag))

    def original_texts(self) -> list[str]:
        """The original's values, none of a sequence."""
        if not self.is_original_there:
            return []
        texts = (part.strip(" \0") for part in self.was.decode("latin-1").split("\\"))
        return [text for text in texts if text]

    def refuse(self, why: str, code: Code = Code.GATE_WRONG_ACTION) -> NoReturn:
        """Raises Hold with the name of the attribute."""
        raise Hold(code, f"{shown(self.tag, self.depth)} {why}".rstrip())

    def found(self) -> NoReturn:
        """Raises Hold: it tells of the patient."""
        self.refuse("holds an identifying value", Code.GATE_IDENTIFIER)

    def differs(self, why: str) -> NoReturn:
        """Raises Hold: it has another value. Where that tells of the patient, this is said."""
        search_bytes(self.value, self.context.traces)
        for text in self.texts:
            if self.context.search.finds(self.copy.vr, text):
                self.found()
        self.refuse(why)


@lru_cache(maxsize=1024)
def _vrs(sent: str, known: str) -> frozenset[str]:
    return frozenset({sent, known})


def bytes_of(view: memoryview, element: Element, whole: bool = False) -> bytes:  # noqa: FBT001, FBT002  (called for each element)
    """The bytes of an element's value; of a long sequence only where all of it is asked for."""
    _, _, start, end, items = element
    if items is None or whole or end - start <= REPEATING:
        return bytes(view[start:end])
    return b""


def texts_of(element: Element, value: bytes, encodings: tuple[str, ...]) -> list[str]:
    """The values of an element as text; none of bytes and sequences."""
    vr = known_vr(element.tag) if element.vr == "UN" else element.vr
    return [] if vr in BINARY else decoded(value, vr, encodings)


def decoded(value: bytes, vr: str, encodings: tuple[str, ...]) -> list[str]:
    """Bytes as the texts of a VR, without what pads them."""
    if value.isascii() and b"\x1b" not in value:
        text = value.decode("ascii")
    else:
        text = decode_bytes(value, list(encodings), _DELIMITERS)
    texts = [part.strip(" \0") for part in ([text] if vr in _SINGLE else text.split("\\"))]
    return [text for text in texts if text]


@lru_cache(maxsize=256)
def encodings_of(charset: bytes) -> tuple[str, ...]:
    """Python's names of the character sets in a Specific Character Set."""
    terms = [term.strip(" \0") for term in charset.decode("latin-1").split("\\")]
    try:
        return tuple(convert_encodings(terms)) or LATIN_1
    except (LookupError, ValueError, UserWarning):
        return LATIN_1
