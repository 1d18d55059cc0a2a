"""Objects that come twice, in other encodings, or of a class that nobody knows."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
import pydicom
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tests.cases import lab
from tests.cases.case import Case
from tests.support import scanner
from tests.support.waiting import until
from tools.audit import content_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import FileDataset

    from tests.cases.scene import Scene

# --- 01 --------------------------------------------------------------------------------------------


def _sent_again(scene: Scene) -> None:
    first, again = lab.ct("c01"), lab.ct("c01")
    again.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    scene.take([lab.file_of(first)])
    scene.must(len(scene.arrived()) == 1, "the first is not in the cloud")
    seen = scene.metric("edge_router_duplicates_total")
    answers = scene.send([lab.file_of(again)])
    scene.must(answers == ["0000"], f"the truck answered {answers}")

    def compared() -> bool:
        # By the router itself, at its next comparison: a command would not count for its metrics.
        return scene.metric("edge_router_duplicates_total") > seen

    until(compared, 150, what="what the truck makes of the second file", pause_s=2)
    scene.must_not_be_held()
    scene.must(len(scene.arrived()) == 1, f"{len(scene.arrived())} images in the cloud")
    code, told = scene.command("status")
    scene.must(code == 0, f"status is not fine: {told['summary']}")


# --- 12 --------------------------------------------------------------------------------------------

_PRIVATE = UID("1.3.12.2.1107.5.9.1")


def _with_private_object(seed: str) -> list[bytes]:
    images = [lab.ct(f"{seed}{n}", number=n, study=seed, series=f"{seed}s") for n in (1, 2)]
    report = lab.ct(f"{seed}p", study=seed, series=f"{seed}p")
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = _PRIVATE
    del report.PixelData
    block = report.private_block(0x29, "SIEMENS CSA NON-IMAGE", create=True)
    block.add_new(0x10, "OB", b"\0\1" * 64)
    return [lab.file_of(dataset) for dataset in (*images, report)]


def _private_class(scene: Scene) -> None:
    scene.take(_with_private_object("c12"))
    held = scene.held()
    scene.must([row["code"] for row in held] == ["UNKNOWN_SOP_CLASS"], f"not held so: {held}")
    scene.must(len(scene.arrived()) == 2, f"{len(scene.arrived())} of 2 images arrived")
    for row in held:
        code, told = scene.command(
            "decide", row["instance"], "--discard", "--reason", "nobody reads it", "--by", "x"
        )
        scene.must(code == 0, f"decide: {told}")
    scene.mark()
    scene.take(_with_private_object("c12 again"))
    scene.must_not_be_held()
    scene.must(len(scene.arrived()) == 2, f"{len(scene.arrived())} of 2 later images arrived")
    code, told = scene.command("status")
    scene.must(code == 0, f"status is not fine: {told['summary']}")


# --- 18 --------------------------------------------------------------------------------------------


def _two_series(scene: Scene) -> None:
    one, other = lab.ct("c18", series="c18a"), lab.ct("c18", series="c18b")
    other.InstanceNumber, other.WindowWidth = 7, 1500
    scene.take([lab.file_of(one), lab.file_of(other)])
    accounted = len(scene.arrived()) + len(scene.held())
    scene.must(accounted == 2, f"{accounted} of 2 are in the cloud or held with a reason")


# --- 19 --------------------------------------------------------------------------------------------


def _deflated(scene: Scene) -> None:
    entity = scanner.Entity("SCANNER")
    entity.add_requested_context(
        CTImageStorage, [DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian]
    )
    with scanner.associated(entity, scene.stack.port("door", 4242)) as association:
        chosen = [context.transfer_syntax[0] for context in association.accepted_contexts]
    deflated = lab.ct("c19", syntax=DeflatedExplicitVRLittleEndian)
    (answer,) = scene.send([lab.file_of(deflated)])
    if answer not in {"0000", "B000"}:  # not accepted: the scanner sends it another way
        scene.must(chosen == [ExplicitVRLittleEndian], f"the truck chose {chosen}")
        return
    scene.settle(1)
    scene.must_not_be_held()
    scene.must(content_of(deflated) in scene.by_pixels(), "it is not in the cloud")


# --- 28 --------------------------------------------------------------------------------------------


def _id_element(file: bytes) -> tuple[int, bytes]:
    place = file.find(b"\x10\0\x20\0LO")
    (length,) = struct.unpack_from("<H", file, place + 6)
    return place, file[place : place + 8 + length]


def _oddities() -> Iterator[tuple[str, bytes, FileDataset]]:
    implicit = lab.ct("c28a")
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    head, _ = lab.split(lab.file_of(lab.ct("c28a")))
    yield (
        "implicit bytes under explicit",
        head + lab.split(lab.file_of(implicit))[1],
        lab.ct("c28a"),
    )
    image = lab.ct("c28b")
    yield "zero bytes behind", lab.file_of(image) + b"\0" * 10, image
    image = lab.ct("c28c")
    yield "text behind", lab.file_of(image) + b"Thistlewood^Ottoline Q7654321   ", image
    image = lab.ct("c28d")
    file = lab.file_of(image)
    place, element = _id_element(file)
    other = element[:8] + b"ZZ999999"[: len(element) - 8].ljust(len(element) - 8)
    yield "PatientID twice", file[:place] + other + file[place:], image
    image = lab.ct("c28e")
    file = lab.file_of(image)
    place, element = _id_element(file)
    later = file.find(b"\x20\0\x0d\0UI")
    moved = file[:place] + file[place + len(element) : later] + element + file[later:]
    yield "PatientID out of order", moved, image
    image = lab.ct("c28f")
    lab.set_raw(image, "PatientID", "LO", b"B5550123\r\n")
    lab.set_raw(image, "AccessionNumber", "SH", b"X77881\t")
    yield "a barcode reader's CR LF", lab.file_of(image), image
    who = {k: v for k, v in lab.person("c28f").items() if k in {"PatientName", "PatientBirthDate"}}
    image = lab.ct("c28f2")
    for keyword, value in who.items():
        setattr(image, keyword, value)
    lab.set_raw(image, "PatientID", "LO", b"B5550123")
    yield "without CR LF", lab.file_of(image), image
    image = lab.ct("c28g")
    image.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    image.PixelData = np.frombuffer(image.PixelData, "<i2").astype(">i2").tobytes()
    yield "big endian", lab.file_of(image), image
    image = lab.mg("c28h")
    image.compress(RLELossless, generate_instance_uid=False)
    yield "RLE", lab.file_of(image), image
    image = lab.cr("c28i")
    file = lab.file_of(image)
    place = file.rfind(b"\xe0\x7f\x10\0OW")
    longer = struct.pack("<L", len(image.PixelData) + 1)
    yield "odd length of the pixels", file[: place + 8] + longer + file[place + 12 :] + b"\0", image


_IDENTIFIERS = (b"Thistlewood", b"Q7654321", b"B5550123", b"ZZ999999", b"X77881")


def _wire(scene: Scene) -> None:
    patients: dict[str, str] = {}
    for name, file, image in _oddities():
        scene.mark()
        (answer,) = scene.send([file])
        if answer not in {"0000", "B000"}:
            continue
        scene.settle(1)
        there = scene.arrived()
        told = [row["code"] for row in scene.held()]
        scene.must(there or told, f"{name}: neither held nor in the cloud")
        scene.must("fault of the router" not in str([row["do"] for row in scene.held()]),
                   f"{name}: the hold blames the router: {told}")  # fmt: skip
        for one in there:
            found = [value for value in _IDENTIFIERS if value in one.file]
            scene.must(not found, f"{name}: {found} stands in the cloud's file")
            patients[name] = str(one.dataset.PatientID)
            copy = pydicom.dcmread(io.BytesIO(one.file))
            if name != "odd length of the pixels":
                same = np.array_equal(copy.pixel_array, image.pixel_array)
                scene.must(same, f"{name}: other pixels")
    same = patients.get("a barcode reader's CR LF") == patients.get("without CR LF")
    scene.must(same, "CR LF at the end of a number made another patient")
    for name in ("PatientID out of order", "a barcode reader's CR LF", "without CR LF", "RLE"):
        scene.must(name in patients, f"{name}: not delivered")


CASES = (
    Case("01_resend_other_syntax", "one image in the cloud, nothing held: it is the same image",
         "dcm4chee-arc-light #4754, #4969, healthcare-dicom-dicomweb-adapter #54", _sent_again),
    Case("12_private_sop_class",
         "images flow; the private object is held once, with a way to settle such objects for good",
         "horos #696, pynetdicom #1006", _private_class),
    Case("18_same_sop_uid_two_series", "both kept or one held with a reason; never one lost in silence",
         "healthcare-dicom-dicomweb-adapter #153", _two_series),
    Case("19_deflated",
         "the truck negotiates another syntax, or delivers; not a hold that nobody can release",
         "fo-dicom #227, #1281, weasis-dicom-tools #37", _deflated),
    Case("28_wire_oddities",
         "delivered where it can be read, refused or held where not; CR at the end of a number is not "
         "another patient",
         "RSNA/anonymizer #11, pynetdicom #121, fo-dicom #284, #1002, ClearCanvas #175, pydicom #796",
         _wire),
)  # fmt: skip
