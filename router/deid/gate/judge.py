"""May this attribute be here, with this value? Asked of each element of a finished copy.

The judge sees the original and the copy side by side. It knows the letters of Table E.1-1 and the
options that were chosen; how the plan carries them out it does not know.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, NoReturn

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import keyword_for_tag
from pydicom.tag import BaseTag

from router.deid import pseudonyms
from router.deid.gate import moments
from router.deid.gate.dictionary import is_drawn, is_public_uid, is_undefined
from router.deid.gate.duty import CODE_MEANING, Duty, duty, is_clear, is_harmless, of_meaning
from router.deid.gate.traces import DUMMY_TEXT, TextSearch, runs, search_bytes
from router.deid.gate.unlisted_text import leads_to_somebody
from router.deid.standard import iod, tags
from router.deid.standard.e1_1 import TABLE
from router.deid.standard.iod import Need
from router.dicom.element_index import known_vr
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.deid.gate.expected import Expected
    from router.deid.gate.traces import Traces
    from router.dicom.element_index import Element, Level

_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_CHARSET, _SCHEME = 0x00080005, 0x00080102
_PIXEL_GROUP = 0x7FE0
_BINARY = frozenset({
    "AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SQ", "SS", "SV", "UL", "UN", "US",
    "UV",
})  # fmt: skip
_LATIN_1 = ["iso8859"]
_LONGEST_NUMBER, _MOST_NUMBERS = 3, 3
_REPEATING = 4096  # bytes
_OLDEST = 90
#: Sex, neutered, smoking and pregnancy status (PS3.3, C.7.1.1 and C.7.2.2); size and weight.
_TERM = re.compile(r"[FMO]|(UN)?ALTERED|YES|NO|UNKNOWN|\d{1,3}(\.\d+)?")
_DAYS_OF = {"D": 1, "W": 7, "M": 30, "Y": 365}
_TIME = re.compile(r"\d{2}(:?\d{2}(:?\d{2}(\.\d+)?)?)?")
_DUMMY_BYTES = b"ANONYMIZED"
_DUMMY_CODE = ("ANON", "99EDGE", "Anonymized")


def shown(tag: int, depth: int) -> str:
    """An attribute in a detail: its name and depth, never its value."""
    return f"{keyword_for_tag(BaseTag(tag)) or BaseTag(tag)} at depth {depth}"


class Judge:
    """Judges one copy. Raises Hold (GATE_…) at the first thing that may not be."""

    def __init__(
        self, view: memoryview, source: memoryview | None, expected: Expected, traces: Traces,
        kind: str, own: Mapping[BaseTag, str], reference: Mapping[int, bytes],
        own_texts: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self._view = view
        self._source = source
        self._expected = expected
        self._profile = expected.profile
        self._traces = traces
        self._search = TextSearch(traces)
        self._kind = kind
        self._own = own
        self._own_texts = own_texts | DUMMY_TEXT
        self._reference = reference
        self._encodings = _LATIN_1  # of the element that is being judged
        #: Tag, VR and bytes of the copy, those of the original: what was judged. Frames repeat.
        self._passed: dict[tuple[int, str, bytes, tuple[str, bytes] | None, str], bool] = {}
        #: Offsets ``(first, end)`` of what was found to be the router's own constants: a patient's
        #: number that is one of them (113105) is not told by it.
        self.ours: list[tuple[int, int]] = []

    def level(self, copy: Level, original: Level | None, depth: int, encodings: list[str]) -> None:
        """Judges the elements of a data set or an item beside those of the original."""
        if _CHARSET in copy:
            encodings = _encodings(self._bytes(copy[_CHARSET]))
        creators = self._private_creators(copy)
        for tag, element in copy.items():
            if tag in _PIXELS and depth == 0:
                continue
            before = original.get(tag) if original is not None else None
            self._element(element, before, depth, encodings, creators, copy)
        if original is not None:
            for tag, before in original.items():
                if tag not in copy:
                    self._gone(before, depth, original)

    # --- one element --------------------------------------------------------------------------

    def _element(
        self, element: Element, before: Element | None, depth: int, encodings: list[str],
        creators: frozenset[int], copy: Level,
    ) -> None:  # fmt: skip
        tag = element.tag
        if (tag >> 16) & 1:
            if tag not in creators:
                self._refuse(Code.GATE_PRIVATE_ATTRIBUTE, tag, depth, "")
            self._equal(element, before, depth)
            return
        key = None
        # Frames repeat: what was judged once is not judged again, where its place changes nothing.
        # The meaning of a code depends on the scheme beside it.
        if element.end - element.start <= _REPEATING and tag != CODE_MEANING and depth:
            was = None if before is None else (before.vr, self._source_bytes_of(before))
            key = (tag, element.vr, self._bytes(element), was, encodings[0])
            if key in self._passed:
                self._note(element, ours=self._passed[key])
                return
        self._known(element, depth)
        self._encodings = encodings
        if element.items is not None:
            ours = self._sequence(element, before, depth, encodings)
        else:
            ours = self._leaf(element, before, depth, encodings, copy)
        self._note(element, ours=ours)
        if key is not None:
            self._passed[key] = ours

    def _note(self, element: Element, *, ours: bool) -> None:
        if ours:
            self.ours.append((element.start, element.end))

    def _known(self, element: Element, depth: int) -> None:
        tag = BaseTag(element.tag)
        if is_drawn(tag):
            self._refuse(Code.GATE_OVERLAY, tag, depth, "")
        if is_undefined(tag):
            self._refuse(Code.GATE_UNKNOWN_ATTRIBUTE, tag, depth, "")
        if tag.group == _PIXEL_GROUP and depth:
            self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "is a picture inside a sequence")

    def _leaf(
        self, element: Element, before: Element | None, depth: int, encodings: list[str],
        copy: Level,
    ) -> bool:  # fmt: skip
        """Judges an element without items; whether its value is the router's own."""
        tag, texts = BaseTag(element.tag), self._texts(element, encodings)
        if depth == 0 and (mine := self._own.get(tag)) is not None and texts == [mine]:
            return True
        ours = bool(texts) and self._own_texts.issuperset(texts)
        vrs = {element.vr, known_vr(tag)}
        if "UI" in vrs:
            self._uids(element, before, texts, depth)
        if depth == 0 and tag in self._expected.own:
            must = [v for v in self._expected.own[tag].split("\\") if v]
            ours |= texts == must
            if (
                texts != must
                and tag not in _DECLARED
                and not (tag == tags.PATIENT_ID and set(texts) <= DUMMY_TEXT)
            ):
                self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "is not what the router sets")
        elif "PN" in vrs:
            self._name(element, before, texts, depth)
        elif "UI" not in vrs:
            self._value(element, before, texts, depth, copy)
        self._need(element, before, depth)
        if element.vr == "UN" and known_vr(tag) != "UN" and texts:
            self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "is still encoded as UN")
        if not ours and any(self._search.finds(element.vr, text) for text in texts):
            self._found(tag, depth)
        return ours

    def _value(
        self, element: Element, before: Element | None, texts: list[str], depth: int, copy: Level
    ) -> None:
        """Against the letters of Table E.1-1 and the options."""
        tag = BaseTag(element.tag)
        row = TABLE.get(tag)
        if self._reference.get(element.tag) == self._bytes(element).rstrip(b" \0") and depth == 0:
            return  # a capture's, from the copy that it was made of
        what = self._duty(element if before is None else before, copy)
        if row is not None:
            replaced = self._replaced(element, before, row.basic, texts, depth)
        else:
            replaced = what not in _STAYS and self._gone_or_dummy(element, texts)
        if not replaced or (before is not None and self._must_stay(before, what)):
            self._stays(element, before, texts, depth, what)

    def _stays(
        self, element: Element, before: Element | None, texts: list[str], depth: int, what: Duty
    ) -> None:
        """What an option, or the table's silence, leaves."""
        tag = element.tag
        if what is Duty.SHIFTED:
            self._shifted(element, before, texts, depth)
        elif what is Duty.AGED:
            self._age(element, before, texts, depth)
        elif what is Duty.WORDS:
            self._free_text(element, before, texts, depth)
        elif what is Duty.LETTER:
            row = TABLE.get(tag)
            basic = "" if row is None else row.basic
            self._refuse(Code.GATE_WRONG_ACTION, tag, depth, _SHOULD.get(basic, _SHOULD[""]))
        else:
            if what is Duty.TIME and not all(_TIME.fullmatch(text) for text in texts):
                self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "is no time of day")
            if what is Duty.TIME and self._same_times(before, texts):
                return
            if what is Duty.TERM and not all(_TERM.fullmatch(text) for text in texts):
                self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "is no term of the standard")
            self._equal(element, before, depth)

    def _same_times(self, before: Element | None, texts: list[str]) -> bool:
        """Whether the times of day are the original's, in another writing."""
        was = self._source_texts(before)
        return len(was) == len(texts) and all(map(moments.is_same_time, was, texts))

    def _duty(self, element: Element, level: Level) -> Duty:
        """``level``: what lies beside it."""
        if element.tag == CODE_MEANING and self._kind in iod.REPORTS:
            scheme = level.get(_SCHEME)
            return of_meaning("".join(self._texts(scheme, _LATIN_1)) if scheme is not None else "")
        return duty(self._profile, element.tag, element.vr, self._kind)

    def _must_stay(self, before: Element, what: Duty) -> bool:
        """Whether the copy must have the original's value, in whatever writing is asked for."""
        if before.items is not None:
            return what is Duty.ITEMS and bool(before.items)
        data = self._source_bytes_of(before)
        known = known_vr(before.tag)
        if known not in _BINARY:
            data = data.strip(b" \0")
        if what in _STAYS:
            return bool(data)
        if not data or not data.isascii() or before.vr not in {known, "UN"}:
            return False  # in doubt: how it was read is not known
        if what is Duty.WORDS:
            # Not cut at a backslash: whether there are several values is the VR's to say.
            return is_harmless(data.decode("ascii"), self._profile.words, self._traces.near)
        return is_clear(what, self._source_texts(before), self._expected.days)

    def _replaced(
        self, element: Element, before: Element | None, basic: str, texts: list[str], depth: int
    ) -> bool:
        """Whether the value is one that the Basic Profile's letter may leave."""
        tag = BaseTag(element.tag)
        need = iod.need(tag, self._kind)
        letters = basic.split("/")
        if not texts and not self._bytes(element).strip(b"\0 "):
            if element.end > element.start and element.vr in _BINARY and "D" in letters:
                return True  # zeros are the dummy of bytes
            if before is None:
                return basic != "X"
            # A letter Z is empty; others only where the object asks for it, or nothing was there.
            return "Z" in letters or need is Need.PRESENT or self._was_empty(before, tag)
        if basic == "X" and need is not Need.VALUE:
            return False
        dummy = "D" in letters and self._bytes(element).strip(b" \0") == _DUMMY_BYTES
        if "D" in letters or need is Need.VALUE:
            dummy |= bool(texts) and set(texts) <= DUMMY_TEXT
        nested = bool(depth and texts) and texts == self._nested_pseudonym(before, tag)
        return dummy or nested

    def _was_empty(self, before: Element, tag: BaseTag) -> bool:
        """Nothing was there, and there is no letter X by which it should be gone."""
        if self._source_bytes_of(before).strip(b"\0 "):
            return False
        row = TABLE[tag]
        return row.basic != "X" or any(o in self._profile.options for o in row.options)

    def _nested_pseudonym(self, before: Element | None, tag: BaseTag) -> list[str]:
        if before is None:
            return []
        text = self._source_bytes_of(before).decode("latin-1").strip(" \0")
        if tag == tags.ACCESSION_NUMBER:
            return [pseudonyms.accession(self._expected.key, text)]
        if tag == tags.PATIENT_ID:
            return [pseudonyms.patient(self._expected.key, "", text)]
        return []

    def _gone_or_dummy(self, element: Element, texts: list[str]) -> bool:
        """Nothing, or a dummy, in place of what the table does not name and cannot stay."""
        if not self._bytes(element).strip(b"\0 "):
            return True
        return bool(texts) and set(texts) <= (
            _MEANING if element.tag == CODE_MEANING else DUMMY_TEXT
        )

    def _name(self, element: Element, before: Element | None, texts: list[str], depth: int) -> None:
        """A name is gone or a dummy, as its letter says."""
        if not set(texts) <= {self._expected.patient, *DUMMY_TEXT}:
            self._refuse(Code.GATE_WRONG_ACTION, element.tag, depth, "holds a name")
        row = TABLE.get(element.tag)
        if row is not None and not self._replaced(element, before, row.basic, texts, depth):
            self._refuse(
                Code.GATE_WRONG_ACTION, element.tag, depth, _SHOULD.get(row.basic, _SHOULD[""])
            )

    # --- kinds of values ----------------------------------------------------------------------

    def _uids(self, element: Element, before: Element | None, texts: list[str], depth: int) -> None:
        tag = element.tag
        for value in texts:
            if value in self._traces.uids:
                self._refuse(Code.GATE_FOREIGN_UID, tag, depth, "still has its original value")
            if not is_public_uid(value) and not value.startswith(pseudonyms.UID_ROOT):
                self._refuse(
                    Code.GATE_FOREIGN_UID, tag, depth, "is neither the standard's nor ours"
                )
        if before is None or before.items is not None:
            if self._source is not None and texts and tag not in self._expected.own:
                self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "was not there before")
            return
        originals = [
            part.strip(" \0")
            for part in self._source_bytes_of(before).decode("latin-1").split("\\")
        ]
        mapped = [
            uid if not uid or is_public_uid(uid) else pseudonyms.uid(self._expected.key, uid)
            for uid in originals
        ]
        if depth == 0 and tag in self._expected.own:
            return
        removed = TABLE.get(tag)
        if removed is not None and removed.basic == "X" and texts:
            self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "should be gone")
        if texts != [uid for uid in mapped if uid]:
            self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "is not the pseudonym of its original")

    def _shifted(
        self, element: Element, before: Element | None, texts: list[str], depth: int
    ) -> None:
        was = self._source_texts(before)
        if len(was) != len(texts) or not all(
            _is_shifted(one, other, self._expected.days)
            or moments.is_moved(one, other, self._expected.days)
            for one, other in zip(was, texts, strict=True)
        ):
            self._refuse(
                Code.GATE_WRONG_ACTION, element.tag, depth, "is not the original date, moved"
            )

    def _age(self, element: Element, before: Element | None, texts: list[str], depth: int) -> None:
        was = self._source_texts(before)
        for one, other in zip(was, texts, strict=False):
            match = re.fullmatch(r"(\d{3})([DWMY])", one)
            # A few days of doubt around the limit: 90 years in months have two readings.
            days = int(match[1]) * _DAYS_OF[match[2]] if match else None
            old = days is None or days >= _OLDEST * 365
            if other != ("090Y" if old else one) and not (
                days is not None and days >= (_OLDEST - 1) * 360 and other == "090Y"
            ):
                self._refuse(Code.GATE_WRONG_ACTION, element.tag, depth, "tells too high an age")
        if len(was) != len(texts):
            self._refuse(Code.GATE_WRONG_ACTION, element.tag, depth, "has other values")

    def _free_text(
        self, element: Element, before: Element | None, texts: list[str], depth: int
    ) -> None:
        """Kept as it was, of allowed words alone, with nothing of the patient in it."""
        for text in texts:
            found = runs(text)
            numbers = [word for word in runs(_DECIMAL.sub("0", text)) if word.isdigit()]
            if (
                any(len(number) > _LONGEST_NUMBER for number in numbers)
                or len(numbers) > _MOST_NUMBERS
                or not all(word.isdigit() or word in self._profile.words for word in found)
            ):
                self._refuse(Code.GATE_WRONG_ACTION, element.tag, depth, "holds words not allowed")
            joined = "".join(found)
            if any(
                w in found or (len(w) > _LONGEST_NUMBER and w in joined) for w in self._traces.own
            ):
                self._found(element.tag, depth)
        self._equal(element, before, depth)

    def _equal(self, element: Element, before: Element | None, depth: int) -> None:
        """Nothing may be in the copy that the original did not have there."""
        if self._source is None:
            return
        if before is None:
            self._differs(element, depth, "was not there before")
        value, was = self._bytes(element), self._source_bytes_of(before)
        if value == was or value.rstrip(b" \0") == was.rstrip(b" \0"):
            return
        # Written anew, from UN or without surplus blanks.
        if element.vr in _BINARY or before.items is not None:
            same = False
        elif before.vr == "UN":
            one, other = (self._decoded(d, element.vr, self._encodings) for d in (value, was))
            same = one == other
        else:
            first, second = (
                [part.strip(" \0") for part in data.decode("latin-1").split("\\")]
                for data in (value, was)
            )
            same = first == second
        if not same:
            self._differs(element, depth, "is not as it was")

    def _differs(self, element: Element, depth: int, why: str) -> NoReturn:
        """What has another value is wrong; where the value tells of the patient, that is said."""
        search_bytes(self._bytes(element), self._traces)
        for text in self._texts(element, self._encodings):
            if self._search.finds(element.vr, text):
                self._found(element.tag, depth)
        self._refuse(Code.GATE_WRONG_ACTION, element.tag, depth, why)

    def _found(self, tag: int, depth: int) -> NoReturn:
        self._refuse(Code.GATE_IDENTIFIER, tag, depth, "holds an identifying value")

    # --- sequences ----------------------------------------------------------------------------

    def _sequence(
        self, element: Element, before: Element | None, depth: int, encodings: list[str]
    ) -> bool:
        """Judges a sequence; whether all of it is the router's own."""
        tag, items = BaseTag(element.tag), element.items or []
        if depth == 0 and tag == tags.METHOD_SEQUENCE:
            return True  # compared with what must be declared
        row = TABLE.get(tag)
        if self._source is None and depth == 0 and row is None:
            for item in items:  # a capture's own
                self.level(item, None, depth + 1, encodings)
            return False
        if row is not None and self._duty(element, {}) is not Duty.ITEMS:
            self._replaced_items(items, before, row.basic, tag, depth, encodings)
            self._need(element, before, depth)
            return bool(items)  # dummies, then
        if items and leads_to_somebody(tag):
            self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "should be gone")
        originals = before.items if before is not None else None
        if self._source is not None and originals is not None and len(originals) != len(items):
            self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "has other items")
        for index, item in enumerate(items):
            was = originals[index] if originals is not None else None
            if was is None and self._source is not None and item:
                self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "was not there before")
            self.level(item, was, depth + 1, encodings)
        return False

    def _replaced_items(
        self, items: list[Level], before: Element | None, basic: str, tag: BaseTag, depth: int,
        encodings: list[str],
    ) -> None:  # fmt: skip
        """What the letter of a sequence leaves that does not stay: nothing, or a dummy code."""
        need = iod.need(tag, self._kind)
        if basic == "X" and need is not Need.PRESENT and need is not Need.VALUE:
            self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "should be gone")
        if any(not self._is_dummy_code(item, encodings) for item in items):
            self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "still has items")
        if basic == "D" and before is not None and before.items and not items:
            self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "holds no dummy")

    def _is_dummy_code(self, item: Level, encodings: list[str]) -> bool:
        values = tuple(
            "".join(self._texts(item[tag], encodings)) if tag in item else ""
            for tag in (0x00080100, 0x00080102, 0x00080104)
        )
        return values == _DUMMY_CODE and len(item) == len(_DUMMY_CODE)

    # --- what is not there --------------------------------------------------------------------

    def _gone(self, before: Element, depth: int, original: Level) -> None:
        """An attribute of the original that the copy has no more."""
        tag = BaseTag(before.tag)
        if (
            tag.is_private or tag.element == 0 or is_drawn(tag)
            or is_undefined(tag) or (tag.group == _PIXEL_GROUP and depth)
        ):  # fmt: skip
            return
        need = iod.need(tag, self._kind)
        had_value = before.items or self._source_bytes_of(before).strip(b"\0 ")
        if (need is Need.VALUE and had_value) or need is Need.PRESENT:
            self._refuse(Code.GATE_IOD, tag, depth, "is gone, and the object needs it")
        what = self._duty(before, original)
        row = TABLE.get(tag)
        if row is not None:
            may_go = "X" in row.basic or not had_value
        else:
            may_go = what is not Duty.SAME and what is not Duty.ITEMS
        if not may_go or self._must_stay(before, what):
            self._refuse(Code.GATE_WRONG_ACTION, tag, depth, "is gone")

    def _need(self, element: Element, before: Element | None, depth: int) -> None:
        """A Type 1 attribute that had a value must have one."""
        if before is None or iod.need(BaseTag(element.tag), self._kind) is not Need.VALUE:
            return
        has = element.items or self._bytes(element).strip(b"\0 ")
        had = before.items or self._source_bytes_of(before).strip(b"\0 ")
        if had and not has:
            self._refuse(Code.GATE_IOD, element.tag, depth, "is empty, and the object needs it")

    # --- bytes and texts ----------------------------------------------------------------------

    def _private_creators(self, copy: Level) -> frozenset[int]:
        """The private elements of this level that are on the allow-list, and their creators."""
        fine: set[int] = set()
        for tag, element in copy.items():
            if not (tag >> 16) & 1 or not self._profile.private:
                continue
            creator_tag = (tag & 0xFFFF0000) | (tag >> 8 & 0xFF)
            creator = copy.get(creator_tag)
            if creator is None or creator_tag == tag:
                continue
            name = self._bytes(creator).decode("latin-1").strip(" \0")
            for safe in self._profile.private:
                if (safe.creator, safe.group, safe.element, safe.vr) == (
                    name, tag >> 16, tag & 0xFF, element.vr,
                ):  # fmt: skip
                    fine |= {tag, creator_tag}
        return frozenset(fine)

    def _bytes(self, element: Element) -> bytes:
        return bytes(self._view[element.start : element.end])

    def _source_bytes_of(self, before: Element) -> bytes:
        assert self._source is not None  # noqa: S101  (there is an element of it)
        return bytes(self._source[before.start : before.end])

    def _source_bytes(self, before: Element | None) -> bytes | None:
        return None if before is None or before.items is not None else self._source_bytes_of(before)

    def _source_texts(self, before: Element | None) -> list[str]:
        data = self._source_bytes(before) or b""
        texts = (part.strip(" \0") for part in data.decode("latin-1").split("\\"))
        return [text for text in texts if text]

    def _texts(self, element: Element, encodings: list[str]) -> list[str]:
        """The values of an element as text; none for bytes and sequences."""
        vr = known_vr(element.tag) if element.vr == "UN" else element.vr
        return [] if vr in _BINARY else self._decoded(self._bytes(element), vr, encodings)

    @staticmethod
    def _decoded(data: bytes, vr: str, encodings: list[str]) -> list[str]:
        if data.isascii() and b"\x1b" not in data:
            text = data.decode("ascii")
        else:
            text = decode_bytes(data, encodings, _DELIMITERS)
        single = vr in {"LT", "ST", "UT", "UR"}
        texts = [part.strip(" \0") for part in ([text] if single else text.split("\\"))]
        return [text for text in texts if text]

    def _refuse(self, code: Code, tag: int, depth: int, why: str) -> NoReturn:
        raise Hold(code, f"{shown(tag, depth)} {why}".rstrip())


#: Compared with what is expected after all else, under codes of their own.
_DECLARED = frozenset({
    tags.STUDY_UID, tags.SERIES_UID, tags.SOP_UID, tags.IDENTITY_REMOVED,
    tags.TIME_MODIFIED,
})  # fmt: skip
#: What resets an ISO 2022 code extension (PS3.5, 6.1.2.5.3).
_DELIMITERS = {ord(char) for char in "\\^=\r\n\f\t"}
_SHOULD = {"X": "should be gone", "D": "holds no dummy", "": "still has a value"}
#: Whatever the value is, it stays, or its pseudonym does.
_STAYS = frozenset({Duty.SAME, Duty.UID})
#: What a meaning becomes that cannot stay.
_MEANING = frozenset({"ANONYMIZED"})
_DECIMAL = re.compile(r"(?<![\d.])\d{1,3}[.,]\d{1,2}(?![\d.,])")


def _encodings(charset: bytes) -> list[str]:
    terms = [term.strip(" \0") for term in charset.decode("latin-1").split("\\")]
    try:
        return convert_encodings(terms) or ["iso8859"]
    except (LookupError, ValueError, UserWarning):
        return ["iso8859"]


def _is_shifted(was: str, now: str, days: int) -> bool:
    """Whether a date (and what follows it) is the other one, moved by the days."""
    digits = re.match(r"(\d{4})\.?(\d{2})?\.?(\d{2})?", was)
    moved = re.match(r"(\d{4})(\d{2})?(\d{2})?", now)
    if digits is None or moved is None:
        return False
    rest, rest_now = was[digits.end() :], now[moved.end() :]
    first = [part is not None for part in digits.groups()]
    if rest != rest_now or first != [part is not None for part in moved.groups()]:
        return False
    year, month, day = digits.groups()
    try:
        expected = date(int(year), int(month or 7), int(day or (15 if month else 1)))
        expected += timedelta(days=days)
    except (ValueError, OverflowError):
        return False
    told = f"{expected.year:04d}{expected.month:02d}{expected.day:02d}"
    return told.startswith("".join(part or "" for part in moved.groups()))
