"""The gate: reads back what Orthanc made and lets it pass, or says why not.

It trusts neither Orthanc nor the plan. It shares the standard's table and the pseudonyms with the
plan, and no code: it starts from the finished object and asks of each attribute whether it may be
there. What it cannot judge does not pass.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from router import part10
from router.deid import profile, pseudonyms, vocabulary
from router.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset, FileDataset
    from pydicom.tag import BaseTag

    from router.deid.pseudonyms import Key

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
_MAKER = ("Manufacturer", "ManufacturerModelName", "ConvolutionKernel")
#: Attributes that name a place or a machine. They are looked for too, unless the value is a part
#: of the maker's or the model's name: sites enter "TOSHIBA" as their institution.
_LOCATING = frozenset(
    Tag(keyword)
    for keyword in ("InstitutionName", "InstitutionAddress", "DeviceSerialNumber", "StationName")
)
#: Values that are in use as "nothing" and identify no one.
_NOBODY = frozenset({
    "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "ANON", "UNKNOWN", "NONE", "REMOVED", "DEIDENTIFIED",
})  # fmt: skip
#: From this length on a value is searched as bytes; shorter ones only as words of text, because
#: they turn up in numbers and codes by chance.
_LONG, _LONG_NUMBER = 6, 8
_SHORTEST, _SHORTEST_NAME, _SHORTEST_NUMBER = 3, 2, 4
#: VRs in which people write.
_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_NUMBERS = frozenset({"AS", "DS", "IS"})
_UID_SHAPED = re.compile(rb"[0-9]+(?:\.[0-9]+){3,}")
_FEWEST_DOTS = 3
#: What a file header may hold (PS3.10, table 7.1-1): no AE titles, no private information.
_FILE_META = frozenset({
    0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013,
})  # fmt: skip
_DUMMY_TEXT = frozenset({
    "ANONYMIZED", "000Y", "19000101", "19000101000000", "000000", "0", "urn:anonymized",
})  # fmt: skip
_PIECE = 1 << 20
#: What the table does not name may be a code or a number, and none of these.
_FREE_TEXT = frozenset({"DA", "DT", "LT", "ST", "TM", "UC", "UR", "UT"})
_KEPT_TEXT = frozenset({Tag("LongCodeValue"), Tag("URNCodeValue")})
_DUMMY_CODE = ("ANON", "99EDGE", "Anonymized")


#: What says how stored pixel values are to be read.
_SAME_IMAGE = (
    "SOPClassUID", "Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation",
)  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """What the copy must be. UIDs are the pseudonymous ones."""

    patient: str
    accession: str
    study_id: str
    station: str
    study_uid: str
    series_uid: str
    sop_uid: str

    @classmethod
    def of(cls, original: Dataset, key: Key, station: str) -> Expected:
        def text(keyword: str) -> str:
            return str(original.get(keyword, "") or "").strip()

        accession, study_id = text("AccessionNumber"), text("StudyID")
        return cls(
            patient=pseudonyms.patient(key, text("IssuerOfPatientID"), text("PatientID")),
            accession=pseudonyms.accession(key, accession) if accession else "",
            study_id=pseudonyms.study_id(key, study_id) if study_id else "",
            station=station,
            study_uid=pseudonyms.uid(key, text("StudyInstanceUID")),
            series_uid=pseudonyms.uid(key, text("SeriesInstanceUID")),
            sop_uid=pseudonyms.uid(key, text("SOPInstanceUID")),
        )

    def for_capture(self, series_uid: str, sop_uid: str) -> Expected:
        """The same patient and study, another series and instance."""
        return replace(self, series_uid=series_uid, sop_uid=sop_uid)


@dataclass(frozen=True)
class Traces:
    """The values of an original that may appear nowhere in what leaves the truck."""

    long: frozenset[bytes]
    short: frozenset[str]
    uids: frozenset[str]

    @classmethod
    def of(cls, original: Dataset, station: str = "") -> Traces:
        """``station``: what StationName becomes; the scanner may have the same name."""
        long: set[bytes] = set()
        short: set[str] = set()
        uids: set[str] = set()
        maker = " ".join(str(original.get(keyword, "")) for keyword in _MAKER).upper()
        for _, element in _walk(original, 0):
            values = _texts(element)
            if "UI" in _vrs(element):
                uids.update(value for value in values if not _of_the_standard(value))
            elif "PN" in _vrs(element):
                parts = [part for value in values for part in _name_parts(value)]
                if element.tag in _PATIENTS_NAMES:
                    _sort_traces(parts, long, short, _SHORTEST_NAME)
                else:  # staff: sites enter the maker's name
                    _sort_traces((p for p in parts if p.upper() not in maker), long, short)
            elif element.tag in _IDENTIFYING:
                _sort_traces((v for value in values for v in _variants(value)), long, short)
            elif element.tag in _LOCATING:
                _sort_traces((v for v in values if v.upper() not in maker), long, short)
        long.discard(station.encode())
        short.discard(_folded(station))
        return cls(frozenset(long), frozenset(short), frozenset(uids))


def check_copy(
    original: FileDataset,
    original_view: memoryview,
    copy: FileDataset,
    view: memoryview,
    expected: Expected,
    traces: Traces,
) -> None:
    """Raises Hold (GATE_…) unless the anonymized copy may leave the truck.

    ``view`` is the whole file of ``copy``, ``original_view`` that of ``original``; ``expected``
    and ``traces`` are of the original.
    """
    if copy.file_meta.TransferSyntaxUID != original.file_meta.TransferSyntaxUID:
        raise Hold(Code.GATE_PIXELS_CHANGED, "its transfer syntax differs from the original's")
    _check_pixels(original, original_view, copy, view)
    _check_as_original(original, copy)
    check_outgoing(copy, view, expected, traces, {})


def check_compressed(
    original: FileDataset,
    copy: FileDataset,
    view: memoryview,
    expected: Expected,
    traces: Traces,
) -> None:
    """The same for a copy that was compressed.

    That it has the original's pixels was seen by decoding it (``lossless.same_pixels``).
    """
    _check_as_original(original, copy)
    check_outgoing(copy, view, expected, traces, {})


def _check_as_original(original: FileDataset, copy: FileDataset) -> None:
    """What the copy has to say as the original does: without it the pixels mean something else."""
    for keyword in _SAME_IMAGE:
        if copy.get(keyword) != original.get(keyword):
            raise Hold(Code.GATE_WRONG_ACTION, f"{keyword} differs from the original's")


def check_outgoing(
    copy: FileDataset,
    view: memoryview,
    expected: Expected,
    traces: Traces,
    own: Mapping[BaseTag, str],
) -> None:
    """Raises Hold (GATE_…) unless the object may leave the truck.

    ``own``: attributes of the top level that the table forbids and the router wrote itself, with
    the one value each may have (a capture's description).
    """
    _check_file_meta(copy, view, expected)
    for depth, element in _walk(copy, 0):
        allowed = own.get(element.tag) if depth == 0 else None
        if allowed is None or _texts(element) != [allowed]:
            _check_element(element, depth, expected, traces)
    _check_declared(copy, expected)
    _check_traces(copy, part10.without_pixels(copy, view), traces)


def _walk(dataset: Dataset, depth: int) -> Iterator[tuple[int, DataElement]]:
    """Every element with its depth, but the pixels."""
    if depth > profile.DEEPEST_NESTING:
        raise Hold(Code.NESTING_TOO_DEEP, f"deeper than {profile.DEEPEST_NESTING} levels")
    for tag in sorted(dataset.keys()):
        if tag in part10.PIXEL_TAGS and depth == 0:
            continue
        try:
            element = dataset[tag]
        except (BytesLengthException, ValueError, TypeError, NotImplementedError) as error:
            raise Hold(
                Code.GATE_UNREADABLE, f"{tag} breaks its VR ({type(error).__name__})"
            ) from None
        yield depth, element
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _walk(item, depth + 1)


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


def _of_the_standard(uid: str) -> bool:
    return uid.startswith(profile.STANDARD_ROOT)


def _name_parts(name: str) -> Iterator[str]:
    yield name
    # Family, given, middle name …, in each of the three writings (PS3.5, 6.2.1.2).
    parts = [part for part in re.split(r"[\^=,; ]+", name) if part]
    yield from parts
    yield "".join(parts)


def _variants(value: str) -> Iterator[str]:
    """A number or a date as people write it elsewhere."""
    yield value
    if value.isdigit():
        yield value.lstrip("0")
    if re.fullmatch(r"(18|19|20)[0-9]{6}", value):
        year, month, day = value[:4], value[4:6], value[6:]
        for mark in ".-/":
            yield f"{year}{mark}{month}{mark}{day}"
            yield f"{day}{mark}{month}{mark}{year}"
            yield f"{month}{mark}{day}{mark}{year}"


def _sort_traces(
    values: Iterable[str], long: set[bytes], short: set[str], shortest: int = _SHORTEST
) -> None:
    for value in values:
        text = value.strip()
        folded = _folded(text)
        if text.upper() in _NOBODY or text in _DUMMY_TEXT or folded in vocabulary.WORDS:
            continue
        if not text.isascii() and (not folded.isascii() or len(folded) >= _LONG):
            # One character can be a name, but only in a writing without letters.
            if len(text) > 1 or text.lower() == text.upper():
                long.add(text.encode())
        elif len(text) >= (_LONG_NUMBER if text.isdigit() else _LONG):
            long.add(text.encode())
        # A short name with accents is a short name too: "Bö" without them is a part of "abort".
        elif len(folded) >= (_SHORTEST_NUMBER if text.isdigit() else shortest):
            short.add(folded)


def _check_pixels(
    original: FileDataset, original_view: memoryview, copy: FileDataset, view: memoryview
) -> None:
    before = part10.pixel_span(original, original_view)
    after = part10.pixel_span(copy, view)
    if (before is None) != (after is None):
        raise Hold(Code.GATE_PIXELS_CHANGED, "pixels appeared or went away")
    if before and after and not _same(original_view[slice(*before)], view[slice(*after)]):
        raise Hold(Code.GATE_PIXELS_CHANGED, "the pixel bytes differ")


def _same(one: memoryview, other: memoryview) -> bool:
    """Whether the bytes are equal. Piece by piece as bytes: views are compared one byte at a time."""
    return len(one) == len(other) and all(
        bytes(one[start : start + _PIECE]) == bytes(other[start : start + _PIECE])
        for start in range(0, len(one), _PIECE)
    )


def _check_file_meta(copy: FileDataset, view: memoryview, expected: Expected) -> None:
    if any(bytes(view[:128])):
        raise Hold(Code.GATE_FILE_META, "the preamble is not empty")
    surplus = sorted(set(map(int, copy.file_meta.keys())) - _FILE_META)
    if surplus:
        raise Hold(Code.GATE_FILE_META, f"({surplus[0]:08x}) is in the file header")
    sop_class = str(copy.file_meta.get("MediaStorageSOPClassUID", ""))
    if sop_class != copy.get("SOPClassUID") and not _of_the_standard(sop_class):
        raise Hold(Code.GATE_FILE_META, "MediaStorageSOPClassUID is no SOP class")
    if copy.file_meta.get("MediaStorageSOPInstanceUID") != expected.sop_uid:
        raise Hold(Code.GATE_FILE_META, "MediaStorageSOPInstanceUID is not the pseudonymous one")


def _check_element(element: DataElement, depth: int, expected: Expected, traces: Traces) -> None:
    tag = element.tag
    shown = f"{keyword_for_tag(tag) or tag} at depth {depth}"
    if tag.is_private:
        raise Hold(Code.GATE_PRIVATE_ATTRIBUTE, shown)
    if profile.is_overlay_or_curve(tag):
        raise Hold(Code.GATE_OVERLAY, shown)
    if profile.is_unknown(tag):
        raise Hold(Code.GATE_UNKNOWN_ATTRIBUTE, shown)
    if "UI" in _vrs(element):
        _check_uids(element, shown, traces)
    if "PN" in _vrs(element) and not set(_texts(element)) <= {expected.patient, *_DUMMY_TEXT}:
        raise Hold(Code.GATE_WRONG_ACTION, f"{shown} holds a name")
    if tag.group == profile.PIXEL_DATA.group and depth > 0:
        raise Hold(Code.GATE_WRONG_ACTION, f"{shown} is a picture inside a sequence")
    row = profile.TABLE.get(tag)
    if row is not None:
        _check_row(element, row.basic, shown, depth, expected)
    elif _vrs(element) & _FREE_TEXT and tag not in _KEPT_TEXT and _texts(element):
        raise Hold(Code.GATE_WRONG_ACTION, f"{shown} is free text or a date")


def _check_uids(element: DataElement, shown: str, traces: Traces) -> None:
    for value in _texts(element):
        if value in traces.uids:
            raise Hold(Code.GATE_FOREIGN_UID, f"{shown} still has its original value")
        if not (_of_the_standard(value) or value.startswith(pseudonyms.UID_ROOT)):
            raise Hold(Code.GATE_FOREIGN_UID, f"{shown} is neither the standard's nor ours")


def _check_row(
    element: DataElement, basic: str, shown: str, depth: int, expected: Expected
) -> None:
    """Against the letters of Table E.1-1: may this attribute be here with this value?"""
    if basic == "X":
        raise Hold(Code.GATE_WRONG_ACTION, f"{shown} should be gone")
    if "U" in basic:
        return  # UIDs are looked at one by one, also inside the sequences that hold them
    if element.VR == "SQ":
        items = element.value or ()
        if any(not _is_dummy_code(item) for item in items):
            raise Hold(Code.GATE_WRONG_ACTION, f"{shown} still has items")
        return
    may_be = {"", *_DUMMY_TEXT} if "D" in basic else {""}
    if depth == 0:
        may_be |= {_pseudonym_at(element.tag, expected)}
    if isinstance(element.value, bytes):
        wrong = bool(element.value.strip(b"\0"))
    else:
        wrong = not set(_texts(element)) <= may_be
    if wrong:
        raise Hold(Code.GATE_WRONG_ACTION, f"{shown} still has a value")


def _is_dummy_code(item: Dataset) -> bool:
    shown = (item.get("CodeValue"), item.get("CodingSchemeDesignator"), item.get("CodeMeaning"))
    return shown == _DUMMY_CODE


def _pseudonym_at(tag: BaseTag, expected: Expected) -> str:
    return {
        profile.PATIENT_NAME: expected.patient,
        profile.PATIENT_ID: expected.patient,
        profile.ACCESSION_NUMBER: expected.accession,
        profile.STUDY_ID: expected.study_id,
        profile.STATION_NAME: expected.station,
    }.get(tag, "")


def _check_declared(copy: Dataset, expected: Expected) -> None:
    for keyword, value in (
        ("PatientID", expected.patient),
        ("StudyInstanceUID", expected.study_uid),
        ("SeriesInstanceUID", expected.series_uid),
        ("SOPInstanceUID", expected.sop_uid),
    ):
        if copy.get(keyword) != value:
            raise Hold(Code.GATE_WRONG_STUDY, f"{keyword} is not the expected pseudonym")
    codes = [item.get("CodeValue") for item in copy.get("DeidentificationMethodCodeSequence") or ()]
    if codes != [code.value for code in profile.METHOD_CODES]:
        raise Hold(Code.GATE_NOT_DECLARED, "DeidentificationMethodCodeSequence")
    if copy.get("PatientIdentityRemoved") != "YES":
        raise Hold(Code.GATE_NOT_DECLARED, "PatientIdentityRemoved")


def _check_traces(copy: Dataset, outside_pixels: bytes, traces: Traces) -> None:
    """Looks for the original's values in the bytes, and in the decoded text of each element.

    The text is compared without case and accents, whatever character set either file is in.
    """
    if (pattern := _pattern(traces)) is not None and pattern.search(outside_pixels):
        raise Hold(Code.GATE_IDENTIFIER, "an identifying value was found in the bytes of the copy")
    if _holds_uid(outside_pixels, traces.uids):
        raise Hold(Code.GATE_FOREIGN_UID, "an original UID was found in the bytes of the copy")
    foreign = [_folded(value.decode()) for value in traces.long if not value.isascii()]
    for depth, element in _walk(copy, 0):
        for text in map(_folded, _texts(element)):
            if _words(element, text) & traces.short or any(value in text for value in foreign):
                shown = f"{keyword_for_tag(element.tag)} at depth {depth}"
                raise Hold(Code.GATE_IDENTIFIER, f"an identifying value was found in {shown}")


def _words(element: DataElement, text: str) -> set[str]:
    """The words in which a short value is looked for; numbers stand in IS and DS by chance."""
    if element.VR in _TEXT:
        return {text, *re.split(r"[\W_]+", text)}
    return {text} if element.VR in _NUMBERS and not text.isdigit() else set()


def _folded(text: str) -> str:
    """Without case and accents."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def _holds_uid(outside_pixels: bytes, uids: frozenset[str]) -> bool:
    """Whether one of the UIDs stands in the bytes, alone or with more components behind it."""
    for match in _UID_SHAPED.finditer(outside_pixels):
        token = match.group().decode()
        while token.count(".") >= _FEWEST_DOTS:
            if token in uids:
                return True
            token = token.rpartition(".")[0]
    return False


def _pattern(traces: Traces) -> re.Pattern[bytes] | None:
    # A number counts only where it stands alone: "12345678" in "0.12345678" is a pixel spacing.
    alternatives = [
        rb"(?<![0-9])(?<![0-9]\.)%s(?![0-9])(?!\.[0-9])" % re.escape(value)
        if value.isdigit()
        else re.escape(value)
        for value in sorted(traces.long)
        if len(value) >= _LONG
    ]
    return re.compile(b"|".join(alternatives), re.IGNORECASE) if alternatives else None
