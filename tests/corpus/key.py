"""The answer key: what is to become of each attribute of a file, in the ten actions of MIDI-B.

MIDI-B (arXiv 2507.23608) scores single attributes: date_shifted, text_notnull, text_removed,
text_retained, uid_changed, uid_consistent, tag_retained, patid_consistent, pixels_hidden,
pixels_retained.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from tests.corpus import standard
from tests.corpus.standard import Fate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset, FileDataset

#: Tags and item numbers from the top: ((0008,1140), 0), ((0008,1155), 0).
Path: TypeAlias = "tuple[tuple[BaseTag, int], ...]"


class Action(StrEnum):
    """As MIDI-B calls them."""

    DATE_SHIFTED = "date_shifted"
    TEXT_NOTNULL = "text_notnull"
    TEXT_REMOVED = "text_removed"
    TEXT_RETAINED = "text_retained"
    UID_CHANGED = "uid_changed"
    UID_CONSISTENT = "uid_consistent"
    TAG_RETAINED = "tag_retained"
    PATID_CONSISTENT = "patid_consistent"
    PIXELS_HIDDEN = "pixels_hidden"
    PIXELS_RETAINED = "pixels_retained"


@dataclass(frozen=True)
class Check:
    """One line of the key."""

    path: Path
    action: Action
    #: The original's values; of a kept age the one that is expected.
    values: tuple[str, ...] = ()
    #: With text_removed: the attribute may hold nothing at all.
    nothing: bool = False

    def shown(self) -> str:
        return ".".join(f"{tag}[{index}]" for tag, index in self.path)


class Verdict(StrEnum):
    """Whether a file goes on."""

    FLOWS = "flows"
    HELD = "held"
    EITHER = "either"


def folded(text: str) -> str:
    """Letters and digits only, without case and accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parts if c.isalnum())


def texts(element: DataElement) -> tuple[str, ...]:
    """The values as text, bytes as if they were Latin-1."""
    value = element.value
    if element.VR == "SQ" or value is None:
        return ()
    if isinstance(value, bytes):
        return (value.decode("latin-1").strip(" \0"),) if value else ()
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    return tuple(str(v).strip(" \0") for v in values if str(v).strip(" \0"))


class Traces:
    """Says whether a text names somebody; the longest forms of all that was planted."""

    def __init__(self, traces: Iterable[str]) -> None:
        self._folded = {folded(trace) for trace in traces if len(trace) > 1}

    def __contains__(self, text: object) -> bool:
        flat = folded(str(text))
        return any(trace in flat for trace in self._folded if trace)

    def inside(self, item: Dataset) -> bool:
        """Whether anything in an item names somebody."""
        return any(
            any(self.inside(i) for i in e.value)
            if e.VR == "SQ"
            else any(t in self for t in texts(e))
            for e in item
        )


def checks(dataset: FileDataset, kind: str, traces: Traces) -> list[Check]:
    """The key of one file, as it was read back."""
    found = list(_of_items(dataset, (), kind, traces))
    for tag, action, values in _DECLARED:
        found.append(Check(((tag, 0),), action, values))
    if "PixelData" in dataset:
        found.append(Check(((Tag("PixelData"), 0),), Action.PIXELS_RETAINED))
    return found


def _of_items(dataset: Dataset, above: Path, kind: str, traces: Traces) -> Iterator[Check]:
    for element in dataset:
        tag = element.tag
        if tag.group == 0x7FE0 and not above:
            continue
        path = (*above, (tag, 0))
        fate = standard.fate(tag, element.VR)
        if element.VR == "SQ" and fate is Fate.INSIDE:
            # Where every item names somebody, nothing may be left to keep.
            if tag not in standard.LISTS or not all(traces.inside(i) for i in element.value):
                yield Check(path, Action.TAG_RETAINED)
            for index, item in enumerate(element.value):
                yield from _of_items(item, (*above, (tag, index)), kind, traces)
            continue
        yield from _of_element(element, fate, path, standard.type_of(kind, tag, len(above)), traces)


#: What says that and how a file was de-identified; of the method codes those that must be there.
_DECLARED = (
    (Tag("PatientIdentityRemoved"), Action.TEXT_RETAINED, ("YES",)),
    (Tag("LongitudinalTemporalInformationModified"), Action.TEXT_RETAINED, ("MODIFIED",)),
    (Tag("DeidentificationMethod"), Action.TEXT_NOTNULL, ()),
    (
        Tag("DeidentificationMethodCodeSequence"),
        Action.TEXT_NOTNULL,
        tuple(sorted(standard.METHOD_CODES)),
    ),
)
#: Set by whoever de-identifies, or (the offset) cleaned as well by keeping as by removing it.
_OWN = {tag for tag, _, _ in _DECLARED} | {
    Tag("SpecificCharacterSet"),
    Tag("BurnedInAnnotation"),
    Tag("TimezoneOffsetFromUTC"),
}


def _of_element(
    element: DataElement, fate: Fate, path: Path, kind_of: int, traces: Traces
) -> Iterator[Check]:
    if element.tag in _OWN:
        return
    values = texts(element)
    if kind_of == 1:
        yield Check(path, Action.TEXT_NOTNULL)
    elif kind_of == 2:
        yield Check(path, Action.TAG_RETAINED)
    if fate in {Fate.GONE, Fate.EMPTIED, Fate.REPLACED, Fate.CHOSEN}:
        yield Check(path, Action.TEXT_REMOVED, values, nothing=fate is Fate.GONE and kind_of > 1)
        if fate is Fate.EMPTIED and kind_of != 2:
            yield Check(path, Action.TAG_RETAINED)
        elif fate is Fate.REPLACED and kind_of != 1:
            yield Check(path, Action.TEXT_NOTNULL)
    else:
        yield from _of_value(fate, path, values, traces)


def _of_value(fate: Fate, path: Path, values: tuple[str, ...], traces: Traces) -> Iterator[Check]:
    """Of what is not removed whatever it says."""
    if fate is Fate.UID:
        yield from _of_uids(path, values)
    elif fate is Fate.PATIENT_ID:
        yield Check(path, Action.PATID_CONSISTENT, values)
        yield Check(path, Action.TEXT_REMOVED, values)
    elif fate is Fate.SHIFTED:
        if values:
            yield Check(path, Action.DATE_SHIFTED, values)
    elif fate is Fate.AGED:
        old = bool(values) and values[0] > "089Y" and values[0].endswith("Y")
        yield Check(path, Action.TEXT_RETAINED, ("090Y",) if old else values)
    elif any(value in traces for value in values):
        yield Check(path, Action.TEXT_REMOVED, values)
    elif fate is not Fate.UNLISTED_TEXT:
        # Unlisted text may stay, and whoever takes it out does no harm.
        yield Check(path, Action.TEXT_RETAINED if values else Action.TAG_RETAINED, values)


def _of_uids(path: Path, values: tuple[str, ...]) -> Iterator[Check]:
    if not values:
        return
    if all(standard.of_the_standard(value) for value in values):
        # A U row asks for a new one even then; elsewhere the standard's own UIDs say what it is.
        if path[-1][0] not in standard.TABLE:
            yield Check(path, Action.TEXT_RETAINED, values)
        return
    yield Check(path, Action.UID_CHANGED, values)
    yield Check(path, Action.UID_CONSISTENT, values)
