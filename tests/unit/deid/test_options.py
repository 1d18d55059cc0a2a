"""The options of PS3.15 Annex E: what they keep, what they clean, and that the gate sees a fault."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)

from router.deid import eligibility, explain, gate, policies, profile, pseudonyms
from router.deid.planning import dates, plan
from router.deid.profile import SCREENING, Profile
from router.deid.standard.options import Option
from router.deid.standard.safe_private import read as read_private
from router.records.errors import Code, Hold, SettingsError
from tests.support import apply_plan, data
from tests.support.deidentified import CHOSEN, DAYS, KEY, PATIENT, STATION, copy_of, image, passed

# --- 113107: dates ------------------------------------------------------------------------------

weeks = st.integers(1, 520).map(lambda n: -7 * n)


@given(st.dates(date(1950, 1, 1), date(2100, 1, 1)), st.dates(date(1950, 1, 1)), weeks)
def test_weekdays_and_intervals_of_moved_dates_stay(one: date, other: date, days: int) -> None:
    moved = [dates.shifted(f"{day:%Y%m%d}".zfill(8), days) for day in (one, other)]
    first, second = (date(int(m[:4]), int(m[4:6]), int(m[6:])) for m in moved if m is not None)
    assert (first.weekday(), second - first) == (one.weekday(), other - one)


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        ("20260311", "20260304"),
        ("2026.03.11", "20260304"),
        ("20260311101500.123456+0100", "20260304101500.123456+0100"),
        ("2026031110", "2026030410"),
        ("20260311+0100", "20260304+0100"),
        ("202603", "202603"),
        ("2026", "2026"),
        ("20260231", None),
        ("next week", None),
        ("20260311 of Jan", None),
        ("2026031199", None),
    ],
)
def test_as_much_is_said_of_a_date_as_before(value: str, moved: str | None) -> None:
    assert dates.shifted(value, -7) == moved


def test_shifts_are_the_patient_s_own_and_never_nothing() -> None:
    shifts = {pseudonyms.shift_days(KEY, "", f"P{n}") for n in range(500)}
    assert all(days % 7 == 0 and -3640 <= days <= -7 for days in shifts)
    assert len(shifts) > 200


def test_dates_move_and_times_stay_also_where_the_table_is_silent() -> None:
    dataset = image(AcquisitionDateTime="20260311101500.5", AcquisitionTime="101500")
    item = Dataset()
    item.DateTime, item.Date, item.Time = "20260311101500", "20260311", "101500"
    dataset.AcquisitionContextSequence = Sequence([item])
    copy = passed(dataset)
    moved = dates.shifted("20260311", DAYS)
    assert copy.StudyDate == copy.AcquisitionContextSequence[0].Date == moved
    assert copy.AcquisitionDateTime == f"{moved}101500.5"
    assert copy.AcquisitionTime == copy.AcquisitionContextSequence[0].Time == "101500"
    assert copy.PatientBirthDate == ""
    assert copy.LongitudinalTemporalInformationModified == "MODIFIED"


@pytest.mark.parametrize("days", [0, DAYS + 7, DAYS + 1])
def test_a_date_that_was_moved_wrongly_is_held(days: int) -> None:
    def fault(copy: FileDataset) -> None:
        copy.StudyDate = dates.shifted("20260311", days)

    assert copy_of(image(), fault=fault) is Code.GATE_WRONG_ACTION


def test_a_date_that_is_none_is_emptied() -> None:
    assert passed(image(StudyDate="11. March")).StudyDate == ""


# --- 113108: the patient ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "kept"),
    [("056Y", "056Y"), ("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("011M", "011M"),
     ("old", None)],
)  # fmt: skip
def test_an_age_of_ninety_and_over_is_ninety(age: str, kept: str | None) -> None:
    assert passed(image(PatientAge=age)).get("PatientAge") == kept


def test_an_age_above_ninety_is_held() -> None:
    def fault(copy: FileDataset) -> None:
        copy.PatientAge = "104Y"

    assert copy_of(image(PatientAge="104Y"), fault=fault) is Code.GATE_WRONG_ACTION


def test_sex_size_and_weight_stay_and_what_is_no_term_goes() -> None:
    copy = passed(image(PatientSex="F", PatientSize="1.68", PatientWeight="65"))
    assert (copy.PatientSex, copy.PatientSize, copy.PatientWeight) == ("F", 1.68, 65)
    copy = passed(image(SmokingStatus="SINCE JANE LEFT"))
    assert "SmokingStatus" not in copy


# --- 113105: free text --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["CT Thorax nativ 5mm", "MAMMOGRAPHY R CC", "Écho abdominal".replace("É", "E"), "T1 tra"],
)
def test_text_of_the_vocabulary_stays(text: str) -> None:
    chosen = Profile.of(SCREENING, frozenset({"echo"}))
    assert passed(image(SeriesDescription=text), chosen).SeriesDescription == text


@pytest.mark.parametrize(
    "text",
    [
        "Thorax of Smith",
        "CT 12345",
        "Thorax 11.03.50",
        "Thorax 11 03 50",
        "call 0171 234 567",
        "Łódź",
    ],
)
def test_other_text_goes(text: str) -> None:
    dataset = image(SeriesDescription=text, SpecificCharacterSet="ISO_IR 192")
    assert "SeriesDescription" not in passed(dataset)


@pytest.mark.parametrize("name", ["Bone^Chest", "THORAX^Lung", "Thórax^Süd"])
def test_a_word_of_the_vocabulary_goes_where_it_is_the_patient_s_name(name: str) -> None:
    dataset = image(PatientName=name, SpecificCharacterSet="ISO_IR 192")
    dataset.SeriesDescription, dataset.StudyDescription = "thorax chest", "Abdomen"
    copy = passed(dataset)
    assert "SeriesDescription" not in copy
    assert copy.StudyDescription == "Abdomen"

    def fault(made: FileDataset) -> None:
        made.SeriesDescription = "thorax chest"

    assert copy_of(dataset, fault=fault) is Code.GATE_IDENTIFIER


def test_text_that_the_plan_should_have_taken_out_is_held() -> None:
    def fault(copy: FileDataset) -> None:
        copy.SeriesDescription = "Thorax of a stranger"

    dataset = image(SeriesDescription="Thorax of a stranger")
    assert copy_of(dataset, fault=fault) is Code.GATE_WRONG_ACTION


# --- 113111: private attributes -----------------------------------------------------------------


def test_a_private_attribute_of_the_allow_list_stays_with_its_creator_and_no_other() -> None:
    dataset = image()
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "1000")
    block.add_new(0x0F, "LO", "somebody")
    other = dataset.private_block(0x0019, "OTHER MAKER", create=True)
    other.add_new(0x0C, "IS", "7")
    chosen = Profile.of(SCREENING | {Option.SAFE_PRIVATE})
    copy = passed(dataset, chosen)
    private = {int(tag) for tag in copy.keys() if tag.is_private}  # noqa: SIM118
    assert private == {0x00190010, 0x0019100C}
    assert not any(tag.is_private for tag in passed(dataset).keys())  # noqa: SIM118

    def fault(made: FileDataset) -> None:
        made.add_new(0x0019100F, "LO", "somebody")

    assert copy_of(dataset, chosen, fault) is Code.GATE_PRIVATE_ATTRIBUTE


@pytest.mark.parametrize(
    "line", ["X,0019,0C,LO,text", "X,0018,0C,IS,even", "X,0019,1FF,IS,far", "X,0019"]
)
def test_a_list_of_private_attributes_that_is_not_safe_is_refused(line: str) -> None:
    with pytest.raises(SettingsError, match="line 2"):
        read_private(f"creator,group,element,vr,meaning\n{line}\n", "own.csv")


# --- reports, presentation states, key objects ----------------------------------------------------


def _text_item(text: str, **values: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", text
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def test_a_dose_report_is_cleaned_item_by_item() -> None:
    *_, report = data.mammogram_study("options", PATIENT, rows=48, columns=39)
    person = Dataset()
    person.RelationshipType, person.ValueType = "HAS OBS CONTEXT", "PNAME"
    person.PersonName = PATIENT.physician
    moment = Dataset()
    moment.RelationshipType, moment.ValueType = "CONTAINS", "DATETIME"
    moment.DateTime = "20260311101500"
    report.ContentSequence = Sequence(
        [_text_item(f"Dose of {PATIENT.name}"), _text_item("Mammography screening"), person, moment]
    )
    copy = passed(report)
    first, second, third, fourth = copy.ContentSequence
    assert (first.TextValue, second.TextValue) == ("ANONYMIZED", "Mammography screening")
    assert third.PersonName == "ANONYMIZED"
    assert fourth.DateTime == f"{dates.shifted('20260311', DAYS)}101500"
    assert copy_of(report, Profile.of(SCREENING - {Option.CLEAN_STRUCTURED})) is (
        Code.SOP_CLASS_NOT_CLEARED
    )

    def fault(made: FileDataset) -> None:
        made.ContentSequence[0].TextValue = "Dose of a patient"

    assert copy_of(report, fault=fault) is Code.GATE_WRONG_ACTION


def test_a_presentation_state_keeps_its_annotations_of_harmless_words() -> None:
    dataset = image(Modality="PR", PresentationCreationDate="20260311", ContentLabel="LABEL")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = (
        GrayscaleSoftcopyPresentationStateStorage
    )
    del dataset.PixelData
    texts = []
    for text in ("lesion left", f"ask {PATIENT.physician}"):
        item = Dataset()
        item.UnformattedTextValue = text
        texts.append(item)
    annotation = Dataset()
    annotation.TextObjectSequence = Sequence(texts)
    dataset.GraphicAnnotationSequence = Sequence([annotation])
    copy = passed(dataset)
    kept = [i.UnformattedTextValue for i in copy.GraphicAnnotationSequence[0].TextObjectSequence]
    assert kept == ["lesion left", "ANONYMIZED"]
    assert copy.PresentationCreationDate == dates.shifted("20260311", DAYS)


def test_a_key_object_selection_points_to_the_pseudonymous_images() -> None:
    target = image()
    dataset = image(Modality="KO")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = (
        KeyObjectSelectionDocumentStorage
    )
    del dataset.PixelData
    reference = Dataset()
    reference.ReferencedSOPClassUID = target.SOPClassUID
    reference.ReferencedSOPInstanceUID = target.SOPInstanceUID
    content = Dataset()
    content.RelationshipType, content.ValueType = "CONTAINS", "IMAGE"
    content.ReferencedSOPSequence = Sequence([reference])
    dataset.ContentSequence = Sequence([content])
    found = passed(dataset).ContentSequence[0].ReferencedSOPSequence[0]
    assert found.ReferencedSOPInstanceUID == passed(target).SOPInstanceUID


# --- 113101: policies and masks -------------------------------------------------------------------

_MASKED = policies.read(
    """
    [[policy]]
    because = "The name stands at the top."
    sop_classes = ["SecondaryCaptureImageStorage"]
    manufacturers = ["acme*"]
    rows = 16
    action = "mask"
    regions = [[0, 0, 16, 4]]
    """,
    "own.toml",
)


def _screen() -> FileDataset:
    dataset = image(BurnedInAnnotation="YES")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.PixelData = b"\7" * len(dataset.PixelData)
    return dataset


def test_regions_are_painted_over_and_it_is_declared() -> None:
    copy = copy_of(_screen(), rules=(*_MASKED, *policies.SHIPPED))
    assert isinstance(copy, FileDataset)
    assert copy.PixelData == bytes(16 * 4 * 2) + b"\7" * (16 * 12 * 2)
    assert copy.BurnedInAnnotation == "NO"
    codes = [item.CodeValue for item in copy.DeidentificationMethodCodeSequence]
    assert "113101" in codes
    assert "113101" not in [i.CodeValue for i in passed(image()).DeidentificationMethodCodeSequence]


def test_a_region_that_was_not_masked_is_held() -> None:
    dataset = _screen()
    file = data.file_bytes(dataset)
    original = apply_plan.read(file)
    regions = eligibility.check(original, rules=_MASKED, chosen=CHOSEN)
    made = plan.make(apply_plan.read(file), KEY, STATION, CHOSEN, masked=True)
    copied = apply_plan.apply(file, made)
    with pytest.raises(Hold) as raised:
        gate.check_copy(
            original, memoryview(file), apply_plan.read(copied), memoryview(copied),
            gate.Expected.of(original, KEY, STATION, CHOSEN, regions), gate.Traces.of(original),
        )  # fmt: skip
    assert raised.value.code is Code.GATE_PIXELS_CHANGED


def test_compressed_pixels_are_held_instead_of_masked() -> None:
    from pydicom.encaps import encapsulate  # noqa: PLC0415
    from pydicom.uid import JPEGLSLossless  # noqa: PLC0415

    dataset = _screen()
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    assert copy_of(dataset, rules=_MASKED) is Code.BURNED_IN_TEXT


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('action = "safe"\nbecause = "x"', "named by"),
        ('action = "mask"\nbecause = "x"\nmodalities = ["US"]', "regions"),
        ('action = "burn"\nbecause = "x"', "burn"),
        ('action = "hold"\nbecause = "x"\ncode = "UNREADABLE"', "code"),
        ('action = "hold"\nbecause = "x"\nsop_classes = ["Nonsense"]', "SOP class"),
        ('action = "hold"\nbecause = "x"\ncolour = "red"', "not known"),
    ],
)
def test_a_policy_with_a_fault_is_refused_with_its_number(text: str, fault: str) -> None:
    with pytest.raises(SettingsError, match="policy 1") as raised:
        policies.read(f"[[policy]]\n{text}\n", "own.toml")
    assert fault in str(raised.value)


# --- the profile, and what it tells ---------------------------------------------------------------


def test_a_profile_is_known_by_everything_in_it_and_comes_back_from_its_text() -> None:
    longer = Profile.of(SCREENING, frozenset({"word"}))
    assert len({CHOSEN.id, longer.id, profile.BASIC.id}) == 3
    for chosen in (CHOSEN, longer, profile.BASIC, Profile.of(frozenset(Option))):
        assert Profile.from_json(chosen.to_json()) == chosen
        assert Profile.from_json(chosen.to_json()).id == chosen.id


def test_each_attribute_is_explained_without_its_value() -> None:
    dataset = image(SeriesDescription="Thorax")
    file = apply_plan.read(data.file_bytes(dataset))
    rows = {row.path: row for row in explain.rows(file, KEY, STATION, CHOSEN)}
    assert rows["0010-0010"].action == "set"
    assert rows["0010-4000"].action == "removed"
    assert rows["0008-0020"].action == "replaced"
    assert "113107" in rows["0008-0020"].why
    assert rows["0008-103e"].action == "kept"
    assert rows["0008-0020"].gate == "the date, moved by the patient's weeks"
    assert "allowed" in rows["0008-103e"].gate
    told = str(rows.values())
    assert [value for value in PATIENT.identifiers() if value in told] == []
