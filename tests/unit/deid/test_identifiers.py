"""Where identifiers hide, and what only looks like one: found by an attack on the whole way.

Each case goes through eligibility, the plan and the gate, without Orthanc's own anonymization.
"""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGLSLossless

from router.deid import eligibility, gate
from router.deid.planning import plan
from router.deid.pseudonyms import Key
from router.records.errors import Code, Hold
from tests.support import apply_plan, data

KEY = Key.parse("test:" + "5a" * 32)
STATION = "TRUCK1"
PATIENT = data.Patient.made("identifiers")


def _image(**values: object) -> FileDataset:
    dataset = next(data.ct_series("identifiers", PATIENT, slices=1, size=32))
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _outcome(dataset: FileDataset, station: str = STATION) -> Code | FileDataset:
    """The copy that may leave, or why it is held."""
    file = data.file_bytes(dataset)
    original = apply_plan.read(file)
    try:
        eligibility.check(original)
        copied = apply_plan.apply(file, plan.make(original, KEY, station))
        copy = apply_plan.read(copied)
        gate.check_copy(
            original, memoryview(file), copy, memoryview(copied),
            gate.Expected.of(original, KEY, station), gate.Traces.of(original, station),
        )  # fmt: skip
    except Hold as hold:
        return hold.code
    return copy


def _coded(meaning: str) -> Sequence:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C1", "99ACME", meaning
    return Sequence([code])


@pytest.mark.parametrize(
    "values",
    [
        {"PatientID": "MRN12345678", "FilterMaterial": "X_MRN12345678_Y"},
        {"PatientID": "AB123", "FilterMaterial": "AB123"},
        {"PatientID": "AB123", "DeviceUID": "1.2.3", "Manufacturer": "CT_AB123_x"},
        {"PatientID": "12345678", "SoftwareVersions": "for MRN 12345678."},
        {"PatientName": "Novak^Jan", "ImageType": ["ORIGINAL", "PRIMARY", "NOVAK"]},
        {"PatientName": "Li^Na", "SoftwareVersions": "scan of Li"},
        {"PatientBirthDate": "19500311", "SoftwareVersions": "born 11.03.1950"},
        {"PatientBirthDate": "19500311", "SoftwareVersions": "born 1950-03-11"},
        {"PatientID": "0012345678", "SoftwareVersions": "ID 12345678"},
        {"StudyID": "ST-4711", "SoftwareVersions": "study ST-4711"},
        {"AccessionNumber": "2026-5420152", "FilterMaterial": "20265420152"},
        {"PatientID": "6611132301", "SoftwareVersions": "661113/2301"},
        {"PatientID": "661113/2301", "SoftwareVersions": "no 66 11 13 23 01"},
    ],
    ids=lambda values: " ".join(f"{k}={v}" for k, v in values.items()),
)
def test_an_identifier_in_a_kept_attribute_is_held(values: dict[str, object]) -> None:
    assert _outcome(_image(**values)) is Code.GATE_IDENTIFIER


@pytest.mark.parametrize("name", ["王^明", "山田^太郎", "Dvořáková^Žaneta"])
def test_a_name_in_any_writing_is_found_in_a_code(name: str) -> None:
    dataset = _image(SpecificCharacterSet="ISO_IR 192", PatientName=name)
    dataset.ProcedureCodeSequence = _coded(f"CT {name.partition('^')[0].upper()}")
    assert _outcome(dataset) is Code.GATE_IDENTIFIER


def test_an_original_uid_behind_a_file_name_is_held() -> None:
    dataset = _image()
    dataset.SoftwareVersions = f"{dataset.StudyInstanceUID}.dcm"[:64]
    assert _outcome(dataset) is Code.GATE_FOREIGN_UID


def test_a_comment_in_a_compressed_frame_is_found() -> None:
    dataset = _image()
    frame = b"\xff\xd8\xff\xfe\x00\x20" + PATIENT.name.encode() + b"\xff\xd9"
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    assert _outcome(dataset) is Code.GATE_IDENTIFIER


@pytest.mark.parametrize(
    "values",
    [
        {"PatientBirthDateInAlternativeCalendar": "S25.3.11"},
        {"StudyUpdateDateTime": "20260311101500"},
        {"CommentsOnTheScheduledProcedureStep": "see her son"},
        {"TextValue": "free words"},
        {"PotentialReasonsForProcedure": "cough"},
        {"RetrieveURI": "https://hospital/x"},
    ],
    ids=lambda values: next(iter(values)),
)
def test_free_text_and_dates_that_the_table_does_not_name_go(values: dict[str, object]) -> None:
    copy = _outcome(_image(**values))
    assert isinstance(copy, FileDataset)
    # An object of another kind needs a TextValue: a dummy stands there.
    assert all(copy.get(keyword, "ANONYMIZED") == "ANONYMIZED" for keyword in values)


def test_a_picture_inside_a_sequence_goes() -> None:
    item = Dataset()
    item.Rows = item.Columns = 4
    item.PixelData = bytes(16)
    item["PixelData"].VR = "OB"
    copy = _outcome(_image(ReferencedImageSequence=Sequence([item])))
    assert isinstance(copy, FileDataset)
    assert "PixelData" not in copy.ReferencedImageSequence[0]


@pytest.mark.parametrize(
    "values",
    [
        {
            "SpecificCharacterSet": "ISO_IR 100",
            "PatientName": "Bö^Å",
            "ImageType": ["ORIGINAL", "ABORT"],
        },
        {"SpecificCharacterSet": "ISO_IR 100", "InstitutionName": "bÄ"},
        {"PatientName": "Bone^Standard", "ConvolutionKernel": "BONE"},
        {"PatientName": "Router^Basic"},
        {"PatientName": "QC^Phantom", "BodyPartExamined": "PHANTOM"},
        {"OperatorsName": "GE MEDICAL", "Manufacturer": "GE MEDICAL SYSTEMS"},
        {"ReferringPhysicianName": "MERCY MEDICAL CENTER", "Manufacturer": "GE MEDICAL SYSTEMS"},
        {"OperatorsName": "Philips", "Manufacturer": "Philips"},
        {"PatientID": "123456", "ExposureInuAs": 123456},
        {"PatientID": "123456", "PixelSpacing": ["0.123456", "0.123456"]},
        {"StationName": STATION, "InstitutionName": STATION},
        {"PatientBirthDate": "19000101"},
        {"SynchronizationFrameOfReferenceUID": "1.2.840.10008.15.1.1"},
        {"StudyID": "1", "AccessionNumber": ""},
    ],
    ids=lambda values: " ".join(f"{k}={v}" for k, v in values.items()),
)
def test_a_clean_image_that_only_looks_suspicious_goes_on(values: dict[str, object]) -> None:
    assert isinstance(_outcome(_image(**values)), FileDataset)


def test_the_plan_names_well_known_uids_too_because_orthanc_would_draw_others() -> None:
    file = data.file_bytes(_image(SynchronizationFrameOfReferenceUID="1.2.840.10008.15.1.1"))
    made = plan.make(apply_plan.read(file), KEY, STATION)
    assert made.replace["0020-0200"] == "1.2.840.10008.15.1.1"
