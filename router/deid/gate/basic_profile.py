"""What the letters of the Basic Profile may leave of an attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from router.deid import pseudonyms
from router.deid.gate.expectations import CODE_MEANING, Expectation, expectation, of_meaning
from router.deid.gate.pair import BINARY, LATIN_1, bytes_of, texts_of
from router.deid.gate.traces import DUMMY_TEXT
from router.deid.standard import tags
from router.deid.standard.e1_1 import TABLE
from router.deid.standard.iod import REPORTS, Need, need

if TYPE_CHECKING:
    from router.deid.gate.pair import Context, Pair
    from router.dicom.element_index import Element, Level

_SCHEME = 0x00080102
_DUMMY_BYTES = b"ANONYMIZED"
#: What a meaning becomes that cannot stay.
_MEANING = frozenset({"ANONYMIZED"})
_SHOULD = {"X": "should be gone", "D": "holds no dummy", "": "still has a value"}


def letters_of(tag: int) -> str | None:
    """The Basic Profile's letters of an attribute; ``None``: the table does not name it."""
    row = TABLE.get(tag)
    return None if row is None else row.basic


def expected_of(context: Context, element: Element, level: Level, view: memoryview) -> Expectation:
    """What is expected of an attribute. ``level``: what lies beside it, in the file ``view``."""
    if element.tag == CODE_MEANING and context.kind in REPORTS:
        scheme = level.get(_SCHEME)
        if scheme is None:
            return of_meaning("")
        return of_meaning("".join(texts_of(scheme, bytes_of(view, scheme), LATIN_1)))
    return expectation(context.profile, element.tag, element.vr, context.kind)


def refuse(pair: Pair) -> NoReturn:
    """Raises Hold with what the letters ask for."""
    pair.refuse(_SHOULD.get(letters_of(pair.tag) or "", _SHOULD[""]))


def is_replaced(pair: Pair) -> bool:
    """Whether the value is one that the letters may leave, where the table names the attribute."""
    basic = letters_of(pair.tag)
    if basic is None:
        return _is_gone_or_dummy(pair)
    needed = need(pair.tag, pair.context.kind)
    letters = basic.split("/")
    if not pair.texts and not pair.value.strip(b"\0 "):
        return _may_be_empty(pair, letters, needed)
    if basic == "X" and needed is not Need.VALUE:
        return False
    dummy = "D" in letters and pair.value.strip(b" \0") == _DUMMY_BYTES
    if "D" in letters or needed is Need.VALUE:
        dummy |= bool(pair.texts) and DUMMY_TEXT.issuperset(pair.texts)
    nested = bool(pair.depth and pair.texts) and pair.texts == _nested_pseudonym(pair)
    return dummy or nested


def _may_be_empty(pair: Pair, letters: list[str], needed: Need | None) -> bool:
    if pair.copy.end > pair.copy.start and pair.copy.vr in BINARY and "D" in letters:
        return True  # zeros are the dummy of bytes
    if pair.original is None:
        return letters != ["X"]
    # A letter Z is empty; others only where the object asks for it, or nothing was there.
    return "Z" in letters or needed is Need.PRESENT or _was_empty(pair)


def _was_empty(pair: Pair) -> bool:
    """Whether nothing was there, and there is no letter X by which it should be gone."""
    if pair.original is None or pair.original.items or pair.was.strip(b"\0 "):
        return False
    row = TABLE[pair.tag]
    return row.basic != "X" or any(o in pair.context.profile.options for o in row.options)


def _nested_pseudonym(pair: Pair) -> list[str]:
    """What a patient's or order's number inside an item becomes."""
    if pair.original is None:
        return []
    text = pair.was.decode("latin-1").strip(" \0")
    key = pair.context.expected.key
    if pair.tag == tags.ACCESSION_NUMBER:
        return [pseudonyms.accession(key, text)]
    return [pseudonyms.patient(key, "", text)] if pair.tag == tags.PATIENT_ID else []


def _is_gone_or_dummy(pair: Pair) -> bool:
    """Whether nothing or a dummy is in place of what the table does not name and cannot stay."""
    if not pair.value.strip(b"\0 "):
        return True
    dummies = _MEANING if pair.tag == CODE_MEANING else DUMMY_TEXT
    return bool(pair.texts) and dummies.issuperset(pair.texts)
