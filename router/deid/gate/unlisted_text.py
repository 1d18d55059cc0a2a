"""The gate's own opinion of texts that Table E.1-1 does not name.

A text is what a person wrote, unless the attribute is in the list below, of those whose texts are
terms, codes, or names and versions of machines and programs. The plan has its own opinion, by
keywords; what one of the two forgets holds the image at the other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_keyword, dictionary_VR
from pydicom.tag import Tag

if TYPE_CHECKING:
    from collections.abc import Mapping

#: By where PS3.3 has them.
_TERMS: Mapping[str, str] = {
    "8.8 Code Sequence Macro":
        "CodeValue LongCodeValue URNCodeValue ExtendedCodeValue CodeMeaning CodingSchemeDesignator"
        " CodingSchemeVersion CodingSchemeRegistry MappingResourceName",
    "C.7.5 Equipment":
        "Manufacturer ManufacturerModelName ManufacturerModelVersion ManufacturerRelatedModelGroup"
        " SoftwareVersions ApplicationName ApplicationVersion ApplicationManufacturer",
    "C.7.3 and C.7.4 Series, Frame of Reference":
        "PositionReferenceIndicator TargetPositionReferenceIndicator",
    "C.7.6 and C.11 Image, VOI and Modality LUT":
        "RescaleType ModalityLUTType LUTExplanation WindowCenterWidthExplanation ImageGeometryType"
        " DimensionIndexPrivateCreator FunctionalGroupPrivateCreator StackID"
        " RespiratorySignalSourceID TriggerSourceOrType CardiacFramingType PVCRejection",
    "C.8.1 to C.8.12 CR, CT, MR, NM, US, XA, PET":
        "PlateType PhosphorType AcquisitionDeviceProcessingCode AcquisitionMode DoseModeName"
        " FilterType TypeOfFilters ImageFilter GridID CollimatorGridName ConvolutionKernel"
        " SequenceName PulseSequenceName ImagedNucleus ReceiveCoilName TransmitCoilName"
        " ReceiveCoilManufacturerName TransmitCoilManufacturerName MultiCoilConfiguration"
        " MultiCoilElementName ASLBolusCutoffTechnique DetectorManufacturerName"
        " DetectorManufacturerModelName EnergyWindowName OutputPower TransducerData"
        " ProcessingFunction PostprocessingFunction ReconstructionMethod"
        " AttenuationCorrectionMethod ScatterCorrectionMethod DetectorLinesOfResponseUsed"
        " OpticalPathIdentifier ReferencedOpticalPathIdentifier TimeSource",
    "C.8.6 Secondary Capture and Hardcopy":
        "SecondaryCaptureDeviceManufacturer SecondaryCaptureDeviceManufacturerModelName"
        " SecondaryCaptureDeviceSoftwareVersions HardcopyDeviceManufacturer"
        " HardcopyDeviceManufacturerModelName HardcopyDeviceSoftwareVersion"
        " VideoImageFormatAcquired DigitalImageFormatAcquired ModifyingDeviceManufacturer",
    "C.7.6.4, C.8.4, C.22 what was given":
        "Radionuclide Radiopharmaceutical RadiopharmaceuticalRoute ContrastBolusRoute"
        " InterventionDrugName ProductName",
    "10.16, C.8.20 Algorithms":
        "AlgorithmName AlgorithmVersion AlgorithmSource SegmentAlgorithmName",
    "C.10, C.24 Graphics, documents":
        "FontName CSSFontName MIMETypeOfEncapsulatedDocument ListOfMIMETypes",
    "C.12, C.23 what names attributes":
        "PrivateCreatorReference SelectorAttributePrivateCreator"
        " SelectorSequencePointerPrivateCreator AttributeOccurrencePrivateCreator"
        " SelectorAttributeName SelectorAttributeKeyword",
    "C.4 how soon something was wanted": "RequestedProcedurePriority ReportingPriority",
    "C.8.8, C.8.18, C.28 makers of other devices":
        "ApplicationSetupManufacturer SourceApplicatorManufacturer IOLManufacturer"
        " WedgeManufacturerName",
}  # fmt: skip
TERMS = frozenset(int(Tag(keyword)) for names in _TERMS.values() for keyword in names.split())

_LONG = frozenset({"LT", "ST", "UC", "UT"})
_SHORT = frozenset({"LO", "SH"})
#: Defined terms (VR CS) that the standard leaves to who makes the object.
_CHOSEN = frozenset({0x00700080})  # ContentLabel
#: Sent as a short text, though the standard has them otherwise: what is told of them is text.
_TOLD = ("Description", "Comment", "Comments", "Reason", "Label", "Annotation", "Text")

#: Keywords of what leads to a person, a place or a machine: it goes, whatever it says.
_LEADS_TO = re.compile(
    r"(Placer|Filler)OrderNumber\w+|Encrypted\w+"
    r"|(|SecondaryCapture|HardcopyCreation)DeviceID|OwnerID|StorageMediaFileSetID"
    r"|(Printer|RadiationMachine|ContactDisplay|HangingProtocolUserGroup)Name"
    r"|HangingProtocolCreator|NTPSourceAddress"
)


def leads_to_somebody(tag: int) -> bool:
    """Whether an attribute that the table does not name must go, whatever its value."""
    return _LEADS_TO.fullmatch(dictionary_keyword(tag)) is not None


def is_text(tag: int, vr: str) -> bool:
    """Whether an attribute holds what somebody wrote. ``vr``: under which it was sent."""
    known = dictionary_VR(tag)
    if tag in TERMS and not (vr in _LONG and known in _SHORT):
        return False
    if {vr, known} & _LONG or known in _SHORT or tag in _CHOSEN:
        return True
    return vr in _SHORT and dictionary_keyword(tag).endswith(_TOLD)
