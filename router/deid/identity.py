"""Whether two records of one patient number can be of one person.

A number that was typed wrongly files images under a stranger, and no pseudonym tells. So what an
image says of its patient is compared with what the truck knows of that number already. Writings
that scanners and people vary without meaning another person are the same: case, accents, order of
blanks and carets, a missing middle name or title, another alphabet.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEXES = frozenset({"M", "F", "O"})
_GROUPS = 3  # a name in letters, in ideographs, and as it is spoken (PS3.5, 6.2.1.2)


def difference(known: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    """Which of name, birth date and sex says that they are two people; ``None``: none does.

    What one of the two does not say cannot differ.
    """
    if not _same_name(known.get("name", ""), found.get("name", "")):
        return "name"
    for field, value_of in (("birth_date", _digits), ("sex", _sex)):
        one, other = value_of(known.get(field, "")), value_of(found.get(field, ""))
        if one and other and one != other:
            return field
    return None


def _same_name(one: str, other: str) -> bool:
    first, second = _groups(one), _groups(other)
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a and b]
    if not pairs:
        return True
    return any(_same_parts(a, b) for a, b in pairs)


def _same_parts(one: list[str], other: list[str]) -> bool:
    """Whether each word of the shorter name is one of the longer; initials stand for words."""
    shorter, longer = sorted((one, other), key=len)
    left = list(longer)
    for word in sorted(shorter, key=len, reverse=True):
        match = next((w for w in left if w == word), None) or next(
            (w for w in left if min(len(w), len(word)) == 1 and w[0] == word[0]), None
        )
        if match is None:
            return False
        left.remove(match)
    # One word in common is a family name, and families have more than one child.
    return len(shorter) > 1 or len(longer) == 1


def _groups(name: str) -> list[list[str]]:
    groups = (name.split("=") + [""] * _GROUPS)[:_GROUPS]
    return [re.findall(r"\w+", _folded(group)) for group in groups]


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def _digits(value: str) -> str:
    return "".join(char for char in value if char.isdigit())


def _sex(value: str) -> str:
    first = value.strip().upper()[:1]
    return first if first in _SEXES else ""
