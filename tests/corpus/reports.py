"""Objects without pixels: structured reports, presentation states, key object selections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from tests.corpus.visit import Planned, Visit


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def item(
    relationship: str, kind: str, concept: tuple[str, str, str], *inside: Dataset, **values: object
) -> Dataset:
    """A content item (PS3.3, C.17.3)."""
    made = Dataset()
    made.RelationshipType, made.ValueType = relationship, kind
    made.ConceptNameCodeSequence = Sequence([code(*concept)])
    if kind == "CONTAINER":
        made.ContinuityOfContent = "SEPARATE"
    for name, value in values.items():
        setattr(made, name, value)
    if inside:
        made.ContentSequence = Sequence(list(inside))
    return made


def number(concept: tuple[str, str, str], value: str, unit: str, *inside: Dataset) -> Dataset:
    measured = Dataset()
    measured.NumericValue = value
    measured.MeasurementUnitsCodeSequence = Sequence([code(unit, "UCUM", unit)])
    return item(
        "CONTAINS", "NUM", concept, *inside, MeasuredValueSequence=Sequence([measured])
    )  # fmt: skip


def coded(relationship: str, concept: tuple[str, str, str], value: tuple[str, str, str]) -> Dataset:
    return item(relationship, "CODE", concept, ConceptCodeSequence=Sequence([code(*value)]))


def pointer(plan: Planned) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = plan.sop_class
    reference.ReferencedSOPInstanceUID = plan.sop_uid
    return reference


def _image(visit: Visit, relationship: str = "CONTAINS") -> Dataset:
    made = Dataset()
    made.RelationshipType, made.ValueType = relationship, "IMAGE"
    made.ReferencedSOPSequence = Sequence([pointer(_images(visit)[0])])
    return made


def _images(visit: Visit) -> list[Planned]:
    """Images of the visit, sent before or after the report; the report itself if there is none."""
    found = [plan for plan in visit.planned if plan.kind in {"CT", "MG", "DX", "MR", "DBT", "CR"}]
    return found or visit.planned[:1]


def _evidence(visit: Visit) -> Sequence:
    series = Dataset()
    image = _images(visit)[0]
    series.SeriesInstanceUID = image.series_uid
    series.ReferencedSOPSequence = Sequence([pointer(image)])
    study = Dataset()
    study.StudyInstanceUID = visit.study_uid
    study.ReferencedSeriesSequence = Sequence([series])
    return Sequence([study])


def _document(
    dataset: FileDataset, visit: Visit, title: tuple[str, str, str], template: str
) -> None:
    dataset.Modality = "SR"
    dataset.ReferencedPerformedProcedureStepSequence = Sequence([])
    dataset.PerformedProcedureCodeSequence = Sequence([])
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    dataset.PreliminaryFlag = "FINAL"
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = Sequence([code(*title)])
    used = Dataset()
    used.MappingResource, used.TemplateIdentifier = "DCMR", template
    dataset.ContentTemplateSequence = Sequence([used])
    dataset.CurrentRequestedProcedureEvidenceSequence = _evidence(visit)
    del dataset.RequestAttributesSequence


def dose(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    """X-Ray Radiation Dose SR: names, UIDs, serial numbers, dates and a comment in its content."""
    _document(dataset, visit, ("113701", "DCM", "X-Ray Radiation Dose Report"), "10011")
    moment = visit.date + visit.time
    dataset.ContentSequence = Sequence([
        coded("HAS CONCEPT MOD", ("121058", "DCM", "Procedure reported"),
              ("77477000", "SCT", "Computed Tomography X-Ray")),
        coded("HAS OBS CONTEXT", ("121005", "DCM", "Observer Type"),
              ("121007", "DCM", "Device")),
        item("HAS OBS CONTEXT", "UIDREF", ("121012", "DCM", "Device Observer UID"),
             UID=f"{visit.frame_uid}.9"),
        item("HAS OBS CONTEXT", "TEXT", ("121013", "DCM", "Device Observer Name"),
             TextValue=f"ST{visit.device_serial[2:8]}"),
        item("HAS OBS CONTEXT", "TEXT", ("121016", "DCM", "Device Observer Serial Number"),
             TextValue=visit.device_serial),
        item("HAS OBS CONTEXT", "DATETIME", ("113809", "DCM", "Start of X-Ray Irradiation"),
             DateTime=moment),
        item("HAS OBS CONTEXT", "DATETIME", ("113810", "DCM", "End of X-Ray Irradiation"),
             DateTime=moment),
        item(
            "CONTAINS", "CONTAINER", ("113811", "DCM", "CT Accumulated Dose Data"),
            number(("113812", "DCM", "Total Number of Irradiation Events"), "2", "{events}"),
            number(("113813", "DCM", "CT Dose Length Product Total"), "38.5", "mGy.cm"),
        ),
        item(
            "CONTAINS", "CONTAINER", ("113819", "DCM", "CT Acquisition"),
            item("CONTAINS", "TEXT", ("125203", "DCM", "Acquisition Protocol"),
                 TextValue="CHEST ROUTINE"),
            item("CONTAINS", "UIDREF", ("113769", "DCM", "Irradiation Event UID"),
                 UID=f"{visit.study_uid}.{plan.number}.1"),
            number(("113824", "DCM", "Exposure Time"), "4.2", "s"),
            item("CONTAINS", "TEXT", ("121106", "DCM", "Comment"),
                 TextValue=f"Dose of {visit.person.given} {visit.person.family}"),
        ),
        item("HAS OBS CONTEXT", "PNAME", ("113870", "DCM", "Person Name"),
             PersonName=visit.operator),
    ])  # fmt: skip


def cad(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    """Mammography CAD SR: codes, numbers, coordinates and references."""
    del plan
    _document(dataset, visit, ("111036", "DCM", "Mammography CAD Report"), "4000")
    point = item(
        "INFERRED FROM", "SCOORD", ("111010", "DCM", "Center"),
        GraphicData=[100.0, 200.0], GraphicType="POINT",
    )  # fmt: skip
    point.ContentSequence = Sequence([_image(visit, "SELECTED FROM")])
    dataset.ContentSequence = Sequence([
        coded("HAS CONCEPT MOD", ("121049", "DCM", "Language of Content Item and Descendants"),
              ("eng", "RFC5646", "English")),
        item("CONTAINS", "CONTAINER", ("111028", "DCM", "Image Library"), _image(visit)),
        coded("CONTAINS", ("111017", "DCM", "CAD Processing and Findings Summary"),
              ("111242", "DCM", "All algorithms succeeded; with findings")),
        item("HAS PROPERTIES", "TEXT", ("111001", "DCM", "Algorithm Name"),
             TextValue="DETECTION"),
        item("INFERRED FROM", "DATE", ("111060", "DCM", "Study Date"), Date=visit.date),
        item("INFERRED FROM", "TIME", ("111061", "DCM", "Study Time"), Time=visit.time),
        point,
    ])  # fmt: skip


def text(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    """Basic Text SR: a radiologist's sentences, which name the patient."""
    del plan
    _document(dataset, visit, ("18748-4", "LN", "Diagnostic imaging report"), "2000")
    dataset.ContentSequence = Sequence([
        item("HAS OBS CONTEXT", "PNAME", ("121008", "DCM", "Person Observer Name"),
             PersonName=visit.referrer),
        item(
            "CONTAINS", "CONTAINER", ("121070", "DCM", "Findings"),
            item("CONTAINS", "TEXT", ("121071", "DCM", "Finding"),
                 TextValue=f"In {visit.person.mentions(visit.rng)} no nodule."),
        ),
        item("CONTAINS", "TEXT", ("121106", "DCM", "Comment"),
             TextValue=f"Seen by {visit.referrer}, order {visit.accession}"),
    ])  # fmt: skip


def presentation(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    """Grayscale Softcopy Presentation State with a line, and a text that names the patient."""
    del plan
    dataset.Modality, dataset.Laterality = "PR", ""
    dataset.PresentationCreationDate, dataset.PresentationCreationTime = visit.date, visit.time
    dataset.ContentLabel, dataset.ContentDescription = "STANDARD", "STANDARD"
    dataset.ContentCreatorName = visit.operator
    image = _images(visit)[0]
    series = Dataset()
    series.SeriesInstanceUID = image.series_uid
    series.ReferencedImageSequence = Sequence([pointer(image)])
    dataset.ReferencedSeriesSequence = Sequence([series])
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [64, 64]
    area.PresentationSizeMode, area.PresentationPixelAspectRatio = "SCALE TO FIT", [1, 1]
    dataset.DisplayedAreaSelectionSequence = Sequence([area])
    layer = Dataset()
    layer.GraphicLayer, layer.GraphicLayerOrder = "LAYER1", 1
    dataset.GraphicLayerSequence = Sequence([layer])
    line = Dataset()
    line.GraphicAnnotationUnits, line.GraphicDimensions = "PIXEL", 2
    line.NumberOfGraphicPoints, line.GraphicData = 2, [1.0, 1.0, 20.0, 20.0]
    line.GraphicType, line.GraphicFilled = "POLYLINE", "N"
    note = Dataset()
    note.AnchorPointAnnotationUnits, note.AnchorPoint = "PIXEL", [5.0, 5.0]
    note.AnchorPointVisibility = "N"
    note.UnformattedTextValue = visit.person.mentions(visit.rng)
    annotation = Dataset()
    annotation.GraphicLayer = "LAYER1"
    annotation.GraphicObjectSequence, annotation.TextObjectSequence = (
        Sequence([line]), Sequence([note]),
    )  # fmt: skip
    dataset.GraphicAnnotationSequence = Sequence([annotation])
    dataset.PresentationLUTShape = "IDENTITY"


def key_objects(dataset: FileDataset, visit: Visit, plan: Planned) -> None:
    """Key Object Selection: references, also to images that come later, and a remark."""
    del plan
    _document(dataset, visit, ("113000", "DCM", "Of Interest"), "2010")
    dataset.Modality = "KO"
    for keyword in ("CompletionFlag", "VerificationFlag", "PreliminaryFlag"):
        del dataset[keyword]
    del dataset.PerformedProcedureCodeSequence
    dataset.ContentSequence = Sequence([
        item("CONTAINS", "TEXT", ("113012", "DCM", "Key Object Description"),
             TextValue=f"shown to {visit.person.mentions(visit.rng)}"),
        _image(visit),
    ])  # fmt: skip
