"""The whole way of a study over real Orthancs: scanner, truck, router, cloud."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

import pydicom
import pytest
import requests

from router.records.study import State
from tests.support import data, scanner
from tests.support.orthancs import DELETE
from tests.support.waiting import until
from tools.audit import names_anyone, pseudonymous_uid

if TYPE_CHECKING:
    from tests.support.in_process import AtRest, Router
    from tests.support.orthancs import Orthanc

KEY = bytes.fromhex("5a" * 32)


def _in_cloud(cloud: Orthanc) -> list[pydicom.FileDataset]:
    return [pydicom.dcmread(io.BytesIO(cloud.file(i))) for i in sorted(cloud.instances())]


def test_a_mammogram_is_delivered_with_its_dose_report(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("mammogram")
    images = list(data.mammogram_study("mammogram", patient, rows=512, columns=416))
    assert set(scanner.store(images, truck.dicom_port)) == {scanner.SUCCESS}
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert (study["state"], study["way"]) == ("DELIVERED", "9 delivered, 0 held")
    found = _in_cloud(cloud)
    expected = {pseudonymous_uid(KEY, str(i.SOPInstanceUID)) for i in images if i.Modality == "MG"}
    assert {str(d.SOPInstanceUID) for d in found if d.Modality == "MG"} == expected
    (report,) = [d for d in found if d.Modality == "SR"]
    assert report.ContentSequence[0].TextValue == "ANONYMIZED"
    assert report.PatientAge == "056Y"
    captures = [d for d in found if d.Modality == "OT"]
    assert len(captures) == 4
    assert {d.StudyInstanceUID for d in found} == {captures[0].StudyInstanceUID}
    assert {d.PatientID for d in found} == {captures[0].PatientID}
    for dataset in found:
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.StationName == "TRUCK1"


def test_nothing_in_the_cloud_names_the_patient(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patients = [data.Patient.made("names", n) for n in range(len(data.PYDICOM_FILES) + 1)]
    images = [
        data.pydicom_file(name, "names", patient)
        for name, patient in zip(data.PYDICOM_FILES, patients, strict=False)
    ]
    images.append(data.radiograph("names", patients[-1]))
    assert set(scanner.store(images, truck.dicom_port)) == {scanner.SUCCESS}
    with router.running() as app:
        studies = at_rest(app, len(images))
    assert {study["way"] for study in studies} == {"2 delivered, 0 held"}
    for instance in cloud.instances():
        raw = cloud.file(instance)
        assert not names_anyone(pydicom.dcmread(io.BytesIO(raw)), raw, patients)


def test_a_second_router_with_an_empty_journal_sends_the_same_bytes_and_makes_no_double(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("again")
    scanner.store(data.ct_series("again", patient, slices=3, size=64), truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
    before = {instance: cloud.file(instance) for instance in cloud.instances()}
    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        (router.folder / name).unlink(missing_ok=True)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["way"] == "4 delivered, 0 held"
    assert {instance: cloud.file(instance) for instance in cloud.instances()} == before


def test_late_images_join_the_same_pseudonymous_study_and_only_they_are_sent(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("late")
    first, second, late = data.ct_series("late", patient, slices=3, size=64)
    scanner.store([first, second], truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
        assert study["way"] == "3 delivered, 0 held"
        scanner.store([late], truck.dicom_port)
        until(lambda: _images(app.port) == 3, what="the late image in the journal")
        (study,) = at_rest(app, 1)
        sent = _metric(app.port, 'edge_router_delivery_attempts_total{destination="cloud"')
    assert study["way"] == "4 delivered, 0 held"
    assert sent == 4
    assert len({d.StudyInstanceUID for d in _in_cloud(cloud)}) == 1


def _images(port: int) -> int:
    studies = requests.get(f"http://127.0.0.1:{port}/status", timeout=10).json()["studies"]
    return sum(study["images"] for study in studies)


def _metric(port: int, prefix: str) -> float:
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(prefix))


def test_an_image_sent_twice_by_the_scanner_is_in_the_cloud_once(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("twice")
    images = list(data.ct_series("twice", patient, slices=1, size=64))
    scanner.store(images, truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
        assert scanner.store(images, truck.dicom_port) == [scanner.SUCCESS]
        (study,) = at_rest(app, 1)
    assert study["way"] == "2 delivered, 0 held"
    assert len(cloud.instances()) == 2


def test_a_study_is_found_although_the_change_list_was_cleared(
    router: Router, truck: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("cleared")
    scanner.store(data.ct_series("cleared", patient, slices=2, size=64), truck.dicom_port)
    assert truck.request("DELETE", "/changes", headers=DELETE).ok
    with router.running() as app:
        (study,) = at_rest(app, 1)
        assert _metric(app.port, "edge_router_reconcile_found_total") == 2
    assert study["way"] == "3 delivered, 0 held"


def test_a_study_is_found_although_orthanc_was_killed_before_it_was_stable(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("killed")
    scanner.store(data.ct_series("killed", patient, slices=2, size=64), truck.dicom_port)
    truck.kill()
    router.write_config(truck.url, cloud.url)  # a restarted container has new ports
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["way"] == "3 delivered, 0 held"


def test_the_router_starts_over_when_the_changes_went_back(
    router: Router, truck: Orthanc, at_rest: AtRest
) -> None:
    from router.journal import Cursor, Journal  # noqa: PLC0415

    system = truck.get("/system")
    assert isinstance(system, dict)
    journal = Journal(router.folder / "journal.db")
    journal.arrivals.take_in([], [], {}, Cursor(system["DatabaseServerIdentifier"], 10**9), 0.0)
    journal.close()
    patient = data.Patient.made("back")
    scanner.store(data.ct_series("back", patient, slices=1, size=64), truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["state"] == State.DELIVERED


def test_copies_of_the_router_are_never_taken_in(
    router: Router, truck: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("own")
    scanner.store(data.ct_series("own", patient, slices=2, size=64), truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
        reconciled = _metric(app.port, "edge_router_reconcile_found_total")
        received = _metric(app.port, "edge_router_instances_received_total")
    assert len(truck.instances()) == 5  # 2 originals, 2 copies, 1 capture
    assert received == 2
    assert reconciled == 0


def test_the_router_works_on_while_the_scanner_keeps_sending(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    series = [
        list(data.ct_series(f"flow{n}", data.Patient.made(f"flow{n}"), slices=4, size=64))
        for n in range(4)
    ]
    with router.running() as app:
        sender = threading.Thread(
            target=lambda: [scanner.store(images, truck.dicom_port) for images in series]
        )
        sender.start()
        sender.join()
        studies = at_rest(app, 4)
    assert {study["way"] for study in studies} == {"5 delivered, 0 held"}
    assert len(cloud.instances()) == 20


@pytest.mark.parametrize("enabled", [True, False])
def test_images_go_on_without_a_segmentation_where_analysis_is_off(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest, *, enabled: bool
) -> None:
    text = router.config.read_text()
    router.config.write_text(f"{text}\n[analysis]\nenabled = {str(enabled).lower()}\n")
    patient = data.Patient.made(f"analysis{enabled}")
    scanner.store([data.radiograph(f"analysis{enabled}", patient, 128, 96)], truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["captures"] == int(enabled)
    assert len(cloud.instances()) == 1 + int(enabled)
