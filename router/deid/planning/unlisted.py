"""What happens to the attributes that Table E.1-1 does not name.

The table misses some: the birth date in another calendar, comments on procedure steps, notes on
what was given to the patient. Of these attributes the plan keeps what is no text, and the texts
that by their names are terms, codes or names of machines and their parts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_keyword, dictionary_VR
from pydicom.tag import Tag

from router.deid.planning.actions import Action, Rule
from router.deid.standard.iod import Need
from router.deid.standard.options import Option

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

    from router.deid.profile import Profile

_PATIENT_GROUP = 0x0010
#: VRs in which people write, and dates: what the table does not name of these is cleaned or goes.
_WRITTEN = frozenset({"LT", "ST", "UT", "UC"})
_DATES = frozenset({"DA", "DT"})
_SHORT = frozenset({"LO", "SH"})
#: Under another VR than the dictionary's: texts that people fill in.
_DESCRIBES = re.compile(r"(Description|Comments?|Reason|Label|Annotation|Text)$")
#: Code values that are longer than VR SH, and so have the VR of a text.
_CODES = frozenset({Tag("LongCodeValue"), Tag("URNCodeValue")})
#: Of VR CS, and filled in by people all the same.
_LABELS = frozenset({Tag("ContentLabel")})

#: How the keywords of short texts (LO, SH) end or begin that no person fills in for a patient.
_TECHNICAL = re.compile(
    # makers, models, versions of devices and programs
    r".*(Manufacturer(Name)?|ManufacturerModelName|ManufacturerRelatedModelGroup"
    r"|ManufacturerModelVersion|Device\w*SoftwareVersions?|SoftwareVersions"
    r"|PrivateCreator|PrivateCreatorReference)"
    r"|Application(Name|Version)|(Segment)?Algorithm(Name|Version|Source)"
    # codes and what says how they are to be read
    r"|(Extended)?CodeValue|CodeMeaning|CodingScheme(Designator|Version|Registry)"
    r"|MappingResourceName|SelectorAttribute(Name|Keyword)|\w*MIMETypes?(OfEncapsulatedDocument)?"
    # how an image was acquired
    r"|(Pulse)?SequenceName|(Receive|Transmit)CoilName|MultiCoil(ElementName|Configuration)"
    r"|ImagedNucleus|FilterType|TypeOfFilters|ImageFilter|CollimatorGridName|GridID"
    r"|(Plate|Phosphor)Type|OutputPower|TransducerData|(Video|Digital)ImageFormatAcquired"
    r"|AcquisitionMode|AcquisitionDeviceProcessingCode|DoseModeName|(Post)?[Pp]rocessingFunction"
    r"|TriggerSourceOrType|TimeSource|CardiacFramingType|PVCRejection|RespiratorySignalSourceID"
    r"|StackID|(Target)?PositionReferenceIndicator|(Referenced)?OpticalPathIdentifier"
    r"|EnergyWindowName|ASLBolusCutoffTechnique"
    # how it was computed and is shown
    r"|ConvolutionKernel|(Reconstruction|(Attenuation|Scatter)Correction)Method"
    r"|DetectorLinesOfResponseUsed|RescaleType|ModalityLUTType|LUTExplanation"
    r"|WindowCenterWidthExplanation|ImageGeometryType|(CSS)?FontName"
    # what was given, and how soon it was wanted
    r"|Radionuclide|Radiopharmaceutical|(Radiopharmaceutical|ContrastBolus)Route"
    r"|InterventionDrugName|ProductName|(RequestedProcedure|Reporting)Priority"
)

#: What leads to a person or a place all the same: who is asked, whose network and printer it is,
#: numbers of orders, and what somebody has encrypted of the original.
NAMING = frozenset(
    Tag(keyword)
    for keyword in (
        "ContactDisplayName", "HangingProtocolCreator", "HangingProtocolUserGroupName", "OwnerID",
        "NTPSourceAddress", "PrinterName", "RadiationMachineName", "DeviceID",
        "SecondaryCaptureDeviceID", "HardcopyCreationDeviceID", "StorageMediaFileSetID",
        "PlacerOrderNumberProcedure", "FillerOrderNumberProcedure",
        "PlacerOrderNumberImagingServiceRequestRetired",
        "FillerOrderNumberImagingServiceRequestRetired",
        "EncryptedAttributesSequence", "EncryptedContent",
    )
)  # fmt: skip


def rule(  # noqa: PLR0911  (one line a kind of value)
    profile: Profile, tag: BaseTag, vr: str, need: Need | None
) -> Rule:
    """What happens to an attribute that the table does not name.

    It stays, but for names, free text, dates, addresses and UIDs.
    """
    vrs = {vr, dictionary_VR(tag)}  # senders put names and UIDs under other VRs
    gone = {Need.VALUE: Action.DUMMY, Need.PRESENT: Action.EMPTY}.get(
        need or Need.NOTHING, Action.REMOVE
    )
    if tag in NAMING:
        return Rule(gone, gone, "not in Table E.1-1: names a person, a place or a machine")
    if "PN" in vrs:
        name = Action.DUMMY if need is Need.VALUE else Action.EMPTY
        return Rule(name, name, "not in Table E.1-1: a name")
    if "UI" in vrs:
        return Rule(Action.UID, Action.UID, "not in Table E.1-1: a UID")
    if tag.group == _PATIENT_GROUP and vrs & (_WRITTEN | _DATES | _SHORT | {"TM", "UR"}):
        return Rule(gone, gone, "not in Table E.1-1: text or date of the patient")
    if vrs & _DATES:
        action = Action.SHIFT if profile.shifts else gone
        return Rule(action, gone, "not in Table E.1-1: a date")
    if "TM" in vrs:
        return Rule(
            Action.TIME if profile.shifts else gone, gone, "not in Table E.1-1: a time of day"
        )
    if "UR" in vrs and tag not in _CODES:
        return Rule(gone, gone, "not in Table E.1-1: an address")
    if _is_written(tag, vrs):
        action = Action.TEXT if Option.CLEAN_DESCRIPTORS in profile.options else gone
        return Rule(action, gone, "not in Table E.1-1: free text")
    return Rule(Action.KEEP, Action.KEEP, "not in Table E.1-1")


def _is_written(tag: BaseTag, vrs: set[str]) -> bool:
    """Whether an attribute holds what a person wrote."""
    if tag in _CODES:
        return False
    if vrs & _WRITTEN or tag in _LABELS:
        return True
    keyword = dictionary_keyword(tag)
    if dictionary_VR(tag) in _SHORT:
        return _TECHNICAL.fullmatch(keyword) is None
    return bool(vrs & _SHORT and _DESCRIBES.search(keyword))
