"""Policies: which objects are safe, which are masked, which are held. Data, not code.

``policies.toml`` ships with the program; a site's own file comes before it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from pydicom import uid
from pydicom.multival import MultiValue
from pydicom.uid import UID

from router.deid.mask import Region
from router.deid.standard.options import Option
from router.records.errors import Code, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataset import Dataset

#: What a rule may hold an object with.
_CODES = (Code.SOP_CLASS_NOT_CLEARED, Code.BURNED_IN_TEXT)
_REGION = 4
#: PS3.3 gives their pixels 16 bits (C.8.2.1, C.8.3.1, C.8.9.4): with 8 they are a saved screen.
_OF_16_BITS = frozenset({
    uid.CTImageStorage, uid.MRImageStorage, uid.PositronEmissionTomographyImageStorage,
})  # fmt: skip
_BYTE = 8
#: Conversion Type (PS3.3, C.8.6.1): digitised video and film, scanned paper and drawings hold what
#: somebody has written on them, whatever else the header says.
#: DI is how a detector is read out.
_NO_PAGE = frozenset({"", "DI"})
#: What a workstation made can be a screen. Detectors write it too, and then that nothing is burned
#: in (BurnedInAnnotation NO).
_OF_A_WORKSTATION = frozenset({"WSD", "SYN"})
_GREY = frozenset({"", "MONOCHROME1", "MONOCHROME2"})


class Verdict(StrEnum):
    """What a policy says of an object."""

    SAFE = "safe"
    MASK = "mask"
    HOLD = "hold"


@dataclass(frozen=True)
class Facts:
    """What policies look at, in upper case where case does not matter."""

    sop_class: str
    modality: str
    manufacturer: str
    model: str
    #: The values of ImageType, each by itself.
    image_type: tuple[str, ...]
    burned_in: bool
    screen: bool
    rows: int
    columns: int

    @classmethod
    def of(cls, dataset: Dataset) -> Facts:
        def text(keyword: str) -> str:
            return str(dataset.get(keyword, "") or "").strip().upper()

        small = dataset.get("BitsAllocated") == _BYTE and dataset.get("SOPClassUID") in _OF_16_BITS
        several = str(dataset.get("SamplesPerPixel") or 1) != "1"
        # A palette makes colours of one sample.
        colour = several or text("PhotometricInterpretation") not in _GREY
        conversion, burned_in = text("ConversionType"), text("BurnedInAnnotation")
        no_page = _NO_PAGE | (_OF_A_WORKSTATION if burned_in == "NO" else frozenset())
        return cls(
            sop_class=str(dataset.get("SOPClassUID", "")),
            modality=text("Modality"),
            manufacturer=text("Manufacturer"),
            model=text("ManufacturerModelName"),
            image_type=_values(dataset.get("ImageType")),
            burned_in=burned_in not in {"", "NO"},
            screen=colour or small or conversion not in no_page,
            rows=_number(dataset.get("Rows")),
            columns=_number(dataset.get("Columns")),
        )


class Kind(NamedTuple):
    """Objects that one decision can be about."""

    sop_class: str
    #: The value of ImageType by which they are held; empty: the whole class is not cleared.
    image_type: str


@dataclass(frozen=True)
class Policy:
    """One rule. An empty condition fits everything."""

    action: Verdict
    because: str
    code: Code = Code.SOP_CLASS_NOT_CLEARED
    sop_classes: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    manufacturers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    image_types: tuple[str, ...] = ()
    burned_in: bool | None = None
    screen: bool | None = None
    rows: int | None = None
    columns: int | None = None
    needs: frozenset[Option] = frozenset()
    regions: tuple[Region, ...] = field(default=())

    def fits(self, facts: Facts, options: frozenset[Option]) -> bool:
        """Whether every condition of the rule fits."""
        return (
            (not self.sop_classes or facts.sop_class in self.sop_classes)
            and (not self.modalities or facts.modality in self.modalities)
            and _like(facts.manufacturer, self.manufacturers)
            and _like(facts.model, self.models)
            and (
                not self.image_types
                or any(_like(value, self.image_types) for value in facts.image_type)
            )
            and self.burned_in in {None, facts.burned_in}
            and self.screen in {None, facts.screen}
            and self.rows in {None, facts.rows}
            and self.columns in {None, facts.columns}
            and self.needs <= options
        )


def object_policy(rules: tuple[Policy, ...], facts: Facts, options: frozenset[Option]) -> Policy:
    """The first rule that fits; where none does, one that holds."""
    name = UID(facts.sop_class).name
    unknown = name == facts.sop_class  # to the standard: only a rule that names it can know it
    for rule in rules:
        if rule.fits(facts, options) and not (unknown and facts.sop_class not in rule.sop_classes):
            return rule
    if unknown:
        # A UID of an unknown class is told only where it is one: it is foreign text.
        shown = facts.sop_class if UID(facts.sop_class).is_valid else "that is no UID"
        return Policy(Verdict.HOLD, f"SOP class {shown}", Code.UNKNOWN_SOP_CLASS)
    return Policy(Verdict.HOLD, name, Code.SOP_CLASS_NOT_CLEARED)


def kind_of(
    facts: Facts, held_by: Policy, rules: tuple[Policy, ...], options: frozenset[Option]
) -> Kind | None:
    """What kind of object it is that a policy holds, for a decision about all of its kind.

    ``None``: its class goes on otherwise, and this one does not for a reason of its own (text
    burned in): each is to be looked at.
    """
    if not UID(facts.sop_class).is_valid:
        return None
    if not may_go_on(facts.sop_class, rules, options):
        return Kind(facts.sop_class, "")
    fitting = (v for v in facts.image_type if held_by.image_types and _like(v, held_by.image_types))
    value = next(fitting, None)
    return None if value is None else Kind(facts.sop_class, value)


def may_go_on(sop_class: str, rules: tuple[Policy, ...], options: frozenset[Option]) -> bool:
    """Whether objects of a class can be sent at all: a rule that names it clears or masks them."""
    return any(
        rule.action is not Verdict.HOLD and sop_class in rule.sop_classes and rule.needs <= options
        for rule in rules
    )


def read(text: str, name: str) -> tuple[Policy, ...]:
    """The rules of a file, in order. Raises SettingsError (SETTINGS_INVALID) with every fault."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(Code.SETTINGS_INVALID, f"{name} is no TOML: {error}.") from None
    rules, faults = [], []
    entries = content.get("policy", [])
    if set(content) - {"policy"} or not isinstance(entries, list):
        faults.append("it may hold nothing but [[policy]]")
    for number, entry in enumerate(entries if isinstance(entries, list) else [], start=1):
        try:
            rules.append(_policy(entry))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            faults.append(f"policy {number}: {error}")
    if faults:
        raise SettingsError(Code.SETTINGS_INVALID, f"{name} has faults: {'; '.join(faults)}.")
    return tuple(rules)


def _policy(entry: Mapping[str, Any]) -> Policy:
    known = set(Policy.__dataclass_fields__)
    if surplus := set(entry) - known:
        raise ValueError(f"{sorted(surplus)} is not known")
    action = Verdict(entry["action"])
    code = Code(entry.get("code", Code.SOP_CLASS_NOT_CLEARED))
    regions = tuple(_region(region) for region in entry.get("regions", []))
    if code not in _CODES:
        raise ValueError(f"code must be one of {', '.join(_CODES)}")
    if (action is Verdict.MASK) != bool(regions):
        raise ValueError("regions belong to mask, and mask needs them")
    if action is not Verdict.HOLD and not (entry.get("sop_classes") or entry.get("modalities")):
        raise ValueError("what is safe or masked must be named by sop_classes or modalities")
    for name, kind in (("burned_in", bool), ("screen", bool), ("rows", int), ("columns", int)):
        if name in entry and not isinstance(entry[name], kind):
            raise ValueError(f"{name} must be {kind.__name__}")
    burned_in = entry.get("burned_in", False if action is Verdict.SAFE else None)
    return Policy(
        action=action,
        because=str(entry["because"]),
        code=code,
        sop_classes=frozenset(_sop_class(name) for name in entry.get("sop_classes", [])),
        modalities=frozenset(name.upper() for name in entry.get("modalities", [])),
        manufacturers=tuple(name.upper() for name in entry.get("manufacturers", [])),
        models=tuple(name.upper() for name in entry.get("models", [])),
        image_types=tuple(word.upper() for word in entry.get("image_types", [])),
        burned_in=burned_in,
        screen=entry.get("screen"),
        rows=entry.get("rows"),
        columns=entry.get("columns"),
        needs=frozenset(map(Option, entry.get("needs", []))),
        regions=regions,
    )


def _region(numbers: list[int]) -> Region:
    if len(numbers) != _REGION or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise ValueError("a region is [column, row, width, height]")
    return Region(*numbers)


def _sop_class(name: str) -> str:
    found = getattr(uid, name, name)
    if not UID(str(found)).is_valid:
        raise ValueError(f"{name} is no SOP class")
    return str(found)


def _like(value: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)


def _values(value: object) -> tuple[str, ...]:
    """Each value of an attribute, in upper case and without the blanks around it."""
    several = value if isinstance(value, MultiValue | list) else str(value or "").split("\\")
    return tuple(str(one or "").strip(" \0").upper() for one in several)


def _number(value: object) -> int:
    return int(value) if isinstance(value, int) else 0


SHIPPED = read(
    resources.files(__package__).joinpath("policies.toml").read_text(encoding="utf-8"),
    "policies.toml",
)
