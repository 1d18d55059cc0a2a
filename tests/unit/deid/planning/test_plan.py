from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage

from router.deid import profile, pseudonyms
from router.deid.planning import plan
from router.deid.planning.actions import Action
from router.deid.planning.clean import DUMMIES
from router.deid.planning.identity import identity_of
from router.deid.planning.rules import rule
from router.deid.profile import BASIC
from router.deid.standard import iod
from router.deid.standard.e1_1 import TABLE
from router.deid.standard.iod import Need
from router.records.errors import Code, Hold
from tests.support import apply_plan, data

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from router.deid.planning.plan import Plan

KEY = pseudonyms.Key("test", bytes(range(32)))
STATION = "truck-1"
PATIENT = data.Patient.made("plan")
FOREIGN_UID = "1.2.826.0.1.3680043.10.1234.1.2.3"

OWN_PATHS = {
    "0010-0010", "0010-0020", "0008-0050", "0020-0010", "0008-1010", "0020-000d", "0020-000e",
    "0008-0018", "0012-0062", "0012-0063", "0012-0064", "0028-0303",
}  # fmt: skip


def ct_image() -> FileDataset:
    return next(data.ct_series("plan", PATIENT, slices=1, size=16))


def plan_of(dataset: FileDataset) -> Plan:
    """The plan of the data set as it is read from a file."""
    return plan.make(apply_plan.read(data.file_bytes(dataset)), KEY, STATION)


def nested(dataset: Dataset, depth: int) -> Dataset:
    """The innermost item of a chain of sequences that the profile keeps."""
    for _ in range(depth):
        item = Dataset()
        dataset.AnatomicRegionSequence = Sequence([item])
        dataset = item
    return dataset


def _files() -> list[FileDataset]:
    return [
        ct_image(),
        *data.mammogram_study("plan", PATIENT, rows=48, columns=39),
        data.radiograph("plan", PATIENT, rows=32, columns=26),
        *(data.pydicom_file(name, "plan", PATIENT) for name in data.PYDICOM_FILES),
    ]


ALL_FILES = pytest.mark.parametrize(
    "dataset", _files(), ids=lambda d: f"{d.Modality}-{d.InstanceNumber}"
)


@ALL_FILES
def test_the_same_file_always_gives_the_same_plan(dataset: FileDataset) -> None:
    first, second = plan_of(dataset), plan_of(dataset)
    assert json.dumps(first.body()) == json.dumps(second.body())


@ALL_FILES
def test_no_value_of_a_plan_names_the_patient(dataset: FileDataset) -> None:
    sent = json.dumps(plan_of(dataset).body())
    assert [value for value in PATIENT.identifiers() if value in sent] == []
    originals = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    assert [uid for uid in originals if uid in sent] == []


@ALL_FILES
def test_the_router_s_own_attributes_are_always_set(dataset: FileDataset) -> None:
    made = plan_of(dataset)
    assert made.replace.keys() >= OWN_PATHS
    pseudonym = pseudonyms.patient(
        KEY, str(dataset.get("IssuerOfPatientID") or ""), PATIENT.patient_id
    )
    assert made.replace["0010-0010"] == made.replace["0010-0020"] == pseudonym
    assert made.replace["0008-1010"] == STATION
    assert made.replace["0020-000d"] == pseudonyms.uid(KEY, dataset.StudyInstanceUID)
    assert made.replace["0008-0018"] == pseudonyms.uid(KEY, dataset.SOPInstanceUID)
    assert made.replace["0012-0062"] == "YES"
    assert made.replace["0012-0064"] == [
        {
            "CodeValue": "113100", "CodingSchemeDesignator": "DCM",
            "CodeMeaning": "Basic Application Confidentiality Profile",
        }
    ]  # fmt: skip


@ALL_FILES
def test_a_path_is_either_replaced_or_removed(dataset: FileDataset) -> None:
    made = plan_of(dataset)
    assert made.replace.keys() & set(made.remove) == set()
    assert len(made.remove) == len(set(made.remove))


def test_the_body_forces_orthanc_to_take_the_identifiers_from_the_plan() -> None:
    made = plan_of(ct_image())
    assert made.body() == {"Force": True, "Replace": made.replace, "Remove": made.remove}


def test_own_attributes_are_set_where_the_original_has_none() -> None:
    dataset = ct_image()
    for keyword in ("PatientName", "AccessionNumber", "StudyID", "StationName"):
        delattr(dataset, keyword)
    made = plan_of(dataset)
    assert made.replace.keys() >= OWN_PATHS
    assert made.replace["0008-0050"] == made.replace["0020-0010"] == ""


def test_an_earlier_de_identification_is_replaced_as_a_whole() -> None:
    dataset = ct_image()
    earlier = Dataset()
    earlier.CodeValue = "113101"
    earlier.ContextUID = FOREIGN_UID
    earlier.add_new(0x00290010, "LO", "ACME PRIVATE")
    dataset.DeidentificationMethodCodeSequence = Sequence([earlier])
    dataset.PatientIdentityRemoved = "NO"
    made = plan_of(dataset)
    assert made.replace["0012-0062"] == "YES"
    assert [path for path in (*made.replace, *made.remove) if path.startswith("0012-0064[")] == []


# --- what the profile does, at every depth ------------------------------------------------------


@pytest.mark.parametrize("depth", [0, 1, 4, 32])
def test_every_kind_of_attribute_is_acted_on_at_every_depth(depth: int) -> None:
    dataset = ct_image()
    item = nested(dataset, depth)
    item.PatientComments = "removed"
    item.PatientBirthDate = "19500101"
    item.EvaluatorName = "Unlisted^Name"
    item.ContextGroupVersion = "20200101000000"
    item.FrameOfReferenceUID = FOREIGN_UID
    item.ContextUID = FOREIGN_UID
    item.CodeMeaning = "kept"
    item.add_new(0x00110010, "LO", "ACME")
    item.add_new(0x00111001, "LO", "private")
    item.add_new(0x60003000, "OW", b"ov")
    item.add_new(0x50003000, "OW", b"cv")
    item.add_new(0x00089999, "LO", "unknown")
    made = plan_of(dataset)
    prefix = "0008-2218[0]." * depth
    removed = {"0010-4000", "0011-0010", "0011-1001", "6000-3000", "5000-3000", "0008-9999"}
    assert {prefix + path for path in removed} <= set(made.remove)
    mapped = pseudonyms.uid(KEY, FOREIGN_UID)
    for path, value in {
        "0010-0030": "", "0014-2006": "", "0008-0106": "19000101000000", "0020-0052": mapped,
        "0008-0117": mapped,
    }.items():  # fmt: skip
        assert made.replace[prefix + path] == value
    assert prefix + "0008-0104" not in {*made.replace, *made.remove}


def test_each_item_has_its_own_path() -> None:
    dataset = ct_image()
    items = []
    for number in range(3):
        item = Dataset()
        item.ReferencedSOPClassUID = CTImageStorage
        item.ReferencedSOPInstanceUID = f"{FOREIGN_UID}.{number}"
        items.append(item)
    dataset.ReferencedImageSequence = Sequence(items)
    made = plan_of(dataset)
    for number in range(3):
        path = f"0008-1140[{number}].0008-1155"
        assert made.replace[path] == pseudonyms.uid(KEY, f"{FOREIGN_UID}.{number}")
        assert f"0008-1140[{number}].0008-1150" not in made.replace
    assert "0008-1140" not in {*made.replace, *made.remove}


def test_a_reference_joins_the_instance_that_it_names() -> None:
    first, second, *_ = data.mammogram_study("plan", PATIENT, rows=48, columns=39)
    made = plan_of(second)
    assert made.replace["0008-1140[0].0008-1155"] == plan_of(first).replace["0008-0018"]


def test_every_value_of_a_multi_valued_uid_is_replaced() -> None:
    dataset = ct_image()
    originals = [f"{FOREIGN_UID}.1", CTImageStorage, f"{FOREIGN_UID}.2"]
    dataset.IrradiationEventUID = originals
    assert plan_of(dataset).replace["0008-3010"] == "\\".join(
        [pseudonyms.uid(KEY, originals[0]), CTImageStorage, pseudonyms.uid(KEY, originals[2])]
    )


def test_uids_of_the_standard_stay() -> None:
    dataset = ct_image()
    dataset.ContextUID = "1.2.840.10008.6.1.1"
    dataset.RelatedGeneralSOPClassUID = [CTImageStorage, CTImageStorage]
    made = plan_of(dataset)
    assert {"0008-0016", "0008-0117", "0008-001a"} & {*made.replace, *made.remove} == set()


@pytest.mark.parametrize("value", ["", None])
def test_a_uid_without_a_value_stays_without(value: str | None) -> None:
    dataset = ct_image()
    dataset.FrameOfReferenceUID = value
    assert "0020-0052" not in plan_of(dataset).replace


def test_a_removed_sequence_goes_with_what_is_in_it() -> None:
    # ReferencedPatientSequence (X) and what the plan says of its items both lead nowhere.
    dataset = ct_image()
    item = Dataset()
    item.ReferencedSOPInstanceUID = FOREIGN_UID
    dataset.ReferencedPatientSequence = Sequence([item])
    file = data.file_bytes(dataset)
    copy = apply_plan.read(apply_plan.apply(file, plan_of(dataset)))
    assert "ReferencedPatientSequence" not in copy


def test_an_image_of_an_enhanced_iod_gets_dummies_where_it_needs_values() -> None:
    dataset = ct_image()
    dataset.ContentDate, dataset.DeviceSerialNumber = "20260311", "SN1"
    code = Dataset()
    code.CodeValue = "C1"
    dataset.InstitutionCodeSequence = Sequence([code])
    dataset.OperatorIdentificationSequence = Sequence([code])
    classic = plan_of(dataset)
    # Type 2C there, Type 3 the others.
    assert classic.replace["0008-0023"] == ""
    assert {"0018-1000", "0008-0082", "0008-1072"} <= set(classic.remove)

    dataset.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    enhanced = plan_of(dataset)
    assert enhanced.replace["0008-0023"] == "19000101"
    assert enhanced.replace["0018-1000"] == "ANONYMIZED"
    # Type 3 in every image.
    assert {"0008-0082", "0008-1072"} <= set(enhanced.remove)


@pytest.mark.parametrize("vr", sorted(DUMMIES))
def test_a_dummy_is_a_valid_value_of_its_vr(vr: str) -> None:
    element = DataElement(Tag("PatientComments"), vr, DUMMIES[vr])
    assert str(element.value) == DUMMIES[vr]


# --- the table ----------------------------------------------------------------------------------


def test_the_profile_knows_an_action_for_every_row_of_the_table() -> None:
    assert len(TABLE) > 600
    for tag, row in TABLE.items():
        for kind in ("image", "enhanced", "sr", "presentation"):
            action = rule(BASIC, Tag(tag), "LO", kind).action
            allowed = {letter.rstrip("*") for letter in row.basic.split("/")} | {"X"}
            # What the object needs is emptied or gets a dummy, whatever the letter.
            allowed |= {Need.VALUE: {"D"}, Need.PRESENT: {"Z"}}.get(
                iod.need(Tag(tag), kind) or Need.NOTHING, set()
            )
            # What keeps is a sequence whose items are cleaned: of references, or one that must
            # have items.
            if dictionary_VR(tag) == "UI":
                allowed |= {"U"}  # a new UID is the dummy of a UID
            items = row.basic in {"X/Z/U*", "D"} or "D" in allowed
            assert action.value in allowed or (
                items and row.name.endswith("Sequence") and action is Action.KEEP
            )


def test_only_uids_and_names_are_touched_where_the_table_is_silent() -> None:
    unlisted = Tag("SliceThickness")
    assert int(unlisted) not in TABLE
    for vr in ("DS", "LO", "SQ", "OB", "UN"):
        assert rule(BASIC, unlisted, vr, "image").action is Action.KEEP
    assert rule(BASIC, unlisted, "UI", "image").action is Action.UID
    assert rule(BASIC, unlisted, "PN", "image").action is Action.EMPTY


# --- what cannot be cleaned by paths ------------------------------------------------------------


def test_nesting_to_the_limit_is_planned_and_deeper_is_held() -> None:
    dataset = ct_image()
    nested(dataset, profile.DEEPEST_NESTING).CodeMeaning = "deep"
    plan_of(dataset)
    nested(dataset, profile.DEEPEST_NESTING + 1).CodeMeaning = "deeper"
    with pytest.raises(Hold) as raised:
        plan_of(dataset)
    assert raised.value.code is Code.NESTING_TOO_DEEP


def _as_un(keyword: str, value: bytes) -> Plan:
    """The plan of a file with this attribute in VR UN."""
    dataset = ct_image()
    tag = Tag(keyword)
    dataset[tag] = DataElement(tag, "OB", value)
    # The VR is put in afterwards: pydicom would look the attribute up and not write UN.
    head = struct.pack("<HH", tag.group, tag.element)
    file = data.file_bytes(dataset)
    assert file.count(head + b"OB") == 1
    return plan.make(apply_plan.read(file.replace(head + b"OB", head + b"UN")), KEY, STATION)


def _implicit_items(group: int, element: int, value: bytes) -> bytes:
    """One item of one element, in implicit VR: how a sequence looks inside UN."""
    content = struct.pack("<HHL", group, element, len(value)) + value
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content


def test_a_kept_sequence_encoded_as_un_is_written_anew_with_its_items_cleaned() -> None:
    items = _implicit_items(0x0010, 0x0010, b"Name^A") + _implicit_items(0x0008, 0x0104, b"Breast")
    made = _as_un("AnatomicRegionSequence", items)
    assert made.replace["0008-2218"] == [{"0010-0010": ""}, {"0008-0104": "Breast"}]


def test_a_kept_value_encoded_as_un_is_written_anew() -> None:
    assert _as_un("SliceThickness", b"3.0 ").replace["0018-0050"] == "3.0"


@pytest.mark.parametrize("keyword", ["RedPaletteColorLookupTableData", "FrameIncrementPointer"])
def test_bytes_encoded_as_un_are_held(keyword: str) -> None:
    with pytest.raises(Hold) as raised:
        _as_un(keyword, bytes(4))
    assert raised.value.code is Code.ENCODING_NOT_CLEARED


def test_a_sequence_encoded_as_bytes_is_held() -> None:
    dataset = ct_image()
    tag = Tag("AnatomicRegionSequence")
    dataset[tag] = DataElement(tag, "OB", _implicit_items(0x0010, 0x0010, b"Name^A"))
    with pytest.raises(Hold) as raised:
        plan_of(dataset)
    assert raised.value.code is Code.ENCODING_NOT_CLEARED


def test_a_removed_sequence_encoded_as_un_is_removed() -> None:
    items = _implicit_items(0x0040, 0x1001, b"ID")
    assert "0040-0275" in _as_un("RequestAttributesSequence", items).remove


@pytest.mark.parametrize(
    ("keyword", "value", "path"),
    [
        ("PatientComments", b"text", "0010-4000"),
        ("PatientBirthDate", b"19500101", "0010-0030"),
        ("EvaluatorName", b"Some^One", "0014-2006"),
    ],
)
def test_a_known_attribute_encoded_as_un_is_treated_as_what_it_is(
    keyword: str, value: bytes, path: str
) -> None:
    made = _as_un(keyword, value)
    assert (path in made.remove) or made.replace[path] == ""


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "ContextUID"])
def test_a_uid_encoded_as_un_is_replaced(keyword: str) -> None:
    tag = Tag(keyword)
    value = FOREIGN_UID.encode() + b"\0" * (len(FOREIGN_UID) % 2)
    made = _as_un(keyword, value)
    path = f"{tag.group:04x}-{tag.element:04x}"
    assert made.replace[path] == pseudonyms.uid(KEY, FOREIGN_UID)


@pytest.mark.parametrize("vr", ["LO", "LT", "ST"])
@pytest.mark.parametrize("keyword", ["ContextUID", "FrameOfReferenceUID"])
def test_a_uid_is_replaced_under_whatever_vr_it_was_sent(keyword: str, vr: str) -> None:
    dataset = ct_image()
    tag = Tag(keyword)
    dataset[tag] = DataElement(tag, vr, FOREIGN_UID)
    path = f"{tag.group:04x}-{tag.element:04x}"
    assert plan_of(dataset).replace[path] == pseudonyms.uid(KEY, FOREIGN_UID)


@pytest.mark.parametrize("vr", ["LO", "LT", "UT"])
def test_a_name_is_emptied_under_whatever_vr_it_was_sent(vr: str) -> None:
    dataset = ct_image()
    tag = Tag("EvaluatorName")
    dataset[tag] = DataElement(tag, vr, "Some One")
    assert plan_of(dataset).replace["0014-2006"] == ""


def test_a_private_sequence_is_removed_without_looking_inside() -> None:
    dataset = ct_image()
    dataset.add_new(0x00291011, "SQ", Sequence([Dataset()]))
    dataset[0x00291011].value[0].PatientName = PATIENT.name
    made = plan_of(dataset)
    assert "0029-1011" in made.remove
    assert [path for path in (*made.replace, *made.remove) if path.startswith("0029-1011[")] == []


# --- who the patient is -------------------------------------------------------------------------


def test_the_identity_beside_its_pseudonyms_is_that_of_the_data_set() -> None:
    dataset = ct_image()
    dataset.IssuerOfPatientID = " HOSPITAL "
    identity = identity_of(dataset, KEY)
    assert (identity.patient_id, identity.issuer) == (PATIENT.patient_id, "HOSPITAL")
    assert (identity.name, identity.birth_date, identity.sex) == (
        PATIENT.name, PATIENT.birth_date, "F",
    )  # fmt: skip
    assert identity.pseudonym == pseudonyms.patient(KEY, "HOSPITAL", PATIENT.patient_id)
    assert identity.accession_pseudonym == pseudonyms.accession(KEY, PATIENT.accession)


@pytest.mark.parametrize(
    ("charset", "written", "read"),
    [
        ("ISO_IR 100", "Müllerová^Žo".encode(), "Müllerová^Žo"),
        ("ISO_IR 192", "Müllerová^Žo".encode(), "Müllerová^Žo"),
        ("ISO_IR 100", "Müller^Zoë".encode("latin-1"), "Müller^Zoë"),
        ("ISO_IR 144", "Иванова^Анна".encode("iso8859_5"), "Иванова^Анна"),
    ],
)
def test_a_name_is_readable_also_where_the_header_names_the_wrong_character_set(
    charset: str, written: bytes, read: str
) -> None:
    dataset = ct_image()
    dataset.SpecificCharacterSet = charset
    tag = Tag("PatientName")
    dataset[tag] = RawDataElement(tag, "PN", len(written), written, 0, False, True)
    assert identity_of(dataset, KEY).name == read


def test_without_an_accession_number_there_is_no_pseudonym_of_one() -> None:
    dataset = ct_image()
    dataset.AccessionNumber = ""
    identity = identity_of(dataset, KEY)
    assert identity.accession == identity.accession_pseudonym == ""


def test_all_images_of_a_patient_get_the_same_pseudonym() -> None:
    images = data.ct_series("plan", PATIENT, slices=3, size=16)
    assert len({json.dumps(plan_of(image).replace["0010-0020"]) for image in images}) == 1


def test_another_station_changes_nothing_but_the_station() -> None:
    dataset = apply_plan.read(data.file_bytes(ct_image()))
    here, there = plan.make(dataset, KEY, "truck-1"), plan.make(dataset, KEY, "truck-2")
    different = {path for path in here.replace if here.replace[path] != there.replace[path]}
    assert different == {"0008-1010"}
    assert here.remove == there.remove
