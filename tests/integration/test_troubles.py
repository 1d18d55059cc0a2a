"""Troubles of the truck itself: a full disk, another truck id, a key that is gone."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pydicom
import requests

from tests.support import data, scanner
from tests.support.in_process import Router
from tests.support.orthancs import start
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.in_process import AtRest
    from tests.support.orthancs import Orthanc


def test_a_full_truck_holds_nothing_and_says_why_it_waits(tmp_path: Path, cloud: Orthanc) -> None:
    for truck in start("truck", tmp_path, ["router", "health"], STORAGE_MIB="4"):
        patient = data.Patient.made("full")
        images = list(data.ct_series("full", patient, slices=6))
        assert set(scanner.store(images, truck.dicom_port)) == {scanner.SUCCESS}
        router = Router(tmp_path, truck.url, cloud.url)
        with router.running() as app:

            def waits_for() -> str | None:
                url = f"http://127.0.0.1:{app.port}/status"
                (study,) = requests.get(url, timeout=10).json()["studies"] or [{"waits_for": None}]
                return str(study["waits_for"])

            until(lambda: waits_for() == "TRUCK_FULL", what="the reason in status")
        assert json.loads(router.command("held").stdout)["held"] == []


def test_a_copy_of_another_truck_id_that_was_never_sent_is_replaced(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("renamed")
    scanner.store(data.ct_series("renamed", patient, slices=2, size=64), truck.dicom_port)
    router.write_config(truck.url, "http://127.0.0.1:9")
    with router.running():
        until(lambda: len(truck.instances()) == 5, what="the copies and the capture")
    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        (router.folder / name).unlink(missing_ok=True)
    router.write_config(truck.url, cloud.url)
    router.config.write_text(router.config.read_text().replace('"TRUCK1"', '"TRUCK2"'))
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["way"] == "3 delivered, 0 held"
    files = [pydicom.dcmread(io.BytesIO(cloud.file(i))) for i in cloud.instances()]
    assert {dataset.StationName for dataset in files} == {"TRUCK2"}


def test_a_key_that_studies_were_begun_with_is_missed_before_the_router_runs(
    router: Router, truck: Orthanc
) -> None:
    patient = data.Patient.made("key")
    scanner.store(data.ct_series("key", patient, slices=1, size=64), truck.dicom_port)
    assert router.command("reconcile").returncode == 0
    (router.folder / "key").write_text("other-key:" + "11" * 32)
    told = json.loads(router.command("check-config", "--offline").stdout)
    assert [fault["code"] for fault in told["faults"]] == ["KEY_UNKNOWN"]


def test_the_same_uids_under_a_corrected_patient_id_are_held_and_not_sent_twice(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("corrected")
    (wrong,) = data.ct_series("corrected", patient, slices=1, size=64)
    scanner.store([wrong], truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
        wrong.PatientID = "CORRECTED-1"
        scanner.store([wrong], truck.dicom_port)
        studies = at_rest(app, 2)
    assert sorted(study["way"] for study in studies) == [
        "0 delivered, 1 held", "2 delivered, 0 held",
    ]  # fmt: skip
    assert len(cloud.instances()) == 2
    (row,) = json.loads(router.command("held").stdout)["held"]
    assert row["code"] == "UID_CONFLICT"
