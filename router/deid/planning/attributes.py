"""What happens to each attribute of one data set, at every depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement

from router.deid.planning import private, rules
from router.deid.planning.actions import Action, Rule
from router.deid.planning.clean import (
    DUMMIES,
    DUMMY_BYTES,
    DUMMY_CODE,
    Cleaner,
    text_of,
    values_of,
)
from router.deid.profile import DEEPEST_NESTING
from router.deid.standard import iod, tags
from router.deid.standard.e1_1 import TABLE
from router.deid.standard.options import Option
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from router.deid.profile import Profile
    from router.deid.pseudonyms import Key

Json: TypeAlias = "str | list[Json] | dict[str, Json]"

#: VRs of bytes. A known attribute that was sent so, though the standard gives it another VR, is
#: no longer what its name says.
_BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
#: VRs that Orthanc writes from text; other values of a re-encoded attribute are not cleared.
_WRITTEN_FROM_TEXT = frozenset({
    "AE", "AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST",
    "TM", "UC", "UI", "UL", "UR", "US", "UT",
})  # fmt: skip
#: A private coding scheme's meanings are free text; these belong to the standard or its sources.
_SCHEMES = frozenset({
    "DCM", "SCT", "SRT", "SNM3", "99SDM", "LN", "UCUM", "NCIT", "RADLEX", "FMA", "I9", "I9C", "I10",
    "I10P", "ICD10", "ICDO3", "UMLS", "MDC", "BARI", "NICIP", "ACR", "RADELEMENT", "C4", "C5",
    "ISO3166_1", "ISO639_1", "ISO639_2", "RFC5646", "DCMUID",
})  # fmt: skip
_REPEATING, _SHALLOW = 4096, 16  # bytes; levels
_CODE_MEANING, _DOCUMENT = 0x00080104, 0x00420011


class Decision(NamedTuple):
    """What happens to one attribute."""

    path: str
    tag: BaseTag
    vr: str
    rule: Rule
    #: REMOVE or KEEP; everything else has come down to a new value.
    action: Action
    #: The new value; ``None``: it is removed or stays as it is.
    value: Json | None


def decisions(
    dataset: Dataset, key: Key, chosen: Profile, *, told: bool = True
) -> Iterator[Decision]:
    """Decisions of the profile for each attribute, in the order of the file.

    ``told``: also of attributes inside items that stay as they are.

    Items of a sequence that stays follow it; what goes as a whole is not gone into. The router's
    own values (``own_values``) come on top of it. Raises Hold as ``make`` does.
    """
    kind = iod.kind_of(str(dataset.get("SOPClassUID", "")))
    if kind == "image" and "SharedFunctionalGroupsSequence" in dataset:
        kind = "enhanced"
    yield from _Walk(Cleaner(dataset, key, chosen), chosen, kind, told=told).items(dataset, "", 0)


class _Walk:
    """Goes through a data set and decides for each attribute."""

    def __init__(self, cleaner: Cleaner, chosen: Profile, kind: str, *, told: bool) -> None:
        self._told = told
        self._cleaner = cleaner
        self._profile = chosen
        self._kind = kind
        #: What a sequence of these bytes comes to: the decisions that do something, from the
        #: sequence on. The frames of an enhanced image repeat most of theirs.
        self._known: dict[tuple[BaseTag, bytes], list[Decision]] = {}

    def items(self, dataset: Dataset, prefix: str, depth: int) -> Iterator[Decision]:
        """Decisions for a data set or an item, and for what lies in it."""
        if depth > DEEPEST_NESTING:
            raise Hold(Code.NESTING_TOO_DEEP, f"deeper than {DEEPEST_NESTING} levels")
        safe = private.kept(dataset, self._profile.private)
        for tag in sorted(dataset.keys()):
            decision = self._decide(dataset, tag, f"{prefix}{PATHS[tag]}", depth, safe)
            stays = decision.action is Action.KEEP and decision.value is None
            if self._told or not stays or not depth or tag.is_private:
                yield decision
            if decision.vr == "SQ" and stays:
                yield from self._sequence(dataset, tag, decision.path, depth)

    def _sequence(
        self, dataset: Dataset, tag: BaseTag, path: str, depth: int
    ) -> Iterator[Decision]:
        raw = cast("DataElement | RawDataElement", dataset.get_item(tag, keep_deferred=True))
        key = None
        if isinstance(raw, RawDataElement) and raw.value is not None and 0 < depth < _SHALLOW:
            key = (tag, raw.value)
            if key in self._known:
                for known in self._known[key]:
                    yield known._replace(path=path + known.path)
                return
        found = []
        for index, item in enumerate(dataset[tag].value or ()):
            for decision in self.items(item, f"{path}[{index}].", depth + 1):
                found.append(decision)
                yield decision
        if key is not None and len(key[1]) <= _REPEATING:
            self._known[key] = [d._replace(path=d.path.removeprefix(path)) for d in found]

    def _decide(
        self, dataset: Dataset, tag: BaseTag, path: str, depth: int, safe: frozenset[BaseTag]
    ) -> Decision:
        # Before its value is asked for: pydicom then forgets that it was sent as UN.
        sent = str(dataset.get_item(tag, keep_deferred=True).VR or "")
        vr = vr_of(dataset, tag)
        if tag in safe:
            rule = Rule(Action.KEEP, Action.KEEP, f"private, on the allow-list ({_SAFE})")
            return Decision(path, tag, vr, rule, Action.KEEP, None)
        if tag.group == tags.PIXEL_DATA.group and depth:
            rule = Rule(Action.REMOVE, Action.REMOVE, "a picture inside a sequence")
            return Decision(path, tag, vr, rule, Action.REMOVE, None)
        rule = self._rule(dataset, tag, vr)
        if rule.action is Action.KEEP:
            return self._kept(dataset, tag, path, depth, rule, sent)
        if rule.action is Action.UID:
            value = self._cleaner.uids(dataset[tag])
            if value is None and dataset[tag].value:
                return self._kept(dataset, tag, path, depth, rule, sent)
            return Decision(path, tag, vr, rule, Action.KEEP, value)
        return self._made_safe(dataset, tag, path, depth, rule, sent, vr)

    def _made_safe(
        self, dataset: Dataset, tag: BaseTag, path: str, depth: int, rule: Rule, sent: str, vr: str
    ) -> Decision:
        """An attribute that is cleaned, or else gone, emptied or a dummy."""
        action = rule.action
        value = self._cleaner.nested_pseudonym(dataset, tag, depth)
        if action not in _PLAIN:
            value = self._cleaner.cleaned(dataset[tag], action)
            # As it was, or nothing was there.
            if value == "" or (value and value == text_of(dataset[tag])):
                return self._kept(dataset, tag, path, depth, rule, sent)
            action = action if value else rule.fallback
        if value is not None:
            return Decision(path, tag, vr, rule, Action.KEEP, value)
        return self._plain(path, tag, vr, rule, action)

    def _rule(self, dataset: Dataset, tag: BaseTag, vr: str) -> Rule:
        if tag == _CODE_MEANING and self._kind in iod.REPORTS:
            scheme = str(dataset.get("CodingSchemeDesignator", "") or "")
            if scheme.strip().upper() not in _SCHEMES:
                return Rule(Action.TEXT, Action.DUMMY, f"meaning of a private code ({_CONTENT})")
        return rules.rule(self._profile, int(tag), vr, self._kind)

    @staticmethod
    def _plain(path: str, tag: BaseTag, vr: str, rule: Rule, action: Action) -> Decision:
        value: Json | None = None
        if action is Action.EMPTY:
            value = [] if vr == "SQ" else ""
        elif action is Action.DUMMY:
            value = _dummy(tag, vr)
        elif action is Action.KEEP:  # a sequence that must have its items
            return Decision(path, tag, vr, rule, Action.KEEP, None)
        return Decision(path, tag, vr, rule, Action.REMOVE, value)

    def _kept(
        self, dataset: Dataset, tag: BaseTag, path: str, depth: int, rule: Rule, sent: str
    ) -> Decision:
        """An attribute that stays; under its own VR where it was sent as UN."""
        vr = vr_of(dataset, tag)
        known = dictionary_VR(tag) if dictionary_has_tag(tag) else vr
        if sent == "UN" and vr != "UN":
            value = self._encoded(dataset, tag, path, depth)
            return Decision(path, tag, vr, rule, Action.KEEP, value)
        if sent in _BYTES - {"UN"} and (known == "SQ" or known in _WRITTEN_FROM_TEXT):
            raise Hold(Code.ENCODING_NOT_CLEARED, f"{path} is encoded as {sent}, not as {known}")
        if known == "SQ" and vr != "SQ":
            raise Hold(Code.ENCODING_NOT_CLEARED, f"sequence {path} is encoded as {vr}")
        return Decision(path, tag, vr, rule, Action.KEEP, None)

    def _encoded(self, dataset: Dataset, tag: BaseTag, path: str, depth: int) -> Json:
        """The value of an attribute for Orthanc to write anew, its items cleaned."""
        if depth > DEEPEST_NESTING:
            raise Hold(Code.NESTING_TOO_DEEP, f"deeper than {DEEPEST_NESTING} levels")
        element = dataset[tag]
        if element.VR == "SQ":
            return [self._encoded_item(item, path, depth + 1) for item in element.value or ()]
        if element.VR not in _WRITTEN_FROM_TEXT:
            raise Hold(Code.ENCODING_NOT_CLEARED, f"{path} was sent as UN and is {element.VR}")
        if self._cleaner.tells(element):
            raise Hold(Code.GATE_IDENTIFIER, f"{path} was sent as UN and names the patient")
        return "\\".join(values_of(element))

    def _encoded_item(self, item: Dataset, path: str, depth: int) -> dict[str, Json]:
        encoded: dict[str, Json] = {}
        for tag in sorted(item.keys()):
            inner = f"{path}[].{PATHS[tag]}"
            # Private attributes cannot be written anew: their VR is not known.
            decision = self._decide(item, tag, inner, depth, frozenset())
            if decision.value is not None:
                encoded[PATHS[tag]] = decision.value
            elif decision.action is Action.KEEP:
                encoded[PATHS[tag]] = self._encoded(item, tag, inner, depth)
        return encoded


class _Paths(dict["BaseTag", str]):
    """The writing of each tag in a path, made once."""

    def __missing__(self, tag: BaseTag) -> str:
        written = f"{tag.group:04x}-{tag.element:04x}"
        if len(self) < 1 << 16:
            self[tag] = written
        return written


PATHS = _Paths()
_SAFE, _CONTENT = Option.SAFE_PRIVATE.value, Option.CLEAN_STRUCTURED.value
_PLAIN = frozenset({Action.REMOVE, Action.EMPTY, Action.DUMMY})


def vr_of(dataset: Dataset, tag: BaseTag) -> str:
    """The VR of an element, without loading its value; from the dictionary where the file has none.

    A known attribute that was sent as UN has the VR of the dictionary (PS3.5, 6.2.2).
    """
    vr = dataset.get_item(tag, keep_deferred=True).VR
    if vr in {None, "UN"} and dictionary_has_tag(tag):
        vr = dictionary_VR(tag)
    return str(vr or "UN")


def _dummy(tag: BaseTag, vr: str) -> Json | None:
    """A harmless value of the attribute; ``None``: there is none of its kind, so it goes."""
    if vr == "SQ":
        row = TABLE.get(int(tag))
        return [dict(DUMMY_CODE)] if row and row.is_code else None
    if tag == _DOCUMENT:
        return DUMMIES["UT"]  # Orthanc wants a document's bytes to be one
    if dictionary_VR(tag) in _BYTES or vr in _BYTES:
        return DUMMY_BYTES
    return DUMMIES.get(dictionary_VR(tag), DUMMIES.get(vr))
