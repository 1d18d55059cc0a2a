"""Scores what a de-identifier made of the corpus, by the key."""

from __future__ import annotations

import datetime as dt
import io
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pydicom
from pydicom.pixels.utils import pixel_array
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from tests.corpus import key, leaks, standard
from tests.corpus.key import Action, Check, Verdict, folded, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset, FileDataset
    from pydicom.tag import BaseTag

    from tests.corpus.maker import Made

_MOST_KEPT = 40_000
_PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


@dataclass
class Score:
    """What is counted; ``wrong`` keeps the first ones for people to look at."""

    files: int = 0
    sent: int = 0
    right: Counter[Action] = field(default_factory=Counter)
    asked: Counter[Action] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    inconsistent: list[str] = field(default_factory=list)
    falsely_held: list[str] = field(default_factory=list)
    clean: int = 0
    #: Files with planted identifiers that should have gone on, held.
    overcautious: list[str] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)
    iod_new: list[str] = field(default_factory=list)
    duplicates: int = 0

    @property
    def rate(self) -> float:
        """Right actions in percent."""
        asked = sum(self.asked.values())
        return 100 * sum(self.right.values()) / asked if asked else 0.0

    @property
    def false_held(self) -> float:
        """Clean files that were held, in percent."""
        return 100 * len(self.falsely_held) / self.clean if self.clean else 0.0

    @property
    def leaking(self) -> set[str]:
        """The files in which something leaked."""
        return {leak.split()[1] for leak in self.leaked}

    def count(self, made: Made, check: Check, *, right: bool, seen: str = "") -> None:
        self.asked[check.action] += 1
        self.right[check.action] += right
        if not right and len(self.wrong) < _MOST_KEPT:
            self.wrong.append(
                f"{check.action} {_names(check)} {made.name} {check.values[:1]} -> {seen[:60]!r}"
            )

    def lines(self) -> list[str]:
        """An action a line."""
        return [
            f"{action:17} {self.right[action]:7} of {self.asked[action]:7} right"
            f" {100 * self.right[action] / self.asked[action]:7.3f}%"
            for action in Action
            if self.asked[action]
        ]


def _names(check: Check) -> str:
    return ".".join(pydicom.datadict.keyword_for_tag(tag) or str(tag) for tag, _ in check.path)


class Scorer:
    """Takes the files one by one, in any order; ``close`` judges what holds between files."""

    def __init__(self) -> None:
        self.score = Score()
        self._uids: dict[str, set[str]] = defaultdict(set)
        self._uid_checks: list[tuple[Made, Check, tuple[str, ...]]] = []
        self._patients: dict[str, set[str]] = defaultdict(set)
        self._accessions: dict[str, set[str]] = defaultdict(set)
        self._patient_checks: list[tuple[Made, Check, str]] = []
        self._dates: list[tuple[Made, Check, list[int | None]]] = []
        self._sop_uids: Counter[str] = Counter()

    def held(self, made: Made, code: str) -> None:
        """The file stayed on the truck."""
        score = self.score
        score.files += 1
        score.held[f"{made.verdict} {code}"] += 1
        score.clean += made.clean and made.verdict is Verdict.FLOWS
        if made.verdict is Verdict.FLOWS:
            (score.falsely_held if made.clean else score.overcautious).append(
                f"{code} {made.kind} {made.name}"
            )
        elif made.verdict is Verdict.HELD and "PixelData" in made.dataset():
            hidden = Check(((Tag("PixelData"), 0),), Action.PIXELS_HIDDEN)
            score.count(made, hidden, right=True)

    def sent(self, made: Made, file: bytes) -> None:
        """The file goes on as these bytes."""
        score = self.score
        score.files += 1
        score.sent += 1
        score.clean += made.clean and made.verdict is Verdict.FLOWS
        original = made.dataset()
        copy = pydicom.dcmread(io.BytesIO(file))
        self._sop_uids[str(copy.get("SOPInstanceUID"))] += 1
        traces = key.Traces(made.traces)
        for check in made.checks:
            self._judge(made, check, original, copy, traces)
        for trace in leaks.found(file, made.traces):
            score.leaked.append(f"{made.kind} {made.name} {made.why} {trace!r}")
        self._compare(original, copy)

    def sent_beside(self, made: Made, file: bytes) -> None:
        """An object that was made of a file: a segmentation. Nothing of the file may be in it."""
        for trace in leaks.found(file, made.traces):
            self.score.leaked.append(f"made of {made.kind} {made.name} {trace!r}")

    # --- one check ----------------------------------------------------------------------------

    def _judge(
        self, made: Made, check: Check, original: FileDataset, copy: FileDataset, traces: key.Traces
    ) -> None:
        score = self.score
        if check.action is Action.PIXELS_RETAINED:
            self._judge_pixels(made, check, original, copy)
            return
        reached, element = _find(check.path, original, copy, traces)
        if not reached:
            # An item that named somebody is gone as a whole.
            if check.action in {Action.TEXT_REMOVED, Action.UID_CHANGED}:
                score.count(made, check, right=True)
            return
        values = texts(element) if element is not None else ()
        right = _RULES.get(check.action)
        if right is not None:
            seen = "\\".join(values) if element is not None else "absent"
            score.count(made, check, right=right(check, element, values, traces), seen=seen)
        elif check.action is Action.UID_CONSISTENT:
            self._uid_checks.append((made, check, values))
            if len(values) == len(check.values):
                for old, new in zip(check.values, values, strict=True):
                    self._uids[old].add(new)
        elif check.action is Action.PATID_CONSISTENT:
            self._patient_checks.append((made, check, "".join(values[:1])))
            self._patients[_patient_key(made)].update(values[:1])
        elif element is None and check.path[-1][0] not in standard.TABLE:
            score.count(made, check, right=True)  # a date that the table does not name
        else:
            self._dates.append((made, check, _days(check.values, values)))

    def _judge_pixels(
        self, made: Made, check: Check, original: FileDataset, copy: FileDataset
    ) -> None:
        same = _same_pixels(original, copy)
        if made.verdict is Verdict.HELD:
            hidden = Check(check.path, Action.PIXELS_HIDDEN)
            self.score.count(made, hidden, right=not same, seen="sent as it was")
            if same:
                self.score.leaked.append(f"{made.kind} {made.name} pixels: {made.why}")
        elif made.why != "identifier in TrailingPixels":
            self.score.count(made, check, right=same, seen="other pixels")

    def _compare(self, original: FileDataset, copy: FileDataset) -> None:
        old, new = str(original.get("AccessionNumber", "")), str(copy.get("AccessionNumber", ""))
        if old and new:
            self._accessions[old].add(new)

    # --- between files ------------------------------------------------------------------------

    def close(self) -> Score:
        """Judges UIDs, patients and dates over all files."""
        score = self.score
        shared = _shared(self._uids)
        for made, check, values in self._uid_checks:
            right = len(values) == len(check.values) and all(
                len(self._uids[old]) == 1 and old not in shared for old in check.values
            )
            score.count(made, check, right=right, seen="\\".join(values))
        for made, check, value in self._patient_checks:
            right = bool(value) and len(self._patients[_patient_key(made)]) == 1
            score.count(made, check, right=right, seen=value)
        for kind, mapped in (
            ("UID", self._uids), ("patient", self._patients), ("accession", self._accessions),
        ):  # fmt: skip
            score.inconsistent += [
                f"{kind} {old}: {new}" for old, new in mapped.items() if len(new) > 1
            ]
            score.inconsistent += [f"{kind} {old}: shared" for old in _shared(mapped)]
        self._judge_dates()
        score.duplicates = sum(count - 1 for count in self._sop_uids.values())
        return score

    def _judge_dates(self) -> None:
        shifts: dict[str, Counter[int]] = defaultdict(Counter)
        for made, _, days in self._dates:
            shifts[_patient_key(made)].update(day for day in days if day)
        agreed = {who: counted.most_common(1)[0][0] for who, counted in shifts.items() if counted}
        for made, check, days in self._dates:
            shift = agreed.get(_patient_key(made))
            right = shift is not None and shift % 7 == 0 and all(day == shift for day in days)
            self.score.count(made, check, right=right, seen=f"{days} of {shift} days")
        for who, counted in shifts.items():
            if len(counted) > 1:
                self.score.inconsistent.append(f"date shift of {who}: {dict(counted)}")


def _same_pixels(original: FileDataset, copy: FileDataset) -> bool:
    """By their bytes; where the copy was compressed without loss, by what they decode to."""
    if "PixelData" not in copy:
        return False
    came, sent = (d.file_meta.TransferSyntaxUID for d in (original, copy))
    if came != sent and came in _PLAIN and sent == JPEGLSLossless:
        first, second = (pixel_array(d, raw=True) for d in (original, copy))
        return bool(first.dtype == second.dtype and np.array_equal(first, second))
    return bool(original.PixelData == copy.PixelData)


def _patient_key(made: Made) -> str:
    return f"{made.person.issuer}|{made.person.patient_id}"


def _shared(mapped: Mapping[str, set[str]]) -> set[str]:
    """Originals whose new value another original has too."""
    owners: dict[str, set[str]] = defaultdict(set)
    for old, values in mapped.items():
        for new in values:
            owners[new].add(old)
    return {old for olds in owners.values() if len(olds) > 1 for old in olds}


def _removed(
    check: Check, element: DataElement | None, values: tuple[str, ...], traces: key.Traces
) -> bool:
    if element is None:
        return True
    if element.VR == "SQ":
        items = list(element.value)
        return not items if check.nothing else not any(traces.inside(item) for item in items)
    if check.nothing:
        return not values
    now = [folded(value) for value in values]
    return not any(
        folded(old) in new for old in check.values for new in now if folded(old)
    ) and not (any(value in traces for value in values))


def _changed(
    check: Check, element: DataElement | None, values: tuple[str, ...], traces: key.Traces
) -> bool:
    del element, traces
    return not set(values) & set(check.values)


def _full(
    check: Check, element: DataElement | None, values: tuple[str, ...], traces: key.Traces
) -> bool:
    del traces
    if element is not None and element.VR == "SQ":
        codes = {str(item.get("CodeValue")) for item in element.value}
        return bool(element.value) and codes >= set(check.values)
    return element is not None and (bool(element.value) or bool(values))


def _kept(
    check: Check, element: DataElement | None, values: tuple[str, ...], traces: key.Traces
) -> bool:
    del traces
    return element is not None and (
        check.action is Action.TAG_RETAINED or _same(values, check.values)
    )


#: What can be judged of one attribute alone.
_RULES: Mapping[
    Action, Callable[[Check, DataElement | None, tuple[str, ...], key.Traces], bool]
] = {
    Action.TEXT_REMOVED: _removed,
    Action.TEXT_NOTNULL: _full,
    Action.TEXT_RETAINED: _kept,
    Action.TAG_RETAINED: _kept,
    Action.UID_CHANGED: _changed,
}


def _same(values: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    if values == wanted:
        return True
    try:  # 1.50 and 1.5 are one number
        return [float(v) for v in values] == [float(w) for w in wanted]
    except ValueError:
        return False


def _days(before: tuple[str, ...], after: tuple[str, ...]) -> list[int | None]:
    """By how many days each value moved; ``None``: it is no date any more, or its time changed."""
    if len(before) != len(after):
        return [None]
    moved: list[int | None] = []
    for old, new in zip(before, after, strict=True):
        try:
            first = dt.datetime.strptime(old[:8], "%Y%m%d").replace(tzinfo=dt.UTC)
            second = dt.datetime.strptime(new[:8], "%Y%m%d").replace(tzinfo=dt.UTC)
        except ValueError:
            moved.append(None)
            continue
        moved.append((second - first).days if old[8:] == new[8:] else None)
    return moved


@dataclass(frozen=True)
class Place:
    """The same data set in the original and in the copy."""

    original: Dataset
    copy: Dataset


def place(path: key.Path, original: Dataset, copy: Dataset, traces: key.Traces) -> Place | None:
    """Where the last part of a path lies; ``None``: the copy has no such item."""
    for sequence, index in path[:-1]:
        items, there = list(original[sequence].value), _items(copy, sequence)
        twin = _twin(items, there, index, sequence, traces)
        if twin is None:
            return None
        original, copy = items[index], twin
    return Place(original, copy)


def _find(
    path: key.Path, original: Dataset, copy: Dataset, traces: key.Traces
) -> tuple[bool, DataElement | None]:
    """The copy's element at a path of the original, and whether its place was reached at all."""
    found = place(path, original, copy, traces)
    if found is not None:
        return True, found.copy.get(path[-1][0])
    # Gone with what is around it: right where that named somebody.
    return not _named_somebody(path, original, traces), None


def _named_somebody(path: key.Path, original: Dataset, traces: key.Traces) -> bool:
    for sequence, index in path[:-1]:
        item = original[sequence].value[index]
        if sequence in standard.LISTS and traces.inside(item):
            return True
        original = item
    return False


def _items(dataset: Dataset, tag: BaseTag) -> list[Dataset]:
    if tag not in dataset or dataset[tag].VR != "SQ":
        return []
    return list(dataset[tag].value or ())


def _twin(
    items: list[Dataset], there: list[Dataset], index: int, sequence: BaseTag, traces: key.Traces
) -> Dataset | None:
    """The item that item ``index`` became; items that name somebody may be missing."""
    if len(items) == len(there):
        return there[index]
    if sequence not in standard.LISTS:
        return there[index] if index < len(there) else None
    if len(there) == sum(not traces.inside(item) for item in items):
        kept = [i for i, item in enumerate(items) if not traces.inside(item)]
        return there[kept.index(index)] if index in kept else None
    wanted = _signature(items[index])
    same_before = sum(_signature(item) == wanted for item in items[:index])
    alike = [item for item in there if _signature(item) == wanted]
    return alike[same_before] if same_before < len(alike) else None


def _signature(item: Dataset) -> str:
    """What a content item is about: its relationship, value type and concept."""
    concept = item.get("ConceptNameCodeSequence") or [{}]
    return "|".join(
        str(part)
        for part in (
            item.get("RelationshipType"), item.get("ValueType"), concept[0].get("CodeValue"),
        )
    )  # fmt: skip
