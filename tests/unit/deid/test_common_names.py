"""Names, places and numbers that are words of headers too hold no image, and name nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom.sequence import Sequence
from pydicom.uid import XRayRadiationDoseSRStorage

from router.records.errors import Code
from tests.corpus.reports import coded, number
from tests.support.deidentified import copy_of, image, passed

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("Hu^Wei", {"RescaleType": "HU"}),
        ("No^Min", {"BurnedInAnnotation": "NO"}),
        ("Ge^Li", {"Manufacturer": "GE MEDICAL SYSTEMS"}),
        ("Philips^Jan", {"Manufacturer": "Philips Medical Systems"}),
        ("Silver^Ann", {"FilterMaterial": "SILVER"}),
        ("Long^Ann", {"ScanOptions": "LONG"}),
        ("Patient^Test", {}),  # a word of what is declared in every copy
        ("Graphics^Clean", {}),
    ],
)
def test_a_patient_whose_name_is_a_word_of_every_header_is_not_held(
    name: str, header: dict[str, str]
) -> None:
    passed(image(PatientName=name, **header))


@pytest.mark.parametrize("name", ["Hu^Wei", "Silver^Ann", "Philips^Jan", "Patient^Test"])
def test_such_a_patient_is_still_found_by_her_full_name(name: str) -> None:
    family, given = name.split("^")
    for written in (name, f"{family} {given}", f"{family}, {given}".upper()):
        dataset = image(PatientName=name, SoftwareVersions=f"set up for {written}")
        assert copy_of(dataset) is Code.GATE_IDENTIFIER


def test_free_text_never_holds_such_a_name() -> None:
    dataset = image(PatientName="Stone^Ray", SeriesDescription="Kidney stone")
    assert "SeriesDescription" not in passed(dataset)

    def put_back(copy: FileDataset) -> None:
        copy.SeriesDescription = "Kidney stone"

    assert copy_of(dataset, fault=put_back) is Code.GATE_IDENTIFIER


@pytest.mark.parametrize("name", ["Ma^Li", "Ray^Ann", "From^Ann", "Source^Al", "Contains^Al"])
def test_a_patient_whose_name_is_a_word_of_codes_has_her_dose_report(name: str) -> None:
    dataset = image(PatientName=name, SOPClassUID=XRayRadiationDoseSRStorage, Modality="SR")
    dataset.file_meta.MediaStorageSOPClassUID = XRayRadiationDoseSRStorage
    del dataset.PixelData
    dataset.ContentSequence = Sequence(
        [
            number(("113734", "DCM", "X-Ray Tube Current"), "100", "mA"),
            coded(
                "CONTAINS",
                ("113854", "DCM", "Source of Dose Information"),
                ("113860", "DCM", "15cm from Isocenter toward Source"),
            ),
        ]
    )
    passed(dataset)


@pytest.mark.parametrize("keyword", ["ReferringPhysicianName", "OperatorsName"])
@pytest.mark.parametrize("name", ["Mammography^Screening", "Screening^Mammography"])
def test_a_programme_in_place_of_a_person_takes_no_description_away(
    keyword: str, name: str
) -> None:
    dataset = image(StudyDescription="Mammography Screening", **{keyword: name})
    assert passed(dataset).StudyDescription == "Mammography Screening"


def test_an_institution_of_common_words_takes_no_description_away() -> None:
    dataset = image(InstitutionName="Breast Screening", StudyDescription="Breast Screening")
    assert passed(dataset).StudyDescription == "Breast Screening"


@pytest.mark.parametrize("procedure", ["CT CHEST", "CT-001"])
def test_a_procedure_s_number_of_common_words_takes_no_description_away(procedure: str) -> None:
    dataset = image(StudyDescription="CT CHEST")
    dataset.RequestAttributesSequence[0].RequestedProcedureID = procedure
    assert passed(dataset).StudyDescription == "CT CHEST"


def test_the_day_of_birth_takes_no_description_away() -> None:
    dataset = image(PatientBirthDate="19610312", SeriesDescription="Chest 12")
    assert passed(dataset).SeriesDescription == "Chest 12"


@pytest.mark.parametrize("keyword", ["ReferringPhysicianName", "OperatorsName"])
def test_a_physician_s_name_that_free_text_may_hold_is_not_told(keyword: str) -> None:
    """Weiss is the colour of a German description."""
    dataset = image(StudyDescription="Chest Dr Weiss", **{keyword: "Weiss^Ann"})
    assert "StudyDescription" not in passed(dataset)

    def put_back(copy: FileDataset) -> None:
        copy.StudyDescription = "Chest Dr Weiss"

    assert copy_of(dataset, fault=put_back) is Code.GATE_IDENTIFIER
