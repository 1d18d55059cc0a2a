"""De-identification by a real Orthanc: options, encodings, reports, masks, and whose number it is."""

from __future__ import annotations

import io
import json
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
from pydicom import config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    EnhancedCTImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)

from router.deid import pseudonyms
from router.deid.planning import dates
from tests.support import data, scanner
from tests.support.in_process import KEY
from tests.support.waiting import until

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

    from tests.support.in_process import AtRest, Router
    from tests.support.orthancs import Orthanc

PROGRAMME = pseudonyms.Key.parse(KEY)
_PRIVACY = Path(__file__).parents[2] / "docs/privacy.md"
#: Of Table E.1-1, what no image has: commands, file headers, folders, and what ends a data set.
_NO_PART_OF_AN_IMAGE = (0x0000, 0x0002, 0x0004, 0xFFFA, 0xFFFC)


def _as_class(dataset: FileDataset, sop_class: str, modality: str) -> FileDataset:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.UID(sop_class)
    dataset.Modality = modality
    return dataset


def _items(keyword: str, value: bytes) -> bytes:
    """One item of one element in implicit VR: how a sequence looks inside UN."""
    tag = Tag(keyword)
    content = struct.pack("<HHL", tag.group, tag.element, len(value)) + value
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content


def _without_pixels(dataset: FileDataset) -> FileDataset:
    del dataset.PixelData
    return dataset


def _by_modality(cloud: Orthanc) -> dict[str, FileDataset]:
    found = [pydicom.dcmread(io.BytesIO(cloud.file(i))) for i in cloud.instances()]
    return {str(dataset.Modality): dataset for dataset in found}


def test_objects_of_every_kind_are_cleaned_alike_and_stay_joined(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("kinds")
    days = pseudonyms.shift_days(PROGRAMME, "", patient.patient_id)
    image, for_pr, for_ko, for_mf = data.ct_series("kinds", patient, slices=4, size=32)
    image.SeriesDescription = "CT Thorax nativ"
    state = _without_pixels(_as_class(for_pr, GrayscaleSoftcopyPresentationStateStorage, "PR"))
    state.ContentLabel, state.PresentationCreationDate = "LABEL", "20260311"
    note = Dataset()
    note.UnformattedTextValue = f"ask {patient.physician}"
    annotation = Dataset()
    annotation.TextObjectSequence = Sequence([note])
    state.GraphicAnnotationSequence = Sequence([annotation])
    data.reference_to(state, image.SOPClassUID, image.SOPInstanceUID)
    selection = _without_pixels(_as_class(for_ko, KeyObjectSelectionDocumentStorage, "KO"))
    moment = Dataset()
    moment.RelationshipType, moment.ValueType = "CONTAINS", "DATE"
    moment.Date = "20260311"
    selection.ContentSequence = Sequence([moment])
    frames = _as_class(for_mf, EnhancedCTImageStorage, "MR")
    frames.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    content = Dataset()
    content.FrameAcquisitionDateTime = "20260311101500"
    group = Dataset()
    group.FrameContentSequence = Sequence([content])
    frames.PerFrameFunctionalGroupsSequence = Sequence([group])
    sent = [image, state, selection, frames]
    assert set(scanner.store(sent, truck.dicom_port)) == {scanner.SUCCESS}
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["held"] == 0, json.loads(router.command("held").stdout)
    found = _by_modality(cloud)
    moved = dates.shifted("20260311", days)
    assert found["CT"].SeriesDescription == "CT Thorax nativ"
    assert {d.StudyDate for d in found.values()} == {moved}
    assert {d.StudyTime for d in found.values()} == {"101500"}
    (told,) = found["PR"].GraphicAnnotationSequence[0].TextObjectSequence
    assert told.UnformattedTextValue == "ANONYMIZED"
    assert found["PR"].PresentationCreationDate == moved
    referenced = found["PR"].ReferencedImageSequence[0].ReferencedSOPInstanceUID
    assert referenced == pseudonyms.uid(PROGRAMME, str(image.SOPInstanceUID))
    assert found["KO"].ContentSequence[0].Date == moved
    (frame,) = found["MR"].PerFrameFunctionalGroupsSequence
    assert frame.FrameContentSequence[0].FrameAcquisitionDateTime == f"{moved}101500"
    assert found["MR"].DeviceSerialNumber == "ANONYMIZED"


def test_known_attributes_sent_as_un_are_written_anew(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("un")
    (dataset,) = data.ct_series("un", patient, slices=1, size=32)
    hidden = {
        "SliceThickness": b"3.0 ",
        "PatientComments": patient.name.encode().ljust(40),
        "AnatomicRegionSequence": _items("CodeMeaning", b"Chest ")
        + _items("PatientName", patient.name.encode().ljust(40)),
        "SynchronizationFrameOfReferenceUID": b"1.2.840.10008.15.1.1",
    }
    for keyword, value in hidden.items():
        dataset[Tag(keyword)] = DataElement(Tag(keyword), "OB", value)
    file = data.file_bytes(dataset)
    for keyword in hidden:
        head = struct.pack("<HH", Tag(keyword).group, Tag(keyword).element)
        file = file.replace(head + b"OB", head + b"UN")
    path = router.folder / "un.dcm"
    path.write_bytes(file)
    status = scanner.store_file(
        path, str(dataset.SOPClassUID), str(dataset.file_meta.TransferSyntaxUID), truck.dicom_port
    )
    assert status == scanner.SUCCESS
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["held"] == 0, json.loads(router.command("held").stdout)
    copy = _by_modality(cloud)["CT"]
    assert copy.get_item("SliceThickness").VR == "DS"
    assert copy.SliceThickness == 3
    assert "PatientComments" not in copy
    first, second = copy.AnatomicRegionSequence
    assert (first.CodeMeaning, second.PatientName) == ("Chest", "")


def test_a_third_person_in_a_text_that_the_table_does_not_name_stays_on_the_truck(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    written = {
        "SubstanceAdministrationNotes": "given to Erika Mustermann, Hauptstr. 5, 4020 Linz",
        "ImageID": "Mustermann",
        "ContentLabel": "MUSTERMANN",
        "AcquisitionProtocolName": "Chest, for Mustermann",
    }
    (dataset,) = data.ct_series("third", data.Patient.made("third"), slices=1, size=32)
    item = Dataset()
    for keyword, text in written.items():
        setattr(dataset, keyword, text)
        setattr(item, keyword, text)
    item.CodeMeaning = "Chest"
    dataset.AnatomicRegionSequence = Sequence([item])
    scanner.store([dataset], truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["held"] == 0, json.loads(router.command("held").stdout)
    copy = _by_modality(cloud)["CT"]
    assert copy.AnatomicRegionSequence[0].CodeMeaning == "Chest"
    for level in (copy, copy.AnatomicRegionSequence[0]):
        assert {level.get(keyword) for keyword in written} == {None, "ANONYMIZED"}
    assert all(b"mustermann" not in cloud.file(i).lower() for i in cloud.instances())


def test_a_site_s_policy_masks_regions_before_anything_is_stored(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    (router.folder / "policies.toml").write_text("""
[[policy]]
because = "The patient's name stands in the first rows."
sop_classes = ["SecondaryCaptureImageStorage"]
manufacturers = ["ACME*"]
action = "mask"
regions = [[0, 0, 32, 8]]
""")
    text = router.config.read_text()
    policies = f'[deid]\npolicies_file = "{router.folder}/policies.toml"'
    router.config.write_text(text.replace("[deid]", policies))
    (dataset,) = data.ct_series("mask", data.Patient.made("mask"), slices=1, size=32)
    _as_class(dataset, SecondaryCaptureImageStorage, "OT").BurnedInAnnotation = "YES"
    dataset.PixelData = b"\7" * (32 * 32 * 2)
    assert scanner.store([dataset], truck.dicom_port) == [scanner.SUCCESS]
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["held"] == 0, json.loads(router.command("held").stdout)
    copy = _by_modality(cloud)["OT"]
    assert copy.PixelData[: 32 * 8 * 2] == bytes(32 * 8 * 2)
    assert set(copy.PixelData[32 * 8 * 2 :]) == {7}
    assert copy.BurnedInAnnotation == "NO"
    assert "113101" in [item.CodeValue for item in copy.DeidentificationMethodCodeSequence]


def test_a_number_with_another_name_is_held_and_goes_on_when_a_person_says_that_it_is_hers(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("whose")
    (first,) = data.ct_series("whose", patient, slices=1, size=32)
    (second,) = data.ct_series("whose again", patient, slices=1, size=32)
    second.PatientName = "Married^Otherwise"
    assert scanner.store([first], truck.dicom_port) == [scanner.SUCCESS]
    with router.running() as app:
        at_rest(app, 1)
        assert scanner.store([second], truck.dicom_port) == [scanner.SUCCESS]
        at_rest(app, 2)
        (row,) = json.loads(router.command("held").stdout)["held"]
        assert row["code"] == "IDENTITY_CONFLICT"
        told = router.command(
            "release", row["instance"], "--policy", "identity-checked", "--reason", "married"
        )
        assert told.returncode == 0
        until(lambda: router.command("held").returncode == 0, what="the release")
        at_rest(app, 2)
    pseudonym = pseudonyms.patient(PROGRAMME, "", patient.patient_id)
    found = [pydicom.dcmread(io.BytesIO(cloud.file(i))) for i in cloud.instances()]
    assert {d.PatientID for d in found} == {pseudonym}
    answer = router.command("reidentify", pseudonym, "--reason", "call her back", "--by", "Ana")
    told_of = json.loads(answer.stdout)
    assert (told_of["patient_id"], told_of["name"]) == (patient.patient_id, patient.name)
    assert list(told_of["accessions"].values()) == [patient.accession]
    lines = (router.folder / "audit.jsonl").read_text().splitlines()
    line = json.loads(lines[-1])
    assert (line["action"], line["by"], line["reason"]) == ("reidentify", "Ana", "call her back")
    assert router.command("reidentify", "P" + "X" * 15, "--reason", "try").returncode == 1


def test_a_known_patient_keeps_her_pseudonym_when_the_key_changes(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    known, unknown = data.Patient.made("known"), data.Patient.made("unknown")
    scanner.store(data.ct_series("before", known, slices=1, size=32), truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
    text = router.config.read_text()
    (router.folder / "new").write_text("new-key:" + "77" * 32)
    only = f'key_files = ["{router.folder}/new"]'
    both = f'key_files = ["{router.folder}/new", "{router.folder}/key"]'
    router.config.write_text(text.replace(f'key_files = ["{router.folder}/key"]', only))
    told = router.command("check-config")
    assert "KEY_UNKNOWN" in told.stdout
    router.config.write_text(text.replace(f'key_files = ["{router.folder}/key"]', both))
    scanner.store(data.ct_series("after", known, slices=1, size=32), truck.dicom_port)
    scanner.store(data.ct_series("after", unknown, slices=1, size=32), truck.dicom_port)
    with router.running() as app:
        at_rest(app, 3)
    found = [pydicom.dcmread(io.BytesIO(cloud.file(i))) for i in cloud.instances()]
    new = pseudonyms.Key.parse("new-key:" + "77" * 32)
    assert {d.PatientID for d in found} == {
        pseudonyms.patient(PROGRAMME, "", known.patient_id),
        pseudonyms.patient(new, "", unknown.patient_id),
    }


def test_a_file_or_an_image_of_the_truck_is_explained_without_its_values(
    router: Router, truck: Orthanc
) -> None:
    patient = data.Patient.made("explain")
    (dataset,) = data.ct_series("explain", patient, slices=1, size=32)
    path = router.folder / "explain.dcm"
    path.write_bytes(data.file_bytes(dataset))
    told = router.command("explain", str(path))
    assert told.returncode == 0, told.stdout + told.stderr
    assert [value for value in patient.identifiers() if value in told.stdout] == []
    rows = {row["path"]: row for row in json.loads(told.stdout)["attributes"]}
    assert rows["0010-4000"]["action"] == "removed"
    assert rows["0010-0020"]["action"] == "set"
    scanner.store([dataset], truck.dicom_port)
    (instance,) = truck.instances()
    assert router.command("explain", instance).stdout == told.stdout
    gone = router.command("explain", instance[:-1] + ("0" if instance[-1] != "0" else "1"))
    assert gone.returncode == 1
    assert "RESOURCE_MISSING" in gone.stdout + gone.stderr


def _documented() -> dict[BaseTag, str]:
    """What docs/privacy.md says becomes of each attribute of an image."""
    lines = re.findall(
        r"^\| \((\w{4}),(\w{4})\) \|[^|]*\|[^|]*\| ([^|]*) \|",
        _PRIVACY.read_text(encoding="utf-8"), re.MULTILINE,
    )  # fmt: skip
    tags = {Tag(int(group, 16), int(element, 16)): told for group, element, told in lines}
    return {
        tag: told
        for tag, told in tags.items()
        if tag.group not in _NO_PART_OF_AN_IMAGE and dictionary_has_tag(tag)
    }


#: Harmless values by VR, and what cannot be kept.
_VALUES: dict[str, tuple[object, object]] = {
    "AS": ("045Y", "091Y"), "DA": ("20260311", "no date"), "DS": ("1.5", "81.6466369"),
    "DT": ("20260311101500", "no date"), "IS": ("2", "2"), "TM": ("101500", "no time"),
    "FD": (1.5, 1.5), "FL": (1.5, 1.5), "US": (1, 1), "UL": (1, 1), "SS": (1, 1), "SL": (1, 1),
    "OB": (b"ZQ", b"ZQ"), "OW": (b"ZQ", b"ZQ"), "UN": (b"ZQ", b"ZQ"),
}  # fmt: skip


_DUMMIES = {"ANONYMIZED", "19000101", "19000101000000", "000000", "0", "urn:anonymized"}
_DUMMY_BYTES = (bytes(8), b"ANONYMIZED")


def _planted(tag: BaseTag, told: str, *, harmless: bool) -> object:
    """A value that the document's sentence has something to say of."""
    vr = dictionary_VR(tag)[:2]
    if vr == "SQ":
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-D3000", "SRT", "Chest"
        return Sequence([item])
    if vr in _VALUES:
        return _VALUES[vr][not harmless]
    if vr == "UI":
        return f"1.2.826.0.1.3680043.10.99.{int(tag)}"
    for condition, word in (("words are allowed", "CHEST"), ("is a term", "F")):
        if harmless and condition in told:
            return word
    return f"ZQ{tag.group:04X}{tag.element:04X}"


def _documented_end(told: str, *, harmless: bool) -> str:
    """What the document's sentence says of the planted value."""
    if "090Y" in told:
        return "kept" if harmless else "`090Y`"
    clause = told.split(", else ")[0 if harmless else -1]
    return "kept" if clause.startswith("kept where") else clause


def _arrived(element: DataElement | None, planted: object, moved: str) -> str:
    """What became of an attribute, in the document's words."""
    if element is None:
        return "removed"
    text = str(element.value)
    found = re.fullmatch(r"([PAS])[A-Z2-7]{15}", text)
    ours = element.VR == "SQ" and "99EDGE" in text
    ways = {
        "emptied": element.is_empty,
        "dummy": ours or text.strip("\0") in _DUMMIES or element.value in _DUMMY_BYTES,
        "kept; items of a sequence one by one": element.VR == "SQ",
        "kept": text == str(planted) and "UID" not in element.keyword,
        "new UID, keyed": text.startswith("2.25."),
        f"pseudonym `{text[:1]}…`": found is not None,
        "the truck's id": text == "TRUCK1",
        "`090Y`": text == "090Y",
        "moved by the patient's weeks": text.startswith(moved),
    }
    return next((told for told, fits in ways.items() if fits), text)


def test_what_the_document_says_of_an_attribute_is_what_arrives(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    """Every attribute of the table at once, with harmless values and with others."""
    documented = _documented()
    assert len(documented) > 500
    patient = data.Patient.made("documented")
    sent: dict[str, tuple[bool, dict[BaseTag, object]]] = {}
    for name, harmless in (("one", True), ("other", False)):
        (dataset,) = data.ct_series("documented", patient, slices=1, size=32)
        planted = {tag: _planted(tag, told, harmless=harmless) for tag, told in documented.items()}
        for tag, value in planted.items():
            vr = dictionary_VR(tag)[:2]
            dataset[tag] = DataElement(tag, vr, value, validation_mode=config.IGNORE)
        dataset.StudyInstanceUID = f"1.2.826.0.1.3680043.10.99.{name == 'one':d}"
        dataset.SOPInstanceUID = f"1.2.826.0.1.3680043.10.98.{name == 'one':d}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = 1 + harmless
        sent[pseudonyms.uid(PROGRAMME, str(dataset.SOPInstanceUID))] = (harmless, planted)
        assert scanner.store([dataset], truck.dicom_port) == [scanner.SUCCESS]
    with router.running() as app:
        studies = at_rest(app, 2)
    assert not any(s["held"] for s in studies), json.loads(router.command("held").stdout)
    issuer = "ZQ00100021" if Tag("IssuerOfPatientID") in documented else ""
    moved = dates.shifted("20260311", pseudonyms.shift_days(PROGRAMME, issuer, "ZQ00100020"))
    assert moved is not None
    wrong = []
    for copy in (pydicom.dcmread(io.BytesIO(cloud.file(i))) for i in cloud.instances()):
        if copy.SOPInstanceUID not in sent:
            continue  # a capture
        harmless, planted = sent[copy.SOPInstanceUID]
        for tag, told in documented.items():
            arrived = _arrived(copy.get(tag), planted[tag], moved)
            if arrived != _documented_end(told, harmless=harmless):
                wrong.append(f"{tag} {copy.get(tag)}: {arrived}, not {told}")
    assert not wrong, "\n".join(wrong)
