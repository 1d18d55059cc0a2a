"""Small synthetic images of a mammograph, a CT and a radiography unit, and bytes as devices write them.

Nothing here comes from the product: the images are pydicom's and numpy's.
"""

from __future__ import annotations

import hashlib
import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Values that break their VR are the point.
config.settings.reading_validation_mode = config.IGNORE
config.settings.writing_validation_mode = config.IGNORE

FAMILY_NAMES = ("Vantongeren", "Kowalczykova", "Oyelaran", "Haraldsdottir", "Mbekeani",
                "Castellanozzi", "Thistlewood", "Zimmerwald")  # fmt: skip
GIVEN_NAMES = ("Philippa", "Rosalind", "Henrietta", "Clementine", "Guinevere", "Theodora",
               "Wilhelma", "Ottoline")  # fmt: skip
_VIEWS = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}


def number_of(*parts: object) -> int:
    """A number that stands for the parts: the same each time."""
    joined = "|".join(map(str, parts))
    return int(hashlib.sha256(joined.encode()).hexdigest()[:12], 16)


def uid(*parts: object) -> UID:
    return UID(f"1.2.826.0.1.3680043.8.498.{number_of('uid', *parts)}")


def person(seed: str) -> dict[str, str]:
    """The identifying attributes of somebody who is the same for the same seed."""
    n = number_of("person", seed)
    return {
        "PatientID": f"Q{n % 10**7:07d}",
        "PatientName": f"{FAMILY_NAMES[n % 8]}^{GIVEN_NAMES[(n >> 3) % 8]}",
        "PatientBirthDate": f"19{50 + n % 35}{1 + n % 12:02d}{1 + n % 28:02d}",
        "PatientSex": "F",
        "AccessionNumber": f"X{n % 10**6:06d}",
    }


def new(sop_class: str, seed: str, syntax: str, **patient: str | None) -> FileDataset:
    """An object of a study. ``patient``: other values than the seed's; ``None``: not there.

    ``study`` and ``series`` among them: seeds of these; else the object's own.
    """
    study, series = patient.pop("study", None) or seed, patient.pop("series", None) or seed
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(sop_class), UID(syntax)
    meta.MediaStorageSOPInstanceUID = uid(seed, "sop")
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SpecificCharacterSet = "ISO_IR 100"
    values: dict[str, Any] = {
        **person(study), **patient,
        "SOPClassUID": UID(sop_class), "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": uid(study, "study"), "SeriesInstanceUID": uid(series, "series"),
        "ReferringPhysicianName": "Refer^Doc", "InstitutionName": "Sunnydale Mobile Unit",
        "StationName": "TRK-SCAN-9", "Manufacturer": "Exempla",
        "ManufacturerModelName": "Exempla One", "SoftwareVersions": "7.3",
        "DeviceSerialNumber": "SN998877", "StudyID": "1", "StudyDescription": "Screening",
        "SeriesNumber": 1, "InstanceNumber": 1, "PatientAge": "056Y",
    }  # fmt: skip
    for moment in ("Study", "Series", "Content", "Acquisition"):
        values |= {f"{moment}Date": "20260311", f"{moment}Time": "101500"}
    for keyword, value in values.items():
        if value is not None:
            setattr(made, keyword, value)
    return made


def set_pixels(
    dataset: Dataset, values: NDArray[Any], bits: int, *, signed: bool = False,
    photometric: str = "MONOCHROME2",
) -> None:  # fmt: skip
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.Rows, dataset.Columns = values.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    dataset.PixelData = values.astype("<i2" if signed else "<u2").tobytes()


def breast(rows: int, columns: int, seed: int, side: str) -> NDArray[np.uint16]:
    """A half disc of tissue with denser squares in it, 12 bit."""
    dice = np.random.default_rng(seed)
    y, x = np.linspace(-1, 1, rows)[:, None], np.linspace(0, 1, columns)[None]
    thick = np.sqrt(np.clip(1 - (x / 0.72) ** 2 - (y / 0.8) ** 2, 0, 1))
    grey = 900 * thick + 60 + dice.normal(0, 9, (rows, columns)) * (0.25 + thick)
    squares = dice.random((rows // 32 + 1, columns // 32 + 1)).repeat(32, 0).repeat(32, 1)
    dense = np.clip(squares[:rows, :columns] - 0.45, 0, 1)
    made = np.clip(grey + 2400 * dense * thick, 0, 4095).astype(np.uint16)
    return made if side == "L" else np.ascontiguousarray(made[:, ::-1])


def body(size: int, seed: int) -> NDArray[np.int32]:
    """A slice of a chest in Hounsfield units."""
    dice = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    hu = np.full((size, size), -1000.0)
    hu[(x / 0.82) ** 2 + (y / 0.6) ** 2 < 1] = 40
    for side in (-1, 1):
        hu[((x - side * 0.36) / 0.26) ** 2 + (y / 0.36) ** 2 < 1] = -820
    hu[(x / 0.1) ** 2 + ((y - 0.38) / 0.11) ** 2 < 1] = 720
    return np.maximum(hu + dice.normal(0, 25, hu.shape), -1024).round().astype(np.int32)


def mg(
    seed: str, side: str = "L", view: str = "CC", *, syntax: str = ExplicitVRLittleEndian,
    codes: bool = True, **patient: str | None,
) -> FileDataset:  # fmt: skip
    """A mammogram. ``codes``: it has a View Code Sequence."""
    made = new(DigitalMammographyXRayImageStorageForPresentation, seed, syntax, **patient)
    made.Modality, made.PresentationIntentType = "MG", "FOR PRESENTATION"
    made.ImageType, made.BodyPartExamined = ["DERIVED", "PRIMARY"], "BREAST"
    made.ImageLaterality, made.ViewPosition = side, view
    made.PatientOrientation = ["A", "R"] if side == "L" else ["P", "L"]
    if codes:
        item = Dataset()
        item.CodeValue, item.CodeMeaning = _VIEWS[view]
        item.CodingSchemeDesignator, item.ViewModifierCodeSequence = "SCT", Sequence([])
        made.ViewCodeSequence = Sequence([item])
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = 0, 1, "US"
    made.BurnedInAnnotation, made.PresentationLUTShape = "NO", "IDENTITY"
    made.KVP, made.ExposureTime, made.XRayTubeCurrent = 29, 900, 90
    made.ImagerPixelSpacing = [0.07, 0.07]
    made.WindowCenter, made.WindowWidth = 1600, 3200
    made.PixelIntensityRelationship, made.PixelIntensityRelationshipSign = "LOG", 1
    set_pixels(made, breast(512, 416, number_of(seed), side), 12)
    return made


def ct(
    seed: str, *, number: int = 1, syntax: str = ExplicitVRLittleEndian, **patient: str | None
) -> FileDataset:
    """A slice of a CT series."""
    made = new(CTImageStorage, seed, syntax, **patient)
    made.Modality, made.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.FrameOfReferenceUID = uid(patient.get("study") or seed, "frame")
    made.PositionReferenceIndicator, made.PatientPosition = "", "HFS"
    made.ImagePositionPatient = [-180, -180, number * 3]
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.SliceThickness, made.KVP = [0.7, 0.7], 3, 120
    made.AcquisitionNumber, made.InstanceNumber = 1, number
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = -1024, 1, "HU"
    made.WindowCenter, made.WindowWidth = 40, 400
    set_pixels(made, body(256, number_of(seed)) + 1024, 16, signed=True)
    return made


def cr(seed: str, **patient: str | None) -> FileDataset:
    """A chest radiograph."""
    made = new(ComputedRadiographyImageStorage, seed, ExplicitVRLittleEndian, **patient)
    made.Modality, made.ImageType = "CR", ["ORIGINAL", "PRIMARY"]
    made.BodyPartExamined, made.ViewPosition, made.Laterality = "CHEST", "PA", ""
    made.ImagerPixelSpacing, made.KVP, made.ExposureTime, made.Exposure = [0.2, 0.2], 110, 12, 2
    dice = np.random.default_rng(number_of(seed))
    y, x = np.mgrid[-1:1:512j, -1:1:420j]
    grey = 3200 - 700 * (x**2 / 0.5 + y**2 / 0.8 < 1)
    grey = grey - 900 * ((np.abs(x) < 0.08) & (np.abs(y) < 0.75)) + dice.normal(0, 12, x.shape)
    set_pixels(made, np.clip(grey, 0, 4095).astype(np.uint16), 12, photometric="MONOCHROME1")
    return made


def set_raw(dataset: Dataset, keyword: str, vr: str, value: bytes) -> None:
    """Puts bytes under a VR as they are: a value that breaks it, or a VR that is not the tag's."""
    if len(value) % 2:
        value += b"\0" if vr in {"UI", "OB", "UN"} else b" "
    tag = Tag(keyword)
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, is_implicit_VR=False,
                                  is_little_endian=True)  # fmt: skip


def file_of(dataset: FileDataset) -> bytes:
    """The data set as a file (PS3.10)."""
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def split(file: bytes) -> tuple[bytes, bytes]:
    """File header and data set."""
    (length,) = struct.unpack_from("<L", file, 140)
    return file[: 144 + length], file[144 + length :]
