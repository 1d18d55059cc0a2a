from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from router.deid import eligibility, policies
from router.deid.policies import Verdict
from router.deid.profile import SCREENING, Profile
from router.records.errors import Code, Hold
from tests.support import data
from tests.support.read_images import PATIENT, as_read, ct_image

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset


def image(sop_class: str = uid.CTImageStorage) -> FileDataset:
    """The least that eligibility asks for."""
    dataset = data.new_file(uid.CTImageStorage, "1.2.3.3")
    dataset.SOPClassUID = sop_class
    dataset.PatientID = PATIENT.patient_id
    dataset.StudyInstanceUID = "1.2.3.1"
    dataset.SeriesInstanceUID = "1.2.3.2"
    return dataset


def hold_of(dataset: FileDataset) -> Hold:
    with pytest.raises(Hold) as raised:
        eligibility.check(dataset)
    return raised.value


def _cleared() -> list[FileDataset]:
    return [
        ct_image(),
        *list(data.mammogram_study("clearance", PATIENT, rows=48, columns=39))[:-1],
        data.radiograph("clearance", PATIENT, rows=32, columns=26),
        *(data.pydicom_file(name, "clearance", PATIENT) for name in data.PYDICOM_FILES),
    ]


@pytest.mark.parametrize("dataset", _cleared(), ids=lambda d: f"{d.Modality}-{d.InstanceNumber}")
def test_images_of_the_detectors_are_cleared(dataset: FileDataset) -> None:
    eligibility.check(as_read(dataset))


def _safe_images() -> set[str]:
    return {
        sop_class
        for policy in policies.SHIPPED
        if policy.action is Verdict.SAFE and not policy.needs
        for sop_class in policy.sop_classes
    }


@pytest.mark.parametrize("sop_class", sorted(_safe_images()))
def test_every_cleared_class_is_an_image_of_the_standard(sop_class: str) -> None:
    assert "Image Storage" in uid.UID(sop_class).name
    eligibility.check(image(sop_class))


@pytest.mark.parametrize("patient_id", [None, "", "   "])
def test_an_image_of_nobody_is_held(patient_id: str | None) -> None:
    dataset = image()
    dataset.PatientID = patient_id
    assert hold_of(dataset).code is Code.NO_PATIENT_ID
    del dataset.PatientID
    assert hold_of(dataset).code is Code.NO_PATIENT_ID


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "  ", ["1.2.3", "1.2.4"]])
def test_an_object_without_a_uid_or_with_two_is_held(keyword: str, value: str | None) -> None:
    dataset = image()
    setattr(dataset, keyword, value)
    hold = hold_of(dataset)
    assert hold.code is Code.NO_UID
    assert keyword in hold.sentence
    delattr(dataset, keyword)
    assert hold_of(dataset).code is Code.NO_UID


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize(
    "value", ["1." + "2" * 64, "1.2.840.4F2A77BC.1", "1.2.0012", "{6F96-11D0}"]
)
def test_a_uid_that_breaks_the_rules_is_replaced_like_any_other(keyword: str, value: str) -> None:
    dataset = image()
    setattr(dataset, keyword, value)
    eligibility.check(dataset)


@pytest.mark.parametrize("sop_class", ["1.2.3.4.5", "1.2.840.10008.5.1.4.1.1.99999"])
def test_a_class_that_the_standard_does_not_know_is_held(sop_class: str) -> None:
    hold = hold_of(image(sop_class))
    assert hold.code is Code.UNKNOWN_SOP_CLASS
    assert sop_class in hold.sentence


@pytest.mark.parametrize("sop_class", ["", "Novakova^Zdenka"])
def test_a_class_that_is_no_uid_is_held_and_not_quoted(sop_class: str) -> None:
    hold = hold_of(image(sop_class))
    assert hold.code is Code.UNKNOWN_SOP_CLASS
    assert hold.sentence == "SOP class that is no UID"


def test_an_object_without_a_class_is_held() -> None:
    dataset = image()
    del dataset.SOPClassUID
    assert hold_of(dataset).code is Code.UNKNOWN_SOP_CLASS


@pytest.mark.parametrize(
    "sop_class",
    [
        uid.XRayRadiationDoseSRStorage, uid.BasicTextSRStorage, uid.ComprehensiveSRStorage,
        uid.MammographyCADSRStorage, uid.KeyObjectSelectionDocumentStorage,
        uid.GrayscaleSoftcopyPresentationStateStorage, uid.SecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage, uid.UltrasoundImageStorage,
        uid.UltrasoundMultiFrameImageStorage, uid.EncapsulatedPDFStorage,
        uid.EncapsulatedCDAStorage, uid.RawDataStorage, uid.VLPhotographicImageStorage,
    ],
    ids=lambda sop_class: uid.UID(sop_class).keyword,
)  # fmt: skip
def test_a_class_that_nobody_cleared_is_held_by_its_name(sop_class: str) -> None:
    hold = hold_of(image(sop_class))
    assert hold.code is Code.SOP_CLASS_NOT_CLEARED
    assert hold.sentence == uid.UID(sop_class).name


def test_a_dose_report_beside_mammograms_is_held() -> None:
    *_, report = data.mammogram_study("clearance", PATIENT, rows=48, columns=39)
    assert hold_of(report).code is Code.SOP_CLASS_NOT_CLEARED


@pytest.mark.parametrize("modality", ["US", "SR", "PR", "KO", "DOC", "ES", " us "])
def test_a_cleared_class_under_a_modality_that_shows_text_is_held(modality: str) -> None:
    dataset = image()
    dataset.Modality = modality
    assert hold_of(dataset).code is Code.SOP_CLASS_NOT_CLEARED


@pytest.mark.parametrize("burned_in", ["YES", "yes", "Y", "MAYBE"])
def test_text_burned_into_the_pixels_is_held(burned_in: str) -> None:
    dataset = image()
    dataset.BurnedInAnnotation = burned_in
    hold = hold_of(dataset)
    assert hold.code is Code.BURNED_IN_TEXT
    assert burned_in not in hold.sentence.split()


@pytest.mark.parametrize("burned_in", ["NO", "no ", "", None])
def test_an_image_without_burned_in_text_is_cleared(burned_in: str | None) -> None:
    dataset = image()
    dataset.BurnedInAnnotation = burned_in
    eligibility.check(dataset)


@pytest.mark.parametrize(
    "image_type",
    [
        ["DERIVED", "SECONDARY", "SCREEN SAVE"], ["DERIVED", "SECONDARY", "OTHER", "SCREENSAVE"],
        ["derived", "secondary", "screen save"], ["DERIVED", "SECONDARY", "DOSE_INFO"],
        ["DERIVED", "SECONDARY", "REPORT"], "SCREEN SAVE", ["DERIVED", "SECONDARY", "CSA REPORT"],
        ["DERIVED", "SECONDARY", "", "SCREEN_CAPTURE"], ["DERIVED", "SECONDARY", "DOSE"],
        ["DERIVED", "SECONDARY", "PATIENT PROTOCOL"],
    ],
)  # fmt: skip
def test_a_picture_of_a_screen_is_held(image_type: list[str]) -> None:
    dataset = image()
    dataset.ImageType = image_type
    assert hold_of(dataset).code is Code.BURNED_IN_TEXT


@pytest.mark.parametrize(
    "image_type",
    [
        ["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "PRIMARY"], "", None,
        ["ORIGINAL", "PRIMARY", "AXIAL", "LOW_DOSE"], ["DERIVED", "PRIMARY", "", "SCREENING"],
        ["ORIGINAL", "PRIMARY", "AXIAL", "DOSE_MODULATED"], ["DERIVED", "PRIMARY", "DOSE SAVING"],
        "DERIVED\\PRIMARY\\LOW DOSE", ["DERIVED", "PRIMARY", "CAPTUREX"],
    ],
)  # fmt: skip
def test_a_picture_of_a_patient_is_cleared(image_type: list[str] | str | None) -> None:
    dataset = image()
    dataset.ImageType = image_type
    eligibility.check(dataset)


def test_an_image_with_fewer_pixels_than_its_header_says_is_held() -> None:
    dataset = ct_image()
    dataset.PixelData = dataset.PixelData[:-2]
    assert hold_of(as_read(dataset)).code is Code.UNREADABLE


def test_an_image_that_does_not_say_how_large_it_is_is_held() -> None:
    dataset = ct_image()
    del dataset.Rows
    assert hold_of(as_read(dataset)).code is Code.UNREADABLE


def test_the_frames_and_samples_of_an_image_are_counted() -> None:
    dataset = ct_image()
    dataset.NumberOfFrames = 3
    assert hold_of(as_read(dataset)).code is Code.UNREADABLE
    dataset.PixelData = dataset.PixelData * 3
    eligibility.check(as_read(dataset))


def test_a_uid_with_a_leading_zero_goes_on_because_it_is_replaced() -> None:
    dataset = ct_image()
    dataset.SeriesInstanceUID = "1.2.840.03.4"
    eligibility.check(as_read(dataset))


def test_a_picture_in_colour_or_of_a_screen_is_held_whatever_its_class_says() -> None:
    dataset = ct_image()
    dataset.ConversionType = "WSD"
    assert hold_of(as_read(dataset)).code is Code.BURNED_IN_TEXT
    dataset = ct_image()
    dataset.SamplesPerPixel = 3
    assert hold_of(as_read(dataset)).code is Code.BURNED_IN_TEXT


@pytest.mark.parametrize(
    ("conversion", "burned_in", "held"),
    [
        ("DI", None, False), ("DI", "NO", False), ("DI", "YES", True), ("WSD", "NO", False),
        ("WSD", None, True), ("SYN", "NO", False), ("SD", "NO", True), ("DF", "NO", True),
        ("DV", "NO", True), ("SI", "NO", True), ("DRW", "NO", True), ("OTHER", "NO", True),
        ("", None, False),
    ],
)  # fmt: skip
def test_a_conversion_type_tells_of_a_page_only_where_it_names_one(
    conversion: str, burned_in: str | None, *, held: bool
) -> None:
    dataset = ct_image()
    dataset.ConversionType = conversion
    if burned_in:
        dataset.BurnedInAnnotation = burned_in
    if held:
        assert hold_of(as_read(dataset)).code is Code.BURNED_IN_TEXT
    else:
        eligibility.check(as_read(dataset))


def test_a_device_whose_images_are_all_held_is_cleared_as_the_advice_says() -> None:
    """The rule is the one that the document shows; what it does not name stays held."""
    text = (Path(__file__).parents[3] / "docs/operations.md").read_text(encoding="utf-8")
    (rule,) = re.findall(r"```toml\n(\[\[policy]].*?)```", text, re.DOTALL)
    rules = (*policies.read(rule, "policies.toml"), *policies.SHIPPED)
    view, *_ = data.mammogram_study("device", PATIENT, rows=48, columns=39)
    view.Manufacturer, view.ManufacturerModelName = "Exempla", "Exempla One"
    view.BurnedInAnnotation = "YES"
    retried = eligibility.RELEASES["retry"]
    assert hold_of(as_read(view)).code is Code.BURNED_IN_TEXT
    assert eligibility.check(as_read(view), retried, rules) == ()
    view.ManufacturerModelName = "Exempla Two"
    with pytest.raises(Hold):
        eligibility.check(as_read(view), retried, rules)


def test_an_overlay_hidden_in_the_pixels_is_held() -> None:
    dataset = ct_image()
    dataset.add_new(0x60000102, "US", 12)
    assert hold_of(as_read(dataset)).code is Code.PIXELS_UNDECLARED
    # Who has looked at it has seen what it draws.
    eligibility.check(as_read(dataset), CHECKED)


def test_pixels_of_single_bits_are_counted() -> None:
    dataset = ct_image()
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    dataset.PixelData = bytes(16 * 16 // 8)
    eligibility.check(as_read(dataset))


def test_compressed_pixels_are_not_counted() -> None:
    dataset = ct_image()
    dataset.file_meta.TransferSyntaxUID = uid.JPEGLSLossless
    dataset.PixelData = encapsulate([b"\xff\xd8"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    eligibility.check(as_read(dataset))


def test_an_image_in_a_transfer_syntax_that_nobody_knows_is_held() -> None:
    dataset = as_read(ct_image())
    dataset.file_meta.TransferSyntaxUID = uid.UID("1.2.840.113619.5.2")
    assert hold_of(dataset).code is Code.ENCODING_NOT_CLEARED


def test_an_image_in_no_transfer_syntax_is_held() -> None:
    dataset = as_read(ct_image())
    del dataset.file_meta.TransferSyntaxUID
    assert hold_of(dataset).code is Code.ENCODING_NOT_CLEARED


# --- what a person has answered for ---------------------------------------------------------------

CHECKED = eligibility.RELEASES["pixels-checked"]


def test_only_pixels_are_cleared_by_looking_at_them() -> None:
    assert {name: policy.clears for name, policy in eligibility.RELEASES.items()} == {
        "": frozenset(),
        "retry": frozenset(),
        "identity-checked": {Code.IDENTITY_CONFLICT},
        "pixels-checked": {
            Code.BURNED_IN_TEXT,
            Code.SOP_CLASS_NOT_CLEARED,
            Code.HELD_BY_RULE,
            Code.PIXELS_UNDECLARED,
        },
        "as-it-is": {Code.PIXELS_UNDECODABLE},
    }


def test_an_image_whose_pixels_were_checked_is_cleared() -> None:
    dataset = ct_image()
    dataset.SOPClassUID = uid.SecondaryCaptureImageStorage
    dataset.BurnedInAnnotation = "YES"
    dataset.Modality = "US"
    dataset.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    eligibility.check(as_read(dataset), CHECKED)


def test_a_report_is_not_cleared_by_looking_at_its_pixels() -> None:
    *_, report = data.mammogram_study("clearance", PATIENT, rows=48, columns=39)
    with pytest.raises(Hold) as raised:
        eligibility.check(as_read(report), CHECKED)
    assert raised.value.code is Code.SOP_CLASS_NOT_CLEARED


def test_an_unknown_class_is_not_cleared_by_looking_at_its_pixels() -> None:
    dataset = ct_image()
    dataset.SOPClassUID = "1.2.3.4.5"
    dataset.BurnedInAnnotation = "YES"
    with pytest.raises(Hold) as raised:
        eligibility.check(as_read(dataset), CHECKED)
    assert raised.value.code is Code.UNKNOWN_SOP_CLASS


@pytest.mark.parametrize("keyword", ["PatientID", "SOPInstanceUID"])
def test_no_policy_clears_an_image_of_nobody(keyword: str) -> None:
    dataset = as_read(ct_image())
    delattr(dataset, keyword)
    for policy in eligibility.RELEASES.values():
        with pytest.raises(Hold) as raised:
            eligibility.check(dataset, policy)
        assert raised.value.code in {Code.NO_PATIENT_ID, Code.NO_UID}


def test_checked_pixels_must_be_all_there() -> None:
    dataset = ct_image()
    dataset.BurnedInAnnotation = "YES"
    dataset.PixelData = dataset.PixelData[:-2]
    with pytest.raises(Hold) as raised:
        eligibility.check(as_read(dataset), CHECKED)
    assert raised.value.code is Code.UNREADABLE


def test_a_retry_clears_nothing() -> None:
    dataset = ct_image()
    dataset.BurnedInAnnotation = "YES"
    with pytest.raises(Hold) as raised:
        eligibility.check(as_read(dataset), eligibility.RELEASES["retry"])
    assert raised.value.code is Code.BURNED_IN_TEXT


@pytest.mark.parametrize(
    "values",
    [
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"BitsAllocated": 8},
        {"ImageType": ["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"]},
        {"ImageType": ["DERIVED", "SECONDARY", "SAVED STATE"]},
    ],
)
def test_a_saved_screen_under_a_detector_s_class_is_held(values: dict[str, object]) -> None:
    dataset = ct_image()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    assert hold_of(dataset).code is Code.BURNED_IN_TEXT


@pytest.mark.parametrize(
    "image_type",
    [
        ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"],
        ["DERIVED", "PRIMARY", "PROTON DENSITY"],
        ["ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP"],
    ],
)
def test_a_detector_s_image_type_is_cleared(image_type: list[str]) -> None:
    dataset = ct_image()
    dataset.ImageType = image_type
    eligibility.check(as_read(dataset))


@pytest.mark.parametrize(
    ("sop_class", "modality"),
    [
        (uid.XRayRadiationDoseSRStorage, "SR"),
        (uid.KeyObjectSelectionDocumentStorage, "KO"),
        (uid.GrayscaleSoftcopyPresentationStateStorage, "PR"),
    ],
)
@pytest.mark.parametrize("keyword", ["PixelData", "FloatPixelData"])
def test_a_picture_in_an_object_without_pixels_is_held(
    sop_class: str, modality: str, keyword: str
) -> None:
    chosen = Profile.of(SCREENING)
    dataset = ct_image()
    dataset.SOPClassUID, dataset.Modality = sop_class, modality
    pixels = dataset.PixelData
    del dataset.PixelData
    eligibility.check(dataset, chosen=chosen)
    dataset.add_new(keyword, "OF" if keyword == "FloatPixelData" else "OW", pixels)
    with pytest.raises(Hold) as raised:
        eligibility.check(dataset, chosen=chosen)
    assert raised.value.code is Code.BURNED_IN_TEXT


@pytest.mark.parametrize(("position", "hidden"), [(0, True), (15, True), (None, False)])
def test_an_overlay_in_any_unused_bit_is_held(*, position: int | None, hidden: bool) -> None:
    dataset = ct_image()
    dataset.BitsStored, dataset.HighBit = 12, 15  # the lowest four bits are free
    dataset.add_new(0x60000010, "US", dataset.Rows)
    if position is not None:
        dataset.add_new(0x60000102, "US", position)
    if hidden:
        assert hold_of(dataset).code is Code.PIXELS_UNDECLARED
        # The same with its bits in an attribute of their own is an overlay like any other.
        if position == 0:
            dataset.add_new(0x60003000, "OW", bytes(32))
            eligibility.check(as_read(dataset))
    else:
        eligibility.check(as_read(dataset))
