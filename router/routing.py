"""Routing rules: which rule takes an instance, and where it then goes, how soon, and how.

The first rule whose conditions all hold takes it; the fallback takes what no rule does. A rule sees
the header as the scanner sent it, and decides nothing about identity: the gate is the same for all.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydicom.uid import UID

from router.analysis import ANALYSES
from router.deid.clearance import POLICIES
from router.study import Priority, Rank, Route

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: (0040,1003), Requested Procedure Priority (PS3.3 C.4.11), where an order came with the images.
_REQUESTED = {"STAT": Priority.URGENT, "HIGH": Priority.HIGH, "LOW": Priority.LOW}

Patterns = Annotated[list[str], Field(min_length=1)]
PriorityName = Literal["low", "normal", "high", "urgent"]


class Condition(BaseModel):
    """What must hold: each that is given, by any of its patterns (``*`` and ``?``, in any case)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calling_aet: Annotated[Patterns | None, Field(description="AE title of the sender")] = None
    modality: Annotated[Patterns | None, Field(description="Modality")] = None
    station: Annotated[Patterns | None, Field(description="Station Name")] = None
    description: Annotated[
        Patterns | None, Field(description="Study, Series or Protocol description")
    ] = None
    sop_class: Annotated[Patterns | None, Field(description="SOP class, as UID or by its name")] = (
        None
    )
    presentation_intent: Annotated[
        list[Literal["FOR PRESENTATION", "FOR PROCESSING"]] | None,
        Field(description="Presentation Intent Type", min_length=1),
    ] = None

    def holds(self, dataset: Dataset, calling_aet: str) -> bool:
        sop_class = UID(str(dataset.get("SOPClassUID", "")))
        descriptions = ("StudyDescription", "SeriesDescription", "ProtocolName")
        seen = (
            (self.calling_aet, (calling_aet,)),
            (self.modality, (dataset.get("Modality"),)),
            (self.station, (dataset.get("StationName"),)),
            (self.description, tuple(dataset.get(keyword) for keyword in descriptions)),
            (self.sop_class, (str(sop_class), sop_class.name)),
            (self.presentation_intent, (dataset.get("PresentationIntentType"),)),
        )
        return all(
            patterns is None
            or any(
                fnmatchcase(str(value or "").strip().upper(), pattern.upper())
                for value in values
                for pattern in patterns
            )
            for patterns, values in seen
        )


class Rule(BaseModel):
    """What is done with the instances that a rule takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[
        str,
        Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="Its name in `check-config`"),
    ]
    when: Annotated[Condition, Field(description="All that is given must hold")] = Condition()
    destinations: Annotated[
        list[str] | None,
        Field(min_length=1, description="Names of destinations; default: every one"),
    ] = None
    priority: Annotated[
        PriorityName | None,
        Field(description="`low`, `normal`, `high` or `urgent`; default: as it was requested"),
    ] = None
    policy: Annotated[
        str,
        Field(description="De-identification policy, as for `release`; default: the shipped rules"),
    ] = ""
    analyses: Annotated[
        list[str] | None, Field(description="Names of analyses; default: every one; `[]`: none")
    ] = None

    @field_validator("policy")
    @classmethod
    def _policy_is_known(cls, policy: str) -> str:
        if policy not in POLICIES:
            message = f"no such policy; there are {', '.join(filter(None, POLICIES))}"
            raise ValueError(message)
        return policy

    @field_validator("analyses")
    @classmethod
    def _analyses_are_known(cls, analyses: list[str] | None) -> list[str] | None:
        if unknown := set(analyses or ()) - set(ANALYSES):
            message = f"no such analysis: {', '.join(sorted(unknown))}"
            raise ValueError(message)
        return analyses

    def route(self, priority: Priority, rank: Rank, digest: str, size: int) -> Route:
        """``digest`` and ``size``: of what the scanner sent."""
        return Route(
            rule=self.name,
            destinations=None if self.destinations is None else tuple(self.destinations),
            priority=priority,
            rank=rank,
            analysed=self.analyses is None or bool(self.analyses),
            original_digest=digest,
            original_size=size,
        )


#: Every image goes to every destination, as urgent as it was requested.
FALLBACK = Rule(name="fallback")


class Routing(BaseModel):
    """The rules, in their order, and what takes the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: list[Rule] = []
    fallback: Rule = FALLBACK

    @field_validator("rules")
    @classmethod
    def _names_differ(cls, rules: list[Rule]) -> list[Rule]:
        names = [rule.name for rule in rules]
        if len({*names, FALLBACK.name}) <= len(names):
            message = "two rules have the same name, or one is called fallback"
            raise ValueError(message)
        return rules

    @field_validator("fallback")
    @classmethod
    def _fallback_takes_all(cls, fallback: Rule) -> Rule:
        if fallback.when != Condition():
            message = "the fallback takes what no rule takes: it has no conditions"
            raise ValueError(message)
        return fallback

    def rule_for(self, dataset: Dataset, calling_aet: str) -> Rule:
        """The first rule that takes it."""
        return next(
            (rule for rule in self.rules if rule.when.holds(dataset, calling_aet)), self.fallback
        )

    @staticmethod
    def urgency(dataset: Dataset, rule: Rule) -> Priority:
        """The rule's priority; where it names none, what the order says."""
        if rule.priority is not None:
            return Priority[rule.priority.upper()]
        requested = str(dataset.get("RequestedProcedurePriority", "")).strip().upper()
        return _REQUESTED.get(requested, Priority.NORMAL)

    def destinations_named(self) -> set[str]:
        """Every destination that a rule names."""
        return {name for rule in (*self.rules, self.fallback) for name in rule.destinations or ()}


def rank_of(dataset: Dataset) -> Rank:
    """Whether somebody reads the image, or a machine works on."""
    if dataset.get("PresentationIntentType") == "FOR PROCESSING":
        return Rank.PROCESSING
    return Rank.PRESENTATION
