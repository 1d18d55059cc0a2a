"""Every way in which a finished copy can be wrong, one fault at a time.

Two kinds: each line of the answer key undone or spoilt, and faults that stand in no line of it
(an identifier in each kind of place, the file header, the pixels, what is declared).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from tests.corpus import people, score
from tests.corpus.key import Action, Check, Traces, texts
from tests.corpus.reports import code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.dataset import FileDataset
    from pydicom.tag import BaseTag

    from tests.corpus.maker import Made

    #: Spoils the copy; ``False``: it does not apply to this file.
    Spoil: TypeAlias = Callable[[FileDataset, FileDataset, Made], bool]

_FOREIGN = "1.3.6.1.4.1.55555.1.2.3"
_OTHER = "2.25.123456789012345678901234567890123456"


@dataclass(frozen=True)
class Mutant:
    """A copy with one fault."""

    #: What kind of fault; counted.
    kind: str
    #: Where it is.
    where: str
    file: bytes


def of(made: Made, copy: bytes, seen: set[tuple[object, ...]] | None = None) -> Iterator[Mutant]:
    """All mutants of the finished copy of a file.

    ``seen``: attributes whose line of the key was undone in another file already; it grows.
    """
    yield from _of_the_key(made, copy, set() if seen is None else seen)
    for kind, spoil in (_FAULTS | _PLACES).items():
        dataset = pydicom.dcmread(io.BytesIO(copy))
        if spoil(dataset, made.dataset(), made):
            yield Mutant(kind, "", written(dataset))
    yield from _of_bytes(made, copy)


def written(dataset: FileDataset) -> bytes:
    """The data set as a file, right or wrong."""
    dataset.file_meta.FileMetaInformationGroupLength = 0
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=False)
    return buffer.getvalue()


# --- each line of the key -------------------------------------------------------------------------


def _of_the_key(made: Made, copy: bytes, seen: set[tuple[object, ...]]) -> Iterator[Mutant]:
    """Each attribute once: what should have happened to it has not, or has gone wrong."""
    traces, original = Traces(made.traces), made.dataset()
    for check in made.checks:
        same = (check.action, check.path[-1][0], len(check.path) > 1)
        if same in seen:
            continue
        seen.add(same)
        for kind, value in _wrongs(check):
            dataset = pydicom.dcmread(io.BytesIO(copy))
            place = score.place(check.path, original, dataset, traces)
            if place is None:
                continue
            if _spoil(place.original, place.copy, check, value):
                yield Mutant(f"{check.action}: {kind}", check.shown(), written(dataset))


_UNDONE, _LOST, _EMPTY = object(), object(), object()


def _wrongs(check: Check) -> Iterator[tuple[str, object]]:
    """Kinds of wrong values for one line of the key."""
    if check.action is Action.TEXT_REMOVED and check.values:
        yield "undone", _UNDONE
    elif check.action is Action.TEXT_NOTNULL:
        yield "lost", _LOST
        yield "emptied", _EMPTY
    elif check.action is Action.TAG_RETAINED:
        yield "lost", _LOST
    elif check.action is Action.TEXT_RETAINED and check.values:
        yield "lost", _LOST
        yield "emptied", _EMPTY
        yield "another value", "1"
    elif check.action is Action.DATE_SHIFTED:
        yield "undone", _UNDONE
        yield "another shift", "20200101"
        yield "a dummy", "19000101"
    elif check.action is Action.UID_CHANGED:
        yield "undone", _UNDONE
        yield "foreign root", _FOREIGN
    elif check.action is Action.UID_CONSISTENT:
        yield "another of our root", _OTHER
        if len(check.values) > 1:
            yield "one of many", "first"
    elif check.action is Action.PATID_CONSISTENT:
        yield "undone", _UNDONE
        yield "another pseudonym", "PAAAAAAAAAAAAAAA"


def _there(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    return dataset.get(tag)


def _spoil(before: Dataset, after: Dataset, check: Check, value: object) -> bool:
    """Writes the wrong value; ``False``: the copy has it already, or it says nothing."""
    tag = check.path[-1][0]
    there = _there(after, tag)
    now = texts(there) if there is not None else ()
    if value is _UNDONE:
        after[tag] = before[tag]
        return now != texts(before[tag])
    if there is None:
        return False
    if value is _LOST:
        del after[tag]
        return True
    if value is _EMPTY:
        full = bool(there.value or now)
        after[tag] = DataElement(tag, there.VR, [] if there.VR == "SQ" else None)
        return full
    return there.VR not in {"SQ", "OB", "OW", "UN"} and _overwrite(after, there, value, now)


def _overwrite(after: Dataset, there: DataElement, value: object, now: tuple[str, ...]) -> bool:
    text = now[0] if value == "first" and now else str(value)
    if there.VR in {"US", "SS", "UL", "SL", "FD", "FL"}:
        number = (there.value[0] if len(now) > 1 else there.value) + 3
        after[there.tag] = DataElement(there.tag, there.VR, number)
        return True
    if there.VR == "DT":
        text += "120000"
    elif there.VR == "TM":
        text = "030405"
    elif there.VR == "AS":
        text = "001Y"
    if now == (text,):
        return False
    after[there.tag] = DataElement(there.tag, there.VR, text)
    return True


# --- faults that stand in no line of the key ----------------------------------------------------


def _set(keyword: str, value: object) -> Spoil:
    def spoil(copy: FileDataset, original: FileDataset, made: Made) -> bool:
        del original, made
        if keyword in copy and copy[keyword].value == value:
            return False
        setattr(copy, keyword, value)
        return True

    return spoil


def _without(keyword: str) -> Spoil:
    def spoil(copy: FileDataset, original: FileDataset, made: Made) -> bool:
        del original, made
        if keyword not in copy:
            return False
        delattr(copy, keyword)
        return True

    return spoil


def _no_method_code(number: int) -> Spoil:
    def spoil(copy: FileDataset, original: FileDataset, made: Made) -> bool:
        del original, made
        items = list(copy.DeidentificationMethodCodeSequence)
        if number >= len(items):
            return False
        del items[number]
        copy.DeidentificationMethodCodeSequence = Sequence(items)
        return True

    return spoil


def _private(copy: FileDataset, original: FileDataset, made: Made) -> bool:
    del original, made
    copy.private_block(0x0029, "SIEMENS MEDCOM HEADER", create=True).add_new(0x10, "LO", "x")
    return True


def _private_inside(copy: FileDataset, original: FileDataset, made: Made) -> bool:
    del original, made
    item = code("39607008", "SCT", "Lung")
    item.private_block(0x0029, "SIEMENS MEDCOM HEADER", create=True).add_new(0x10, "DS", "1")
    copy.PrimaryAnatomicStructureSequence = Sequence([item])
    return True


def _element(tag: int, vr: str, value: object) -> Spoil:
    def spoil(copy: FileDataset, original: FileDataset, made: Made) -> bool:
        del original, made
        copy.add_new(tag, vr, value)
        return True

    return spoil


def _icon(copy: FileDataset, original: FileDataset, made: Made) -> bool:
    del original, made
    icon = Dataset()
    icon.Rows = icon.Columns = 4
    icon.add_new(0x7FE00010, "OB", bytes(16))
    copy.IconImageSequence = Sequence([icon])
    return True


def _pixel_inside(copy: FileDataset, original: FileDataset, made: Made) -> bool:
    del original, made
    item = code("39607008", "SCT", "Lung")
    item.add_new(0x7FE00010, "OW", bytes(16))
    copy.PrimaryAnatomicStructureSequence = Sequence([item])
    return True


def _pixel_changed(copy: FileDataset, original: FileDataset, made: Made) -> bool:
    del original, made
    if "PixelData" not in copy:
        return False
    copy.PixelData = copy.PixelData[:-2] + bytes([copy.PixelData[-2] ^ 1, copy.PixelData[-1]])
    return True


def _pixel_short(copy: FileDataset, original: FileDataset, made: Made) -> bool:
    del original, made
    if "PixelData" not in copy:
        return False
    copy.PixelData = copy.PixelData[:-2]
    return True


def _header(keyword: str, value: object) -> Spoil:
    def spoil(copy: FileDataset, original: FileDataset, made: Made) -> bool:
        del original, made
        setattr(copy.file_meta, keyword, value)
        return True

    return spoil


def _old_age(copy: FileDataset, original: FileDataset, made: Made) -> bool:
    del original, made
    copy.PatientAge = "093Y"
    return True


def _one_date_a_week_off(copy: FileDataset, original: FileDataset, made: Made) -> bool:
    """Whole weeks too, and yet not the patient's shift."""
    del original, made
    if not copy.get("StudyDate"):
        return False
    year = int(copy.StudyDate[:4])
    copy.StudyDate = f"{year - 1 if year % 4 else year + 1}{copy.StudyDate[4:6]}01"
    return True


def _swapped_study(copy: FileDataset, original: FileDataset, made: Made) -> bool:
    del original, made
    copy.StudyInstanceUID, copy.SeriesInstanceUID = copy.SeriesInstanceUID, copy.StudyInstanceUID
    return True


_FAULTS: dict[str, Spoil] = {
    "PatientIdentityRemoved NO": _set("PatientIdentityRemoved", "NO"),
    "PatientIdentityRemoved gone": _without("PatientIdentityRemoved"),
    "method gone": _without("DeidentificationMethod"),
    "method of another": _set("DeidentificationMethod", "by hand"),
    "method codes gone": _without("DeidentificationMethodCodeSequence"),
    **{f"method code {n} missing": _no_method_code(n) for n in range(8)},
    "dates declared unmodified": _set("LongitudinalTemporalInformationModified", "UNMODIFIED"),
    "dates undeclared": _without("LongitudinalTemporalInformationModified"),
    "StationName of another": _set("StationName", "OTHER"),
    "SOPClassUID another": _set("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"),
    "study and series swapped": _swapped_study,
    "age over 89": _old_age,
    "one date on another day": _one_date_a_week_off,
    "private block": _private,
    "private block inside": _private_inside,
    "unknown element": _element(0x00189999, "LO", "x"),
    "unknown element of VR UN": _element(0x00189998, "UN", b"x "),
    "overlay": _element(0x60003000, "OW", bytes(8)),
    "overlay label": _element(0x60021500, "LO", "x"),
    "curve": _element(0x50003000, "OW", bytes(8)),
    "icon": _icon,
    "picture inside": _pixel_inside,
    "pixel changed": _pixel_changed,
    "pixels too short": _pixel_short,
    "pixels gone": _without("PixelData"),
    "header: SOP Instance UID": _header("MediaStorageSOPInstanceUID", UID(_OTHER)),
    "header: SOP Class UID": _header("MediaStorageSOPClassUID", UID("1.2.840.10008.5.1.4.1.1.7")),
    "header: AE title": _header("SourceApplicationEntityTitle", "SCANNER7"),
    "header: private information": _header("PrivateInformation", b"x "),
    "foreign UID in an element nobody lists": _element(0x00091001, "UI", _FOREIGN),
    "a person nobody lists": _element(0x00101005, "PN", "Somebody^Else"),
    "a comment": _element(0x00204000, "LT", "seen by someone"),
    "patient's address": _element(0x00101040, "LO", "1 Other Street"),
    "birth date": _element(0x00100030, "DA", "19500101"),
}


# --- an identifier in each kind of place --------------------------------------------------------


def _identifiers(made: Made) -> dict[str, str]:
    person, visit = made.person, made.visit
    return {
        "family name": person.family,
        "family name in upper case": person.family.upper(),
        "family name without accents": people.plain(person.family),
        "native name": person.native,
        "patient id": person.patient_id,
        "accession number": visit.accession,
        "birth date": person.birth_date,
        "birth date as written": f"{person.birth_date[6:]}.{person.birth_date[4:6]}.{person.birth_date[:4]}",
        "study UID": visit.study_uid,
        "referrer": visit.referrer.split("^")[0],
        "institution": visit.institution,
    }


def _code_meaning(copy: FileDataset, value: str) -> None:
    outer = code("39607008", "SCT", "Lung")
    outer.PrimaryAnatomicStructureModifierSequence = Sequence([code("39607008", "SCT", value)])
    copy.PrimaryAnatomicStructureSequence = Sequence([outer])


def _encoded_unknown(copy: FileDataset, value: str) -> None:
    tag, raw = Tag("FilterMaterial"), _even(value.encode())
    copy[tag] = RawDataElement(
        tag, "UN", len(raw), raw, 0, is_implicit_VR=False, is_little_endian=True
    )


def _image_type(copy: FileDataset, value: str) -> None:
    copy.ImageType = ["DERIVED", "PRIMARY", value.upper()]


def _of_name(keyword: str, before: str = "") -> Callable[[FileDataset, str], None]:
    return lambda copy, value: setattr(copy, keyword, before + value)


def _of_bytes_tag(tag: int) -> Callable[[FileDataset, str], None]:
    return lambda copy, value: copy.add_new(tag, "OB", _even(value.encode()))


def _even(raw: bytes) -> bytes:
    return raw + b" " * (len(raw) % 2)


#: Where an identifier is put, and the longest that fits there.
_WHERE: dict[str, tuple[Callable[[FileDataset, str], None], int]] = {
    "code meaning at depth 2": (_code_meaning, 64),
    "description": (_of_name("SeriesDescription", "CHEST "), 58),
    "software version": (_of_name("SoftwareVersions", "1.0 "), 60),
    "kept short text": (_of_name("SequenceName"), 16),
    "image type": (_image_type, 16),
    "bytes of a known kind": (_of_bytes_tag(0x00282000), 1000),
    "UN of a known tag": (_encoded_unknown, 64),
    "behind the pixels": (_of_bytes_tag(0xFFFCFFFC), 1000),
}


def _planted(place: str, which: str) -> Spoil:
    put, longest = _WHERE[place]

    def spoil(copy: FileDataset, original: FileDataset, made: Made) -> bool:
        del original
        value = _identifiers(made)[which]
        writable = value.isascii() or (
            bool(copy.get("SpecificCharacterSet")) and place != "image type"
        )
        if not writable or len(value) > longest:
            return False
        put(copy, value)
        return True

    return spoil


_PLACES: dict[str, Spoil] = {
    f"{which} in {place}": _planted(place, which)
    for place in _WHERE
    for which in (
        "family name", "family name in upper case", "family name without accents", "native name",
        "patient id", "accession number", "birth date", "birth date as written", "study UID",
        "referrer", "institution",
    )
}  # fmt: skip


def _of_bytes(made: Made, copy: bytes) -> Iterator[Mutant]:
    """Faults that no data set shows."""
    name = made.person.patient_id.encode()
    yield Mutant("preamble", "", name.ljust(128, b"\0")[:128] + copy[128:])
    yield Mutant("preamble of another format", "", b"MZ".ljust(128, b"\0") + copy[128:])
    tail = b"\xfc\xff\xfc\xffOB\0\0" + len(_even(name)).to_bytes(4, "little") + _even(name)
    yield Mutant("padding at the end", "", copy + tail)
    yield Mutant("cut off", "", copy[: len(copy) - 20])
    dataset = pydicom.dcmread(io.BytesIO(copy))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    yield Mutant("another transfer syntax", "", written(dataset))
