"""Synthetic DICOM with planted identifiers: what a scanner could send, and whom it would name.

Everything is seeded: the same seed makes the same files. Noise is set so that lossless JPEG-LS
reaches the ratios of real detectors' quieter end: CT 2.0–2.5, mammograms 2.5–4.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pydicom.data
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_FAMILIES = ("Novakova", "Dvorak-Lindt", "Quintero", "Abernathy", "Okonkwo", "Szymanska")
_GIVEN = ("Zdenka", "Ingeborg", "Leocadia", "Wilhelmina", "Chimamanda", "Jadwiga")


@dataclass(frozen=True)
class Patient:
    """A person who does not exist. Every value is unique to the seed, so a leak shows."""

    patient_id: str
    name: str
    birth_date: str
    accession: str
    physician: str
    address: str

    @classmethod
    def made(cls, seed: str, number: int = 0) -> Patient:
        """A patient of this seed (any text); another number is another patient."""
        rng = _rng(seed, "patient", number)
        token = f"{rng.integers(16**8):08x}"
        return cls(
            patient_id=f"PAT-{token}-{number}",
            name=f"{rng.choice(_FAMILIES)}{token}^{rng.choice(_GIVEN)}{token[::-1]}",
            birth_date=f"19{rng.integers(30, 80)}{rng.integers(1, 13):02d}{rng.integers(1, 29):02d}",
            accession=f"ACC{token[:7]}",
            physician=f"Referrer{token}^Doc",
            address=f"{number} Canary Lane {token}",
        )

    def identifiers(self) -> list[str]:
        """What may not be found in anything that leaves the truck."""
        return [
            self.patient_id, self.name, *self.name.split("^"), self.birth_date, self.accession,
            self.physician, self.address,
        ]  # fmt: skip


@dataclass
class Uids:
    """Draws UIDs; the same seed draws the same ones in the same order."""

    seed: str
    drawn: int = field(default=0)

    def new(self) -> str:
        self.drawn += 1
        words = _rng(self.seed, "uid", self.drawn).integers(1, 10**14, size=2)
        return f"1.2.826.0.1.3680043.10.1234.{words[0]}.{words[1]}"


def _rng(*parts: object) -> np.random.Generator:
    return np.random.default_rng([ord(char) for char in "|".join(map(str, parts))])


def new_file(sop_class: str, sop_uid: str) -> FileDataset:
    """An empty data set with a file header."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.UID(sop_class)
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(sop_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = sop_uid
    return dataset


def file_bytes(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def identify(dataset: Dataset, patient: Patient, study_uid: str, series_uid: str) -> None:
    """Patient, study, series and equipment as a scanner fills them in, identifiers everywhere."""
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientID = patient.patient_id
    dataset.PatientName = patient.name
    dataset.PatientBirthDate = patient.birth_date
    dataset.PatientSex = "F"
    dataset.PatientAge = "056Y"
    dataset.PatientAddress = patient.address
    dataset.PatientComments = f"{patient.name} lives at {patient.address}"
    dataset.OtherPatientIDs = f"OLD-{patient.patient_id}"
    dataset.AccessionNumber = patient.accession
    dataset.ReferringPhysicianName = patient.physician
    dataset.OperatorsName = f"Op^{patient.accession}"
    dataset.InstitutionName = f"Clinic of {patient.accession}"
    dataset.InstitutionAddress = patient.address
    dataset.StationName = "SCANNER7"
    dataset.DeviceSerialNumber = f"SN{patient.accession}"
    dataset.Manufacturer = "ACME Imaging"
    dataset.ManufacturerModelName = "Model 1"
    dataset.SoftwareVersions = "4.2"
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = series_uid
    dataset.StudyID = "1"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20260311"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "101500"
    dataset.StudyDescription = f"Exam of {patient.name.partition('^')[0]}"
    dataset.ProtocolName = "Routine"
    dataset.PatientOrientation = ""
    request = Dataset()
    request.RequestedProcedureID = patient.accession
    request.ScheduledProcedureStepDescription = f"for {patient.name}"
    dataset.RequestAttributesSequence = Sequence([request])
    private = dataset.private_block(0x0029, "ACME PRIVATE", create=True)
    private.add_new(0x10, "LO", patient.name)


def reference_to(dataset: Dataset, sop_class: str, sop_uid: str) -> None:
    """A reference to another instance, with an identifier beside it."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = sop_uid
    dataset.ReferencedImageSequence = Sequence([item])


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _set_pixels(dataset: Dataset, pixels: NDArray[np.integer], bits: int, *, signed: bool) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(signed)
    dataset.PixelData = pixels.astype("<i2" if signed else "<u2").tobytes()


def _noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> NDArray[np.float32]:
    """White noise, quickly: one tile, shifted row by row."""
    tile = rng.standard_normal(1 << 20, dtype=np.float32) * np.float32(sigma)
    rows, columns = shape
    starts = rng.integers(0, len(tile) - columns, size=rows)
    rows_of_noise = [tile[start : start + columns] for start in starts]
    return np.asarray(rows_of_noise, dtype=np.float32)


def _cloudy(rng: np.random.Generator, shape: tuple[int, int], cell: int) -> NDArray[np.float32]:
    """Smooth structure between 0 and 1, with features of about ``cell`` pixels."""
    coarse = rng.random((shape[0] // cell + 2, shape[1] // cell + 2), dtype=np.float32)
    image = Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32).clip(0, 1)


def ct_slice(seed: str, index: int, size: int = 512) -> NDArray[np.int16]:
    """A thorax in Hounsfield units, shape (size, size); outside the field of view -2000."""
    rng = _rng(seed, "ct", index)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    shift = np.float32(0.02 * np.sin(index / 9))
    image = np.full((size, size), -1000, dtype=np.float32)
    body = (x / 0.82) ** 2 + (y / 0.6) ** 2 < 1
    image[body] = 40
    image[((x / 0.78) ** 2 + (y / 0.56) ** 2 < 1) & ((x / 0.74) ** 2 + (y / 0.52) ** 2 > 1)] = -90
    for side in (-1, 1):
        lung = ((x - side * 0.36) / 0.26) ** 2 + ((y + 0.05 + shift) / 0.36) ** 2 < 1
        image[lung] = -820
    image[(x / 0.1) ** 2 + ((y - 0.38) / 0.11) ** 2 < 1] = 720
    image[((x - 0.05) / 0.16) ** 2 + ((y + 0.05) / 0.18) ** 2 < 1] = 60
    image = np.maximum(image + _noise(rng, image.shape, 75.0), -1024)
    image[x**2 + y**2 > 1] = -2000
    rounded: NDArray[np.int16] = np.round(image).astype(np.int16)
    return rounded


def ct_series(
    seed: str, patient: Patient, slices: int = 100, size: int = 512
) -> Iterator[FileDataset]:
    """A CT series with a table of images, in one study."""
    uids = Uids(f"{seed}|ct|{patient.patient_id}")
    study, series, frame = uids.new(), uids.new(), uids.new()
    for index in range(slices):
        dataset = new_file(CTImageStorage, uids.new())
        identify(dataset, patient, study, series)
        dataset.Modality = "CT"
        dataset.Laterality = ""
        dataset.SeriesNumber = 2
        dataset.InstanceNumber = index + 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.FrameOfReferenceUID = frame
        dataset.PositionReferenceIndicator = ""
        dataset.ImagePositionPatient = [-180, -180, index * 3]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing = [0.7, 0.7]
        dataset.SliceThickness = 3
        dataset.KVP = 120
        dataset.AcquisitionNumber = 1
        dataset.PatientPosition = "HFS"
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, 1, "HU"
        dataset.WindowCenter, dataset.WindowWidth = 40, 400
        stored = ct_slice(seed, index, size).astype(np.int32) + 1024
        _set_pixels(dataset, stored, 16, signed=True)
        dataset.PixelPaddingValue = -976
        yield dataset


def mammogram_pixels(seed: str, view: str, rows: int, columns: int) -> NDArray[np.uint16]:
    """A breast against the left edge, 12 bits, shape (rows, columns); dense tissue is bright."""
    rng = _rng(seed, "mg", view)
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, np.newaxis]
    x = np.linspace(0, 1, columns, dtype=np.float32)[np.newaxis, :]
    inside = 1 - (x / np.float32(0.72)) ** 2 - (y / np.float32(0.8)) ** 2
    thickness = np.sqrt(np.clip(inside, 0, 1))
    shape = (rows, columns)
    gland = np.clip(_cloudy(rng, shape, rows // 12) - 0.45, 0, 1) * np.clip(1.3 - 2 * x, 0, 1)
    image = 900 * thickness + 2400 * gland * thickness + 260 * _cloudy(rng, shape, 48) * thickness
    image += _noise(rng, shape, 9.0) * (np.float32(0.25) + thickness)
    image += 60
    clipped: NDArray[np.uint16] = np.clip(np.round(image), 0, 4095).astype(np.uint16)
    return clipped


def mammogram_study(
    seed: str, patient: Patient, rows: int = 4096, columns: int = 3328
) -> Iterator[FileDataset]:
    """The four screening views, FOR PRESENTATION, and the dose report beside them."""
    uids = Uids(f"{seed}|mg|{patient.patient_id}")
    study = uids.new()
    images: list[FileDataset] = []
    for number, (side, position) in enumerate(
        [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")], start=1
    ):
        dataset = new_file(DigitalMammographyXRayImageStorageForPresentation, uids.new())
        identify(dataset, patient, study, uids.new())
        dataset.Modality = "MG"
        dataset.PresentationIntentType = "FOR PRESENTATION"
        dataset.SeriesNumber = dataset.InstanceNumber = number
        dataset.ImageType = ["DERIVED", "PRIMARY"]
        dataset.ImageLaterality = side
        dataset.ViewPosition = position
        dataset.BodyPartExamined = "BREAST"
        dataset.PatientOrientation = ["P", "L"] if side == "R" else ["A", "R"]
        dataset.AnatomicRegionSequence = Sequence([_code("76752008", "SCT", "Breast")])
        view = _code("399162004", "SCT", "cranio-caudal")
        if position == "MLO":
            view = _code("399368009", "SCT", "medio-lateral oblique")
        view.ViewModifierCodeSequence = Sequence([])
        dataset.ViewCodeSequence = Sequence([view])
        dataset.PositionerType, dataset.DetectorType = "MAMMOGRAPHIC", "DIRECT"
        dataset.OrganExposed = "BREAST"
        dataset.AcquisitionContextSequence = Sequence([])
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
        dataset.BurnedInAnnotation = "NO"
        dataset.KVP = 29
        dataset.ImagerPixelSpacing = [0.07, 0.07]
        dataset.WindowCenter, dataset.WindowWidth = 1600, 3200
        pixels = mammogram_pixels(seed, f"{side}{position}", rows, columns)
        if side == "R":
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        _set_pixels(dataset, pixels, 12, signed=False)
        dataset.PixelIntensityRelationship = "LOG"
        dataset.PixelIntensityRelationshipSign = 1
        dataset.PresentationLUTShape = "IDENTITY"
        dataset.LossyImageCompression = "00"
        if images:
            reference_to(dataset, images[0].SOPClassUID, images[0].SOPInstanceUID)
        images.append(dataset)
        yield dataset
    yield dose_report(patient, study, uids)


def dose_report(patient: Patient, study_uid: str, uids: Uids) -> FileDataset:
    """A small X-Ray Radiation Dose SR that names the patient in its content."""
    dataset = new_file(XRayRadiationDoseSRStorage, uids.new())
    identify(dataset, patient, study_uid, uids.new())
    dataset.Modality = "SR"
    dataset.SeriesNumber, dataset.InstanceNumber = 90, 1
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ReferencedPerformedProcedureStepSequence = Sequence([])
    dataset.PerformedProcedureCodeSequence = Sequence([])
    title = _code("113701", "DCM", "X-Ray Radiation Dose Report")
    dataset.ConceptNameCodeSequence = Sequence([title])
    content = Dataset()
    content.ConceptNameCodeSequence = Sequence([_code("121106", "DCM", "Comment")])
    content.RelationshipType, content.ValueType = "CONTAINS", "TEXT"
    content.TextValue = f"Dose of {patient.name}"
    dataset.ContentSequence = Sequence([content])
    return dataset


def dose_screen(patient: Patient, image: FileDataset) -> FileDataset:
    """The scanner's screen of the dose, in the study of an image: a picture with the name in it."""
    uids = Uids(f"screen|{image.SOPInstanceUID}")
    dataset = new_file(SecondaryCaptureImageStorage, uids.new())
    identify(dataset, patient, str(image.StudyInstanceUID), uids.new())
    dataset.Modality = "CT"
    dataset.ConversionType = "WSD"
    dataset.SeriesNumber, dataset.InstanceNumber = 99, 1
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    screen = Image.new("L", (256, 64), 0)
    ImageDraw.Draw(screen).text((4, 4), f"{patient.name}\nDLP 420 mGy*cm", fill=255)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Columns, dataset.Rows = screen.size
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = screen.tobytes()
    dataset["PixelData"].VR = "OB"
    return dataset


def radiograph(seed: str, patient: Patient, rows: int = 1024, columns: int = 840) -> FileDataset:
    """A CR image, MONOCHROME1 (the smallest value is the brightest)."""
    uids = Uids(f"{seed}|cr|{patient.patient_id}")
    dataset = new_file(ComputedRadiographyImageStorage, uids.new())
    identify(dataset, patient, uids.new(), uids.new())
    dataset.Modality = "CR"
    dataset.Laterality = "R"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.BodyPartExamined, dataset.ViewPosition = "HAND", "PA"
    dataset.ImagerPixelSpacing = [0.2, 0.2]
    rng = _rng(seed, "cr")
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j].astype(np.float32)
    absorbed = 700 * (x**2 / 0.5 + y**2 / 0.8 < 1)
    for finger in np.linspace(-0.5, 0.5, 5):
        absorbed = absorbed + 900 * ((np.abs(x - finger) < 0.05) & (np.abs(y) < 0.75))
    pixels = 3200 - absorbed - 150 * _cloudy(rng, (rows, columns), 64)
    pixels = pixels + _noise(rng, (rows, columns), 12.0)
    _set_pixels(dataset, np.clip(np.round(pixels), 0, 4095).astype(np.uint16), 12, signed=False)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    return dataset


#: Real CT and MR files that come with pydicom, one study each.
PYDICOM_FILES = (
    "CT_small.dcm", "J2K_pixelrep_mismatch.dcm", "MR_small.dcm", "examples_overlay.dcm",
)  # fmt: skip


def pydicom_file(name: str, seed: str, patient: Patient) -> FileDataset:
    """A file of pydicom's own, as a new study of another patient."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    dataset = pydicom.dcmread(folder / name)
    uids = Uids(f"{seed}|{name}|{patient.patient_id}")
    dataset.PatientID, dataset.PatientName = patient.patient_id, patient.name
    dataset.PatientBirthDate = patient.birth_date
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uids.new(), uids.new()
    sop_uid = pydicom.uid.UID(uids.new())
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = sop_uid
    return dataset


@dataclass(frozen=True)
class Source:
    """One instance as the scanner has it."""

    path: Path
    patient: Patient
    study_uid: str
    series_uid: str
    sop_uid: str
    transfer_syntax: str


def write(dataset: FileDataset, patient: Patient, folder: Path) -> Source:
    """Writes a file for the scanner to send."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    path.write_bytes(file_bytes(dataset))
    return Source(
        path, patient, str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID),
        str(dataset.SOPInstanceUID), str(dataset.file_meta.TransferSyntaxUID),
    )  # fmt: skip


def demo_studies(
    seed: str, folder: Path, *, slices: int = 100, mg_rows: int = 4096
) -> list[Source]:
    """What the demo sends: real CT and MR, a CR, a screening mammogram, a CT series."""
    sources = []
    for number, name in enumerate(PYDICOM_FILES):
        patient = Patient.made(seed, number)
        sources.append(write(pydicom_file(name, seed, patient), patient, folder))
    patient = Patient.made(seed, 10)
    sources.append(write(radiograph(seed, patient), patient, folder))
    patient = Patient.made(seed, 11)
    columns = mg_rows * 13 // 16
    sources += [write(d, patient, folder) for d in mammogram_study(seed, patient, mg_rows, columns)]
    patient = Patient.made(seed, 12)
    series = list(ct_series(seed, patient, slices))
    sources += [write(d, patient, folder) for d in [*series, dose_screen(patient, series[0])]]
    return sources


def fresh_seed() -> str:
    """A seed that no earlier run had, so that a run can be repeated on the same stack."""
    return os.urandom(8).hex()


def tomosynthesis(
    seed: str, patient: Patient, planes: int = 8, rows: int = 256, columns: int = 208
) -> FileDataset:
    """A breast tomosynthesis, R CC: planes through one breast, values shared among them."""
    uids = Uids(f"{seed}|dbt|{patient.patient_id}")
    dataset = new_file(BreastTomosynthesisImageStorage, uids.new())
    identify(dataset, patient, uids.new(), uids.new())
    dataset.Modality = "MG"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.ImageType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]
    dataset.FrameOfReferenceUID = uids.new()
    view = _code("399162004", "SCT", "cranio-caudal")
    view.ViewModifierCodeSequence = Sequence([])
    dataset.ViewCodeSequence = Sequence([view])
    shared, anatomy, values = Dataset(), Dataset(), Dataset()
    anatomy.FrameLaterality = "R"
    values.RescaleIntercept, values.RescaleSlope, values.RescaleType = 0, 1, "US"
    shared.FrameAnatomySequence = Sequence([anatomy])
    shared.PixelValueTransformationSequence = Sequence([values])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    pixels = mammogram_pixels(seed, "RCC", rows, columns)
    _set_pixels(dataset, pixels, 12, signed=False)
    dataset.NumberOfFrames = planes
    dataset.PixelData = b"".join(
        np.roll(pixels, 2 * plane, axis=0).tobytes() for plane in range(planes)
    )
    return dataset
