"""Goes through a finished copy beside its original, and asks the rules about each attribute.

The gate knows the letters of Table E.1-1 and the options that were chosen; how the plan carries
them out it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deid.gate import basic_profile, checks
from router.deid.gate.checks import CHECKS, equal
from router.deid.gate.dictionary import is_drawn, is_undefined
from router.deid.gate.expectations import CODE_MEANING, Expectation
from router.deid.gate.pair import (
    LATIN_1,
    REPEATING,
    Pair,
    bytes_of,
    encodings_of,
    shown,
    texts_of,
)
from router.deid.gate.traces import DUMMY_TEXT
from router.deid.gate.unlisted_text import leads_to_somebody
from router.deid.standard import tags
from router.deid.standard.e1_1 import TABLE
from router.deid.standard.iod import Need, need
from router.dicom.element_index import Element, known_vr
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from router.deid.gate.pair import Context
    from router.dicom.element_index import Level

_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_CHARSET, _PIXEL_GROUP = 0x00080005, 0x7FE0
_DUMMY_CODE = ("ANON", "99EDGE", "Anonymized")
#: Compared with what is expected after all else, under codes of their own.
_DECLARED = frozenset({
    tags.STUDY_UID, tags.SERIES_UID, tags.SOP_UID, tags.IDENTITY_REMOVED, tags.TIME_MODIFIED,
})  # fmt: skip
_AS_IT_WAS = frozenset({Expectation.SAME, Expectation.UID})
_KEPT = frozenset({Expectation.SAME, Expectation.ITEMS})


class LevelCheck:
    """Checks one copy, level by level. Raises Hold (GATE_…) at the first thing that may not be."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._own_texts = context.own_texts | DUMMY_TEXT
        #: Tag, VR and bytes of the copy, those of the original: what was judged. Frames repeat.
        self._passed: dict[tuple[int, str, bytes, tuple[str, bytes] | None, str], bool] = {}
        #: Offsets ``(first, end)`` of what proved to be the router's own constants: a patient's
        #: number that is one of them (113105) is not told by it.
        self.ours: list[tuple[int, int]] = []

    def level(
        self, copy: Level, original: Level | None, depth: int, encodings: tuple[str, ...] = LATIN_1
    ) -> None:
        """Checks the elements of a data set or an item beside those of the original."""
        if _CHARSET in copy:
            encodings = encodings_of(bytes_of(self._context.view, copy[_CHARSET]))
        creators = self._private_creators(copy)
        for tag, element in copy.items():
            if tag in _PIXELS and depth == 0:
                continue
            before = original.get(tag) if original is not None else None
            self._element(element, before, copy, depth, encodings, creators)
        if original is not None:
            for tag, before in original.items():
                if tag not in copy:
                    self._gone(before, depth, original)

    # --- one element --------------------------------------------------------------------------

    def _element(
        self, element: Element, before: Element | None, beside: Level, depth: int,
        encodings: tuple[str, ...], creators: frozenset[int],
    ) -> None:  # fmt: skip
        tag, context = element.tag, self._context
        private = tag >> 16 & 1
        if private and tag not in creators:
            raise Hold(Code.GATE_PRIVATE_ATTRIBUTE, shown(tag, depth))
        whole = private == 1
        value = bytes_of(context.view, element, whole)
        was = b""
        if before is not None and context.source is not None:
            was = bytes_of(context.source, before, whole)
        key = None
        # Frames repeat: what was judged once is not judged again, where its place changes nothing.
        # The meaning of a code depends on the scheme beside it.
        if depth and element.end - element.start <= REPEATING and tag != CODE_MEANING:
            came = None if before is None else (before.vr, was)
            key = (tag, element.vr, value, came, encodings[0])
            if key in self._passed:
                self._note(element, ours=self._passed[key])
                return
        texts = [] if element.items is not None else texts_of(element, value, encodings)
        pair = Pair(context, tag, depth, element, before, value, was, texts, encodings, beside)
        if private:
            equal(pair)
            return
        _check_known(pair)
        ours = self._leaf(pair) if element.items is None else self._sequence(pair)
        self._note(element, ours=ours)
        if key is not None:
            self._passed[key] = ours

    def _note(self, element: Element, *, ours: bool) -> None:
        if ours:
            self.ours.append((element.start, element.end))

    def _leaf(self, pair: Pair) -> bool:
        """Checks an element without items; whether its value is the router's own."""
        tag, texts, context = pair.tag, pair.texts, self._context
        top = pair.depth == 0
        if top and context.own and texts == [context.own.get(tag)]:
            return True
        ours = bool(texts) and self._own_texts.issuperset(texts)
        vrs = pair.vrs
        if "UI" in vrs:
            checks.pseudonymous_uid(pair)
        if top and tag in context.expected.own:
            ours |= _is_own_value(pair)
        elif "PN" in vrs:
            checks.name(pair)
        elif "UI" not in vrs:
            self._value(pair)
        _check_needed(pair)
        if texts and pair.copy.vr == "UN" and known_vr(tag) != "UN":
            pair.refuse("is still encoded as UN")
        if not ours and any(context.search.finds(pair.copy.vr, text) for text in texts):
            pair.found()
        return ours

    def _value(self, pair: Pair) -> None:
        """Checks a value against the letters of Table E.1-1 and the options."""
        context = self._context
        if pair.depth == 0 and context.reference.get(pair.tag) == pair.value.rstrip(b" \0"):
            return  # a capture's, from the copy that it was made of
        sent = pair.copy if pair.original is None else pair.original
        what = basic_profile.expected_of(context, sent, pair.level, context.view)
        check = CHECKS[what]
        # What the table allows in its place (nothing, a dummy, a pseudonym) need not be what it was.
        unlisted_stays = what in _AS_IT_WAS and pair.tag not in TABLE
        if unlisted_stays or not basic_profile.is_replaced(pair) or check.must_stay(pair):
            check.stays(pair)

    # --- sequences ----------------------------------------------------------------------------

    def _sequence(self, pair: Pair) -> bool:
        """Checks a sequence; whether all of it is the router's own."""
        tag, depth, items = pair.tag, pair.depth, pair.copy.items or []
        made_here = self._context.source is None
        if depth == 0 and tag == tags.METHOD_SEQUENCE:
            return True  # compared with what must be declared
        listed = tag in TABLE
        if made_here and depth == 0 and not listed:
            for item in items:  # a capture's own
                self.level(item, None, depth + 1, pair.encodings)
            return False
        what = basic_profile.expected_of(self._context, pair.copy, {}, self._context.view)
        if listed and what is not Expectation.ITEMS:
            self._replaced_items(pair, items)
            _check_needed(pair)
            return bool(items)  # dummies, then
        if items and leads_to_somebody(tag):
            pair.refuse("should be gone")
        originals = pair.original.items if pair.original is not None else None
        if not made_here and originals is not None and len(originals) != len(items):
            pair.refuse("has other items")
        for index, item in enumerate(items):
            was = originals[index] if originals is not None else None
            if was is None and not made_here and item:
                pair.refuse("was not there before")
            self.level(item, was, depth + 1, pair.encodings)
        return False

    def _replaced_items(self, pair: Pair, items: list[Level]) -> None:
        """Raises Hold unless a sequence that must not stay became what Table E.1-1 allows.

        That is nothing, no items, or a dummy, by the letter of the table and what the IOD needs.
        """
        basic = basic_profile.letters_of(pair.tag)
        needed = need(pair.tag, self._context.kind)
        if basic == "X" and needed not in (Need.PRESENT, Need.VALUE):
            pair.refuse("should be gone")
        if any(not self._is_dummy_code(item, pair.encodings) for item in items):
            pair.refuse("still has items")
        had = pair.original is not None and pair.original.items
        if basic == "D" and had and not items:
            pair.refuse("holds no dummy")

    def _is_dummy_code(self, item: Level, encodings: tuple[str, ...]) -> bool:
        view = self._context.view
        values = tuple(
            "".join(texts_of(item[tag], bytes_of(view, item[tag]), encodings))
            if tag in item
            else ""
            for tag in (0x00080100, 0x00080102, 0x00080104)
        )
        return values == _DUMMY_CODE and len(item) == len(_DUMMY_CODE)

    # --- what is not there --------------------------------------------------------------------

    def _gone(self, before: Element, depth: int, level: Level) -> None:
        """Checks that an attribute of the original may be gone. ``level``: what lay beside it."""
        tag, context = before.tag, self._context
        if (
            tag & 0xFFFF == 0 or tag >> 16 & 1 or is_drawn(tag) or is_undefined(tag)
            or (tag >> 16 == _PIXEL_GROUP and depth)
        ):  # fmt: skip
            return
        assert context.source is not None  # noqa: S101  (there is an element of it)
        nothing, was = Element(tag, before.vr, 0, 0, None), bytes_of(context.source, before)
        pair = Pair(context, tag, depth, nothing, before, b"", was, [], LATIN_1, level)
        needed = need(tag, context.kind)
        had_value = before.items or pair.was.strip(b"\0 ")
        if (needed is Need.VALUE and had_value) or needed is Need.PRESENT:
            pair.refuse("is gone, and the object needs it", Code.GATE_IOD)
        what = basic_profile.expected_of(context, before, level, context.source)
        basic = basic_profile.letters_of(tag)
        may_go = what not in _KEPT if basic is None else "X" in basic or not had_value
        if not may_go or CHECKS[what].must_stay(pair):
            pair.refuse("is gone")

    def _private_creators(self, copy: Level) -> frozenset[int]:
        """The private elements of this level that are on the allow-list, and their creators."""
        allowed = self._context.profile.private
        fine: set[int] = set()
        for tag, element in copy.items() if allowed else ():
            creator_tag = (tag & 0xFFFF0000) | (tag >> 8 & 0xFF)
            creator = copy.get(creator_tag)
            if not tag >> 16 & 1 or creator is None or creator_tag == tag:
                continue
            name = bytes_of(self._context.view, creator).decode("latin-1").strip(" \0")
            described = (name, tag >> 16, tag & 0xFF, element.vr)
            if any(described == (s.creator, s.group, s.element, s.vr) for s in allowed):
                fine |= {tag, creator_tag}
        return frozenset(fine)


def _check_known(pair: Pair) -> None:
    tag = pair.tag
    if is_drawn(tag):
        pair.refuse("", Code.GATE_OVERLAY)
    if is_undefined(tag):
        pair.refuse("", Code.GATE_UNKNOWN_ATTRIBUTE)
    if tag >> 16 == _PIXEL_GROUP and pair.depth:
        pair.refuse("is a picture inside a sequence")


def _is_own_value(pair: Pair) -> bool:
    """Whether a value is what the router sets. Raises Hold where it must be."""
    must = [v for v in pair.context.expected.own[pair.tag].split("\\") if v]
    if (
        pair.texts != must
        and pair.tag not in _DECLARED
        and not (pair.tag == tags.PATIENT_ID and DUMMY_TEXT.issuperset(pair.texts))
    ):
        pair.refuse("is not what the router sets")
    return pair.texts == must


def _check_needed(pair: Pair) -> None:
    """Raises Hold where a Type 1 attribute had a value and has none."""
    before = pair.original
    if before is None or need(pair.tag, pair.context.kind) is not Need.VALUE:
        return
    has = pair.copy.items or pair.value.strip(b"\0 ")
    if not has and (before.items or pair.was.strip(b"\0 ")):
        pair.refuse("is empty, and the object needs it", Code.GATE_IOD)
