"""Routing: which rule takes an image, and what follows from it.

The rules stand in an order. The first one whose conditions all hold takes the image; the fallback
takes what none of them takes, so exactly one rule takes any image. A rule sees the header that the
scanner sent. It decides nothing about identity: the gate is the same for all.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydicom.uid import UID

from router.dicom.presentation_intent import is_for_processing, presentation_intent
from router.records.copies import Rank, Route
from router.records.study import Priority

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


#: Requested Procedure Priority (0040,1003), the terms that hasten a study (PS3.3, C.4.11).
_REQUESTED = {"STAT": Priority.URGENT, "HIGH": Priority.HIGH}


class Term(StrEnum):
    """What a rule can ask for."""

    CALLING_AET = "calling_aet"  # of the sender; of what came over HTTP: its user
    MODALITY = "modality"
    STATION = "station"
    DESCRIPTION = "description"  # any of the study, the series and the protocol
    STUDY_DESCRIPTION = "study_description"
    SERIES_DESCRIPTION = "series_description"
    SOP_CLASS = "sop_class"  # the UID, the name and the keyword of PS3.6
    PRESENTATION_INTENT = "presentation_intent"
    MANUFACTURER = "manufacturer"
    MODEL = "model"


_KEYWORDS: dict[Term, tuple[str, ...]] = {
    Term.MODALITY: ("Modality",),
    Term.STATION: ("StationName",),
    Term.DESCRIPTION: ("StudyDescription", "SeriesDescription", "ProtocolName"),
    Term.STUDY_DESCRIPTION: ("StudyDescription",),
    Term.SERIES_DESCRIPTION: ("SeriesDescription",),
    Term.MANUFACTURER: ("Manufacturer",),
    Term.MODEL: ("ManufacturerModelName",),
}


@dataclass(frozen=True)
class Header:
    """What the rules see of an original."""

    #: The values of each term; none where the original does not say it.
    seen: Mapping[Term, tuple[str, ...]]
    #: What the order asks for; ``None``: nothing out of the ordinary.
    requested: Priority | None = None

    @classmethod
    def of(cls, dataset: Dataset, calling_aet: str) -> Header:
        """``calling_aet``: AE title of the sender; empty: not known."""
        seen = {
            term: tuple(text for keyword in keywords for text in _texts(dataset.get(keyword)))
            for term, keywords in _KEYWORDS.items()
        }
        seen[Term.CALLING_AET] = _texts(calling_aet)
        seen[Term.SOP_CLASS] = names_of(str(dataset.get("SOPClassUID") or ""))
        seen[Term.PRESENTATION_INTENT] = _texts(presentation_intent(dataset))
        return cls(seen, _requested(dataset))


def names_of(sop_class: str) -> tuple[str, ...]:
    """A SOP class by its UID, its name and its keyword (PS3.6, Table A-1)."""
    uid = UID(sop_class.strip())
    return tuple(dict.fromkeys(name for name in (str(uid), uid.name, uid.keyword) if name))


def rank_of(dataset: Dataset) -> Rank:
    """Whether somebody reads the image, or a machine works on."""
    if is_for_processing(dataset):
        return Rank.PROCESSING
    return Rank.PRESENTATION


def _texts(value: object) -> tuple[str, ...]:
    """The texts of one attribute: each of its values, without padding."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, Sequence):
        return ()
    stripped = (text.strip(" \0") for text in values if isinstance(text, str))
    return tuple(text for text in stripped if text)


def _requested(dataset: Dataset) -> Priority | None:
    """The most urgent priority that the order gave the images.

    The attribute belongs to the order (Requested Procedure Module, PS3.3 C.4.11), not to an image's
    IOD nor to the Request Attributes Macro (PS3.3, Table 10-9). Scanners that copy it write it
    beside the other attributes of the order: at the top or in the Request Attributes Sequence.
    """
    items: Any = dataset.get("RequestAttributesSequence")
    places = [dataset, *(items if isinstance(items, Sequence) else ())]
    said = [
        _REQUESTED[text.upper()]
        for place in places
        if hasattr(place, "get")
        for text in _texts(place.get("RequestedProcedurePriority"))
        if text.upper() in _REQUESTED
    ]
    return max(said, default=None)


@dataclass(frozen=True)
class Check:
    """One condition of a rule, held against one header."""

    term: Term
    patterns: tuple[str, ...]
    seen: tuple[str, ...]
    holds: bool


@dataclass(frozen=True)
class Rule:
    """Conditions, and what follows for the images that they take."""

    name: str
    #: Each term that is given must hold, by any of its patterns. Empty: it takes everything.
    when: Mapping[Term, tuple[str, ...]]
    #: Names; ``None``: every destination.
    destinations: tuple[str, ...] | None = None
    priority: Priority = Priority.NORMAL
    policy: str = "shipped"
    #: Names of analyses; ``None``: every one; empty: none.
    analyses: tuple[str, ...] | None = None

    def checks(self, header: Header) -> list[Check]:
        """Its conditions, each held against the header."""
        return [
            Check(term, patterns, seen, any(matches(p, text) for p in patterns for text in seen))
            for term, patterns in self.when.items()
            for seen in (header.seen.get(term, ()),)
        ]

    def takes(self, header: Header) -> bool:
        """Whether every condition of the rule holds for the header."""
        return all(check.holds for check in self.checks(header))

    def route(self, header: Header) -> Route:
        """What follows for an image that it takes. The order can hasten it, and not slow it down."""
        return Route(
            rule=self.name,
            destinations=self.destinations,
            priority=max(self.priority, header.requested or self.priority),
            policy=self.policy,
            analyses=self.analyses,
        )


@dataclass(frozen=True)
class Trial:
    """What became of asking one rule."""

    rule: Rule
    checks: tuple[Check, ...]
    takes: bool


@dataclass(frozen=True)
class Routing:
    """All rules, in their order, and what takes the rest."""

    rules: tuple[Rule, ...]
    #: Has no conditions.
    fallback: Rule
    #: The names of all destinations.
    destinations: tuple[str, ...]

    def rule_for(self, header: Header) -> Rule:
        """The one rule that takes an image."""
        return next((rule for rule in self.rules if rule.takes(header)), self.fallback)

    def explain(self, header: Header) -> list[Trial]:
        """Each rule that is asked, down to the one that takes the image: that is the last."""
        taker = self.rule_for(header)
        order = (*self.rules, self.fallback)
        asked = order[: 1 + next(i for i, rule in enumerate(order) if rule is taker)]
        return [Trial(rule, tuple(rule.checks(header)), rule is taker) for rule in asked]

    def destinations_of(self, route: Route) -> tuple[str, ...]:
        """Where an image goes: those of its destinations that are there still."""
        named = self.destinations if route.destinations is None else route.destinations
        return tuple(name for name in self.destinations if name in named)


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern covers the whole of a text, in any case.

    ``*`` stands for any characters, also none, and ``?`` for one; every other one for itself.
    """
    return _compiled(pattern).match(_folded(text)) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    # No sets: descriptions hold brackets that mean themselves.
    return re.compile(fnmatch.translate(_folded(pattern).replace("[", "[[]")))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())
