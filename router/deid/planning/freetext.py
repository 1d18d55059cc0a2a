"""Free text: kept only where each word is known to identify no one.

A text is kept as it is or not at all: what was cut out of a sentence can often be read from what
is left of it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORD = re.compile(r"[^\W\d_]+|\d+", re.UNICODE)
#: 2026-03-11, 11.03.26, 3/11: what could be a date.
_DATE_LIKE = re.compile(r"\d{1,4}\s*[./-]\s*\d{1,2}\s*[./-]\s*\d{1,4}")
_DECIMAL = re.compile(r"(?<![\d.])\d{1,3}[.,]\d{1,2}(?![\d.,])")
#: A number of more digits than this is somebody's.
_LONGEST_NUMBER = 3
#: As many numbers in one text are a date or a telephone number in pieces.
_MOST_NUMBERS = 2
_LONGEST_TEXT = 1024


def folded(text: str) -> str:
    """A text in lower case, without accents; one writing for letters of full and half width."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def words_of(text: str) -> list[str]:
    """The words and numbers of a text, folded."""
    return _WORD.findall(folded(text))


def is_harmless(text: str, words: frozenset[str], of_the_patient: frozenset[str]) -> bool:
    """Whether a text consists of the words and holds nothing of the patient.

    ``of_the_patient``: the words and numbers of her identifiers, folded. Also a word of the
    vocabulary is refused where it is her name.
    """
    if len(text) > _LONGEST_TEXT or _DATE_LIKE.search(text):
        return False
    found = words_of(text)
    numbers = [word for word in words_of(_DECIMAL.sub("0", text)) if word.isdigit()]
    if len(numbers) > _MOST_NUMBERS or any(len(n) > _LONGEST_NUMBER for n in numbers):
        return False
    if not all(word.isdigit() or word in words for word in found):
        return False
    # Something else than letters, numbers and what stands between them is no text.
    if any(unicodedata.category(char) in {"Co", "Cn", "Cs"} for char in text):
        return False
    joined = "".join(found)
    return not any(word in found or (len(word) > 3 and word in joined) for word in of_the_patient)  # noqa: PLR2004


def words_to_avoid(identifiers: Iterable[str]) -> frozenset[str]:
    """The words and numbers in which a patient's identifiers can come back, in any order."""
    avoid: set[str] = set()
    for identifier in identifiers:
        found = words_of(identifier)
        # A single digit or letter is in every text.
        together = [*found, "".join(found)]
        avoid.update(word for word in together if len(word) > 1 or not word.isascii())
    return frozenset(avoid)
