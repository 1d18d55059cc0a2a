"""DICOM files as bytes (PS3.10): read without loading pixels, digests, where the pixels lie.

Everything here takes what an untrusted scanner sent; what cannot be read to its end is a Hold.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import struct
from typing import TYPE_CHECKING, BinaryIO, cast

import pydicom
from pydicom import config
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian

from router.dicom.mapped_bytes import pieces, release_pages
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataelem import DataElement
    from pydicom.dataset import FileDataset

# Scanners send values that break their VR; they are not the router's to judge.
config.settings.reading_validation_mode = config.IGNORE

#: Values longer than this stay in the file until asked for.
DEFER_BYTES = 64 * 1024

_PREAMBLE_BYTES = 128
#: Hashed at a time without the interpreter: between two pieces it may be others' for a while.
_HASHED_BYTES = 8 << 20
_FRAGMENT_HEAD_BYTES = 4096
#: COM and APPn of the JPEG family, COM of JPEG 2000 (FF64).
_COMMENTS = re.compile(rb"\xff[\xfe\xe0-\xef\x64]")
#: In JPEG and JPEG-LS FF64 is no marker, and JPEG-LS pixels hold it by chance, every few KiB: there
#: it counts only with what JPEG 2000 puts behind it, a length and a kind of 0 or 1 (T.800, A.9.2).
_COMMENTS_OF_JPEG = re.compile(rb"\xff(?:[\xfe\xe0-\xef]|\x64(?=(?s:..)\x00[\x00\x01]))")
_JPEG_BEGINS = b"\xff\xd8"
_UNDEFINED = 0xFFFFFFFF
#: Pixel Data and its floating-point kinds.
PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_ITEM = 0xFFFEE000
#: The marker that ends a frame in JPEG, JPEG-LS and JPEG 2000.
_JPEG_END = b"\xff\xd9"
_SEQUENCE_DELIMITER = 0xFFFEE0DD
_TAG_OF = struct.Struct("<HHL")


def read(stream: BinaryIO) -> FileDataset:
    """The data set of a whole file; long values (pixels) stay in ``stream``, which must stay open.

    Raises Hold (UNREADABLE, NESTING_TOO_DEEP).
    """
    try:
        dataset = pydicom.dcmread(stream, defer_size=DEFER_BYTES)
        _check_whole(dataset, stream.seek(0, io.SEEK_END))
    except RecursionError:
        raise Hold(Code.NESTING_TOO_DEEP, "the nesting exhausts the parser") from None
    except (InvalidDicomError, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise _unreadable(error) from None
    # pydicom meets broken files with whatever its parsing runs into.
    except (AttributeError, KeyError, IndexError, TypeError, struct.error) as error:
        raise _unreadable(error) from None
    except BytesLengthException as error:
        raise _unreadable(error) from None
    return dataset


def _check_whole(dataset: FileDataset, size: int) -> None:
    """pydicom returns what it has of a file that breaks off; nothing of a compressed one."""
    if not len(dataset):
        raise EOFError
    ends = [_PREAMBLE_BYTES + 16 + int(dataset.file_meta.get("FileMetaInformationGroupLength", 0))]
    if dataset.file_meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        raw = [dataset.get_item(tag, keep_deferred=True) for tag in dataset.keys()]  # noqa: SIM118
        ends += [
            element.value_tell + element.length
            for element in cast("list[DataElement | RawDataElement]", raw)
            if isinstance(element, RawDataElement) and element.length != _UNDEFINED
        ]
    if max(ends) > size:
        raise EOFError


def _unreadable(error: Exception) -> Hold:
    return Hold(Code.UNREADABLE, f"reading stopped with {type(error).__name__}")


def dataset_offset(view: memoryview) -> int:
    """Where the data set begins: behind the preamble, "DICM" and group 0002."""
    start = _PREAMBLE_BYTES + 4
    if bytes(view[_PREAMBLE_BYTES:start]) != b"DICM":
        raise Hold(Code.UNREADABLE, "it has no DICOM file header")
    # (0002,0000) UL 4 bytes: the length of the rest of the group (PS3.10, 7.1).
    group, element = struct.unpack_from("<HH", view, start)
    if (group, element) != (2, 0):
        raise Hold(Code.UNREADABLE, "its file header has no group length")
    (length,) = struct.unpack_from("<L", view, start + 8)
    return start + 12 + int(length)


def digest(view: memoryview) -> str:
    """SHA-256 of the data set without group 0002, hexadecimal: the identity of the content."""
    hashed = hashlib.sha256()
    for piece in pieces(view[dataset_offset(view) :], _HASHED_BYTES):
        hashed.update(piece)
    return hashed.hexdigest()


def md5(view: memoryview) -> str:
    """MD5 of the whole file, hexadecimal: what Orthanc reports of an attachment."""
    hashed = hashlib.md5(usedforsecurity=False)
    for piece in pieces(view, _HASHED_BYTES):
        hashed.update(piece)
    return hashed.hexdigest()


def pixel_span(dataset: FileDataset, view: memoryview) -> tuple[int, int] | None:
    """Offsets ``(first, end)`` of the pixel bytes at the top level; ``None`` without pixels.

    Raises Hold (UNREADABLE) where the file ends before its pixels do, and
    (ENCODING_NOT_CLEARED) for a deflated data set, whose offsets are not the file's.
    """
    if dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise Hold(Code.ENCODING_NOT_CLEARED, "the data set is deflated")
    for tag in PIXEL_TAGS:
        if tag not in dataset:
            continue
        # Raw as it came from the file: nobody has asked for its value yet.
        element = cast("RawDataElement", dataset.get_item(tag, keep_deferred=True))
        first, length = element.value_tell, element.length
        end = _fragments_end(view, first) if length == _UNDEFINED else first + length
        if end > len(view):
            raise Hold(Code.UNREADABLE, "the file ends before its pixels do")
        return first, end
    return None


def _fragments(view: memoryview, offset: int) -> Iterator[tuple[int, int]]:
    """Offsets ``(first, end)`` of the items of encapsulated pixels (PS3.5, A.4), the table first.

    Raises Hold (UNREADABLE) where no delimiter ends them.
    """
    while offset + _TAG_OF.size <= len(view):
        group, element, length = _TAG_OF.unpack_from(view, offset)
        tag = group << 16 | element
        offset += _TAG_OF.size
        if tag == _SEQUENCE_DELIMITER:
            return
        if tag != _ITEM:
            break
        yield offset, offset + length
        offset += length
    raise Hold(Code.UNREADABLE, "its compressed pixels do not end")


def items(view: memoryview, offset: int) -> list[memoryview]:
    """The items of encapsulated pixels that begin at ``offset``, without the offset table.

    Raises Hold (UNREADABLE) where no delimiter ends them.
    """
    return [view[first:end] for first, end in _fragments(view, offset)][1:]


def _fragments_end(view: memoryview, offset: int) -> int:
    """The offset behind the delimiter of encapsulated pixels."""
    return max((end for _, end in _fragments(view, offset)), default=offset) + _TAG_OF.size


def stray_padding(dataset: FileDataset, view: memoryview) -> list[int]:
    """Offsets of bytes other than zero that pad JPEG frames to an even length (PS3.5, A.4).

    An encoder may leave there what its memory held; the frame ends before it, with FF D9.
    """
    span = pixel_span(dataset, view)
    if span is None or not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return []
    return [
        end - 1
        for first, end in _fragments(view, span[0])
        if end - first > len(_JPEG_END)
        and view[end - 1 - len(_JPEG_END) : end - 1] == _JPEG_END
        and view[end - 1]
    ]


def native_pixel_bytes(dataset: FileDataset) -> int | None:
    """How many bytes uncompressed pixels take by the header; ``None`` for compressed ones.

    Where it says that colour is subsampled and it is not, so many as are there. Raises Hold
    (UNREADABLE) where the header does not say it.
    """
    if "PixelData" not in dataset or dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return None
    try:
        sizes = [int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated),
                 int(dataset.get("SamplesPerPixel") or 1), int(dataset.get("NumberOfFrames") or 1)]  # fmt: skip
    except (AttributeError, TypeError, ValueError):
        raise Hold(Code.UNREADABLE, "the header does not say how large the image is") from None
    if min(sizes) < 0:
        raise Hold(Code.UNREADABLE, "the header does not say how large the image is")
    whole = (math.prod(sizes) + 7) // 8
    subsampled = "_422" in str(dataset.get("PhotometricInterpretation", ""))
    present = present_pixel_bytes(dataset)
    # Senders that have decoded a JPEG write YBR_FULL_422 beside all samples.
    if subsampled and not 0 <= present - whole <= 1:
        return (math.prod(sizes) * 2 // 3 + 7) // 8
    return whole


def present_pixel_bytes(dataset: FileDataset) -> int:
    """The length of the element Pixel Data as the file gives it; 0 where there is none."""
    element = dataset.get_item("PixelData", keep_deferred=True) if "PixelData" in dataset else None
    if element is None:
        return 0
    return element.length if isinstance(element, RawDataElement) else len(element.value or b"")


def without_pixels(dataset: FileDataset, view: memoryview) -> bytes:
    """The bytes of the file outside its pixels; what follows the last pixel is outside."""
    span = pixel_span(dataset, view)
    if span is None:
        return bytes(view)
    first, end = span
    native = native_pixel_bytes(dataset)
    if native is None:
        heads = b"\0".join(_fragment_heads(view, first))
        return bytes(view[:first]) + heads + bytes(view[end:])
    return bytes(view[:first]) + bytes(view[min(end, first + native) :])


def _fragment_heads(view: memoryview, offset: int) -> Iterator[bytes]:
    """What can hold text of compressed frames: their ends, and comments wherever they stand.

    In JPEG, JPEG-LS and JPEG 2000 no compressed data looks like a marker (the encoder inserts a
    bit or a byte), so that each COM and APPn can be found by its two bytes.
    """
    for first, end in _fragments(view, offset):
        fragment = view[first:end]
        yield bytes(fragment[:_FRAGMENT_HEAD_BYTES])
        yield bytes(fragment[-_FRAGMENT_HEAD_BYTES:])
        is_jpeg = bytes(fragment[: len(_JPEG_BEGINS)]) == _JPEG_BEGINS
        comments = _COMMENTS_OF_JPEG if is_jpeg else _COMMENTS
        for marker in comments.finditer(fragment, _FRAGMENT_HEAD_BYTES):
            size = int.from_bytes(fragment[marker.end() : marker.end() + 2], "big")
            yield bytes(fragment[marker.end() : marker.end() + size])
        release_pages(view)
