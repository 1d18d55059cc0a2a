"""One maker for each kind of object: all that PS3.3 asks of it, nothing odd planted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from tests.corpus import reports
from tests.corpus.people import plain
from tests.support import data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from tests.corpus.visit import Planned, Visit

    Maker = Callable[[Visit, Planned], FileDataset]

MAKERS: Mapping[str, tuple[str, str, str, str]] = {
    # manufacturer, model, the description of a normal study, and of a normal series
    "CT": ("SIEMENS", "SOMATOM go.Top", "CT CHEST LOW DOSE", "LUNG 1.5 SHARP"),
    "MG": ("HOLOGIC, Inc.", "Selenia Dimensions", "MAMMO SCREENING BILATERAL", "R CC"),
    "MGP": ("HOLOGIC, Inc.", "Selenia Dimensions", "MAMMO SCREENING BILATERAL", "L MLO RAW"),
    "DBT": ("HOLOGIC, Inc.", "Selenia Dimensions", "MAMMO SCREENING TOMO", "R MLO TOMO"),
    "DX": ("FUJIFILM Corporation", "FDR Go PLUS", "CHEST PA", "CHEST PA"),
    "CR": ("Agfa", "CR 30-X", "HAND AP", "HAND AP"),
    "MR": ("Philips", "Ingenia", "MRI BRAIN", "T2 AXIAL"),
    "ECT": ("Canon", "Aquilion ONE", "CT ABDOMEN", "ABDOMEN SOFT 3.0"),
    "EMR": ("Philips", "Ingenia", "MRI KNEE LEFT", "PD SAGITTAL"),
    "US": ("GE Healthcare", "LOGIQ E10", "US BREAST", "US BREAST"),
    "SC": ("SIEMENS", "SOMATOM go.Top", "CT CHEST LOW DOSE", "Patient Protocol"),
    "RDSR": ("SIEMENS", "SOMATOM go.Top", "CT CHEST LOW DOSE", "Dose Report"),
    "CAD": ("HOLOGIC, Inc.", "ImageChecker", "MAMMO SCREENING BILATERAL", "CAD"),
    "BTSR": ("SIEMENS", "syngo", "CHEST PA", "Report"),
    "PR": ("HOLOGIC, Inc.", "Selenia Dimensions", "MAMMO SCREENING BILATERAL", "Presentation"),
    "KO": ("HOLOGIC, Inc.", "Selenia Dimensions", "MAMMO SCREENING BILATERAL", "Key Images"),
    "PDF": ("SIEMENS", "syngo", "CHEST PA", "Report"),
}

CLASSES: Mapping[str, str] = {
    "CT": uid.CTImageStorage,
    "MG": uid.DigitalMammographyXRayImageStorageForPresentation,
    "MGP": uid.DigitalMammographyXRayImageStorageForProcessing,
    "DBT": uid.BreastTomosynthesisImageStorage,
    "DX": uid.DigitalXRayImageStorageForPresentation,
    "CR": uid.ComputedRadiographyImageStorage,
    "MR": uid.MRImageStorage,
    "ECT": uid.EnhancedCTImageStorage,
    "EMR": uid.EnhancedMRImageStorage,
    "US": uid.UltrasoundImageStorage,
    "SC": uid.SecondaryCaptureImageStorage,
    "RDSR": uid.XRayRadiationDoseSRStorage,
    "CAD": uid.MammographyCADSRStorage,
    "BTSR": uid.BasicTextSRStorage,
    "PR": uid.GrayscaleSoftcopyPresentationStateStorage,
    "KO": uid.KeyObjectSelectionDocumentStorage,
    "PDF": uid.EncapsulatedPDFStorage,
}


def make(visit: Visit, plan: Planned) -> FileDataset:
    """The object that was planned, as a normal device makes it."""
    dataset = data.new_file(plan.sop_class, plan.sop_uid)
    visit.head(dataset, plan)
    manufacturer, model, study, series = MAKERS[plan.kind]
    dataset.Manufacturer, dataset.ManufacturerModelName = manufacturer, model
    dataset.StudyDescription, dataset.SeriesDescription = study, series
    _KINDS[plan.kind](dataset, visit, plan)
    return dataset


def pixels(dataset: Dataset, seed: int, size: int = 64, bits: int = 12, frames: int = 1) -> None:
    """A phantom with noise, unsigned, MONOCHROME2."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    body = 900 * (x**2 / 0.6 + y**2 / 0.8 < 1) + rng.integers(0, 60, (frames, size, size))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = size
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = body.astype("<u2").tobytes()


def burn(dataset: Dataset, text: str) -> None:
    """Writes text into the pixels of a single frame of 8 or 16 bits."""
    image = Image.new("L", (dataset.Columns, dataset.Rows))
    ImageDraw.Draw(image).text((2, 2), plain(text).encode("ascii", "ignore").decode(), fill=255)
    drawn = np.asarray(image) > 0
    kind = "<u2" if dataset.BitsAllocated == 16 else "u1"
    frame: NDArray[np.integer] = np.frombuffer(dataset.PixelData, kind).copy()
    samples = int(dataset.SamplesPerPixel)
    shaped = frame[: drawn.size * samples].reshape(*drawn.shape, samples)
    shaped[drawn] = (1 << int(dataset.BitsStored)) - 1
    dataset.PixelData = frame.tobytes()


def _plane(dataset: Dataset, visit: Visit) -> None:
    dataset.FrameOfReferenceUID = visit.frame_uid
    dataset.PositionReferenceIndicator = ""
    dataset.ImagePositionPatient = [-180, -180, 3]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.7, 0.7]
    dataset.SliceThickness = 3
    dataset.PatientPosition = "HFS"


def _ct(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    _plane(dataset, visit)
    dataset.AcquisitionDate, dataset.AcquisitionTime = visit.date, visit.time
    dataset.AcquisitionNumber, dataset.KVP = 1, 120
    dataset.BodyPartExamined = "CHEST"
    dataset.ProtocolName = "CHEST ROUTINE"
    dataset.ConvolutionKernel = "Br40"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    pixels(dataset, plan.number)


def _mg(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    raw = plan.kind == "MGP"
    dataset.Modality = "MG"
    dataset.PresentationIntentType = "FOR PROCESSING" if raw else "FOR PRESENTATION"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"] if raw else ["DERIVED", "PRIMARY"]
    dataset.AcquisitionDate, dataset.AcquisitionTime = visit.date, visit.time
    dataset.ImageLaterality, dataset.ViewPosition = "R", "CC"
    dataset.BodyPartExamined = dataset.OrganExposed = "BREAST"
    dataset.PatientOrientation = ["P", "L"]
    dataset.AnatomicRegionSequence = Sequence([reports.code("76752008", "SCT", "Breast")])
    view = reports.code("399162004", "SCT", "cranio-caudal")
    view.ViewModifierCodeSequence = Sequence([])
    dataset.ViewCodeSequence = Sequence([view])
    dataset.PositionerType, dataset.DetectorType = "MAMMOGRAPHIC", "DIRECT"
    dataset.DetectorID = f"D{visit.device_serial}"
    dataset.DateOfLastDetectorCalibration = visit.date
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    dataset.KVP, dataset.ImagerPixelSpacing = 29, [0.07, 0.07]
    dataset.ExposureInuAs, dataset.BodyPartThickness, dataset.CompressionForce = 54000, 52, 90
    pixels(dataset, plan.number)
    dataset.PixelIntensityRelationship = "LIN" if raw else "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if raw else -1
    if not raw:
        dataset.WindowCenter, dataset.WindowWidth = 600, 1200
        dataset.PresentationLUTShape = "IDENTITY"
    else:
        dataset.PresentationLUTShape = "IDENTITY"


def _dx(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.AcquisitionDate, dataset.AcquisitionTime = visit.date, visit.time
    dataset.ImageLaterality, dataset.ViewPosition = "U", "PA"
    dataset.BodyPartExamined, dataset.PatientOrientation = "CHEST", ["L", "F"]
    dataset.AnatomicRegionSequence = Sequence([reports.code("51185008", "SCT", "Chest")])
    dataset.ViewCodeSequence = Sequence([reports.code("399348003", "SCT", "antero-posterior")])
    dataset.DetectorType, dataset.PositionerType = "DIRECT", ""
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    dataset.ImagerPixelSpacing = [0.15, 0.15]
    pixels(dataset, plan.number)
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", -1
    dataset.WindowCenter, dataset.WindowWidth = 600, 1200
    dataset.PresentationLUTShape = "IDENTITY"


def _cr(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    dataset.Modality, dataset.Laterality = "CR", "R"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.AcquisitionDate, dataset.AcquisitionTime = visit.date, visit.time
    dataset.BodyPartExamined, dataset.ViewPosition = "HAND", "PA"
    dataset.PatientOrientation = ["L", "F"]
    dataset.ImagerPixelSpacing = [0.2, 0.2]
    pixels(dataset, plan.number)


def _mr(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    dataset.Modality = "MR"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    _plane(dataset, visit)
    dataset.AcquisitionDate, dataset.AcquisitionTime = visit.date, visit.time
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "SK", ""
    dataset.MRAcquisitionType, dataset.EchoTime, dataset.EchoTrainLength = "2D", 90, 1
    dataset.RepetitionTime, dataset.BodyPartExamined = 4000, "BRAIN"
    dataset.SequenceName, dataset.ProtocolName = "tse2d1", "T2 TSE AXIAL"
    pixels(dataset, plan.number)
    dataset.WindowCenter, dataset.WindowWidth = 600, 1200


def _frames(dataset: FileDataset, visit: Visit, plan: Planned, count: int) -> None:
    """Functional groups and dimensions of a multi-frame image."""
    organization = Dataset()
    organization.DimensionOrganizationUID = f"{visit.study_uid}.{plan.number}"
    dataset.DimensionOrganizationSequence = Sequence([organization])
    index = Dataset()
    index.DimensionOrganizationUID = organization.DimensionOrganizationUID
    index.DimensionIndexPointer = 0x00200032
    index.FunctionalGroupPointer = 0x00209113
    dataset.DimensionIndexSequence = Sequence([index])
    shared = Dataset()
    measures = Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.7], 3
    shared.PixelMeasuresSequence = Sequence([measures])
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = Sequence([orientation])
    anatomy = Dataset()
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = Sequence([reports.code("51185008", "SCT", "Chest")])
    shared.FrameAnatomySequence = Sequence([anatomy])
    voi = Dataset()
    voi.WindowCenter, voi.WindowWidth = 600, 1200
    shared.FrameVOILUTSequence = Sequence([voi])
    transform = Dataset()
    transform.RescaleIntercept, transform.RescaleSlope = 0, 1
    transform.RescaleType = {"ECT": "HU"}.get(plan.kind, "US")
    shared.PixelValueTransformationSequence = Sequence([transform])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence([_frame(visit, i) for i in range(count)])
    dataset.NumberOfFrames = count
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = visit.frame_uid, ""
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.AcquisitionDateTime = visit.date + visit.time
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    dataset.PresentationLUTShape = "IDENTITY"
    size = int(dataset.get("Rows") or 64)
    pixels(dataset, plan.number, size, frames=count)


def _frame(visit: Visit, number: int) -> Dataset:
    group = Dataset()
    content = Dataset()
    content.FrameAcquisitionNumber = 1
    content.FrameAcquisitionDateTime = content.FrameReferenceDateTime = visit.date + visit.time
    content.FrameAcquisitionDuration = 12.5
    content.DimensionIndexValues = [number + 1]
    group.FrameContentSequence = Sequence([content])
    position = Dataset()
    position.ImagePositionPatient = [-180, -180, 3 * number]
    group.PlanePositionSequence = Sequence([position])
    return group


def _ect(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.MultienergyCTAcquisition = "NO"
    dataset.ContentQualification, dataset.PatientPosition = "PRODUCT", "HFS"
    dataset.AcquisitionNumber = 1
    _frames(dataset, visit, plan, 3)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    kind = Dataset()
    kind.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    kind.PixelPresentation, kind.VolumetricProperties = "MONOCHROME", "VOLUME"
    kind.VolumeBasedCalculationTechnique = "NONE"
    shared.CTImageFrameTypeSequence = Sequence([kind])
    acquisition = Dataset()
    acquisition.AcquisitionType = "SPIRAL"
    acquisition.ConstantVolumeFlag, acquisition.FluoroscopyFlag = "NO", "NO"
    acquisition.RevolutionTime = 0.5
    shared.CTAcquisitionTypeSequence = Sequence([acquisition])
    for keyword in (
        "CTAcquisitionDetailsSequence", "CTReconstructionSequence", "CTExposureSequence",
        "CTXRayDetailsSequence", "CTGeometrySequence", "CTTableDynamicsSequence",
    ):  # fmt: skip
        setattr(shared, keyword, Sequence([_ct_details(keyword)]))
    dataset.AcquisitionDuration = 4.2
    event = Dataset()
    event.IrradiationEventUID = f"{visit.study_uid}.{plan.number}.1"
    for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.IrradiationEventIdentificationSequence = Sequence([event])
        position = Dataset()
        position.TablePosition = 3.0 * number
        position.ReconstructionTargetCenterPatient = [0.0, 0.0, 0.0]
        position.DataCollectionCenterPatient = [0.0, 0.0, 0.0]
        frame.CTPositionSequence = Sequence([position])


def _ct_details(keyword: str) -> Dataset:
    item = Dataset()
    details: dict[str, dict[str, object]] = {
        "CTAcquisitionDetailsSequence": {
            "RotationDirection": "CW", "RevolutionTime": 0.5, "SingleCollimationWidth": 0.6,
            "TotalCollimationWidth": 38.4, "TableHeight": 100, "GantryDetectorTilt": 0,
            "DataCollectionDiameter": 500,
        },
        "CTReconstructionSequence": {
            "ReconstructionAlgorithm": "FILTER_BACK_PROJ", "ConvolutionKernel": "Br40",
            "ConvolutionKernelGroup": "BODY", "ReconstructionDiameter": 360,
            "ReconstructionAngle": 360.0, "ReconstructionPixelSpacing": [0.7, 0.7],
            "ImageFilter": "NONE",
        },
        "CTExposureSequence": {
            "ExposureTimeInms": 500.0, "XRayTubeCurrentInmA": 100.0, "ExposureInmAs": 50.0,
            "ExposureModulationType": "NONE", "CTDIvol": 1.2,
        },
        "CTXRayDetailsSequence": {"KVP": 120, "FocalSpots": 0.7, "FilterType": "FLAT", "FilterMaterial": "ALUMINUM"},
        "CTGeometrySequence": {
            "DistanceSourceToDetector": 1000, "DistanceSourceToDataCollectionCenter": 500.0,
        },
        "CTTableDynamicsSequence": {
            "TableSpeed": 20.0, "TableFeedPerRotation": 10.0, "SpiralPitchFactor": 0.9,
        },
    }  # fmt: skip
    for name, value in details[keyword].items():
        setattr(item, name, value)
    return item


def _emr(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    dataset.Modality = "MR"
    dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.ComplexImageComponent, dataset.AcquisitionContrast = "MAGNITUDE", "T2"
    dataset.ContentQualification, dataset.PatientPosition = "PRODUCT", "HFS"
    dataset.ResonantNucleus, dataset.KSpaceFiltering = "1H", "NONE"
    dataset.MagneticFieldStrength, dataset.ApplicableSafetyStandardAgency = 1.5, "IEC"
    dataset.AcquisitionNumber = 1
    _frames(dataset, visit, plan, 3)
    kind = Dataset()
    kind.FrameType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    kind.PixelPresentation, kind.VolumetricProperties = "MONOCHROME", "VOLUME"
    kind.VolumeBasedCalculationTechnique = "NONE"
    kind.ComplexImageComponent, kind.AcquisitionContrast = "MAGNITUDE", "T2"
    dataset.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence = Sequence([kind])


def _dbt(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    dataset.Modality = "MG"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "TOMOSYNTHESIS"
    dataset.ContentQualification = "PRODUCT"
    dataset.DetectorType, dataset.PositionerType = "DIRECT", "MAMMOGRAPHIC"
    dataset.BodyPartExamined = "BREAST"
    view = reports.code("399162004", "SCT", "cranio-caudal")
    view.ViewModifierCodeSequence = Sequence([])
    dataset.ViewCodeSequence = Sequence([view])
    dataset.BreastImplantPresent = "NO"
    dataset.AcquisitionNumber = 1
    _frames(dataset, visit, plan, 3)
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", -1
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.FrameAnatomySequence[0].FrameLaterality = "R"
    kind = Dataset()
    kind.FrameType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]
    kind.PixelPresentation, kind.VolumetricProperties = "MONOCHROME", "VOLUME"
    kind.VolumeBasedCalculationTechnique = "TOMOSYNTHESIS"
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.XRay3DFrameTypeSequence = Sequence([kind])


def _us(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    dataset.Modality, dataset.Laterality = "US", "R"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "BREAST", "0001"]
    dataset.PatientOrientation = ""
    dataset.AcquisitionDateTime = visit.date + visit.time
    _colour(dataset, plan.number)
    burn(dataset, visit.person.patient_id)


def _sc(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    dataset.Modality, dataset.ConversionType, dataset.Laterality = "CT", "WSD", ""
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation = ""
    _colour(dataset, plan.number)
    burn(dataset, f"{visit.person.family} {visit.person.patient_id}")


def _colour(dataset: Dataset, seed: int, size: int = 96) -> None:
    rng = np.random.default_rng(seed)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows = dataset.Columns = size
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = rng.integers(0, 90, size * size * 3, dtype=np.uint8).tobytes()


def _pdf(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    del plan
    dataset.Modality, dataset.ConversionType = "DOC", "WSD"
    dataset.AcquisitionDateTime = visit.date + visit.time
    dataset.BurnedInAnnotation = "YES"
    dataset.DocumentTitle = f"Report of {visit.accession}"
    dataset.ConceptNameCodeSequence = Sequence([])
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    text = f"%PDF-1.4\n({visit.person.patient_id}) Tj\n%%EOF\n".encode()
    dataset.EncapsulatedDocument = text + b"\0" * (len(text) % 2)


_KINDS: Mapping[str, Callable[[FileDataset, Visit, Planned], None]] = {
    "CT": _ct, "MG": _mg, "MGP": _mg, "DBT": _dbt, "DX": _dx, "CR": _cr, "MR": _mr,
    "ECT": _ect, "EMR": _emr, "US": _us, "SC": _sc, "RDSR": reports.dose, "CAD": reports.cad,
    "BTSR": reports.text, "PR": reports.presentation, "KO": reports.key_objects, "PDF": _pdf,
}  # fmt: skip
