"""Malformed images of our own making: each says who it is about by a canary, and lies somewhere."""

from __future__ import annotations

import copy
import io
import random
import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydicom import Dataset, Sequence, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from tests.abuse.canaries import MARK, person
from tests.support import data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
JPEG, JPEG_LS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80"
J2K, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
DEFLATED = "1.2.840.10008.1.2.1.99"
#: Presentation contexts, by the syntax that the bytes claim to have.
CONTEXTS = {EXPLICIT: 1, IMPLICIT: 3, JPEG: 5, JPEG_LS: 7, J2K: 9, RLE: 11}
_HOSTILE = (
    "../../../etc/passwd", "${jndi:ldap://x}", "<script>alert(1)</script>", "%s%s%n", "'; DROP TABLE",
    "a\nb", "\x1b$B\x1b(B", "\\\\x\\y", "A" * 10_000, "\xff\xfe", "=cmd|' /C calc'!A0",
)  # fmt: skip


#: Stands where another value is put.
_PLACE = "HOSTILEX"


@dataclass(frozen=True)
class Case:
    """One data set as it goes over the wire."""

    kind: str
    syntax: str
    sop_uid: str
    data: bytes

    def file(self) -> bytes:
        """The same as a file (PS3.10)."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(CT), UID(self.sop_uid)
        meta.TransferSyntaxUID = UID(self.syntax)
        empty = Dataset()
        empty.file_meta = meta
        buffer = io.BytesIO()
        dcmwrite(buffer, empty, enforce_file_format=True)
        return buffer.getvalue() + self.data


def image(number: int) -> Dataset:
    """A small CT slice of a patient who is a canary."""
    seed = f"abuse-{number}"
    made = next(iter(data.ct_series(seed, data.Patient.made(seed), slices=1, size=32)))
    for keyword, value in person(number).items():
        setattr(made, keyword, value)
    for keyword in ("OtherPatientIDs", "PatientBirthName", "OtherPatientNames"):
        if keyword in made:
            setattr(made, keyword, f"{MARK}{number}")
    # Each of these was once believed to be a word of the machine.
    if number % 3 == 0:
        made.ManufacturerModelName = f"{MARK} {number}"
        made.Manufacturer = f"{MARK} MAKER"
        made.SoftwareVersions = f"{MARK} 1.0"
    if number % 5 == 0:
        made.StationName = f"{MARK}{number}"[:16]
        made.DeviceSerialNumber = f"{MARK}{number}"
    return made


def encoded(dataset: Dataset, syntax: str) -> bytes:
    """The bytes of a data set without its file meta information."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, syntax == IMPLICIT
    bare = Dataset({tag: dataset.get_item(tag) for tag in dataset.keys() if tag.group != 2})  # noqa: SIM118
    write_dataset(buffer, bare)
    return bytes(buffer.getvalue())


def _flipped(raw: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 12)):
        raw[rng.randrange(min(len(raw), 3000))] = rng.randrange(256)
    return bytes(raw)


def _cut(raw: bytearray, rng: random.Random) -> bytes:
    return bytes(raw[: rng.randrange(1, len(raw))])


def _grown(raw: bytearray, rng: random.Random) -> bytes:
    at = rng.randrange(len(raw))
    return bytes(raw[:at]) + rng.randbytes(rng.choice((1, 7, 300, 70_000))) + bytes(raw[at:])


def _swapped(raw: bytearray, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(raw)), rng.randrange(1, 200)
    other = rng.randrange(len(raw))
    raw[at : at + length] = raw[other : other + length]
    return bytes(raw)


def _lengths(raw: bytearray, rng: random.Random) -> bytes:
    """The length of some element becomes an extreme."""
    at = rng.randrange(0, min(len(raw) - 4, 2000), 2)
    value = rng.choice((0, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 1))
    raw[at : at + 4] = struct.pack("<L", value)
    return bytes(raw)


_MUTATIONS: tuple[Callable[[bytearray, random.Random], bytes], ...] = (
    _flipped, _cut, _grown, _swapped, _lengths,
)  # fmt: skip


def _nested(dataset: Dataset, depth: int) -> None:
    inner = Dataset()
    inner.PatientName = f"{MARK}^NESTED"
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedStudySequence = Sequence([inner])
        inner = outer
    dataset.ReferencedStudySequence = inner.ReferencedStudySequence


def _lying(dataset: Dataset, rng: random.Random) -> None:
    """Pixels that are not as the header says."""
    name, values = rng.choice((
        ("Rows", (0, 1, 65_535)), ("Columns", (0, 65_535)), ("BitsAllocated", (0, 1, 24, 64, 65_535)),
        ("BitsStored", (0, 40)), ("SamplesPerPixel", (0, 3, 65_535)), ("HighBit", (0, 65_535)),
        ("NumberOfFrames", (0, -1, 2_147_483_647)), ("PixelRepresentation", (2, 65_535)),
        ("PhotometricInterpretation", ("PALETTE COLOR", "YBR_FULL", MARK)),
    ))  # fmt: skip
    setattr(dataset, name, rng.choice(values))


def _hostile(dataset: Dataset, rng: random.Random) -> bytes:
    """A value that no writer would put there, as bytes."""
    keyword = rng.choice((
        "PatientName", "PatientID", "StudyDescription", "Modality", "BodyPartExamined",
        "Manufacturer", "StudyID", "PatientSex", "InstitutionName", "ProtocolName",
        "AccessionNumber", "OtherPatientIDs", "RequestingPhysician",
    ))  # fmt: skip
    setattr(dataset, keyword, _PLACE)
    raw = encoded(dataset, EXPLICIT)
    value = (rng.choice(_HOSTILE) + MARK).encode("latin-1")
    value += b" " * (len(value) % 2)
    at = raw.find(_PLACE.encode())
    return raw[: at - 2] + struct.pack("<H", len(value)) + value + raw[at + len(_PLACE) :]


def cases(number: int, seed: int) -> Iterator[Case]:
    """So many malformed data sets."""
    rng = random.Random(seed)
    bases = [image(n) for n in range(12)]
    for index in range(number):
        dataset = copy.deepcopy(rng.choice(bases))
        uid = f"1.2.826.0.1.3680043.10.1234.{seed}.{index}"
        dataset.SOPInstanceUID = uid
        dataset.StudyInstanceUID = f"1.2.826.0.1.3680043.10.1234.{seed}.9.{index // 25}"
        case = _case(dataset, uid, index, rng)
        # An odd length is refused before anything is read: most are even, as PS3.8 wants it.
        odd = len(case.data) % 2 and index % 20
        yield replace(case, data=case.data + b"\0") if odd else case


def _case(dataset: Dataset, uid: str, index: int, rng: random.Random) -> Case:
    kind = index % 10
    if kind < 5:
        syntax = rng.choice((EXPLICIT, IMPLICIT))
        mutate = _MUTATIONS[kind]
        raw = mutate(bytearray(encoded(dataset, syntax)), rng)
        return Case(mutate.__name__, syntax, uid, raw)
    if kind == 5:
        _nested(dataset, rng.choice((20, 33, 49, 59, 63, 64, 100)))
        return Case("nested", EXPLICIT, uid, encoded(dataset, EXPLICIT))
    if kind == 6:
        _lying(dataset, rng)
        return Case("pixels", EXPLICIT, uid, encoded(dataset, EXPLICIT))
    if kind == 7:
        return Case("hostile", EXPLICIT, uid, _hostile(dataset, rng))
    if kind == 8:
        syntax = rng.choice((JPEG, JPEG_LS, J2K, RLE))
        return Case("codestream", syntax, uid, _compressed(dataset, rng))
    return Case("wrong syntax", rng.choice((EXPLICIT, IMPLICIT)), uid,
                encoded(dataset, rng.choice((EXPLICIT, IMPLICIT))))  # fmt: skip


def _compressed(dataset: Dataset, rng: random.Random) -> bytes:
    """Encapsulated pixels that are none, with offset tables that lie."""
    del dataset.PixelData
    start = rng.choice((b"\xff\xd8\xff\xf7", b"\xff\xd8\xff\xe0", b"\xff\x4f\xff\x51", bytes(64)))
    stream = start + rng.randbytes(rng.choice((0, 2, 400)))
    stream += b"\0" * (len(stream) % 2)
    table = rng.choice((b"", struct.pack("<L", 0xFFFFFFF0), struct.pack("<LL", 0, 8)))
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    pixels += struct.pack("<HHL", 0xFFFE, 0xE000, len(table)) + table
    pixels += struct.pack("<HHL", 0xFFFE, 0xE000, len(stream)) + stream
    return encoded(dataset, EXPLICIT) + pixels + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def bombs(seed: int) -> Iterator[Case]:
    """A few that are small on the wire and large in memory."""
    base = f"1.2.826.0.1.3680043.10.1234.{seed}.8"
    items = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    for index, number in enumerate((100_000, 1_600_000)):
        dataset = image(900 + index)
        dataset.SOPInstanceUID, dataset.StudyInstanceUID = f"{base}.{index}", base
        raw = encoded(dataset, EXPLICIT)
        body = items * number
        head = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, len(body))
        at = raw.find(struct.pack("<HH", 0x7FE0, 0x0010))
        yield Case("empty items", EXPLICIT, f"{base}.{index}", raw[:at] + head + body + raw[at:])
    # As what it is not: the truck takes no deflated images, and the bytes are what counts.
    yield replace(deflated(seed, 500), syntax=EXPLICIT)


def deflated(seed: int, mebibytes: int) -> Case:
    """A thousandth of what it inflates to, in a transfer syntax that says so (PS3.5, A.5)."""
    base = f"1.2.826.0.1.3680043.10.1234.{seed}.8"
    dataset = image(903)
    dataset.SOPInstanceUID, dataset.StudyInstanceUID = f"{base}.3", f"{base}.4"
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    length = mebibytes << 20
    raw = encoded(dataset, EXPLICIT) + struct.pack("<HH2sHL", 0x7FE1, 0x1010, b"OB", 0, length)
    bomb = deflater.compress(raw)
    bomb += b"".join(deflater.compress(bytes(1 << 20)) for _ in range(mebibytes))
    return Case("deflated", DEFLATED, f"{base}.3", bomb + deflater.flush())
