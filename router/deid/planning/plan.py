"""The plan: what Orthanc is told to do with one instance, attribute by attribute.

Orthanc's own anonymization leaves gaps (nested names, overlays, elements of VR UN) and draws new
UIDs each time. So the plan names every attribute at every depth that the profile acts on, with the
value it gets; the same instance, key and profile always give the same plan, and so the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement

from router.deid import profile, pseudonyms
from router.deid.planning.clean import (
    DUMMIES,
    DUMMY_BYTES,
    DUMMY_CODE,
    Cleaner,
    map_uid,
    text_of,
    values_of,
)
from router.deid.profile import BASIC, Action, Option, Rule
from router.deid.standard import iod, safe_private
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from router.deid.profile import Profile
    from router.deid.pseudonyms import Key

__all__ = ["DUMMIES", "Decision", "Identity", "Plan", "decisions", "identity_of", "make", "map_uid"]

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


@dataclass(frozen=True)
class Identity:
    """Who the patient is. Stays on the truck, in the journal's identity table."""

    pseudonym: str
    #: As the image names it, and as it enters the pseudonym.
    issuer: str
    issuer_used: str
    patient_id: str
    name: str
    birth_date: str
    sex: str
    accession: str
    accession_pseudonym: str


@dataclass(frozen=True)
class Plan:
    """The body for ``POST /instances/{id}/anonymize``. Keys are paths: ``0008-1140[0].0008-1155``."""

    replace: dict[str, Json] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    #: What stays of what Orthanc's own profile would act on; only at the top level it does.
    keep: list[str] = field(default_factory=list)
    #: Some private attributes stay; all others are in ``remove``.
    keep_private: bool = False

    def body(self) -> dict[str, object]:
        body: dict[str, object] = {"Force": True, "Replace": self.replace, "Remove": self.remove}
        if self.keep:
            body["Keep"] = self.keep
        if self.keep_private:
            body["KeepPrivateTags"] = True
        return body


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


def identity_of(dataset: Dataset, key: Key) -> Identity:
    """The identifying values of a data set beside their pseudonyms."""

    def text(keyword: str) -> str:
        return str(dataset.get(keyword, "") or "").strip()

    issuer, patient_id, number = (
        text("IssuerOfPatientID"),
        text("PatientID"),
        text("AccessionNumber"),
    )
    return Identity(
        pseudonym=pseudonyms.patient(key, issuer, patient_id),
        issuer=issuer,
        issuer_used=key.issuer(issuer),
        patient_id=patient_id,
        name=_readable(text("PatientName")),
        birth_date=text("PatientBirthDate"),
        sex=text("PatientSex"),
        accession=number,
        accession_pseudonym=pseudonyms.accession(key, number) if number else "",
    )


def _readable(text: str) -> str:
    """A text whose header named another character set than the UTF-8 that it is written in.

    By chance no name in another set is also UTF-8 with a letter of several bytes in it.
    """
    try:
        read = text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
    return read


def make(
    dataset: Dataset, key: Key, station: str, chosen: Profile = BASIC, *, masked: bool = False
) -> Plan:
    """The plan for one instance. ``station`` is what StationName becomes (the truck's id).

    ``dataset``: fresh from the file. Once a value of it was asked for, nobody knows any more
    whether it was sent as UN.

    ``masked``: regions of its pixels will be masked, which is declared.

    Raises Hold (NESTING_TOO_DEEP, ENCODING_NOT_CLEARED).
    """
    plan = Plan()
    keeps_private = False
    for decision in decisions(dataset, key, chosen, told=False):
        if decision.value is not None:
            plan.replace[decision.path] = decision.value
        elif decision.action is Action.REMOVE:
            plan.remove.append(decision.path)
        else:
            keeps_private |= decision.tag.is_private
            if "[" not in decision.path and (decision.tag in profile.TABLE or decision.vr == "SQ"):
                plan.keep.append(decision.path)
    _plan_own(plan, own_values(dataset, key, station, chosen, masked=masked))
    return Plan(plan.replace, plan.remove, plan.keep, keeps_private)


def decisions(
    dataset: Dataset, key: Key, chosen: Profile, *, told: bool = True
) -> Iterator[Decision]:
    """What the profile does with each attribute, in the order of the file.

    ``told``: also of attributes inside items that stay as they are.

    Items of a sequence that stays follow it; what goes as a whole is not gone into. The router's
    own values (``own_values``) come on top of it. Raises Hold as ``make`` does.
    """
    kind = iod.kind_of(str(dataset.get("SOPClassUID", "")))
    if kind == "image" and "SharedFunctionalGroupsSequence" in dataset:
        kind = "enhanced"
    yield from _Walk(Cleaner(dataset, key, chosen), chosen, kind, told=told).items(dataset, "", 0)


class _Walk:
    """Goes through a data set and decides."""

    def __init__(self, cleaner: Cleaner, chosen: Profile, kind: str, *, told: bool) -> None:
        self._told = told
        self._cleaner = cleaner
        self._profile = chosen
        self._kind = kind
        #: What a sequence of these bytes comes to: the decisions that do something, from the
        #: sequence on. The frames of an enhanced image repeat most of theirs.
        self._known: dict[tuple[BaseTag, bytes], list[Decision]] = {}

    def items(self, dataset: Dataset, prefix: str, depth: int) -> Iterator[Decision]:
        if depth > profile.DEEPEST_NESTING:
            raise Hold(Code.NESTING_TOO_DEEP, f"deeper than {profile.DEEPEST_NESTING} levels")
        safe = safe_private.kept(dataset, self._profile.private)
        for tag in sorted(dataset.keys()):
            decision = self._decide(dataset, tag, f"{prefix}{_PATHS[tag]}", depth, safe)
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

    def _decide(  # noqa: C901, PLR0911  (one line a way to treat an attribute)
        self, dataset: Dataset, tag: BaseTag, path: str, depth: int, safe: frozenset[BaseTag]
    ) -> Decision:
        # Before its value is asked for: pydicom then forgets that it was sent as UN.
        sent = str(dataset.get_item(tag, keep_deferred=True).VR or "")
        vr = vr_of(dataset, tag)
        if tag in safe:
            rule = Rule(Action.KEEP, Action.KEEP, f"private, on the allow-list ({_SAFE})")
            return Decision(path, tag, vr, rule, Action.KEEP, None)
        if tag.group == profile.PIXEL_DATA.group and depth:
            rule = Rule(Action.REMOVE, Action.REMOVE, "a picture inside a sequence")
            return Decision(path, tag, vr, rule, Action.REMOVE, None)
        rule = self._rule(dataset, tag, vr)
        action = rule.action
        if action is Action.KEEP:
            return self._kept(dataset, tag, path, depth, rule, sent)
        if action is Action.UID:
            value = self._cleaner.uids(dataset[tag])
            if value is None and dataset[tag].value:
                return self._kept(dataset, tag, path, depth, rule, sent)
            return Decision(path, tag, vr, rule, Action.KEEP, value)
        value = self._cleaner.nested_pseudonym(dataset, tag, depth)
        if action not in _PLAIN and (value := self._cleaner.cleaned(dataset[tag], action)):
            if value == text_of(dataset[tag]):
                return self._kept(dataset, tag, path, depth, rule, sent)
        elif action not in _PLAIN:
            if value == "":  # nothing was there
                return self._kept(dataset, tag, path, depth, rule, sent)
            action = rule.fallback
        if value is not None:
            return Decision(path, tag, vr, rule, Action.KEEP, value)
        return self._plain(path, tag, vr, rule, action)

    def _rule(self, dataset: Dataset, tag: BaseTag, vr: str) -> Rule:
        if tag == _CODE_MEANING and self._kind in iod.REPORTS:
            scheme = str(dataset.get("CodingSchemeDesignator", "") or "")
            if scheme.strip().upper() not in _SCHEMES:
                return Rule(Action.TEXT, Action.DUMMY, f"meaning of a private code ({_CONTENT})")
        return self._profile.rule(tag, vr, self._kind)

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
        if depth > profile.DEEPEST_NESTING:
            raise Hold(Code.NESTING_TOO_DEEP, f"deeper than {profile.DEEPEST_NESTING} levels")
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
            inner = f"{path}[].{_PATHS[tag]}"
            # Private attributes cannot be written anew: their VR is not known.
            decision = self._decide(item, tag, inner, depth, frozenset())
            if decision.value is not None:
                encoded[_PATHS[tag]] = decision.value
            elif decision.action is Action.KEEP:
                encoded[_PATHS[tag]] = self._encoded(item, tag, inner, depth)
        return encoded


class _Paths(dict["BaseTag", str]):
    """The writing of each tag in a path, made once."""

    def __missing__(self, tag: BaseTag) -> str:
        written = f"{tag.group:04x}-{tag.element:04x}"
        if len(self) < 1 << 16:
            self[tag] = written
        return written


_PATHS = _Paths()
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
    """``None``: there is no harmless value of this kind, so the attribute goes."""
    if vr == "SQ":
        row = profile.TABLE.get(tag)
        return [dict(DUMMY_CODE)] if row and row.is_code else None
    if tag == _DOCUMENT:
        return DUMMIES["UT"]  # Orthanc wants a document's bytes to be one
    if dictionary_VR(tag) in _BYTES or vr in _BYTES:
        return DUMMY_BYTES
    return DUMMIES.get(dictionary_VR(tag), DUMMIES.get(vr))


def own_values(
    dataset: Dataset, key: Key, station: str, chosen: Profile, *, masked: bool = False
) -> dict[BaseTag, Json]:
    """What the router sets in every object, whatever was there."""
    identity = identity_of(dataset, key)
    study_id = str(dataset.get("StudyID", "") or "").strip()
    codes = chosen.codes(pixels_cleaned=masked)
    own: dict[BaseTag, Json] = {
        profile.PATIENT_NAME: identity.pseudonym,
        profile.PATIENT_ID: identity.pseudonym,
        profile.ACCESSION_NUMBER: identity.accession_pseudonym,
        profile.STUDY_ID: pseudonyms.study_id(key, study_id) if study_id else "",
        profile.STATION_NAME: station,
        profile.STUDY_UID: pseudonyms.uid(key, str(dataset.StudyInstanceUID)),
        profile.SERIES_UID: pseudonyms.uid(key, str(dataset.SeriesInstanceUID)),
        profile.SOP_UID: pseudonyms.uid(key, str(dataset.SOPInstanceUID)),
        profile.IDENTITY_REMOVED: "YES",
        profile.METHOD_TEXT: chosen.method(pixels_cleaned=masked),
        profile.METHOD_SEQUENCE: [
            {"CodeValue": code, "CodingSchemeDesignator": "DCM",
             "CodeMeaning": profile.MEANINGS[code]}
            for code in codes
        ],
        profile.TIME_MODIFIED: "MODIFIED" if chosen.shifts else "REMOVED",
    }  # fmt: skip
    if masked:
        own[profile.BURNED_IN] = "NO"
    if Option.DEVICE_IDENTITY in chosen.options and dataset.get("StationName"):
        del own[profile.STATION_NAME]  # the scanner's own name stays
    return own


def _plan_own(plan: Plan, own: dict[BaseTag, Json]) -> None:
    for tag, value in own.items():
        path = _PATHS[tag]
        plan.replace[path] = value
        # A (0012,0064) of the source names what others did; its items are replaced as a whole.
        for inner in [key for key in plan.replace if key.startswith(f"{path}[")]:
            del plan.replace[inner]
        plan.remove[:] = [p for p in plan.remove if p != path and not p.startswith(f"{path}[")]
        if path in plan.keep:
            plan.keep.remove(path)
