"""The operator's hands: release, discard, receipts, reconcile, check-config, and the audit file."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.uid import UID, BasicTextSRStorage, UltrasoundImageStorage

from tests.support import data, scanner
from tests.support.orthancs import DELETE
from tests.support.waiting import until

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from tests.support.in_process import AtRest, Router
    from tests.support.orthancs import Orthanc


def _ultrasound(seed: str) -> FileDataset:
    patient = data.Patient.made(seed)
    (dataset,) = data.ct_series(seed, patient, slices=1, size=64)
    dataset.SOPClassUID = UID(UltrasoundImageStorage)
    dataset.file_meta.MediaStorageSOPClassUID = UID(UltrasoundImageStorage)
    dataset.Modality = "US"
    return dataset


_PRIVATE = "1.3.12.2.1107.5.9.1"


def _classes(orthanc: Orthanc) -> list[str]:
    files = [orthanc.file(instance) for instance in orthanc.instances()]
    return [str(pydicom.dcmread(io.BytesIO(file)).SOPClassUID) for file in files]


def _private_report(seed: str, patient: data.Patient) -> list[FileDataset]:
    """A slice and what a scanner adds to it: an object of a class that only its maker knows."""
    image, report = data.ct_series(seed, patient, slices=2, size=32)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = UID(_PRIVATE)
    del report.PixelData
    return [image, report]


def _held(router: Router) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(router.command("held").stdout)["held"]
    return rows


def _audit(router: Router, *, looks: bool = False) -> list[dict[str, Any]]:
    """The audit file; without its lines of commands that only look."""
    text = (router.folder / "audit.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if looks or line["action"] not in {"held", "status"}]


def test_a_released_image_goes_its_way_and_the_audit_file_says_who_and_why(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    scanner.store([_ultrasound("release")], truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
        (row,) = _held(router)
        told = router.command(
            "release", row["instance"], "--policy", "pixels-checked",
            "--reason", "looked at it", "--by", "Ana",
        )  # fmt: skip
        assert told.returncode == 0
        until(lambda: _held(router) == [], what="the release")
        (study,) = at_rest(app, 1)
    assert (study["state"], study["way"]) == ("DELIVERED", "1 delivered, 0 held")
    assert len(cloud.instances()) == 1
    (line,) = _audit(router)
    assert (line["action"], line["by"], line["reason"]) == ("release", "Ana", "looked at it")
    assert (line["policy"], line["code"]) == ("pixels-checked", "SOP_CLASS_NOT_CLEARED")


def test_no_policy_leads_past_the_gate_or_lets_a_report_through_by_its_pixels(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("report")
    uids = data.Uids("report")
    report = data.dose_report(patient, uids.new(), uids)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    scanner.store([report], truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
        (before,) = _held(router)
        router.command("release", before["study"], "--policy", "pixels-checked", "--reason", "try")
        until(lambda: [r["since"] for r in _held(router)] > [before["since"]], what="a new hold")
        (study,) = at_rest(app, 1)
    assert (study["state"], study["held"]) == ("HELD", 1)
    assert cloud.instances() == []


def test_what_was_discarded_is_never_sent_and_its_study_is_at_rest(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    scanner.store([_ultrasound("discard")], truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
        assert router.command("discard", study["study"], "--reason", "a test image").returncode == 0
        (study,) = at_rest(app, 1)
        again = router.command("release", study["study"], "--policy", "retry", "--reason", "no")
        assert (study["state"], study["discarded"], study["held"]) == ("DISCARDED", 1, 0)
        assert json.loads(again.stdout)["error"] == "NOT_HELD"
        assert [line["action"] for line in _audit(router)] == ["discard"]
        # It has made room: what the scanner sends in its place is seen, and judged anew.
        assert truck.instances() == []
        scanner.store([_ultrasound("discard")], truck.dicom_port)
        until(lambda: _held(router), what="the image that was sent again")
    assert cloud.instances() == []


def test_a_screen_can_be_discarded_beside_delivered_mammograms(
    router: Router, truck: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("beside")
    images = list(data.mammogram_study("beside", patient, rows=256, columns=208))
    scanner.store([*images, data.dose_screen(patient, images[0])], truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
        assert study["way"] == "9 delivered, 1 held"
        router.command("discard", study["study"], "--reason", "archived on paper")
        (study,) = at_rest(app, 1)
    assert (study["state"], study["way"]) == ("DELIVERED", "9 delivered, 0 held, 1 discarded")
    assert router.command("status").returncode == 0


def test_an_image_whose_original_vanished_is_held_and_taken_up_when_it_comes_again(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    from router.journal import Journal, Pin  # noqa: PLC0415
    from router.records.instance import Arrival  # noqa: PLC0415

    patient = data.Patient.made("vanished")
    images = list(data.ct_series("vanished", patient, slices=1, size=64))
    scanner.store(images, truck.dicom_port)
    (instance,) = truck.instances()
    (study_id,) = truck.request("GET", "/studies").json()
    journal = Journal(router.folder / "journal.db")
    pin = Pin("0" * 12, "test-key", "basic-1")
    journal.arrivals.take_in(
        [Arrival(instance, study_id, "S")], [study_id], {study_id: pin}, None, 1.0
    )
    journal.close()
    truck.request("DELETE", f"/instances/{instance}", headers=DELETE).raise_for_status()
    with router.running() as app:
        (study,) = at_rest(app, 1)
        (row,) = _held(router)
        assert row["code"] == "SOURCE_MISSING"
        scanner.store(images, truck.dicom_port)
        until(lambda: _held(router) == [], what="the image to be taken up again")
        (study,) = at_rest(app, 1)
    assert study["way"] == "2 delivered, 0 held"
    assert len(cloud.instances()) == 2


def test_a_copy_that_vanished_from_the_truck_is_made_again_and_sent(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("outbox")
    scanner.store(data.ct_series("outbox", patient, slices=2, size=64), truck.dicom_port)
    originals = set(truck.instances())
    router.write_config(truck.url, "http://127.0.0.1:9")
    with router.running():
        until(lambda: len(truck.instances()) == 5, what="the copies and the capture")
        until(
            lambda: (
                json.loads(router.command("status").stdout)["studies"][0]["state"] == "ANALYSED"
            ),
            what="the study to wait for its link",
        )
    for copy in set(truck.instances()) - originals:
        truck.request("DELETE", f"/instances/{copy}", headers=DELETE).raise_for_status()
    router.write_config(truck.url, cloud.url)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["way"] == "3 delivered, 0 held"
    assert len(cloud.instances()) == 3


def test_receipts_prove_each_instance(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("receipts")
    scanner.store(data.ct_series("receipts", patient, slices=2, size=64), truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    told = router.command("receipts", study["study"])
    assert told.returncode == 0
    rows = json.loads(told.stdout)["receipts"]
    assert {(row["destination"], row["verified_by"]) for row in rows} == {("cloud", "DIGEST")}
    assert sorted(row["role"] for row in rows) == ["CAPTURE", "SOURCE", "SOURCE"]
    assert all(row["sent_at"] <= row["verified_at"] for row in rows)
    missing = router.command("receipts", "nothing")
    assert (missing.returncode, json.loads(missing.stdout)["error"]) == (1, "NOT_IN_JOURNAL")
    assert len(cloud.instances()) == 3


def test_reconcile_finds_what_no_event_told_of(router: Router, truck: Orthanc) -> None:
    patient = data.Patient.made("reconcile")
    scanner.store(data.ct_series("reconcile", patient, slices=2, size=64), truck.dicom_port)
    assert json.loads(router.command("reconcile").stdout) == {"found": 2}
    assert json.loads(router.command("reconcile").stdout) == {"found": 0}
    assert [line["action"] for line in _audit(router)] == ["reconcile", "reconcile"]


def test_check_config_tries_each_connection(router: Router, truck: Orthanc, cloud: Orthanc) -> None:
    assert router.command("check-config").returncode == 0
    router.write_config(cloud.url, "http://127.0.0.1:9")
    told = router.command("check-config")
    assert told.returncode == 1
    faults = {fault["part"]: fault["code"] for fault in json.loads(told.stdout)["faults"]}
    assert faults == {"orthanc": "ORTHANC_DENIED", "cloud": "LINK_DOWN"}
    assert router.command("check-config", "--offline").returncode == 0
    assert truck.instances() == []


def test_every_command_leaves_a_line_in_the_audit_file(router: Router, truck: Orthanc) -> None:
    for command in ("status", "held", "check-config", "reconcile"):
        router.command(command)
    router.command("receipts", "nothing")
    assert [line["action"] for line in _audit(router, looks=True)] == [
        "status", "held", "check-config", "reconcile", "receipts",
    ]  # fmt: skip
    assert truck.instances() == []


def test_wrong_usage_is_told_by_exit_code_2(router: Router) -> None:
    for arguments in (["release", "x", "--policy", "anything-goes", "--reason", "r"],
                      ["release", "x", "--policy", "retry"], ["nonsense"]):  # fmt: skip
        assert router.command(*arguments).returncode == 2


def test_an_object_that_comes_with_each_study_is_decided_once_as_the_advice_says(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    patient = data.Patient.made("each study")
    with router.running() as app:
        scanner.store(_private_report("first", patient), truck.dicom_port)
        at_rest(app, 1)
        (row,) = _held(router)
        assert row["code"] == "UNKNOWN_SOP_CLASS"
        assert "edge-router decide INSTANCE --discard --reason WHY" in row["do"]
        told = router.command(
            "decide", row["instance"], "--discard", "--reason", "nobody reads it", "--by", "Ana"
        )
        assert told.returncode == 0, told.stdout + told.stderr
        scanner.store(_private_report("second", patient), truck.dicom_port)
        studies = at_rest(app, 2)
        assert {(s["state"], s["held"], s["discarded"]) for s in studies} == {("DELIVERED", 0, 1)}
        assert router.command("status").returncode == 0
        (decision,) = json.loads(router.command("decisions").stdout)["decisions"]
        assert (decision["by"], decision["discarded"]) == ("Ana", 2)
        gone = router.command("revoke", decision["sop_class"], "--reason", "wanted after all")
        assert gone.returncode == 0
    # Nothing of the kind was sent, and all of it is still on the truck.
    assert _classes(truck).count(_PRIVATE) == 2
    assert _PRIVATE not in _classes(cloud)
    assert [line["action"] for line in _audit(router)] == ["decide", "decisions", "revoke"]
