"""Whether two records of one patient number can be of one person.

A number that was typed wrongly files images under a stranger, and no pseudonym tells. So what an
image says of its patient is compared with what the truck knows of that number already. Writings
that scanners and people vary without meaning another person are the same: case, accents, another
alphabet, a character set that was declared wrongly, order, blanks, hyphens and carets, a missing
middle name or title. A name that only part of agrees is a person's to know (marriage): it is said.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from itertools import product
from typing import TYPE_CHECKING

from router.deid import spellings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: O, U and everything else say that it is not known, or neither: they contradict nothing.
_SEXES = frozenset({"M", "F"})
#: Family name, given name, middle name; prefix and suffix are titles (PS3.5, 6.2.1.1).
_PARTS = 3
_APOSTROPHES = re.compile("['\u2019\u02bc\u2018`\u00b4\u02b9]")
_WORD = re.compile(
    r"[^\W_?\ufffd]+(?:[?\ufffd]+[^\W_?\ufffd]+)*[?\ufffd]*|[?\ufffd]+[^\W_?\ufffd]+"
)
#: More letters lost than this share, and a word says nothing.
_LOST_SHARE = 1 / 3
#: Words that are written together elsewhere (De la Cruz, Delacruz).
_MOST_JOINED = 4
#: Letters of a group that are looked at (the standard allows 64), and words.
_LONGEST, _MOST_WORDS = 128, 12
#: What stands in names beside letters.
_BETWEEN = frozenset(" ^=-.,'\u2019")
_DAY_DIGITS = 8
_CENTURIES = range(1850, 2101)
#: What a text was taken for, and what it may be: its bytes are read again.
_TAKEN_FOR = ("latin-1", "cp1252", "iso8859_2", "iso8859_5", "iso8859_7", "iso8859_9")
_MAY_BE = (
    "utf-8", "latin-1", "cp1252", "iso8859_2", "cp1250", "iso8859_5", "cp1251", "koi8_r",
    "iso8859_7", "cp1253", "iso8859_9", "cp1254", "iso8859_6", "iso8859_8", "shift_jis",
    "iso2022_jp_2", "euc_kr", "iso2022_kr", "gb18030",
)  # fmt: skip


class Likeness(Enum):
    """How two records of one number compare."""

    SAME = "SAME"
    LIKELY = "LIKELY"  # they go on as one person, and a person is told
    OTHER = "OTHER"


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison."""

    likeness: Likeness
    #: name, birth_date or sex: what differs; empty: nothing.
    field: str = ""


_SAME = Comparison(Likeness.SAME)


def compare(known: Mapping[str, str], found: Mapping[str, str]) -> Comparison:
    """Whether two records (name, birth_date, sex) of one number are of one person.

    What one of the two does not say cannot differ.
    """
    days = _days(known.get("birth_date", "")), _days(found.get("birth_date", ""))
    if all(days) and not any(_same_day(a, b) for a, b in product(*days)):
        return Comparison(Likeness.OTHER, "birth_date")
    sexes = {_sex(known.get("sex", "")), _sex(found.get("sex", ""))} - {""}
    if len(sexes) > 1:
        return Comparison(Likeness.OTHER, "sex")
    names = known.get("name", ""), found.get("name", "")
    likeness = _compare_names(*names)
    if likeness is Likeness.LIKELY and not _born_on_one_day(*days) and _can_be_compared(*names):
        likeness = Likeness.OTHER
    return _SAME if likeness is Likeness.SAME else Comparison(likeness, "name")


@dataclass(frozen=True)
class _Name:
    """One of the groups of a name: in letters, in ideographs, as it is spoken (PS3.5, 6.2.1.2)."""

    words: list[str]
    #: Those of the given name; empty where the name doesn't say which they are.
    given: list[str]

    @property
    def text(self) -> str:
        return "".join(self.words)


def _compare_names(one: str, other: str) -> Likeness:
    """LIKELY where part of them agrees, or where they are written so that nothing can be said."""
    pairs = [(a, b) for a, b in product(_groups(one), _groups(other)) if a.words and b.words]
    if not pairs or any(_same_words(a.words, b.words) for a, b in pairs):
        return Likeness.SAME
    # Other bytes can come out as initials by chance.
    if any(_same_words(a.words, b.words, initials=False) for a, b in _read_again(one, other)):
        return Likeness.SAME
    told = [(a, b) for a, b in pairs if spellings.comparable(a.text, b.text)]
    if not told or any(_partly_same(a, b) for a, b in told):
        return Likeness.LIKELY
    return Likeness.OTHER


def _can_be_compared(one: str, other: str) -> bool:
    pairs = product(_groups(one), _groups(other))
    return any(a.words and b.words and spellings.comparable(a.text, b.text) for a, b in pairs)


def _partly_same(one: _Name, other: _Name) -> bool:
    """One given name with two family names, or a single name that is one of the other's."""
    if one.given and other.given and _same_words(one.given, other.given, single=True):
        return True
    shorter, longer = sorted((one.words, other.words), key=len)
    return len(shorter) == 1 < len(longer) and _same_words(shorter, longer, single=True)


def _same_words(
    one: Sequence[str], other: Sequence[str], *, single: bool = False, initials: bool = True
) -> bool:
    """Whether each word of the shorter name is one of the longer.

    ``single``: also where the shorter is one word. In a full name that is a family name, and
    families have more than one child. ``initials``: they stand for words.
    """
    joined = _joined(one, other)
    shorter, longer = sorted((joined, _joined(other, joined)), key=len)
    left = list(longer)
    for word in sorted(shorter, key=len, reverse=True):
        match = next((w for w in left if spellings.same(w, word)), None)
        if match is None and initials:
            match = next((w for w in left if _is_initial(w, word) or _is_initial(word, w)), None)
        if match is None:
            return False
        left.remove(match)
    return bool(shorter) and (single or len(shorter) > 1 or len(longer) == 1)


def _is_initial(one: str, other: str) -> bool:
    return len(one) == 1 and spellings.same(one, other, initial=True)


def _joined(words: Sequence[str], others: Sequence[str]) -> list[str]:
    """The words, those together that are one word of the others."""
    found: list[str] = []
    at = 0
    while at < len(words):
        for count in range(min(_MOST_JOINED, len(words) - at), 1, -1):
            together = "".join(words[at : at + count])
            if any(spellings.is_letter(word) for word in words[at : at + count]):
                continue  # an initial
            if any(spellings.same(together, other) for other in others):
                break
        else:
            count, together = 1, words[at]
        found.append(together)
        at += count
    return found


def _groups(name: str) -> list[_Name]:
    return [_name(group) for group in name.split("=")]


def _name(group: str) -> _Name:
    text = _APOSTROPHES.sub("", spellings.folded(group[:_LONGEST]))
    parts = [_words(part) for part in re.split(r"[\^,]", text)][:_PARTS]
    words = [word for part in parts for word in part][:_MOST_WORDS]
    return _Name(words, parts[1] if len(parts) > 1 and parts[0] else [])


def _words(text: str) -> list[str]:
    words = (match.group() for match in _WORD.finditer(text))
    return [w for w in words if sum(c in "?\ufffd" for c in w) <= len(w) * _LOST_SHARE]


def _read_again(one: str, other: str) -> Iterator[tuple[_Name, _Name]]:
    """Pairs of the names' groups, one of the two read in another character set than declared."""
    for readings, beside in ((_readings(one), other), (_readings(other), one)):
        for reading in readings:
            yield from product(_groups(reading), _groups(beside))


def _readings(text: str) -> set[str]:
    found: set[str] = set()
    text = text[: _LONGEST * 3]
    if text.isascii() and "\x1b" not in text:
        return found
    for taken in _TAKEN_FOR:
        try:
            read = text.encode(taken)
        except UnicodeEncodeError:
            continue
        for encoding in _MAY_BE:
            try:
                found.add(read.decode(encoding))
            except UnicodeDecodeError:
                continue
    return {reading for reading in found - {text} if _is_name(reading)}


def _is_name(text: str) -> bool:
    return all(c in _BETWEEN or unicodedata.category(c)[0] in "LM" for c in text)


def _days(value: str) -> set[str]:
    """The days that a date of birth can mean, as digits: the year alone where that is all."""
    text = value.strip()
    digits = "".join(char for char in text if char.isdigit())
    if match := re.fullmatch(r"(\d{1,2})\D(\d{1,2})\D(\d{4})", text):
        day, month, year = match.groups()
        return {f"{year}{month:0>2}{day:0>2}", f"{year}{day:0>2}{month:0>2}"}
    if match := re.fullmatch(r"(\d{4})\D(\d{1,2})\D(\d{1,2})", text):
        year, month, day = match.groups()
        return {f"{year}{month:0>2}{day:0>2}"}
    year_last = len(digits) == _DAY_DIGITS and int(digits[:4]) not in _CENTURIES
    if year_last and int(digits[4:]) in _CENTURIES:
        return {digits[4:] + digits[2:4] + digits[:2], digits[4:] + digits[:4]}
    while digits.endswith("00") and len(digits) in {6, 8}:
        digits = digits[:-2]
    return {digits} - {""}


def _same_day(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _born_on_one_day(one: set[str], other: set[str]) -> bool:
    return any(len(day) == _DAY_DIGITS for day in one & other)


def _sex(value: str) -> str:
    first = value.strip().upper()[:1]
    return first if first in _SEXES else ""
