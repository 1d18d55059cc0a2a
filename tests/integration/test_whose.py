"""Whose an image is, by real Orthancs: spellings, issuers, and corrections on the scanner."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.uid import KeyObjectSelectionDocumentStorage

from tests.support import data, fake_pacs, scanner
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import FileDataset

    from tests.support.in_process import AtRest, Router
    from tests.support.orthancs import Orthanc


def _image(seed: str, patient: data.Patient, **values: str) -> FileDataset:
    (dataset,) = data.ct_series(seed, patient, slices=1, size=32)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _sent_as_bytes(image: FileDataset, name: bytes, folder: Path, port: int) -> int:
    """Sends an image with the patient's name as bytes, whatever character set it declares."""
    name += b" " * (len(name) % 2)
    image.PatientName = "Z" * len(name)
    path = folder / "bytes.dcm"
    path.write_bytes(data.file_bytes(image).replace(b"Z" * len(name), name))
    syntax = str(image.file_meta.TransferSyntaxUID)
    return scanner.store_file(path, str(image.SOPClassUID), syntax, port)


def _patients(cloud: Orthanc) -> list[str]:
    found = [pydicom.dcmread(io.BytesIO(cloud.file(i))) for i in cloud.instances()]
    return sorted({str(dataset.PatientID) for dataset in found})


def _held(router: Router) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(router.command("held").stdout)["held"]
    return rows


PAIRS = [
    ("MUELLER^ANNA", "", "Müller^Anna", "ISO_IR 100"),
    ("IVANOVA^ANNA", "", "Иванова^Анна", "ISO_IR 144"),
    ("Novák^Jana".encode(), "ISO_IR 100", "Novák^Jana", "ISO_IR 192"),
    ("Novák^Jana".encode("latin-1"), "ISO_IR 192", "Novák^Jana", "ISO_IR 100"),
    ("Иванова^Анна".encode("cp1251"), "", "Иванова^Анна", "ISO_IR 192"),
    ("SORENSEN^ANE", "", "Sørensen^Ane", "ISO_IR 100"),
    ("WALESA^EWA", "", "Wałęsa^Ewa", "ISO_IR 101"),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ISO_IR 192", "山田^太郎", "ISO_IR 192"),
    ("DE LA CRUZ^ANA", "", "DELACRUZ^ANA", ""),
]


# pydicom says so of bytes that are not what they are declared to be.
@pytest.mark.filterwarnings("ignore:Failed to decode byte string")
def test_one_person_in_two_spellings_is_one_patient(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    for number, (one, one_set, other, other_set) in enumerate(PAIRS):
        patient = data.Patient.made(f"spelt {number}")
        for name, charset in ((one, one_set), (other, other_set)):
            image = _image(f"spelt {number} {charset}{name!r}", patient)
            image.SpecificCharacterSet = charset
            if isinstance(name, bytes):
                answer = _sent_as_bytes(image, name, router.folder, truck.dicom_port)
            else:
                image.PatientName = name
                (answer,) = scanner.store([image], truck.dicom_port)
            assert answer == scanner.SUCCESS
    with router.running() as app:
        at_rest(app, 2 * len(PAIRS), deadline_s=120)
    assert _held(router) == []
    assert len(_patients(cloud)) == len(PAIRS)


def test_a_new_surname_goes_on_and_the_technologist_is_told(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("married")
    married = f"Otherwise^{patient.name.split('^')[1]}"
    with router.running() as app:
        scanner.store([_image("before", patient)], truck.dicom_port)
        at_rest(app, 1)
        scanner.store([_image("after", patient, PatientName=married)], truck.dicom_port)
        studies = at_rest(app, 2)
    assert len(_patients(cloud)) == 1
    told = json.loads(router.command("check-now").stdout)["studies"]
    (row,) = [row for row in told if row["patient"]]
    assert row["both_writings"] == [{"known": patient.name, "said": married}]
    # What other machines can read names nobody.
    assert patient.name.split("^")[0] not in json.dumps(studies)


def test_a_study_whose_images_name_the_issuer_or_not_is_one_patient(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("issuer")
    silent, named, again, other = data.ct_series("issuer", patient, slices=4, size=32)
    named.IssuerOfPatientID, again.IssuerOfPatientID = "HOSPA", " hospa^1.2.3^ISO"
    other.IssuerOfPatientID = "HOSPB"
    router.write_config(truck.url, "http://127.0.0.1:9")
    with router.running():
        scanner.store([silent, named, again], truck.dicom_port)
        until(lambda: len(truck.instances()) == 7, what="the copies and the capture")
        scanner.store([other], truck.dicom_port)
        # Which of the two is right nobody knows yet: what has not left waits, too.
        until(lambda: len(_held(router)) == 5, what="all of the study")
        assert {row["code"] for row in _held(router)} == {"IDENTITY_CONFLICT"}
    router.write_config(truck.url, cloud.url)
    with router.running() as app:
        (row,) = [row for row in _held(router) if row["conflicts_with"]]
        assert row["whose"]["issuer"] == "HOSPB"
        _follow(router, row, "edge-router release STUDY --policy identity-checked --reason WHY")
        until(lambda: len(cloud.instances()) == 5, 60, what="the released study")
        at_rest(app, 1)
    assert _held(router) == []
    assert len(_patients(cloud)) == 1


def test_two_hospitals_with_one_number_are_two_patients_on_whatever_truck(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    """Nothing on one truck can know of the other; the table they share keeps them apart."""
    (router.folder / "issuers.toml").write_text("""
[[issuer]]
name = "HOSPA"
scanners = ["SCANNER"]
[[issuer]]
name = "HOSPB"
""")
    told = json.loads(router.command("check-config", "--offline").stdout)
    assert [w["code"] for w in told["warnings"]] == ["NO_ISSUERS"]
    file = f'[deid]\nissuers_file = "{router.folder}/issuers.toml"'
    router.config.write_text(router.config.read_text().replace("[deid]", file))
    told = json.loads(router.command("check-config", "--offline").stdout)
    assert told["warnings"] == []
    assert len(told["issuers"]) == 12
    patient = data.Patient.made("two hospitals")
    silent = _image("of A", patient)
    named = _image("also of A", patient, IssuerOfPatientID="HospA")
    other = _image("of B", patient, IssuerOfPatientID="HOSPB", PatientName="Else^Some")
    with router.running() as app:
        scanner.store([silent, named, other], truck.dicom_port)
        at_rest(app, 3)
    assert _held(router) == []
    assert len(_patients(cloud)) == 2
    (router.folder / "issuers.toml").write_text('[[issuer]]\nname = "HOSPB"\n')
    told = json.loads(router.command("check-config", "--offline").stdout)
    assert [fault["code"] for fault in told["faults"]] == ["ISSUERS_CHANGED"]


def _corrected(images: list[FileDataset], patient: data.Patient) -> list[FileDataset]:
    """The same images under the same UIDs, as a scanner sends them once the patient is corrected."""
    for image in images:
        image.PatientID, image.PatientName = patient.patient_id, patient.name
        image.PatientBirthDate = patient.birth_date
    return images


def _by_class(cloud: Orthanc) -> dict[str, list[FileDataset]]:
    found: dict[str, list[FileDataset]] = {}
    for instance in cloud.instances():
        dataset = pydicom.dcmread(io.BytesIO(cloud.file(instance)))
        found.setdefault(str(dataset.Modality), []).append(dataset)
    return found


def test_a_patient_corrected_on_the_scanner_after_a_delivery_takes_the_wrong_one_s_place(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    wrong, right = data.Patient.made("chosen wrongly"), data.Patient.made("chosen rightly")
    images = list(data.ct_series("corrected", wrong, slices=4, size=32))
    with router.running() as app:
        scanner.store(images[:2], truck.dicom_port)
        at_rest(app, 1)
        delivered = cloud.instances()
        scanner.store(_corrected(images, right), truck.dicom_port)
        at_rest(app, 2)
        (code,) = {row["code"] for row in _held(router)}
        assert code == "UID_CONFLICT"
        (study,) = {str(row["study"]) for row in _held(router)}
        done = router.command("replace", study, "--reason", "the wrong worklist entry", "--by", "T")
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["rejected_at"] == ["cloud"]
        until(lambda: _held(router) == [], what="the corrected study")
        studies = at_rest(app, 2)
    assert {s["state"] for s in studies} == {"DELIVERED"}
    changes = cloud.request("GET", "/changes?limit=1000").json()["Changes"]
    order = [change["ID"] for change in changes if change["ChangeType"] == "NewInstance"]
    found = _by_class(cloud)
    (note,) = found["KO"]
    assert note.ConceptNameCodeSequence[0].CodeValue == "113038"
    named = {i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in note.ContentSequence}
    first = [pydicom.dcmread(io.BytesIO(cloud.file(i))) for i in delivered]
    assert named == {d.SOPInstanceUID for d in first}
    assert note.StudyInstanceUID == first[0].StudyInstanceUID
    # The corrected ones are all there, under the right patient, and no UID of theirs was used before.
    later = [d for d in found["CT"] + found["OT"] if d.PatientID != note.PatientID]
    assert len([d for d in later if d.Modality == "CT"]) == 4
    assert len({d.PatientID for d in later}) == 1
    old = {u for d in first for u in (d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID)}
    new = {u for d in later for u in (d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID)}
    assert old.isdisjoint(new)
    # First the note, then the images.
    by_id = {i: pydicom.dcmread(io.BytesIO(cloud.file(i))) for i in order}
    places = [by_id[i].Modality if by_id[i].PatientID == note.PatientID else "new" for i in order]
    assert places.index("KO") < places.index("new")
    assert "CT" not in places[places.index("KO") :]


def _follow(router: Router, row: dict[str, Any], command: str, **filled: str) -> None:
    """Types a command as the advice of a held image writes it, word by word."""
    told = str(row["do"])
    assert command in told, told
    filled |= {"STUDY": str(row["study"]), "INSTANCE": str(row["instance"]), "WHY": "as advised"}
    words = [filled.get(word, word) for word in command.split()]
    done = router.command(*words[1:])
    assert done.returncode == 0, done.stdout + done.stderr


DISCARD = "edge-router discard STUDY --reason WHY"


def test_what_is_discarded_corrected_and_sent_again_is_delivered(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    nobody, known, stranger, born = (data.Patient.made(n) for n in ("no", "kn", "st", "bo"))
    unnamed = list(data.ct_series("no number", nobody, slices=2, size=32))
    of_stranger = list(data.ct_series("wrong number", stranger, slices=2, size=32))
    birthday = _image("wrong birth date", born)
    broken = _image("broken", nobody)
    with router.running() as app:
        scanner.store([_image("known", known), _image("born", born)], truck.dicom_port)
        at_rest(app, 2)
        for image in unnamed:
            image.PatientID = ""
        for image in of_stranger:
            image.PatientID = known.patient_id
        birthday.PatientBirthDate = "19010101"
        scanner.store([*unnamed, *of_stranger, birthday], truck.dicom_port)
        path = router.folder / "broken.dcm"
        path.write_bytes(data.file_bytes(broken)[:-700])
        syntax = str(broken.file_meta.TransferSyntaxUID)
        scanner.store_file(path, str(broken.SOPClassUID), syntax, truck.dicom_port)
        at_rest(app, 6)
        held = _held(router)
        assert sorted(str(row["code"]) for row in held) == [
            *["IDENTITY_CONFLICT"] * 3, *["NO_PATIENT_ID"] * 2, "UNREADABLE",
        ]  # fmt: skip
        _says_whose(held, known, stranger, born)
        for row in {str(row["study"]): row for row in held}.values():
            one = "STUDY" in str(row["do"]).split(" --reason")[0]
            _follow(router, row, DISCARD if one else DISCARD.replace("STUDY", "INSTANCE"))
        assert _held(router) == []
        for image in unnamed:
            image.PatientID = nobody.patient_id
        for image in of_stranger:
            image.PatientID = stranger.patient_id
        birthday.PatientBirthDate = born.birth_date
        scanner.store([*unnamed, *of_stranger, birthday, broken], truck.dicom_port)
        until(lambda: len(_by_class(cloud).get("CT", [])) == 8, 60, what="what was sent again")
    assert _held(router) == []
    assert len(_patients(cloud)) == 4


def _says_whose(
    held: list[dict[str, Any]], known: data.Patient, stranger: data.Patient, born: data.Patient
) -> None:
    """Each row says whose examination, when and of which modality; a conflict names both sides."""
    for row in held:
        whose, other = row["whose"], row["conflicts_with"]
        assert isinstance(whose, dict)
        assert (whose["date"], whose["modality"], whose["image"] != "") == ("20260311", "CT", True)
        if row["code"] != "IDENTITY_CONFLICT":
            assert other is None
            continue
        assert isinstance(other, dict)
        if whose["birth_date"] == "19010101":
            assert other["birth_date"] == born.birth_date
        else:
            assert (whose["name"], other["name"]) == (stranger.name, known.name)


def test_of_two_images_with_one_uid_the_other_is_named_and_one_can_be_discarded(
    router: Router, truck: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("two series")
    first, second = _image("two series", patient), _image("two series", patient)
    second.SeriesInstanceUID = first.SeriesInstanceUID + ".1"
    second.WindowWidth, second.SeriesNumber = 1500, 7
    with router.running() as app:
        scanner.store([first, second], truck.dicom_port)
        at_rest(app, 1)
        (row,) = _held(router)
        other = row["conflicts_with"]
        assert isinstance(other, dict)
        assert row["code"] == "UID_CONFLICT"
        assert {str(one["series"]) for one in (row["whose"], other)} == {"2", "7"}
        refused = router.command("replace", str(row["study"]), "--reason", "try")
        assert "NOT_REPLACEABLE" in refused.stdout
        _follow(router, row, DISCARD)
        (study,) = at_rest(app, 1)
    assert study["way"] == "2 delivered, 0 held, 1 discarded"
    assert _held(router) == []


@pytest.fixture
def pacs() -> Iterator[fake_pacs.FakePacs]:
    yield from fake_pacs.FakePacs().serving()


def test_an_archive_that_takes_no_note_is_given_the_list(
    router: Router, truck: Orthanc, at_rest: AtRest, pacs: fake_pacs.FakePacs
) -> None:
    key_objects = str(KeyObjectSelectionDocumentStorage).encode()
    wrong, right = data.Patient.made("list wrong"), data.Patient.made("list right")
    images = list(data.ct_series("list", wrong, slices=2, size=32))
    kept: list[str] = []

    def answer(body: bytes) -> fake_pacs.Answer:
        uid = _sop_uid(body)
        if key_objects in body:
            return fake_pacs.Answer(409, fake_pacs.failed(uid, 0x0122))
        kept.append(uid)
        return fake_pacs.Answer(200, fake_pacs.stored(uid))

    pacs.answer_to = answer
    pacs.listing = lambda uid: [one for one in kept if uid in {None, one}]
    router.write_config(truck.url, pacs.url.removesuffix("/dicom-web"))
    lines = router.config.read_text().split("\n")
    router.config.write_text("\n".join(line for line in lines if "readback" not in line))
    with router.running() as app:
        scanner.store(images, truck.dicom_port)
        at_rest(app, 1)
        rejected = list(kept)
        scanner.store(_corrected(images, right), truck.dicom_port)
        at_rest(app, 2)
        _follow(router, _held(router)[0], "edge-router replace STUDY --reason WHY")
        (row,) = until(lambda: _held(router), 60, what="the note that is not taken")
        assert row["destination"] == "cloud"
        assert kept == rejected, "nothing corrected goes before the note"
        file = str(router.folder / "list.csv")
        _follow(router, row, "edge-router replace STUDY --list FILE --reason WHY", FILE=file)
        listed = list(csv.DictReader((router.folder / "list.csv").read_text().splitlines()))
        assert {line["sop_instance_uid"] for line in listed} == set(rejected)
        assert {line["destination"] for line in listed} == {"cloud"}
        _follow(
            router, row, "edge-router replace STUDY --told DESTINATION --reason WHY",
            DESTINATION="cloud",
        )  # fmt: skip
        until(lambda: len(kept) == 2 * len(rejected), 60, what="the corrected images")
        at_rest(app, 2)
    assert _held(router) == []


def _sop_uid(body: bytes) -> str:
    file = body[body.index(b"DICM") - 128 : body.rindex(b"\r\n--")]
    return str(pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True).SOPInstanceUID)
