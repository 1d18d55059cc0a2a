"""What of an original may appear nowhere in what leaves the truck, and how it is looked for.

How hard a value is looked for depends on what it tells and how easily it turns up by chance: a
search that finds "12" in every header would hold every image and would soon be switched off. The
tiers are in TIERS; the documents print them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, cast

from pydicom.charset import convert_encodings, encode_string
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from router.deid.gate import moments
from router.deid.gate.dictionary import is_public_uid
from router.deid.profile import DEEPEST_NESTING
from router.deid.standard import tags, vocabulary
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

#: Attributes that name a person or lead straight to one. Their values are looked for everywhere.
_IDENTIFYING = frozenset(
    Tag(keyword)
    for keyword in (
        "PatientID", "OtherPatientIDs", "PatientBirthDate", "PatientAddress",
        "PatientTelephoneNumbers", "PatientTelecomInformation", "MedicalRecordLocator",
        "AccessionNumber", "AdmissionID", "IssuerOfPatientID", "ReferringPhysicianAddress",
        "ReferringPhysicianTelephoneNumbers", "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest", "StudyID", "RequestedProcedureID",
        "ScheduledProcedureStepID", "PerformedProcedureStepID",
        "PatientBirthDateInAlternativeCalendar",
    )
)  # fmt: skip
_PATIENTS_NAMES = frozenset(
    Tag(keyword)
    for keyword in (
        "PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName",
    )
)  # fmt: skip
#: Whose words and numbers free text may not hold, apart from names: what names the patient herself.
#: A number of the procedure (MG-001) has words that every text of that modality holds.
_OWN = frozenset(
    Tag(keyword)
    for keyword in (
        "PatientID", "OtherPatientIDs", "PatientAddress", "PatientTelephoneNumbers",
        "MedicalRecordLocator", "AccessionNumber", "AdmissionID", "StudyID",
    )
)  # fmt: skip
_BORN = frozenset({Tag("PatientBirthDate"), Tag("PatientBirthDateInAlternativeCalendar")})
#: Numbers of the patient that may be very short: looked for as the whole of a text.
_PATIENTS_NUMBERS = frozenset({Tag("PatientID"), Tag("OtherPatientIDs")})
#: When the patient was examined: with one original date all of her moved ones are known.
_EXAMINED = frozenset(
    Tag(keyword)
    for keyword in (
        "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "AcquisitionDateTime",
        "InstanceCreationDate", "PerformedProcedureStepStartDate",
    )
)  # fmt: skip
_MAKER = ("Manufacturer", "ManufacturerModelName", "ConvolutionKernel")
#: Attributes that name a place or a machine. They are looked for too, unless the value is a part
#: of the maker's or the model's name: sites enter "TOSHIBA" as their institution.
_LOCATING = frozenset(
    Tag(keyword)
    for keyword in ("InstitutionName", "InstitutionAddress", "DeviceSerialNumber", "StationName")
)
_DEVICE = frozenset({Tag("DeviceSerialNumber"), Tag("StationName")})
#: Values that are in use as "nothing" and identify no one.
_NOBODY = frozenset({
    "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "ANON", "UNKNOWN", "NONE", "REMOVED", "DEIDENTIFIED",
})  # fmt: skip
#: From this length on a value is searched as bytes; shorter ones only as words of text, because
#: they turn up in numbers and codes by chance.
_LONG, _LONG_NUMBER = 6, 8
_SHORTEST, _SHORTEST_NAME, _SHORTEST_NUMBER = 3, 2, 4
_SHORTEST_WHOLE = 2
_UID_SHAPED = re.compile(rb"[0-9]+(?:\.[0-9]+){3,}")
_FEWEST_DOTS = 3
#: When somebody can have been examined, and born.
_EARLIEST, _FIRST_BORN, _LATEST = 1900, 1800, 2099
#: A number within another value that is somebody's own.
_NUMBER = re.compile(r"[0-9]{6,}")
#: A part of a name that stands on its own; two letters of it (Al-, Na) turn up by chance.
_LETTERS = re.compile(r"[^\W\d_]{3,}")
DUMMY_TEXT = frozenset({
    "ANONYMIZED", "000Y", "19000101", "19000101000000", "000000", "0", "urn:anonymized",
})  # fmt: skip


@dataclass(frozen=True)
class Tier:
    """How one kind of values is looked for."""

    values: str
    search: str
    reason: str


#: For the documents: from what may stand nowhere to what only counts as a whole.
TIERS = (
    Tier(
        "names and numbers of 6 letters and more (digits alone: 8 and more), halves of double names, "
        "dates of birth in 28 writings, original UIDs",
        "as bytes in the whole file outside the pixels, with the comments of compressed frames; "
        "as text without case and accents (Müller and Mueller are one), in each character set of the "
        "file",
        "too long to turn up by chance",
    ),
    Tier(
        "names of 2 letters and more; numbers and other identifiers of 3 (digits alone: 4) to 5",
        "as whole words of text, without case and accents",
        "as a part of other words and numbers they turn up everywhere: Li in Lieberkühn",
    ),
    Tier(
        "dates of the examination in 13 writings",
        "as a part of any text; as the whole of a number",
        "among dates a moved one can by chance be another's original",
    ),
    Tier(
        "numbers of the patient of 2 and 3 digits",
        "as the whole of a text of VR LO, LT, ST, UC, UT; as a word of free text that was kept",
        "as words they are versions and slice counts",
    ),
    Tier(
        "names that are words of radiology, of the standard or of its makers (Bone, Hu, Philips)",
        "as words of free text that was kept; as a part of the full name",
        "in codes and names of parts they stand whoever the patient is",
    ),
    Tier(
        "staff, places and machines",
        "as in the first two tiers, unless the value is a part of the maker's or model's name",
        "sites enter the maker as the institution and its engineer as the operator",
    ),
)


@dataclass(frozen=True)
class Traces:
    """The values of an original that may appear nowhere in what leaves the truck."""

    long: frozenset[bytes]
    short: frozenset[str]
    uids: frozenset[str]
    #: The words and numbers of the patient's own identifiers: what free text may not hold.
    own: frozenset[str] = frozenset()
    #: Very short numbers of the patient: what may not be the whole of a text.
    whole: frozenset[str] = frozenset()
    #: When she was examined, as people write it: what may not stand in any text or be a number.
    dates: frozenset[str] = frozenset()
    #: Words and numbers of identifiers, also of those that name nobody: text that holds one of
    #: them need not stay.
    near: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        original: Dataset,
        station: str = "",
        *,
        harmless: frozenset[str] = frozenset(),
        keeps_device: bool = False,
    ) -> Traces:
        """``station``: what StationName becomes; the scanner may have the same name.

        ``harmless``: words that a site says identify no one. ``keeps_device``: the profile
        retains the identity of the device (113109).
        """
        found = _Found(vocabulary.HEADER_WORDS | harmless, vocabulary.WORDS | harmless)
        seen: set[tuple[int, bytes]] = set()
        maker = _compact(" ".join(str(original.get(keyword, "")) for keyword in _MAKER))
        uids: set[str] = set()
        for element in _walk(original, 0, seen):
            values = _texts(element)
            if "UI" in _vrs(element):
                uids.update(v for v in values if not is_public_uid(v))
            elif "PN" in _vrs(element):
                found.add_near(values)
                if element.tag in _PATIENTS_NAMES:
                    parts = (part for value in values for part in _name_parts(value))
                    found.add(parts, _SHORTEST_NAME, says_nothing=False)
                    found.add_own(values)
                else:
                    top = original.get(element.tag) is element
                    found.add_staff(values, maker, in_texts=top)
            elif element.tag in _IDENTIFYING:
                found.add_identifying(element.tag, values)
            elif element.tag in _EXAMINED:
                found.add_dates(values)
            elif element.tag in _LOCATING and not (keeps_device and element.tag in _DEVICE):
                found.add(v for v in values if _compact(v) not in maker)
        return found.traces(station, uids, str(original.get("SpecificCharacterSet", "") or ""))


class _Found:
    """Collects the values by how they are looked for."""

    def __init__(self, harmless: frozenset[str], in_texts: frozenset[str]) -> None:
        """``harmless``: words that name nobody in codes; ``in_texts``: not even in free text."""
        self._harmless = harmless
        self._in_texts = in_texts
        self._long: set[str] = set()
        self._short: set[str] = set()
        self._own: set[str] = set()
        self._whole: set[str] = set()
        self._near: set[str] = set()
        self._dates: set[str] = set()

    def add(
        self, values: Iterable[str], shortest: int = _SHORTEST, *, says_nothing: bool = True
    ) -> None:
        """``says_nothing``: what consists of harmless words alone (Mammography Screening) names
        nobody either. Of the patient's full name that does not hold.
        """
        for value in values:
            text = value.strip()
            plain = folded(text)
            if text.upper() in _NOBODY or text in DUMMY_TEXT or plain in self._harmless:
                continue
            if says_nothing and self._harmless.issuperset(runs(text)):
                continue
            for spelt in _spellings(text) - self._harmless:
                if len(spelt) >= _SHORTEST:
                    (self._long if len(spelt) >= _LONG else self._short).add(spelt)
            if not text.isascii() and (not plain.isascii() or len(plain) >= _LONG):
                # One character can be a name, but only in a writing without letters.
                if len(text) > 1 or text.lower() == text.upper():
                    self._long.add(text)
            elif len(text) >= (_LONG_NUMBER if text.isdigit() else _LONG):
                self._long.add(text)
            # A short name with accents is a short name too: "Bö" without them is a part of "abort".
            elif len(plain) >= (_SHORTEST_NUMBER if text.isdigit() else shortest):
                self._short.add(plain)

    def add_identifying(self, tag: BaseTag, values: list[str]) -> None:
        written = [v for value in values for v in _variants(value)]
        if tag in _BORN:
            written += [v for value in values for v in _birthdays(value)]
        self.add(written)
        self.add_near(written)
        if tag in _BORN:  # its day alone is a number like any other
            self.add_own(value for value in written if value.isdigit())
        if tag in _OWN:
            self.add_own(written)
        if tag in _PATIENTS_NUMBERS:
            self._whole.update(
                v for v in values if v.isdigit() and _SHORTEST_WHOLE <= len(v) < _SHORTEST_NUMBER
            )

    def add_own(self, values: Iterable[str]) -> None:
        for value in values:
            if value.upper() not in _NOBODY:
                found = runs(value)
                together = [*found, "".join(found)]
                self._own.update(w for w in together if len(w) > 1 or not w.isascii())

    def add_staff(self, names: Iterable[str], maker: str, *, in_texts: bool) -> None:
        """``maker``: sites enter its name. ``in_texts``: a word of the vocabulary may not stand in
        free text either where somebody has it as name; so it is with those that the plan looks at.
        """
        for name in names:
            if not self._harmless.issuperset(runs(name)):  # Screening^Mammography
                self.add(part for part in _name_parts(name) if _compact(part) not in maker)
            if in_texts:
                words = set(runs(name)) - self._in_texts
                self._own.update(word for word in words if len(word) >= _SHORTEST)

    def add_near(self, values: Iterable[str]) -> None:
        for value in values:
            found = runs(value)
            self._near.update(word for word in (*found, "".join(found)) if len(word) > 1)

    def add_dates(self, values: Iterable[str]) -> None:
        for value in values:
            if value in DUMMY_TEXT:
                continue
            for day in moments.days_of(value):
                if not _EARLIEST <= day.year <= _LATEST:
                    continue  # nobody was examined then
                year = str(day.year)
                written = (value, *_date_variants(year, f"{day.month:02d}", f"{day.day:02d}"))
                self._dates.update(folded(date) for date in written if year in date)

    def traces(self, station: str, uids: set[str], charset: str) -> Traces:
        self._long.discard(station)
        self._short.discard(folded(station))
        encoded = {value.encode() for value in self._long}
        for value in self._long:
            if not value.isascii():
                encoded |= set(_encodings(value, charset))
        return Traces(
            frozenset(encoded), frozenset(self._short), frozenset(uids),
            frozenset(self._own) - {""}, frozenset(self._whole), frozenset(self._dates), frozenset(self._near),
        )  # fmt: skip


def _encodings(value: str, charset: str) -> Iterator[bytes]:
    """The value as bytes in the character sets of its file and in those in wide use."""
    terms = [term.strip() for term in charset.split("\\")] if charset else []
    try:
        named = convert_encodings(terms) if terms else []
        yield encode_string(value, named) if named else b""
    except (ValueError, LookupError, UserWarning):
        pass  # a character set that nobody knows; the ones below remain
    for encoding in (
        "latin-1",
        "gb18030",
        "shift_jis",
        "euc_kr",
        "iso8859_5",
        "cp1251",
        "iso8859_7",
    ):
        try:
            yield value.encode(encoding)
        except UnicodeEncodeError:
            continue


def search_bytes(outside_pixels: bytes, traces: Traces) -> None:
    """Raises Hold (GATE_IDENTIFIER, GATE_FOREIGN_UID) where a long value stands in the bytes."""
    lowered = outside_pixels.lower()
    if any(_stands(value, lowered) for value in traces.long):
        raise Hold(Code.GATE_IDENTIFIER, "an identifying value was found in the bytes of the copy")
    if _holds_uid(outside_pixels, traces.uids):
        raise Hold(Code.GATE_FOREIGN_UID, "an original UID was found in the bytes of the copy")


class TextSearch:
    """Looks for the values in decoded text, without case and accents."""

    def __init__(self, traces: Traces) -> None:
        self._short = traces.short
        self._whole = traces.whole
        self._dates = traces.dates
        self._years = {date[:4] for date in traces.dates if date[4:5] == "-"}
        self._foreign = {folded(_decoded(value)) for value in traces.long if not value.isascii()}
        self._foreign.discard("")
        #: What is found as the whole of a text of whatever VR.
        self._exact = {_decoded(value) for value in traces.long if value.isdigit()}
        #: Long numbers and words without what stands between their parts.
        compact = (_compact(_decoded(value)) for value in traces.long)
        self._compact = {v for v in compact if len(v) >= (_LONG_NUMBER if v.isdigit() else _LONG)}

    def finds(self, vr: str, text: str) -> bool:
        """Whether a value stands in the text of an element of this VR."""
        plain = folded(text)
        if plain in self._exact or any(value in plain for value in self._foreign):
            return True
        if vr in _TEXT:
            words = set()
            for written in {plain} | _spellings(text):
                # 12 34 56-78
                if not text.isalnum() or not text.isascii():
                    together = _compact(written)
                    if any(value in together for value in self._compact):
                        return True
                words |= {written, *re.split(r"[\W_]+", written)}
            if self._dated(plain):
                return True
        elif vr in _NUMBERS and not plain.isdigit():
            words = {plain}  # numbers stand in IS and DS by chance
        else:
            return vr in _NUMBERS and plain in self._dates
        return not words.isdisjoint(self._short) or (vr in _LONG_TEXT and text in self._whole)

    def _dated(self, plain: str) -> bool:
        return any(year in plain for year in self._years) and any(
            date in plain or date in _compact(plain) for date in self._dates
        )


#: VRs in which people write.
_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_LONG_TEXT = frozenset({"LO", "LT", "ST", "UC", "UT"})
_NUMBERS = frozenset({"AS", "DS", "IS"})


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return ""  # the value in another encoding; its text is searched in UTF-8


def folded(text: str) -> str:
    """Without case and accents."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


#: Letters that are written as others where a keyboard has none of them: Müller and Mueller, Wałęsa
#: and Walesa. Accents fall away in ``folded``.
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_STROKES = str.maketrans({
    "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th",
})  # fmt: skip


def _spellings(text: str) -> set[str]:
    """A text beyond ASCII as it is written in ASCII, folded."""
    if text.isascii():
        return set()
    lower = unicodedata.normalize("NFC", text).lower()
    written = (lower.translate(_STROKES), lower.translate(_UMLAUTS).translate(_STROKES))
    return {plain for plain in map(folded, written) if plain.isascii()}


def _compact(text: str) -> str:
    return "".join(char for char in folded(text) if char.isalnum())


def runs(text: str) -> list[str]:
    """The runs of letters and the runs of digits in a text, folded."""
    kinds = groupby(folded(text), key=lambda c: "a" if c.isalpha() else "1" if c.isdigit() else "")
    return ["".join(run) for kind, run in kinds if kind]


def _walk(dataset: Dataset, depth: int, seen: set[tuple[int, bytes]]) -> Iterator[DataElement]:
    """Every element of an original, but the pixels; of sequences that repeat byte by byte one."""
    if depth > DEEPEST_NESTING:
        raise Hold(Code.NESTING_TOO_DEEP, f"deeper than {DEEPEST_NESTING} levels")
    for tag in dataset.keys():  # noqa: SIM118  (values of a Dataset would be converted)
        if tag.group == tags.PIXEL_DATA.group and depth == 0:
            continue
        raw = cast("DataElement | RawDataElement", dataset.get_item(tag, keep_deferred=True))
        if depth and isinstance(raw, RawDataElement) and raw.VR == "SQ" and raw.value is not None:
            if (tag, raw.value) in seen:
                continue
            seen.add((tag, raw.value))
        try:
            element = dataset[tag]
        except (BytesLengthException, ValueError, TypeError, NotImplementedError) as error:
            raise Hold(Code.UNREADABLE, f"{tag} breaks its VR ({type(error).__name__})") from None
        yield element
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _walk(item, depth + 1, seen)


def _texts(element: DataElement) -> list[str]:
    """The values of an element as text; none for bytes and sequences."""
    value = element.value
    if value is None or element.VR == "SQ" or isinstance(value, bytes):
        return []
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    texts = (str(v).strip(" \0") for v in values)
    return [text for text in texts if text]


def _vrs(element: DataElement) -> set[str]:
    """The VR that the file gives and the one of the standard: senders put names under others."""
    known = dictionary_has_tag(element.tag)
    return {element.VR, dictionary_VR(element.tag) if known else element.VR}


def _name_parts(name: str) -> Iterator[str]:
    yield name
    # Family, given, middle name …, in each of the three writings (PS3.5, 6.2.1.2).
    parts = [part for part in re.split(r"[\^=,; ]+", name) if part]
    yield from parts
    yield "".join(parts)
    # Half of a double name, and names with whatever else between them (NOVAKOVA_ZDENKA).
    yield from _LETTERS.findall(unicodedata.normalize("NFC", name))


def _variants(value: str) -> Iterator[str]:
    """A number or a date as people write it elsewhere."""
    yield value
    if value.isdigit():
        yield value.lstrip("0")
    elif any(char.isdigit() for char in value):
        yield _compact(value)  # 2026-4711 without its dash
        for number in _NUMBER.findall(value):  # MRN00123456
            yield number
            if _NUMBER.fullmatch(bare := number.lstrip("0")):
                yield bare
    if re.fullmatch(r"(18|19|20)[0-9]{6}", value):
        yield from _date_variants(value[:4], value[4:6], value[6:])


def _birthdays(value: str) -> Iterator[str]:
    """Each day that a date of birth in another writing (11.4.65) can mean, as people write it."""
    for day in moments.days_of(value, short_years=True):
        if _FIRST_BORN <= day.year <= _LATEST:
            yield from _date_variants(str(day.year), f"{day.month:02d}", f"{day.day:02d}")


def _date_variants(year: str, month: str, day: str) -> Iterator[str]:
    for mark in ("", ".", "-", "/"):
        yield f"{year}{mark}{month}{mark}{day}"
        yield f"{year[2:]}{mark}{month}{mark}{day}"
        for shown in (year, year[2:]):
            yield f"{day}{mark}{month}{mark}{shown}"
            yield f"{month}{mark}{day}{mark}{shown}"
    if "01" <= month <= "12":
        name = _MONTHS[int(month) - 1]
        for shown in (year, year[2:]):  # as they are without what stands between them
            yield f"{day}{name}{shown}"
            yield f"{name}{day}{shown}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _holds_uid(outside_pixels: bytes, uids: frozenset[str]) -> bool:
    """Whether one of the UIDs stands in the bytes, alone or with more components behind it."""
    for match in _UID_SHAPED.finditer(outside_pixels):
        token = match.group().decode()
        # Its last digit can be the group of the element behind it: (0032,…) begins with b"2\0".
        if outside_pixels[match.end() : match.end() + 1] == b"\0" and token[:-1] in uids:
            return True
        while token.count(".") >= _FEWEST_DOTS:
            if token in uids:
                return True
            token = token.rpartition(".")[0]
    return False


def _stands(value: bytes, lowered: bytes) -> bool:
    """Whether the value stands in the bytes, which are in lower case."""
    small = value.lower()
    if len(value) < _LONG or small not in lowered:
        return False
    if not value.isdigit():
        return True
    # A number counts only where it stands alone: "12345678" in "0.12345678" is a pixel spacing.
    # A digit and a zero byte behind it are the group of the next element, (0030,…) to (0039,…).
    alone = rb"(?<![0-9])(?<![0-9]\.)%s(?![0-9](?!\0))(?!\.[0-9])" % value
    return re.search(alone, lowered) is not None
