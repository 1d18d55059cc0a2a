"""What can stay must have stayed; what is in doubt may go, and never holds an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage

from router.deid.standard.vocabulary import TEXT_WORDS
from router.records.errors import Code
from tests.support.deidentified import copy_of, image

if TYPE_CHECKING:
    from collections.abc import Callable

    Fault = Callable[[FileDataset], None]


def whole() -> FileDataset:
    """An image with an attribute of each expectation, at the top and nested."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "39607008", "SCT", "Lung"
    item.ContentDate = "20200105"
    return image(
        PatientAge="044Y", PatientSize="1.74", PregnancyStatus=1, SeriesTime="101500",
        SeriesDescription="CHEST 2 AXIAL", ImageType=["ORIGINAL", "PRIMARY"],
        AcquisitionDateTime="20260311101500.5+0100", PixelIntensityRelationshipSign=-1,
        ClinicalTrialSubjectID="S-7", FlowIdentifier=b"flow", ContentCreatorName="Some^One",
        PersonName="Some^One", PrimaryAnatomicStructureSequence=Sequence([item]),
        SourceImageSequence=Sequence([item]), PrescriptionNotesSequence=Sequence([item]),
        PersonIdentificationCodeSequence=Sequence([item]),
    )  # fmt: skip


def emptied(keyword: str) -> Fault:
    def fault(copy: FileDataset) -> None:
        element = copy[keyword]
        element.value = [] if element.VR == "SQ" else None

    return fault


def lost(keyword: str) -> Fault:
    return lambda copy: delattr(copy, keyword)


def put(keyword: str, value: object) -> Fault:
    return lambda copy: setattr(copy, keyword, value)


def nested(fault: Fault) -> Fault:
    return lambda copy: fault(copy.PrimaryAnatomicStructureSequence[0])


KEPT = (
    "PatientAge", "PatientSize", "PregnancyStatus", "SeriesTime", "SeriesDescription", "ImageType",
    "AcquisitionDateTime", "PixelIntensityRelationshipSign", "PrimaryAnatomicStructureSequence",
    "SourceImageSequence",
)  # fmt: skip
#: Letter D, and a letter Z that is a sequence.
PRESENT = (
    "ClinicalTrialSubjectID", "FlowIdentifier", "PersonName", "PersonIdentificationCodeSequence",
)  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [
        *(pytest.param(emptied(k), id=f"{k} emptied") for k in (*KEPT, *PRESENT)),
        *(pytest.param(lost(k), id=f"{k} lost") for k in (*KEPT, *PRESENT)),
        pytest.param(lost("PrescriptionNotesSequence"), id="PrescriptionNotesSequence lost"),
        pytest.param(put("AcquisitionDateTime", "19000101000000"), id="a dummy for a date"),
        pytest.param(put("StudyDate", "19000101"), id="another dummy for a date"),
        pytest.param(put("PatientAge", "000Y"), id="a dummy for an age"),
        pytest.param(put("SeriesTime", "000000"), id="a dummy for a time"),
        pytest.param(put("SeriesDescription", "ANONYMIZED"), id="a dummy for a text"),
        pytest.param(put("PixelIntensityRelationshipSign", 0), id="zero for a number"),
        pytest.param(nested(emptied("CodeValue")), id="a nested code emptied"),
        pytest.param(nested(lost("CodeMeaning")), id="a nested meaning lost"),
        pytest.param(nested(put("ContentDate", "19000101")), id="a dummy for a nested date"),
        pytest.param(nested(lost("ContentDate")), id="a nested date lost"),
        pytest.param(lost("StationName"), id="the truck's name lost"),
    ],
)
def test_what_can_stay_must_have_stayed(fault: Fault) -> None:
    held = copy_of(whole(), fault=fault)
    assert held in {Code.GATE_WRONG_ACTION, Code.GATE_IOD}


def test_a_copy_that_does_not_say_by_what_method_is_held() -> None:
    assert copy_of(whole(), fault=lost("DeidentificationMethod")) is Code.GATE_NOT_DECLARED


def test_a_file_header_of_another_class_is_held() -> None:
    def fault(copy: FileDataset) -> None:
        copy.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage

    assert copy_of(whole(), fault=fault) is Code.GATE_FILE_META


words = st.sampled_from(sorted(w for w in TEXT_WORDS if w.isascii()))
numbers = st.integers(0, 99999).map(str)
texts = st.lists(
    words | words.map(str.upper) | numbers | st.sampled_from("-./,&_R"), max_size=6
).map(" ".join)
dates = st.sampled_from([
    "20260311", "2026.03.11", "20260231", "00010101", "19000101", "99991231", "2026", "next week",
    "20260311 ", "",
])  # fmt: skip
times = st.sampled_from(["101500", "10:15:00", "1015", "246000", "101560", "000000", "noon", ""])
ages = st.sampled_from(["044Y", "090Y", "1080M", "1079M", "000Y", "44", "old", "012D", ""])
terms = st.sampled_from(["M", "F", "X", "1.745", "1234", "1.2345678", "UNKNOWN", "a lot", ""])
lengths = st.sampled_from(["1.745", "1234", "1.2345678", "0", "1.5e0", ""])
names = st.sampled_from(["UNKNOWN", "Anonymous^Patient", "Chest^Left", "R^L", "None", "Some^One"])


@given(
    st.fixed_dictionaries({
        "SeriesDescription": texts, "ImageComments": texts, "ContrastBolusAgent": texts,
        "ReasonForTheAttributeModification": texts.map(str.upper), "SelectorSTValue": texts,
        "SeriesDate": dates, "Date": dates, "StructureSetDate": dates, "SeriesTime": times,
        "SelectorTMValue": times, "ExpiryDate": dates, "PatientAge": ages, "SelectorASValue": ages,
        "PatientSex": terms, "SmokingStatus": terms, "PatientSize": lengths, "PatientName": names,
        "ResponsiblePerson": names, "StudyID": texts.map(lambda t: t[:16]),
    })
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_what_the_plan_leaves_or_takes_away_is_never_held_for_it(values: dict[str, str]) -> None:
    item = Dataset()
    dataset = image(PrimaryAnatomicStructureSequence=Sequence([item]))
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
        if keyword not in {"PatientName", "StudyID"}:
            setattr(item, keyword, value)
    made = copy_of(dataset)
    assert isinstance(made, FileDataset) or made is Code.GATE_IDENTIFIER
