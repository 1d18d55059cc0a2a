"""Does with pydicom what Orthanc does with a plan, so that the gate can be tested without it.

Only what the plan says happens here, and nothing of what Orthanc does by itself: what the gate
then passes, the plan alone has made.
"""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID

from router.dicom import part10

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.tag import BaseTag

    from router.deid.planning.attributes import Json
    from router.deid.planning.plan import Plan

_PART = re.compile(r"([0-9a-f]{4})-([0-9a-f]{4})(?:\[(\d+)])?")
#: VRs of one value, in which a backslash is a letter.
_SINGLE = frozenset({"LT", "ST", "UR", "UT"})
_NUMBERS: dict[str, Callable[[str], float]] = {
    "FD": float, "FL": float, "SL": int, "SS": int, "UL": int, "US": int,
}  # fmt: skip
_BYTES = "data:application/octet-stream;base64,"
_SOP_UID_PATH = "0008-0018"


def apply(original: bytes, plan: Plan) -> bytes:
    """The file that an obedient Orthanc answers with: removals first, then replacements.

    A path whose parent is gone leads nowhere and is passed over, as Orthanc does.
    """
    source = pydicom.dcmread(io.BytesIO(original))
    copy = FileDataset("", source, file_meta=_file_meta(source, plan), preamble=b"\0" * 128)
    for path in plan.remove:
        where, tag = _resolve(copy, path)
        if where is not None and tag in where:
            del where[tag]
    # Parents before what lies inside them.
    for path, value in sorted(plan.replace.items(), key=lambda entry: entry[0].count(".")):
        where, tag = _resolve(copy, path)
        if where is not None:
            where[tag] = _element(tag, value)
    return to_bytes(copy)


def to_bytes(dataset: FileDataset) -> bytes:
    """The data set as a file, with its file header as it is, right or wrong."""
    # pydicom writes the length that belongs here, and sets nothing else.
    dataset.file_meta.FileMetaInformationGroupLength = 0
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=False)
    return buffer.getvalue()


def read(data: bytes) -> FileDataset:
    """As the router reads it: values stay raw until they are asked for."""
    return part10.read(io.BytesIO(data))


def _file_meta(source: FileDataset, plan: Plan) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(str(source.SOPClassUID))
    meta.MediaStorageSOPInstanceUID = UID(str(plan.replace[_SOP_UID_PATH]))
    meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = UID("1.2.276.0.7230010.3.0.3.6.9")
    meta.ImplementationVersionName = "OFFIS_DCMTK_369"
    return meta


def _resolve(dataset: Dataset, path: str) -> tuple[Dataset | None, BaseTag]:
    """The data set that holds (or would hold) the last part of a path, and its tag."""
    *parents, last = [_part(text) for text in path.split(".")]
    where = dataset
    for tag, index in parents:
        items = where[tag].value if tag in where else []
        if index is None or not isinstance(items, Sequence) or index >= len(items):
            return None, last[0]
        where = items[index]
    return where, last[0]


def _part(text: str) -> tuple[BaseTag, int | None]:
    match = _PART.fullmatch(text)
    assert match is not None, f"no path of Orthanc's: {text}"
    group, element, index = match.groups()
    return Tag(int(group, 16), int(element, 16)), None if index is None else int(index)


def _element(tag: BaseTag, value: Json) -> DataElement:
    vr = dictionary_VR(tag)
    if isinstance(value, str) and value.startswith(_BYTES):
        return DataElement(tag, vr, base64.b64decode(value.removeprefix(_BYTES)))
    if isinstance(value, str):
        # Orthanc splits values at the backslash too.
        several = value.split("\\") if "\\" in value and vr not in _SINGLE else [value]
        content = [_NUMBERS[vr](part) for part in several] if vr in _NUMBERS else several
        if vr == "OB":  # the text of an encapsulated document
            return DataElement(tag, vr, value.encode())
        return DataElement(
            tag, vr, [] if vr == "SQ" else content if len(content) > 1 else content[0]
        )
    assert vr == "SQ", f"items for {tag} of VR {vr}"
    return DataElement(tag, vr, Sequence([_item(item) for item in value]))


def _item(value: Json) -> Dataset:
    assert isinstance(value, dict)
    item = Dataset()
    for name, text in value.items():
        tag = _part(name)[0] if _PART.fullmatch(name) else Tag(name)
        item[tag] = _element(tag, text)
    return item
