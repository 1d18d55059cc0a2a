"""The gate: reads back what Orthanc made and lets it pass, or says why not.

It trusts neither Orthanc nor the plan. It shares the standard's table, the options and the
pseudonyms with the plan, and no code: it reads the two files itself, lays them side by side, and
asks of each attribute whether it may be there with this value. What it cannot judge does not pass.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from router.deid.gate import beyond
from router.deid.gate.checks import CHECKS
from router.deid.gate.dictionary import is_drawn, is_public_uid, is_undefined
from router.deid.gate.expectations import CODE_MEANING, Expectation, expectation
from router.deid.gate.expected import Expected
from router.deid.gate.levels import LevelCheck
from router.deid.gate.pair import Context, shown
from router.deid.gate.picture import check_pixels
from router.deid.gate.search import TextSearch, search_bytes
from router.deid.gate.tiers import TIERS
from router.deid.gate.traces import Traces
from router.deid.profile import DEEPEST_NESTING
from router.deid.standard import iod, tags
from router.deid.standard.options import MEANINGS
from router.dicom import part10
from router.dicom.element_index import scan
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydicom.dataset import Dataset, FileDataset
    from pydicom.tag import BaseTag

    from router.deid.profile import Profile
    from router.dicom.element_index import Level

__all__ = [
    "OWN_VALUE",
    "RULES",
    "TIERS",
    "Expected",
    "Traces",
    "asks",
    "check_copy",
    "check_outgoing",
    "header",
]

#: The rules of the gate, for the documents.
RULES = CHECKS
#: What the gate asks of an attribute that the router sets, for people.
OWN_VALUE = "what the router sets"

#: What a file header may hold (PS3.10, table 7.1-1): no AE titles, no private information.
_FILE_META = frozenset({
    0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013,
})  # fmt: skip
#: What says how stored pixel values are to be read: without it they mean something else.
_SAME_IMAGE = (
    "SOPClassUID", "Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation",
)  # fmt: skip
#: What Orthanc writes by DCMTK: Implementation Class UID and Version Name (PS3.7, D.3.3.2).
_DCMTK = re.compile(r"1\.2\.276\.0\.7230010\.3\.0\.3(\.[0-9]{1,2}){1,4}|OFFIS_DCMTK_[0-9]{3}")
_GROUPS = 0x52009229


def check_copy(
    original: FileDataset,
    original_view: memoryview,
    copy: FileDataset,
    view: memoryview,
    expected: Expected,
    traces: Traces,
    *,
    compressed: bool = False,
) -> None:
    """Raises Hold (GATE_…) unless the anonymized copy may leave the truck.

    ``view`` is the whole file of ``copy``, ``original_view`` that of ``original``; ``expected``
    and ``traces`` are of the original. ``compressed``: the copy was compressed, and that it has
    the original's pixels was seen by decoding it (``lossless.same_pixels``).
    """
    for keyword in _SAME_IMAGE:
        if copy.get(keyword) != original.get(keyword):
            raise Hold(Code.GATE_WRONG_ACTION, f"{keyword} differs from the original's")
    if not compressed:
        if copy.file_meta.TransferSyntaxUID != original.file_meta.TransferSyntaxUID:
            raise Hold(Code.GATE_PIXELS_CHANGED, "its transfer syntax differs from the original's")
        check_pixels(original, original_view, copy, view, expected)
    _check_file_meta(copy, view, expected, original)
    before = _scanned(original, original_view, strict=False)
    after = _scanned_copy(copy, view, traces)
    kind = iod.kind_of(str(copy.SOPClassUID))
    if compressed:
        beyond.check_whole(before, original_view, after, view)
    if kind == "image" and _GROUPS in before:
        kind = "enhanced"
    levels = LevelCheck(
        Context(
            view, original_view, expected, traces, TextSearch(traces), kind, {}, frozenset(), {}
        )
    )
    levels.level(after, before, 0)
    _check_declared(copy, expected)
    search_bytes(_foreign(copy, view, levels.ours, frozenset()), traces)
    beyond.search(copy, after, view, traces)


def check_outgoing(
    copy: FileDataset,
    view: memoryview,
    expected: Expected,
    traces: Traces,
    own: Mapping[BaseTag, str],
    source: Mapping[int, bytes] | None = None,
    own_texts: frozenset[str] = frozenset(),
) -> None:
    """Raises Hold (GATE_…) unless the object that the router made may leave the truck.

    ``own``: attributes of the top level that the table forbids and the router wrote itself, with
    the one value each may have (a capture's description). ``source``: the header of the copy that
    it was made of, which has passed the gate. ``own_texts``: constants that the router writes into
    such objects, in whatever attribute: they tell of nobody.
    """
    _check_file_meta(copy, view, expected)
    kind = iod.kind_of(str(copy.get("SOPClassUID", "")))
    by_tag = {int(tag): text for tag, text in own.items()}
    levels = LevelCheck(
        Context(
            view, None, expected, traces, TextSearch(traces), kind, by_tag, own_texts, source or {}
        )
    )
    levels.level(_scanned_copy(copy, view, traces), None, 0)
    _check_declared(copy, expected)
    search_bytes(_foreign(copy, view, levels.ours, own_texts), traces)


def asks(chosen: Profile, tag: int, vr: str, kind: str) -> str:
    """What the gate asks of an attribute in an object of the kind (iod.kind_of), for people."""
    if tag >> 16 & 1:
        return "the value as it was, on the allow-list, or nothing"
    if is_drawn(tag) or is_undefined(tag):
        return "nothing"
    if tag == CODE_MEANING and kind in iod.REPORTS:
        written = CHECKS[Expectation.ALLOWED_TEXT].asks
        return f"{CHECKS[Expectation.SAME].asks}; in a private scheme {written}"
    return CHECKS[expectation(chosen, tag, vr, kind)].asks


def header(copy: FileDataset, view: memoryview) -> dict[int, bytes]:
    """The values of the top level of a copy, for the gate of what is made of it."""
    return {
        tag: bytes(view[element.start : element.end]).rstrip(b" \0")
        for tag, element in _scanned(copy, view).items()
        if element.items is None and tag not in part10.PIXEL_TAGS
    }


def _foreign(
    copy: FileDataset, view: memoryview, ours: Sequence[tuple[int, int]], own_texts: frozenset[str]
) -> bytes:
    """The bytes outside the pixels, with zeros where the router's own constants stand.

    ``ours``: their offsets ``(first, end)`` in the file. What Orthanc and the router (``own_texts``)
    say of themselves in the file header is theirs too.
    """
    outside = bytearray(part10.without_pixels(copy, view))
    span = part10.pixel_span(copy, view)
    first_pixel = len(view) if span is None else span[0]
    for start, end in ours:
        if end <= first_pixel:
            outside[start:end] = bytes(end - start)
    data_set = part10.dataset_offset(view)
    head = bytes(outside[:data_set])
    for keyword in ("ImplementationClassUID", "ImplementationVersionName"):
        written = str(copy.file_meta.get(keyword, ""))
        if _DCMTK.fullmatch(written) or written in own_texts:
            head = head.replace(written.encode(), bytes(len(written)))
    return head + bytes(outside[data_set:])


def _scanned(dataset: FileDataset, view: memoryview, *, strict: bool = True) -> Level:
    return scan(
        view, part10.dataset_offset(view), dataset.file_meta.TransferSyntaxUID,
        DEEPEST_NESTING, strict=strict,
    )  # fmt: skip


def _scanned_copy(copy: FileDataset, view: memoryview, traces: Traces) -> Level:
    try:
        return _scanned(copy, view)
    except Hold:
        # Bytes that no reader reaches are searched all the same: what they tell is said first.
        search_bytes(part10.without_pixels(copy, view), traces)
        raise


def _check_file_meta(
    copy: FileDataset, view: memoryview, expected: Expected, original: FileDataset | None = None
) -> None:
    if any(bytes(view[:128])):
        raise Hold(Code.GATE_FILE_META, "the preamble is not empty")
    surplus = sorted(set(map(int, copy.file_meta.keys())) - _FILE_META)
    if surplus:
        raise Hold(Code.GATE_FILE_META, f"({surplus[0]:08x}) is in the file header")
    sop_class = copy.file_meta.get("MediaStorageSOPClassUID")
    # What the scanner wrote there may differ from the data set, and stays as it came.
    came = None if original is None else original.file_meta.get("MediaStorageSOPClassUID")
    as_it_came = sop_class == came and is_public_uid(str(came))
    if sop_class != copy.get("SOPClassUID") and not as_it_came:
        raise Hold(Code.GATE_FILE_META, "MediaStorageSOPClassUID is not the object's SOP class")
    if copy.file_meta.get("MediaStorageSOPInstanceUID") != expected.sop_uid:
        raise Hold(Code.GATE_FILE_META, "MediaStorageSOPInstanceUID is not the pseudonymous one")


def _check_declared(copy: Dataset, expected: Expected) -> None:
    for keyword, value in (
        ("PatientID", expected.patient),
        ("StudyInstanceUID", expected.study_uid),
        ("SeriesInstanceUID", expected.series_uid),
        ("SOPInstanceUID", expected.sop_uid),
    ):
        if copy.get(keyword) != value:
            raise Hold(Code.GATE_WRONG_STUDY, f"{keyword} is not the expected pseudonym")
    items = copy.get("DeidentificationMethodCodeSequence") or ()
    declared = [(i.get("CodeValue"), i.get("CodingSchemeDesignator"), i.get("CodeMeaning"), len(i))
                for i in items]  # fmt: skip
    must = [(code, "DCM", MEANINGS[code], 3) for code in expected.codes]
    if declared != must:
        raise Hold(Code.GATE_NOT_DECLARED, "DeidentificationMethodCodeSequence")
    if copy.get("PatientIdentityRemoved") != "YES":
        raise Hold(Code.GATE_NOT_DECLARED, "PatientIdentityRemoved")
    times = "MODIFIED" if expected.profile.shifts else "REMOVED"
    if copy.get("LongitudinalTemporalInformationModified") != times:
        raise Hold(Code.GATE_NOT_DECLARED, "LongitudinalTemporalInformationModified")
    for tag, value in expected.own.items():
        if value and tag not in copy:
            declares = tag == tags.METHOD_TEXT
            code = Code.GATE_NOT_DECLARED if declares else Code.GATE_WRONG_ACTION
            raise Hold(code, f"{shown(tag, 0)} is not there")
