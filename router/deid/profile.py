"""The profile of PS3.15 Annex E that a study keeps: its options, words and private attributes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from router.deid.standard import vocabulary
from router.deid.standard.options import Option
from router.deid.standard.safe_private import SHIPPED as SAFE_PRIVATE
from router.deid.standard.safe_private import SafeElement

#: Changes with every change of the planning rules; a study keeps the one it was taken in with.
RULES = "5"

#: Nested deeper than this is held: Orthanc's HTTP threads die at 50.
DEEPEST_NESTING = 32

#: What a screening programme needs: ages and intervals, and reports that can be read.
SCREENING: frozenset[Option] = frozenset(Option) - {Option.DEVICE_IDENTITY, Option.SAFE_PRIVATE}


@dataclass(frozen=True, eq=False)
class Profile:
    """The Basic Profile with the options that were chosen: all that decides over a copy's bytes.

    A study keeps the profile that it was taken in with; its id stands for everything in it, also
    where two are compared: that is done several times for each attribute.
    """

    options: frozenset[Option] = frozenset()
    #: The words that free text may consist of (113105): lower case, without accents.
    words: frozenset[str] = frozenset()
    #: What stays of private attributes (113111).
    private: frozenset[SafeElement] = frozenset()

    @classmethod
    def of(
        cls,
        options: frozenset[Option],
        more_words: frozenset[str] = frozenset(),
        more_private: frozenset[SafeElement] = frozenset(),
    ) -> Profile:
        """The options with the shipped lists and what a site adds to them."""
        words = vocabulary.TEXT_WORDS | more_words
        return cls(
            options,
            words if Option.CLEAN_DESCRIPTORS in options else frozenset(),
            (SAFE_PRIVATE | more_private) if Option.SAFE_PRIVATE in options else frozenset(),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @cached_property
    def id(self) -> str:
        """Name of the options and lists: ``2:113105+113107:<12 hexadecimal digits>``."""
        digits = hashlib.sha256(self.to_json().encode()).hexdigest()[:12]
        return f"{RULES}:{'+'.join(sorted(self.options)) or 'basic'}:{digits}"

    def to_json(self) -> str:
        """All of it as text, the same text for the same profile."""
        content = {
            "rules": RULES,
            "options": sorted(self.options),
            "words": sorted(self.words),
            "private": [element.to_text() for element in sorted(self.private)],
        }
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """The profile that ``to_json`` wrote."""
        content = json.loads(text)
        return cls(
            frozenset(map(Option, content["options"])),
            frozenset(content["words"]),
            frozenset(map(SafeElement.parse, content["private"])),
        )

    @property
    def shifts(self) -> bool:
        """Whether dates are moved."""
        return Option.MODIFIED_DATES in self.options

    def codes(self, *, pixels_cleaned: bool = False) -> tuple[str, ...]:
        """What is declared in (0012,0064) of an object.

        Clean Pixel Data is declared only where pixels were masked.
        """
        chosen = self.options - {Option.CLEAN_PIXELS}
        if pixels_cleaned:
            chosen |= {Option.CLEAN_PIXELS}
        return ("113100", *sorted(chosen))

    def method(self, *, pixels_cleaned: bool = False) -> str:
        """What is declared in (0012,0063), VR LO: values of at most 64 characters."""
        return "\\".join(
            ["edge-router PS3.15 Annex E", "+".join(self.codes(pixels_cleaned=pixels_cleaned)[:8])]
        )


#: Without any option.
BASIC = Profile()
