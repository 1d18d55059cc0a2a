from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)

from router.deid import gate, pseudonyms
from router.records.errors import Code, Hold
from tests.support import apply_plan, data
from tests.support.pairs import KEY, STATION, Pair, pair_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

    Mutation = Callable[[FileDataset, FileDataset], None]

PATIENT = data.Patient.made("gate")
FOREIGN_UID = "1.2.826.0.1.3680043.10.1234.1.2.3"


def ct_image() -> FileDataset:
    """A CT image with something of every kind that the gate looks at."""
    dataset = next(data.ct_series("gate", PATIENT, slices=1, size=32))
    data.reference_to(dataset, CTImageStorage, FOREIGN_UID)
    dataset.OtherPatientNames = "Alias^Someone"
    dataset.IrradiationEventUID = [f"{FOREIGN_UID}.1", f"{FOREIGN_UID}.2"]
    dataset.AcquisitionContextSequence = Sequence([Dataset()])
    dataset.add_new(0x60000010, "US", 8)
    dataset.add_new(0x60003000, "OW", bytes(8))
    dataset.add_new(0x00089999, "LO", "nobody knows")
    return dataset


def hold_code(pair: Pair) -> Code | None:
    """Why the gate holds the copy; ``None``: it passes."""
    try:
        pair.check()
    except Hold as hold:
        return hold.code
    return None


@pytest.fixture(scope="module")
def faultless() -> Pair:
    return pair_of(ct_image())


def _files() -> list[FileDataset]:
    return [
        ct_image(),
        *data.mammogram_study("gate", PATIENT, rows=48, columns=39),
        data.radiograph("gate", PATIENT, rows=32, columns=26),
        *(data.pydicom_file(name, "gate", PATIENT) for name in data.PYDICOM_FILES),
    ]


@pytest.mark.parametrize("dataset", _files(), ids=lambda d: f"{d.Modality}-{d.InstanceNumber}")
def test_a_copy_made_by_the_plan_passes(dataset: FileDataset) -> None:
    pair_of(dataset).check()


def test_an_enhanced_image_with_dummies_passes() -> None:
    dataset = ct_image()
    dataset.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C1", "99ACME", "Clinic"
    dataset.InstitutionCodeSequence = Sequence([code])
    pair_of(dataset).check()


def test_a_value_too_long_to_be_kept_in_memory_is_checked_like_any_other() -> None:
    dataset = ct_image()
    dataset.LongCodeValue = "harmless " * 10_000
    pair = pair_of(dataset)
    pair.check()

    def hide(copy: FileDataset, _: FileDataset) -> None:
        copy.LongCodeValue = "harmless " * 10_000 + PATIENT.patient_id

    assert hold_code(pair.mutated(hide)) is Code.GATE_IDENTIFIER


# --- planted faults: each is a way in which a copy could still name the patient -----------------


def _private_at_the_top(copy: FileDataset, _: FileDataset) -> None:
    copy.add_new(0x00290010, "LO", "ACME PRIVATE")


def _private_in_an_item(copy: FileDataset, _: FileDataset) -> None:
    copy.ReferencedImageSequence[0].add_new(0x00291010, "LO", "harmless")


def _overlay(copy: FileDataset, original: FileDataset) -> None:
    copy[0x60003000] = original[0x60003000]


def _overlay_in_the_last_group(copy: FileDataset, _: FileDataset) -> None:
    copy.add_new(0x601E3000, "OW", bytes(8))


def _curve(copy: FileDataset, _: FileDataset) -> None:
    copy.add_new(0x50003000, "OW", bytes(8))


def _unknown_at_the_top(copy: FileDataset, original: FileDataset) -> None:
    copy[0x00089999] = original[0x00089999]


def _unknown_in_an_item(copy: FileDataset, _: FileDataset) -> None:
    copy.ReferencedImageSequence[0].add_new(0x00089999, "LO", "x")


def _unknown_beside_the_pixels(copy: FileDataset, _: FileDataset) -> None:
    copy.add_new(0x7FE01112, "LO", "nobody knows")


def _name_in_an_item(copy: FileDataset, original: FileDataset) -> None:
    copy.ReferencedImageSequence[0].PatientName = original.PatientName


def _unlisted_name(copy: FileDataset, _: FileDataset) -> None:
    copy.EvaluatorName = "Someone^Else"


def _unlisted_name_under_another_vr(copy: FileDataset, _: FileDataset) -> None:
    tag = Tag("EvaluatorName")
    copy[tag] = DataElement(tag, "LO", "Other Person")


def _operator(copy: FileDataset, original: FileDataset) -> None:
    copy.OperatorsName = original.OperatorsName


def _original_uid_in_a_reference(copy: FileDataset, _: FileDataset) -> None:
    copy.ReferencedImageSequence[0].ReferencedSOPInstanceUID = FOREIGN_UID


def _original_uid_among_others(copy: FileDataset, original: FileDataset) -> None:
    first, _ = copy.IrradiationEventUID
    copy.IrradiationEventUID = [first, original.IrradiationEventUID[1]]


def _foreign_root(copy: FileDataset, _: FileDataset) -> None:
    copy.FrameOfReferenceUID = "1.2.3.4.5.6"


def _foreign_uid_under_another_vr(copy: FileDataset, _: FileDataset) -> None:
    tag = Tag("FrameOfReferenceUID")
    copy[tag] = DataElement(tag, "LO", "1.2.3.4.5.6")


def _foreign_uid_of_unknown_vr(copy: FileDataset, _: FileDataset) -> None:
    tag = Tag("FrameOfReferenceUID")
    copy[tag] = DataElement(tag, "UN", b"1.2.3.4.5.6\0")


def _removed_attribute(copy: FileDataset, _: FileDataset) -> None:
    copy.PatientComments = "harmless"


def _removed_attribute_of_unknown_vr(copy: FileDataset, _: FileDataset) -> None:
    tag = Tag("PatientComments")
    copy[tag] = DataElement(tag, "UN", b"harmless")


def _removed_attribute_without_value(copy: FileDataset, _: FileDataset) -> None:
    copy.PatientComments = ""


def _removed_attribute_in_an_item(copy: FileDataset, _: FileDataset) -> None:
    copy.ReferencedImageSequence[0].PatientComments = "harmless"


def _trailing_padding(copy: FileDataset, _: FileDataset) -> None:
    copy.DataSetTrailingPadding = bytes(8)


def _emptied_attribute(copy: FileDataset, original: FileDataset) -> None:
    copy.PatientBirthDate = original.PatientBirthDate


def _emptied_attribute_in_an_item(copy: FileDataset, _: FileDataset) -> None:
    copy.ReferencedImageSequence[0].StudyDate = "20260311"


def _emptied_sequence(copy: FileDataset, _: FileDataset) -> None:
    item = Dataset()
    item.ValueType = "TEXT"
    copy.AcquisitionContextSequence = Sequence([item])


def _date_where_a_dummy_may_be(copy: FileDataset, original: FileDataset) -> None:
    copy.ContentDate = original.ContentDate


def _original_station(copy: FileDataset, original: FileDataset) -> None:
    copy.StationName = original.StationName


def _original_accession_number(copy: FileDataset, original: FileDataset) -> None:
    copy.AccessionNumber = original.AccessionNumber


def _number_within_a_word(copy: FileDataset, _: FileDataset) -> None:
    copy.SoftwareVersions = f"v4.2x{PATIENT.patient_id}y"


def _number_in_lower_case(copy: FileDataset, _: FileDataset) -> None:
    copy.SoftwareVersions = PATIENT.patient_id.lower()


def _part_of_the_name(copy: FileDataset, _: FileDataset) -> None:
    copy.SoftwareVersions = f"for {PATIENT.name.partition('^')[2]}"


def _name_in_a_code(copy: FileDataset, _: FileDataset) -> None:
    copy.BodyPartExamined = PATIENT.accession.upper()


def _birth_date_in_text(copy: FileDataset, _: FileDataset) -> None:
    copy.FilterType = f"born {PATIENT.birth_date}"


def _institution_in_text(copy: FileDataset, original: FileDataset) -> None:
    copy.ManufacturerModelName = original.InstitutionName


def _serial_number_in_bytes(copy: FileDataset, original: FileDataset) -> None:
    copy.add_new(0x00283006, "OW", str(original.DeviceSerialNumber).encode())


def _uid_in_text(copy: FileDataset, original: FileDataset) -> None:
    copy.SoftwareVersions = f"made from {original.SOPInstanceUID}"


def _other_patient(copy: FileDataset, _: FileDataset) -> None:
    copy.PatientID = pseudonyms.patient(KEY, "", "another")


def _no_patient(copy: FileDataset, _: FileDataset) -> None:
    copy.PatientID = ""


def _dummy_patient(copy: FileDataset, _: FileDataset) -> None:
    copy.PatientID = "ANONYMIZED"


def _other_study(copy: FileDataset, _: FileDataset) -> None:
    copy.StudyInstanceUID = pseudonyms.uid(KEY, "another study")


def _other_series(copy: FileDataset, _: FileDataset) -> None:
    copy.SeriesInstanceUID = pseudonyms.uid(KEY, "another series")


def _other_instance(copy: FileDataset, _: FileDataset) -> None:
    copy.SOPInstanceUID = pseudonyms.uid(KEY, "another instance")


def _no_method_code(copy: FileDataset, _: FileDataset) -> None:
    copy.DeidentificationMethodCodeSequence = Sequence([])


def _no_method_codes_at_all(copy: FileDataset, _: FileDataset) -> None:
    del copy.DeidentificationMethodCodeSequence


def _a_method_code_too_many(copy: FileDataset, _: FileDataset) -> None:
    surplus = Dataset()
    surplus.CodeValue = "113101"
    copy.DeidentificationMethodCodeSequence.append(surplus)


def _identity_not_said_to_be_removed(copy: FileDataset, _: FileDataset) -> None:
    del copy.PatientIdentityRemoved


def _identity_said_to_be_there(copy: FileDataset, _: FileDataset) -> None:
    copy.PatientIdentityRemoved = "NO"


def _ae_title_in_the_header(copy: FileDataset, _: FileDataset) -> None:
    copy.file_meta.SourceApplicationEntityTitle = "CLINIC7"


def _private_information_in_the_header(copy: FileDataset, _: FileDataset) -> None:
    copy.file_meta.PrivateInformationCreatorUID = UID("2.25.1")
    copy.file_meta.PrivateInformation = b"xy"


def _original_uid_in_the_header(copy: FileDataset, original: FileDataset) -> None:
    copy.file_meta.MediaStorageSOPInstanceUID = original.SOPInstanceUID


def _identifier_in_the_header(copy: FileDataset, _: FileDataset) -> None:
    copy.file_meta.ImplementationVersionName = PATIENT.accession


def _preamble(copy: FileDataset, _: FileDataset) -> None:
    copy.preamble = b"MZ".ljust(128, b"\0")


def _other_pixels(copy: FileDataset, _: FileDataset) -> None:
    copy.PixelData = copy.PixelData[:-1] + bytes([copy.PixelData[-1] ^ 1])


def _pixels_cut_short(copy: FileDataset, _: FileDataset) -> None:
    copy.PixelData = copy.PixelData[:-2]


def _no_pixels(copy: FileDataset, _: FileDataset) -> None:
    del copy.PixelData


def _other_sop_class(copy: FileDataset, _: FileDataset) -> None:
    copy.SOPClassUID = copy.file_meta.MediaStorageSOPClassUID = MRImageStorage


def _other_transfer_syntax(copy: FileDataset, _: FileDataset) -> None:
    assert copy.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    copy.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


def _nested_too_deep(copy: FileDataset, _: FileDataset) -> None:
    item = Dataset()
    for _level in range(33):
        outer = Dataset()
        outer.AnatomicRegionSequence = Sequence([item])
        item = outer
    copy.AnatomicRegionSequence = Sequence([item])


_FAULTS: dict[Code, list[Mutation]] = {
    Code.GATE_PRIVATE_ATTRIBUTE: [_private_at_the_top, _private_in_an_item],
    Code.GATE_OVERLAY: [_overlay, _overlay_in_the_last_group, _curve],
    Code.GATE_UNKNOWN_ATTRIBUTE: [
        _unknown_at_the_top, _unknown_in_an_item, _unknown_beside_the_pixels,
    ],
    Code.GATE_FOREIGN_UID: [
        _original_uid_in_a_reference, _original_uid_among_others, _foreign_root,
        _foreign_uid_under_another_vr, _foreign_uid_of_unknown_vr, _uid_in_text,
    ],
    Code.GATE_WRONG_ACTION: [
        _name_in_an_item, _unlisted_name, _unlisted_name_under_another_vr, _operator,
        _removed_attribute, _removed_attribute_of_unknown_vr, _removed_attribute_without_value,
        _removed_attribute_in_an_item, _trailing_padding, _emptied_attribute,
        _emptied_attribute_in_an_item, _emptied_sequence, _date_where_a_dummy_may_be,
        _original_station, _original_accession_number, _other_patient, _other_sop_class,
    ],
    Code.GATE_IDENTIFIER: [
        _number_within_a_word, _number_in_lower_case, _part_of_the_name, _name_in_a_code,
        _birth_date_in_text, _institution_in_text, _serial_number_in_bytes,
        _identifier_in_the_header,
    ],
    Code.GATE_WRONG_STUDY: [
        _no_patient, _dummy_patient, _other_study, _other_series, _other_instance,
    ],
    Code.GATE_NOT_DECLARED: [
        _no_method_code, _no_method_codes_at_all, _a_method_code_too_many,
        _identity_not_said_to_be_removed, _identity_said_to_be_there,
    ],
    Code.GATE_FILE_META: [
        _ae_title_in_the_header, _private_information_in_the_header, _original_uid_in_the_header,
        _preamble,
    ],
    Code.GATE_PIXELS_CHANGED: [
        _other_pixels, _pixels_cut_short, _no_pixels, _other_transfer_syntax,
    ],
    Code.NESTING_TOO_DEEP: [_nested_too_deep],
}  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(fault, code, id=fault.__name__.strip("_"))
        for code, faults in _FAULTS.items()
        for fault in faults
    ],
)
def test_a_planted_fault_is_held_with_its_code(
    faultless: Pair, fault: Mutation, code: Code
) -> None:
    assert hold_code(faultless.mutated(fault)) is code


def test_every_code_of_the_gate_but_the_reader_s_own_is_planted() -> None:
    of_the_gate = {code for code in Code if code.startswith("GATE_")}
    assert of_the_gate - {Code.GATE_UNREADABLE, Code.GATE_IOD} <= _FAULTS.keys()


@pytest.mark.parametrize("leave_out", [False, True], ids=["emptied", "left out"])
def test_a_copy_that_lost_what_its_object_needs_is_held(*, leave_out: bool) -> None:
    dataset = ct_image()
    dataset.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    pair = pair_of(dataset)
    pair.check()

    def lose(copy: FileDataset, _: FileDataset) -> None:
        if leave_out:
            del copy.ContentDate
        else:
            copy.ContentDate = ""

    assert hold_code(pair.mutated(lose)) is Code.GATE_IOD


@pytest.mark.parametrize("place", [0, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, -1])
def test_a_single_bit_of_a_large_image_is_not_overlooked(place: int) -> None:
    dataset = ct_image()
    dataset.Rows = dataset.Columns = 800
    dataset.PixelData = bytes(800 * 800 * 2)
    pair = pair_of(dataset)
    pair.check()
    end = len(pair.copy)
    changed = bytearray(pair.copy)
    changed[end - 800 * 800 * 2 + place if place >= 0 else end + place] ^= 1
    assert hold_code(Pair(pair.original, bytes(changed))) is Code.GATE_PIXELS_CHANGED


def test_an_identifier_behind_the_last_element_is_found(faultless: Pair) -> None:
    # Fewer than eight bytes are no element: pydicom stops before them without a word.
    dataset = ct_image()
    dataset.OtherPatientIDs = "QX7731"
    pair = pair_of(dataset)
    pair.check()
    assert hold_code(Pair(pair.original, pair.copy + b"QX7731")) is Code.GATE_IDENTIFIER
    assert hold_code(Pair(faultless.original, faultless.copy + b"QX7731")) is Code.GATE_UNREADABLE
    Pair(faultless.original + b"QX7731", faultless.copy).check()


def test_an_identifier_behind_the_last_pixel_is_found() -> None:
    # The bytes are the original's, but what follows Rows × Columns is no pixel.
    dataset = ct_image()
    hidden = PATIENT.patient_id.encode()
    dataset.PixelData = dataset.PixelData + hidden + b" " * (len(hidden) % 2)
    assert hold_code(pair_of(dataset)) is Code.GATE_IDENTIFIER


def test_a_short_name_is_found_as_a_word_of_free_text() -> None:
    dataset = ct_image()
    dataset.PatientName = "Ito^Ken"
    pair = pair_of(dataset)
    pair.check()

    def as_a_word(copy: FileDataset, _: FileDataset) -> None:
        copy.SoftwareVersions = "set up for Mrs ITO, twice"

    def within_a_word(copy: FileDataset, _: FileDataset) -> None:
        copy.SoftwareVersions = "set up for the monitor"

    assert hold_code(pair.mutated(as_a_word)) is Code.GATE_IDENTIFIER
    # Changed it is, but it names nobody.
    assert hold_code(pair.mutated(within_a_word)) is Code.GATE_WRONG_ACTION
    dataset.SoftwareVersions = "set up for the monitor"
    pair_of(dataset).check()


def test_a_number_counts_only_where_it_stands_alone() -> None:
    dataset = ct_image()
    dataset.OtherPatientIDs = "123456"
    dataset.DataCollectionDiameter = "0.123456"
    pair = pair_of(dataset)
    pair.check()

    def alone(copy: FileDataset, _: FileDataset) -> None:
        copy.SoftwareVersions = "no 123456"

    assert hold_code(pair.mutated(alone)) is Code.GATE_IDENTIFIER


@pytest.mark.parametrize("keyword", ["FilterType", "DataCollectionDiameter", "CalibrationImage"])
def test_a_number_is_found_as_the_whole_of_a_value(keyword: str) -> None:
    dataset = ct_image()
    dataset.AccessionNumber = "72134951"
    setattr(dataset, keyword, "72134951")
    assert hold_code(pair_of(dataset)) is Code.GATE_IDENTIFIER


@pytest.mark.parametrize("number", ["72134951", f"{FOREIGN_UID}4"])
@pytest.mark.parametrize("vr", ["LO", "OB"])
def test_a_number_is_found_before_an_element_whose_group_reads_as_a_digit(
    number: str, vr: str
) -> None:
    """The group of (0032,1030) begins with the byte of the digit 2."""
    dataset = ct_image()
    dataset.AccessionNumber, dataset.SeriesInstanceUID = "72134951", f"{FOREIGN_UID}4"
    tag = Tag("RescaleType" if vr == "LO" else "ICCProfile")
    dataset.add_new(tag, vr, number if vr == "LO" else number.encode())
    for behind in [t for t in dataset.keys() if tag < t < 0x7FE00000]:  # noqa: SIM118
        del dataset[behind]
    dataset.StudyPriorityID = "LOW"
    pair = pair_of(dataset)
    assert number.encode() + b"\x32\x00" in pair.copy
    of_a_uid = number != "72134951"
    assert hold_code(pair) is (Code.GATE_FOREIGN_UID if of_a_uid else Code.GATE_IDENTIFIER)


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_a_name_is_found_in_the_character_set_of_the_file(character_set: str) -> None:
    dataset = ct_image()
    dataset.SpecificCharacterSet = character_set
    dataset.PatientName = "Müßiggänger^Jörg"
    pair = pair_of(dataset)
    pair.check()

    def hide(copy: FileDataset, _: FileDataset) -> None:
        copy.SoftwareVersions = "set up for Müßiggänger"

    assert hold_code(pair.mutated(hide)) is Code.GATE_IDENTIFIER


def test_a_name_is_found_in_another_case_beyond_ascii() -> None:
    dataset = ct_image()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Dvořáková^Žofie"
    pair = pair_of(dataset)

    def hide(copy: FileDataset, _: FileDataset) -> None:
        copy.SoftwareVersions = "set up for DVOŘÁKOVÁ"

    assert hold_code(pair.mutated(hide)) is Code.GATE_IDENTIFIER


def test_a_patient_with_the_birth_date_of_nobody_is_not_held() -> None:
    # Scanners write 19000101 for "unknown"; it is also the profile's own dummy.
    dataset = ct_image()
    dataset.PatientBirthDate = "19000101"
    dataset.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    pair_of(dataset).check()


def test_a_maker_s_name_entered_as_the_institution_is_no_trace() -> None:
    dataset = ct_image()
    dataset.InstitutionName = "ACME Imaging"
    pair_of(dataset).check()


def test_a_name_that_says_nobody_is_no_trace() -> None:
    dataset = ct_image()
    dataset.PatientName = "ANONYMOUS"
    dataset.SoftwareVersions = "anonymous edition"
    pair_of(dataset).check()


@pytest.mark.parametrize(
    ("keyword", "vr", "text"),
    [
        ("SliceThickness", b"DS", "3,5 "),
        ("XRayTubeCurrent", b"IS", "many"),
        ("NumberOfPhaseEncodingSteps", b"IS", "12.5"),
        ("RegionFlags", b"UL", "sixof6"),
        ("FrameIncrementPointer", b"AT", "sixof6"),
    ],
)
def test_a_value_that_breaks_its_vr_is_met_with_nothing_but_a_hold(
    keyword: str, vr: bytes, text: str
) -> None:
    dataset = ct_image()
    tag = Tag(keyword)
    dataset[tag] = DataElement(tag, "LO", text)
    pair = pair_of(dataset)
    # The VR is put in afterwards, because pydicom refuses to write such a value.
    head = struct.pack("<HH", tag.group, tag.element)
    assert pair.original.count(head + b"LO") == pair.copy.count(head + b"LO") == 1
    broken = Pair(
        pair.original.replace(head + b"LO", head + vr), pair.copy.replace(head + b"LO", head + vr)
    )
    with contextlib.suppress(Hold):
        broken.check()


def test_a_capture_may_say_what_it_is_and_nothing_else(faultless: Pair) -> None:
    original = apply_plan.read(faultless.original)
    expected = gate.Expected.of(original, KEY, STATION)
    series, sop = pseudonyms.uid(KEY, "series"), pseudonyms.uid(KEY, "sop")
    own = {Tag("SeriesDescription"): "K-Means"}

    def check(description: str) -> None:
        capture = apply_plan.read(faultless.copy)
        capture.SeriesInstanceUID = series
        capture.SOPInstanceUID = capture.file_meta.MediaStorageSOPInstanceUID = UID(sop)
        capture.SeriesDescription = description
        written = apply_plan.to_bytes(capture)
        gate.check_outgoing(
            apply_plan.read(written), memoryview(written),
            expected.for_capture(series, sop), gate.Traces.of(original), own,
        )  # fmt: skip

    check("K-Means")
    with pytest.raises(Hold) as raised:
        check("Thorax of a person")
    assert raised.value.code is Code.GATE_WRONG_ACTION


def test_a_hold_never_quotes_a_value_of_the_patient(faultless: Pair) -> None:
    for faults in _FAULTS.values():
        for fault in faults:
            try:
                faultless.mutated(fault).check()
            except Hold as hold:
                quoted = [value for value in PATIENT.identifiers() if value in str(hold)]
                assert not quoted, fault.__name__
