"""Headers as devices write them: UIDs, character sets, VRs, dates, conversion types."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import pydicom
from pydicom.uid import UID

from tests.cases import lab
from tests.cases.case import Case
from tools.audit import content_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import FileDataset

    from tests.cases.scene import Scene


def _all_arrive(scene: Scene, variants: dict[str, FileDataset]) -> dict[str, bytes]:
    """Sends images at once; each must arrive with its pixels. Returns the files of the cloud."""
    scene.take([lab.file_of(dataset) for dataset in variants.values()])
    scene.must_not_be_held()
    there = scene.by_pixels()
    found = {}
    for name, dataset in variants.items():
        arrived = there.get(content_of(dataset))
        scene.must(arrived, f"{name}: not in the cloud")
        if arrived is not None:
            found[name] = arrived.file
    return found


# --- 05 --------------------------------------------------------------------------------------------


def _uids(scene: Scene) -> None:
    long = lab.ct("c05a")
    long_uid = UID("1.2.840.99999." + "1234567890." * 4 + "1234567" + "1")
    long_uid = UID(str(long_uid) + "1" * (66 - len(long_uid)))
    long.SOPInstanceUID = long.file_meta.MediaStorageSOPInstanceUID = long_uid
    letters, zeros, frame = lab.ct("c05b"), lab.ct("c05c"), lab.ct("c05d")
    lab.set_raw(letters, "StudyInstanceUID", "UI", b"1.2.840.99999.4F2A77BC.1")
    lab.set_raw(zeros, "SeriesInstanceUID", "UI", b"1.2.840.99999.0012.007.1")
    lab.set_raw(frame, "FrameOfReferenceUID", "UI", b"{6F9619FF-8B86-D011-B42D-00CF4FC964FF}")
    found = _all_arrive(scene, {
        "66 characters": long, "letters in the study's": letters, "leading zeros": zeros,
        "a GUID as frame of reference": frame,
    })  # fmt: skip
    for name, file in found.items():
        foreign = [b for b in (b"4F2A77BC", b"99999.", b"6F9619FF") if b in file]
        scene.must(not foreign, f"{name}: {foreign} stands in the file")


# --- 11 --------------------------------------------------------------------------------------------


def _conversion(scene: Scene) -> None:
    digital = lab.cr("c11a")
    digital.ConversionType = "DI"
    low_dose, screening = lab.ct("c11c"), lab.mg("c11d")
    low_dose.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "LOW_DOSE"]
    screening.ImageType = ["DERIVED", "PRIMARY", "", "SCREENING"]
    _all_arrive(scene, {"DI": digital, "LOW_DOSE": low_dose, "SCREENING": screening})
    scene.mark()
    marked = [lab.mg(f"c11{side}", side, study="c11") for side in "LR"]
    for image in marked:
        image.BurnedInAnnotation = "YES"
    scene.take([lab.file_of(image) for image in marked])
    held = scene.held()
    scene.must([row["code"] for row in held] == ["BURNED_IN_TEXT"] * 2, f"not held so: {held}")
    scene.must(
        all("deid.policies_file" in row["do"] for row in held),
        "the advice says nothing of a whole device",
    )


# --- 15 --------------------------------------------------------------------------------------------


def _vr_variants() -> Iterator[tuple[str, bytes, FileDataset]]:
    for name, tag, vr in (
        ("VR '--' for KVP", (0x18, 0x60), b"--"), ("VR '??' for the body part", (0x18, 0x15), b"??"),
        ("VR of zeros", (0x18, 0x60), b"\0\0"), ("VR 'OX'", (0x18, 0x60), b"OX"),
    ):  # fmt: skip
        image = lab.mg(f"c15{name}")
        file = lab.file_of(image)
        place = file.find(struct.pack("<HH", *tag)) + 4
        yield name, file[:place] + vr + file[place + 2 :], image
    image = lab.mg("c15 group length")
    file = lab.file_of(image)
    place = file.find(b"\x08\0\x05\0CS")
    length = b"\x08\0\0\0UN\0\0\x04\0\0\0\x10\0\0\0"
    yield "group length of VR UN", file[:place] + length + file[place:], image
    wrong: dict[str, tuple[tuple[str, str, bytes], ...]] = {
        "IS with decimals": (("ExposureTime", "IS", b"900.5"), ("SeriesNumber", "IS", b"1.0")),
        "InstanceNumber '1A'": (("InstanceNumber", "IS", b"1A"),),
        "wrong VRs": (
            ("InstanceNumber", "SH", b"1"), ("KVP", "LO", b"29"), ("PatientAge", "SH", b"056Y"),
            ("WindowCenter", "FD", struct.pack("<d", 1600)), ("StudyDate", "LO", b"20260311"),
        ),
        "the patient as UN": (
            ("PatientID", "UN", b"Q8881234"), ("PatientName", "UN", b"Thistlewood^Ottoline"),
        ),
    }  # fmt: skip
    for name, values in wrong.items():
        image = lab.mg(f"c15{name}")
        for value in values:
            lab.set_raw(image, *value)
        if name == "wrong VRs":
            lab.set_raw(image, "SOPInstanceUID", "LO", str(image.SOPInstanceUID).encode())
        yield name, lab.file_of(image), image


def _vrs(scene: Scene) -> None:
    for name, file, image in _vr_variants():
        scene.mark()
        (answer,) = scene.send([file])
        if answer not in {"0000", "B000"}:
            continue  # refused: the scanner knows
        scene.settle(1)
        held = [row for row in scene.held() if "fault of the router" in row["do"]
                or row["code"] in {"UNEXPECTED", "ANONYMIZATION_REFUSED"}]  # fmt: skip
        scene.must(not held, f"{name}: the hold blames the router: {[r['code'] for r in held]}")
        if not scene.held():
            there = scene.by_pixels()
            scene.must(content_of(image) in there, f"{name}: neither held nor in the cloud")
            names = [a for a in there.values() if b"Thistlewood" in a.file or b"Q8881234" in a.file]
            scene.must(not names, f"{name}: the patient's name stands in the cloud's file")


# --- 17 --------------------------------------------------------------------------------------------

#: Specific Character Set, the name's bytes, and what a person must be able to read of it.
_CHARSETS: tuple[tuple[bytes | None, bytes, str], ...] = (
    (b"\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^Gildong"),
    (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou"),
    (b"ISO-IR 100", "Müllerová^Žo".encode(), "Müllerová"),
    (b"UTF-8", "Müllerová^Žofie".encode(), "Müllerová^Žofie"),
    (None, "Müllerová^Anna".encode("latin-1"), "Müllerová^Anna"),
    (b"GB18030", "王^小东".encode("gb18030"), "王^小东"),
    (b"ISO 2022 IR 6, IS", "Иванова^Анна".encode("iso8859_5"), ""),
    (b"ISO_IR 144", "Иванова^Анна".encode("iso8859_5"), "Иванова^Анна"),
)  # fmt: skip


def _charsets(scene: Scene) -> None:
    variants = {}
    for number, (charset, name, _) in enumerate(_CHARSETS):
        image = lab.ct(f"c17{number}")
        if charset is None:
            del image.SpecificCharacterSet
        else:
            lab.set_raw(image, "SpecificCharacterSet", "CS", charset)
        lab.set_raw(image, "PatientName", "PN", name)
        lab.set_raw(image, "InstitutionName", "LO", name)
        lab.set_raw(image, "ImageComments", "LT", name + b" vom Radiologen")
        lab.set_raw(image, "SeriesDescription", "LO", b"Thorax")
        variants[f"{number} {charset!r}"] = image
    found = _all_arrive(scene, variants)

    for (variant, file), (_, name, readable) in zip(found.items(), _CHARSETS, strict=False):
        parts = [p for p in name.replace(b"=", b"^").split(b"^") if len(p) > 4]
        scene.must(
            not any(p.lower() in file.lower() for p in parts), f"{variant}: the name is there"
        )
        copy = pydicom.dcmread(io.BytesIO(file))
        scene.must(copy.get("SeriesDescription") == "Thorax", f"{variant}: the description is lost")
        _, told = scene.command("reidentify", str(copy.PatientID), "--reason", "case", "--by", "x")
        scene.must(readable in told["name"], f"{variant}: reidentify tells {told['name']!r}")


# --- 23 --------------------------------------------------------------------------------------------

#: Date, date of birth, time; and whether the date is one that can be read in one way alone.
_DATES = (
    (b"2026-03-11", b"1965-04-11", b"10:15:00", True), (b"2026/03/11", b"1965/04/11", b"9:05 AM", True),
    (b"11.03.2026", b"11.04.1965", b"101500.1234567", False),
    (b"00000000", b"00/00/0000", b"246060", False), (b"19700101", b"00010101", b"10", True),
    (b"20260311101500", b"19650411", b"1015", True),
)  # fmt: skip


def _odd_dates(scene: Scene) -> None:
    variants = {}
    for number, (date, born, time, _) in enumerate(_DATES):
        image = lab.ct(f"c23{number}")
        for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate"):
            lab.set_raw(image, keyword, "DA", date)
        lab.set_raw(image, "PatientBirthDate", "DA", born)
        lab.set_raw(image, "StudyTime", "TM", time)
        lab.set_raw(image, "AcquisitionTime", "TM", time)
        variants[f"{number} {date.decode()}"] = image
    found = _all_arrive(scene, variants)

    for (variant, file), (date, born, _, readable) in zip(found.items(), _DATES, strict=False):
        copy = pydicom.dcmread(io.BytesIO(file))
        moved = str(copy.get("StudyDate", ""))
        right = len(moved) == 8 and moved.isdigit() and moved.startswith(("20", "19"))
        scene.must(right if readable else not moved, f"{variant}: StudyDate is {moved!r}")
        scene.must(copy.get("AcquisitionDate", "") == moved, f"{variant}: dates differ")
        originals = [d for d in (date, born) if len(d) >= 8 and d != b"00000000" and d in file]
        scene.must(not originals, f"{variant}: the original {originals} stands in the file")
    flags = [flag["flag"] for study in scene.studies() for image in study["look_at"]
             for flag in image["flags"]]  # fmt: skip
    scene.must(flags.count("DATE_UNUSUAL") >= 4, "the radiographer is not told")


CASES = (
    Case("05_uids_long_or_with_letters",
         "they get a pseudonymous UID like any other, or a hold whose advice leads somewhere",
         "mmiv-center/DICOMAnonymizer #8, dicom-anonymizer #32, dicompyler #45", _uids),
    Case("11_conversion_type_and_burned_in",
         "a device is told apart from a page; held is right by the rules, and a site is told how to "
         "release a whole device", "CTP #16, pydicom #375, covid-19-image-repository #9", _conversion),
    Case("15_broken_vrs",
         "delivered (the scanner's spelling is not the patient's fault), or refused; no hold blames the "
         "router", "fo-dicom #1660, #1941, #47, pydicom #1643, exiftool #10, dicoogle #378", _vrs),
    Case("17_charsets",
         "delivered, no text of the patient, description not garbled; reidentify gives a readable name",
         "suyashkumar/dicom #218, ClearCanvas #132, #136, fo-dicom #1785, dicom-character-set #3",
         _charsets),
    Case("23_dates_that_are_none",
         "delivered; a date that is readable in one way is moved like any other, so that the study is "
         "found; the original is nowhere",
         "Loris-MRI #781, dcm2niix #620, mrtrix3 #1518, OHIF #3458, #2249, dicom-server #405",
         _odd_dates),
)  # fmt: skip
