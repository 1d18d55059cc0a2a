"""Whether two words can be one word in two spellings: another alphabet, no accents, two letters for one.

A word stands for all its spellings without accents in the Latin alphabet (``spellings.txt``); two
words are one where they have a spelling in common. The spellings are never written out: both words
are gone through side by side, so that a long word costs no more than its length times the other's.
This is of names that are compared with names. What may be found in an image is the gate's affair,
which has a folding of its own.
"""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from importlib import resources
from typing import TypeAlias

#: Stands for a letter that the sender could not write.
UNKNOWN = "?"
_LOST = frozenset({UNKNOWN, "\ufffd"})
_KANA = ("HIRAGANA LETTER ", "KATAKANA LETTER ")
_LONG_VOWEL = "ー"
_DOUBLED = ("", "k", "s", "t", "p", "c")
#: Letters and places at which they end: what can be written from one place of a word on.
_Arcs: TypeAlias = "list[list[tuple[str, int]]]"


def folded(text: str) -> str:
    """The text in small letters, compatible forms (full width, half width) as the plain ones."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold())


def same(one: str, other: str, *, initial: bool = False) -> bool:
    """Whether two folded words have a spelling in common.

    ``initial``: ``one`` is a letter that ``other`` may begin with.
    """
    if one == other:
        return True
    if initial and not is_letter(one):
        return False
    left, right = _arcs(one), _arcs(other)
    seen = {(0, 0, "", True)}
    todo = list(seen)
    while todo:
        at, beside, ahead, is_left = todo.pop()
        written = at == len(one) and not (ahead and is_left)
        if written and ((beside == len(other) and not ahead) or (initial and beside)):
            return True
        for state in _next(left, right, at, beside, ahead, is_left=is_left):
            if state not in seen:
                seen.add(state)
                todo.append(state)
    return False


def _next(
    left: _Arcs, right: _Arcs, at: int, beside: int, ahead: str, *, is_left: bool
) -> list[tuple[int, int, str, bool]]:
    """Steps from two places at once.

    ``ahead``: what the left (or the right) word has written and the other has not yet.
    """
    found = []
    if not ahead or not is_left:
        for written, end in left[at]:
            rest = _rest(ahead, written)
            if rest is not None:
                longer = len(written) > len(ahead)
                found.append((end, beside, rest, longer or not rest))
    if not ahead or is_left:
        for written, end in right[beside]:
            rest = _rest(ahead, written)
            if rest is not None:
                longer = len(written) > len(ahead)
                found.append((at, end, rest, not longer or not rest))
    return found


def _rest(one: str, other: str) -> str | None:
    """What the longer of the two has more; ``None``: they differ before."""
    shared = min(len(one), len(other))
    if any(a != b and UNKNOWN not in {a, b} for a, b in zip(one, other, strict=False)):
        return None
    return one[shared:] or other[shared:]


@cache
def _table() -> dict[str, tuple[str, ...]]:
    text = resources.files("router.deid").joinpath("spellings.txt").read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if line.strip() and line[0] != "#")
    return {letter: tuple(w.replace(".", "") for w in written) for letter, *written in rows}


@lru_cache(maxsize=4096)
def _written(letter: str) -> tuple[str, ...]:
    """The spellings of one letter; itself where it has none (an ideograph)."""
    if letter in _LOST:
        return (UNKNOWN, UNKNOWN * 2)
    if letter in _table():
        return _table()[letter]
    if kana := _kana(letter):
        return _table().get(f"kana:{kana}", (kana,))
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c)
    )
    if plain and plain != letter:
        return tuple(written for written in _all_written(plain))
    return (letter,)


def _all_written(text: str) -> tuple[str, ...]:
    found: tuple[str, ...] = ("",)
    for letter in text:
        found = tuple(before + written for before in found for written in _written(letter))
    return found


def _kana(letter: str) -> str:
    """What a kana is called (``ka``, ``small ya``); empty: it is none."""
    name = unicodedata.name(letter, "")
    return next((name.removeprefix(p).lower() for p in _KANA if name.startswith(p)), "")


def is_letter(word: str) -> bool:
    """Whether it is one letter of an alphabet, and not a word of one ideograph."""
    return len(word) == 1 and all(written.isascii() for written in _written(word))


def _scripts_without_spelling(text: str) -> frozenset[str]:
    return frozenset(
        unicodedata.name(letter, "?").split()[0].split("-")[0]
        for letter in text
        if any(not w.isascii() for w in _written(letter)) and letter != _LONG_VOWEL
    )


def comparable(one: str, other: str) -> bool:
    """Whether it says anything that two texts differ: not where only one is in ideographs."""
    return _scripts_without_spelling(one) == _scripts_without_spelling(other)


@lru_cache(maxsize=4096)
def _arcs(word: str) -> _Arcs:
    """From each place of the word: what can be written, and where the word goes on then."""
    arcs: _Arcs = [[] for _ in range(len(word) + 1)]
    for at, letter in enumerate(word):
        arcs[at] += [(written, at + 1) for written in _of_place(word, at)]
        if at + 1 < len(word):
            arcs[at] += [(written, at + 2) for written in _together(letter, word[at + 1])]
    return arcs


def _of_place(word: str, at: int) -> tuple[str, ...]:
    """The spellings of a letter; of a kana also those that depend on the one before it."""
    letter = word[at]
    kana = _kana(letter)
    if letter == _LONG_VOWEL:
        return ("", "h", *(_vowel(word[at - 1]) if at else ()))
    if kana == "small tu":
        return (*_DOUBLED, "tsu")
    if kana.startswith("small "):
        return (kana.removeprefix("small "),)
    written = _written(letter)
    if kana in {"u", "o"} and at and _vowel(word[at - 1]) in {("o",), ("u",)}:
        return (*written, "", "h", "o")
    return written


def _vowel(letter: str) -> tuple[str, ...]:
    kana = _kana(letter)
    return (kana[-1],) if kana and kana[-1] in "aiueo" else ()


def _together(first: str, second: str) -> tuple[str, ...]:
    """The spellings of two letters that stand for one sound."""
    doubled = _written(first) if first == second else ()  # Anna and Ana
    return (*_table().get(first + second, ()), *doubled, *_syllable(first, second))


def _syllable(first: str, second: str) -> tuple[str, ...]:
    """Spellings of two kana that are one syllable (shi and a small ya: sha, sya)."""
    kana, small = _kana(first), _kana(second)
    if not (kana.endswith("i") and small in {"small ya", "small yu", "small yo"}):
        return ()
    vowel = small[-1]
    found = [f"{kana[:-1]}y{vowel}"]
    found += [w[:-1] + vowel for w in _written(first) if w[:-1] in {"sh", "ch", "j"}]
    return tuple(found)
