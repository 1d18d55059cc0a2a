"""The settings of the routing rules: read from TOML, checked, and made into rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydicom import uid

from router.dicom.presentation_intent import FOR_PRESENTATION, FOR_PROCESSING
from router.imaging.analysis import ANALYSES
from router.records.study import Priority
from router.rules.routing import Rule, Term, matches, names_of
from router.rules.rule_policy import RULE_POLICIES, SHIPPED

if TYPE_CHECKING:
    from collections.abc import Iterable

FALLBACK = "fallback"

_UID = re.compile(r"[0-9.*?]{1,64}")
_CODE_STRING = re.compile(r"[A-Za-z0-9_ *?]{1,16}")
_LONGEST_AET = 16
_SOP_CLASS_NAMES = [
    name
    for known in vars(uid).values()
    if isinstance(known, uid.UID) and known.type == "SOP Class"
    for name in names_of(known)
]


def _listed(value: object) -> object:
    """One pattern needs no brackets."""
    return [value] if isinstance(value, str) else value


def _upper(value: object) -> object:
    return [v.upper() if isinstance(v, str) else v for v in value] if isinstance(value, list) else value  # fmt: skip


_Pattern = Annotated[str, Field(min_length=1, pattern=r"^\S(.*\S)?$")]
Patterns = Annotated[tuple[_Pattern, ...], BeforeValidator(_listed), Field(min_length=1)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
PriorityName = Literal["low", "normal", "high", "urgent"]
Intents = Annotated[
    tuple[Literal["FOR PRESENTATION", "FOR PROCESSING"], ...],
    BeforeValidator(_upper), BeforeValidator(_listed), Field(min_length=1),
]  # fmt: skip


class When(BaseModel):
    """What must hold: each condition that is given, by any of its patterns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calling_aet: Annotated[
        Patterns | None,
        Field(description="AE title of the sender; of images that came over HTTP, the user"),
    ] = None
    modality: Annotated[Patterns | None, Field(description="Modality (0008,0060)")] = None
    station: Annotated[Patterns | None, Field(description="Station Name (0008,1010)")] = None
    description: Annotated[
        Patterns | None,
        Field(description="Any of Study Description, Series Description and Protocol Name"),
    ] = None
    study_description: Annotated[
        Patterns | None, Field(description="Study Description (0008,1030)")
    ] = None
    series_description: Annotated[
        Patterns | None, Field(description="Series Description (0008,103E)")
    ] = None
    sop_class: Annotated[
        Patterns | None,
        Field(
            description="SOP class: UID, name (`CT Image Storage`) or keyword (`CTImageStorage`)"
        ),
    ] = None
    presentation_intent: Annotated[
        Intents | None,
        Field(
            description=f"`{FOR_PRESENTATION}` or `{FOR_PROCESSING}`: Presentation Intent Type "
            "(0008,0068), or what the SOP class says"
        ),
    ] = None
    manufacturer: Annotated[Patterns | None, Field(description="Manufacturer (0008,0070)")] = None
    model: Annotated[
        Patterns | None, Field(description="Manufacturer's Model Name (0008,1090)")
    ] = None

    @field_validator("calling_aet")
    @classmethod
    def _can_be_an_aet(cls, patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for pattern in patterns or ():
            if len(pattern.replace("*", "")) > _LONGEST_AET:
                message = f"{pattern!r} is longer than an AE title can be"
                raise ValueError(message)
        return patterns

    @field_validator("modality")
    @classmethod
    def _can_be_a_modality(cls, patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for pattern in patterns or ():
            if not _CODE_STRING.fullmatch(pattern):
                message = f"{pattern!r} can be no modality"
                raise ValueError(message)
        return patterns

    @field_validator("sop_class")
    @classmethod
    def _is_a_sop_class(cls, patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """A name that stands for nothing would never hold, and nobody would notice."""
        for pattern in patterns or ():
            # A UID may be a maker's own, which no table lists.
            if not _UID.fullmatch(pattern) and not any(
                matches(pattern, name) for name in _SOP_CLASS_NAMES
            ):
                message = f"{pattern!r} is neither a UID nor the name of a SOP class"
                raise ValueError(message)
        return patterns

    @model_validator(mode="after")
    def _asks_something(self) -> When:
        if not self.model_fields_set or not self.terms():
            message = f"a rule needs a condition; what takes everything is [{FALLBACK}]"
            raise ValueError(message)
        return self

    def terms(self) -> dict[Term, tuple[str, ...]]:
        """The conditions that are set: term → patterns, any of which may match."""
        given = {term: getattr(self, term.value) for term in Term}
        return {term: tuple(patterns) for term, patterns in given.items() if patterns}


class Actions(BaseModel):
    """What follows for the images that a rule takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    destinations: Annotated[
        Names | None,
        Field(description="Names of destinations, at least one; default: every one"),
    ] = None
    priority: Annotated[
        PriorityName,
        Field(
            description="`low`, `normal`, `high` or `urgent`; orders the transport only. An order for STAT or HIGH raises it"
        ),
    ] = "normal"
    policy: Annotated[
        str,
        Field(
            description="De-identification policy: "
            + "; ".join(f"`{name}`: {meaning}" for name, meaning in RULE_POLICIES.items())
        ),
    ] = SHIPPED
    analyses: Annotated[
        Names | None, Field(description="Names of analyses; default: every one; `[]`: none")
    ] = None

    @field_validator("destinations")
    @classmethod
    def _lead_somewhere(cls, destinations: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if destinations is not None and not destinations:
            message = (
                'a rule needs a destination; to keep images on the truck, set policy = "hold": '
                "then they are held, and shown"
            )
            raise ValueError(message)
        return _once("destination", destinations)

    @field_validator("policy")
    @classmethod
    def _is_a_policy(cls, policy: str) -> str:
        if policy not in RULE_POLICIES:
            message = f"there is no policy {policy!r} for rules; there are {_and(RULE_POLICIES)}"
            raise ValueError(message)
        return policy

    @field_validator("analyses")
    @classmethod
    def _are_analyses(cls, analyses: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in analyses or ():
            if name not in ANALYSES:
                message = f"there is no analysis {name!r}; there are {_and(ANALYSES)}"
                raise ValueError(message)
        return _once("analysis", analyses)

    def made(self, name: str, when: dict[Term, tuple[str, ...]]) -> Rule:
        """The rule of this name under these conditions."""
        return Rule(
            name, when, self.destinations, Priority[self.priority.upper()], self.policy,
            self.analyses,
        )  # fmt: skip


class _Asking(BaseModel):
    name: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
            description="Its name in `check-config --explain` and `receipts`",
        ),
    ]
    when: Annotated[When, Field(description="Its conditions, at least one")]


class RuleSettings(Actions, _Asking):
    """One rule: ``[[rules]]`` in TOML."""

    def rule(self) -> Rule:
        """The rule as ``router.rules.routing`` asks it."""
        return self.made(self.name, self.when.terms())


class FallbackSettings(Actions):
    """What takes the images that no rule takes: ``[fallback]`` in TOML."""

    def rule(self) -> Rule:
        """The rule that takes what no other takes."""
        return self.made(FALLBACK, {})


def check_together(
    rules: list[RuleSettings], fallback: FallbackSettings, destinations: list[str]
) -> None:
    """What one rule alone cannot know. Raises ValueError with every fault."""
    faults = []
    names: set[str] = {FALLBACK}
    asked: dict[frozenset[tuple[Term, tuple[str, ...]]], str] = {}
    for rule in rules:
        if rule.name in names:
            faults.append(f"two rules are called {rule.name}")
        names.add(rule.name)
        conditions = frozenset(rule.when.terms().items())
        if conditions in asked:
            faults.append(f"{rule.name} can take nothing: {asked[conditions]} asks the same")
        asked.setdefault(conditions, rule.name)
    for name, actions in [*((rule.name, rule) for rule in rules), (FALLBACK, fallback)]:
        faults += [
            f"{name} names the destination {destination!r}; there are {_and(destinations)}"
            for destination in actions.destinations or ()
            if destination not in destinations
        ]
    if faults:
        raise ValueError("; ".join(faults))


def _once(what: str, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names is not None and len(set(names)) < len(names):
        message = f"the same {what} twice"
        raise ValueError(message)
    return names


def _and(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
