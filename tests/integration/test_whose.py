"""Whose an image is, by real Orthancs: spellings, issuers, and corrections on the scanner."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pydicom
import pytest

from tests import data, scanner
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import FileDataset

    from tests.conftest import AtRest, Router
    from tests.orthancs import Orthanc


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


def _held(router: Router) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(router.command("held").stdout)["held"]
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
    images = data.ct_series("issuer", patient, slices=4, size=32)
    silent, named, again, other = images
    named.IssuerOfPatientID, again.IssuerOfPatientID = "HOSPA", " hospa^1.2.3^ISO"
    other.IssuerOfPatientID = "HOSPB"
    with router.running() as app:
        scanner.store([silent, named, again], truck.dicom_port)
        at_rest(app, 1)
        scanner.store([other], truck.dicom_port)
        until(lambda: _held(router), what="the image that disagrees")
        at_rest(app, 1)
        assert len(_patients(cloud)) == 1
        (row,) = _held(router)
        assert (row["code"], row["detail"]) == (
            "IDENTITY_CONFLICT", "issuer differs from what is known",
        )  # fmt: skip
        done = router.command(
            "release", str(row["instance"]), "--policy", "identity-checked", "--reason", "hers"
        )
        assert done.returncode == 0
        until(lambda: len(cloud.instances()) == 5, what="the released image")
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
