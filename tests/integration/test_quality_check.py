"""A look at each image as it arrives: flags within seconds, before the study is stable."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
import requests
from pydicom.uid import JPEGLosslessSV1

from router.imaging.analysis import ANALYSES, density
from tests.support import data, image_faults, scanner
from tests.support.in_process import Router
from tests.support.orthancs import DELETE, Orthanc, start
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import FileDataset

    from router.app import App
    from tests.support.in_process import AtRest

#: From the response to the C-STORE to the flag.
MOST_S = 5.0


def mammograms(seed: str) -> list[FileDataset]:
    patient = data.Patient.made(seed)
    images = list(data.mammogram_study(seed, patient, 1024, 832))[:4]
    for number, image in enumerate(images):
        image.AcquisitionDate, image.AcquisitionTime = "20260311", f"10150{number}"
    return images


def seen(app: App) -> dict[str, Any]:
    """What /status says of the only study; nothing before its first image is taken in."""
    studies = requests.get(f"http://127.0.0.1:{app.port}/status", timeout=10).json()["studies"]
    return dict(studies[0]) if studies else {"seen": 0, "look_at": [], "missing_views": []}


def checked(router: Router) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(router.command("check-now").stdout)["studies"]
    return rows


def lossless(dataset: FileDataset, truck: Orthanc) -> FileDataset:
    """The data set with its pixels as JPEG lossless, which Orthanc can make and we cannot."""
    stored = truck.request("POST", "/instances", data=data.file_bytes(dataset)).json()["ID"]
    path = f"/instances/{stored}/file?transcode={JPEGLosslessSV1}"
    made = pydicom.dcmread(io.BytesIO(truck.request("GET", path).content))
    truck.wipe()
    assert made.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    return made


@pytest.fixture
def busy_truck(tmp_path: Path) -> Iterator[Orthanc]:
    """A truck that never takes a study for complete while the test lasts."""
    folder = tmp_path / "busy"
    folder.mkdir()
    yield from start("truck", folder, ["router", "health", "other"], STABLE_AGE_S="3600")


def test_a_flag_is_seen_within_seconds_and_before_the_study_is_stable(
    tmp_path: Path, busy_truck: Orthanc, cloud: Orthanc
) -> None:
    router = Router(tmp_path, busy_truck.url, cloud.url)
    images = mammograms("look")
    image_faults.blank(images[1], np.random.default_rng(1))
    with router.running() as app:
        scanner.store(images[:1], busy_truck.dicom_port)
        until(lambda: seen(app)["seen"] == 1, what="the first look")  # the process has started
        assert scanner.store(images[1:2], busy_truck.dicom_port) == [scanner.SUCCESS]
        until(lambda: seen(app)["look_at"], MOST_S, what="the flag")
        study = seen(app)
        (image,) = study["look_at"]
        assert study["arriving"]
        assert (image["view"], image["series"], image["image"]) == ("L-CC", 2, 2)
        assert [flag["flag"] for flag in image["flags"]] == ["BLANK"]
        assert study["missing_views"] == ["R-MLO", "L-MLO"]
        assert scanner.store(images[2:], busy_truck.dicom_port) == [scanner.SUCCESS] * 2
        until(lambda: not seen(app)["missing_views"], what="the missing views")


def test_flags_never_touch_the_way_of_a_study_and_are_counted(
    router: Router, truck: Orthanc, at_rest: AtRest
) -> None:
    images = mammograms("way")
    image_faults.blank(images[1], np.random.default_rng(1))
    with router.running() as app:
        scanner.store(images, truck.dicom_port)
        (study,) = at_rest(app, 1)
        # Of an image of nothing there is no capture.
        assert (study["state"], study["way"]) == ("DELIVERED", "7 delivered, 0 held")
        until(lambda: seen(app)["seen"] == 4, what="the looks")
        text = requests.get(f"http://127.0.0.1:{app.port}/metrics", timeout=10).text
    assert 'edge_router_qc_flags_total{device="MG-1",flag="BLANK",modality="MG"} 1.0' in text
    count = 'edge_router_qc_feature_count{device="MG-1",feature="kvp_kv",modality="MG",view="CC"}'
    assert f"{count} 2.0" in text
    assert "edge_router_qc_studies_view_missing 0.0" in text
    assert not any(value in text for value in data.Patient.made("way").identifiers())


def test_two_mammographs_are_told_apart_and_their_serial_numbers_stay_on_the_truck(
    router: Router, truck: Orthanc, at_rest: AtRest
) -> None:
    images = mammograms("two")
    for image in images[2:]:
        image.DeviceSerialNumber = "SN-OF-ANOTHER"
    with router.running() as app:
        scanner.store(images, truck.dicom_port)
        at_rest(app, 1)
        until(lambda: seen(app)["seen"] == 4, what="the looks")
        text = requests.get(f"http://127.0.0.1:{app.port}/metrics", timeout=10).text
        devices = json.loads(router.command("devices").stdout)["devices"]
    for name in ("MG-1", "MG-2"):
        # Nobody knows that maker: what was typed there stays on the truck.
        assert f'edge_router_device_info{{device="{name}",manufacturer="maker-' in text
    assert "ACME" not in text
    assert {(one["name"], one["model"], one["images"]) for one in devices} == {
        ("MG-1", "MODEL 1", 2), ("MG-2", "MODEL 1", 2),
    }  # fmt: skip
    serials = {str(image.DeviceSerialNumber) for image in images}
    assert not [s for s in (*serials, "SN OF ANOTHER", "SCANNER7") if s in text]


def test_check_now_lists_what_to_look_at_and_never_says_what_to_do(
    router: Router, truck: Orthanc
) -> None:
    images = mammograms("check")
    again = mammograms("check-again")[0]
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(again, keyword, images[0][keyword].value)
    again.AcquisitionTime = "111111"
    with router.running() as app:
        scanner.store([*images[:3], again], truck.dicom_port)
        until(lambda: seen(app)["seen"] == 4, 20, what="the looks")
        (row,) = checked(router)
        assert row["missing_views"] == ["L-MLO"]
        (image,) = row["look_at"]
        assert [flag["flag"] for flag in image["flags"]] == ["REPEATED_EXPOSURE"]
        shown = router.command("check-now", row["study"])
        assert shown.returncode == 1
        told = router.command(
            "expect", row["study"], "R-CC,L-CC,R-MLO", "--reason", "mastectomy", "--by", "Ana"
        )
        assert told.returncode == 0
        (row,) = checked(router)
        assert row["missing_views"] == []
    entries = [json.loads(x) for x in (router.folder / "audit.jsonl").read_text().splitlines()]
    (line,) = [entry for entry in entries if entry["action"] == "expect"]
    assert (line["by"], line["views"]) == ("Ana", "R-CC,L-CC,R-MLO")


def test_jpeg_lossless_is_decoded_by_orthanc_for_the_look_and_for_the_capture(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    image = lossless(mammograms("lossless")[0], truck)
    scanner.store([image], truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert (study["captures"], study["seen"]) == (1, 1)
    kinds = {
        str(pydicom.dcmread(io.BytesIO(cloud.file(i)), stop_before_pixels=True).Modality)
        for i in cloud.instances()
    }
    assert kinds == {"MG", "OT"}


def test_a_capture_of_an_earlier_version_is_taken_over_and_gets_no_second(
    router: Router,
    truck: Orthanc,
    cloud: Orthanc,
    at_rest: AtRest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scanner.store(mammograms("earlier")[:1], truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
    before = set(cloud.instances())
    # The journal is lost, and a newer router takes everything up again.
    for file in router.folder.glob("journal.db*"):
        file.unlink()
    next_one = replace(density.ANALYSIS, version="3", earlier_versions=("2", "1"))
    monkeypatch.setitem(ANALYSES, next_one.name, next_one)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert (study["state"], study["captures"]) == ("DELIVERED", 1)
    assert set(cloud.instances()) == before


def test_a_sent_capture_of_an_earlier_version_that_is_gone_is_not_replaced(
    router: Router,
    truck: Orthanc,
    cloud: Orthanc,
    at_rest: AtRest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = mammograms("gone")[:2]
    scanner.store([first], truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
    before = set(cloud.instances())
    with closing(sqlite3.connect(router.folder / "journal.db")) as journal, journal:
        (capture,) = journal.execute(
            "SELECT orthanc_id FROM instance WHERE role = 'CAPTURE'"
        ).fetchone()
        # Its copy is found missing on the truck, as delivery finds it.
        journal.execute("UPDATE instance SET analysis = 'CAPTURE_GONE' WHERE role = 'SOURCE'")
    truck.request("DELETE", f"/instances/{capture}", headers=DELETE).raise_for_status()
    next_one = replace(density.ANALYSIS, version="3", earlier_versions=("2", "1"))
    monkeypatch.setitem(ANALYSES, next_one.name, next_one)
    scanner.store([second], truck.dicom_port)
    with router.running() as app:
        until(lambda: at_rest(app, 1)[0]["images"] == 2, what="the second image")
        (study,) = at_rest(app, 1)
    assert study["state"] == "DELIVERED"
    # The second image and its capture are new; the first image has no other capture.
    after = set(cloud.instances())
    assert before < after
    assert len(after - before) == 2


@pytest.mark.parametrize("packed", [False, True])
def test_import_sends_a_folder_or_a_zip_and_a_bad_file_never_stops_it(
    router: Router, truck: Orthanc, *, packed: bool
) -> None:
    place = router.folder / "import"
    (place / "deep").mkdir(parents=True)
    for number, image in enumerate(data.ct_series("import", data.Patient.made("import"), 3, 64)):
        (place / "deep" / f"{number}.dcm").write_bytes(data.file_bytes(image))
    (place / "aaa.txt").write_bytes(b"no image at all")
    (place / "deep" / "1a.dcm").write_bytes((place / "deep" / "1.dcm").read_bytes()[:900])
    if packed:
        archive = router.folder / "import.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(place.rglob("*")):
                if path.is_file():
                    file.write(path, path.relative_to(place))
        place = archive
    done = router.command("import", str(place), "--port", str(truck.dicom_port))
    told = json.loads(done.stdout)
    assert (done.returncode, told["stored"]) == (1, 3)
    assert [fault["file"] for fault in told["faults"]] == ["aaa.txt", "deep/1a.dcm"]
    assert len(truck.instances()) == 3


def test_import_says_when_the_truck_does_not_let_it_in(router: Router, truck: Orthanc) -> None:
    file = router.folder / "one" / "a.dcm"
    file.parent.mkdir()
    (image,) = data.ct_series("import", data.Patient.made("import"), 1, 64)
    file.write_bytes(data.file_bytes(image))
    port = str(truck.dicom_port)
    done = router.command("import", str(file.parent), "--port", port, "--called", "WRONG")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "TRUCK_UNREACHABLE"


def test_an_image_that_orthanc_cannot_transcode_keeps_no_later_one_and_is_named(
    tmp_path: Path, busy_truck: Orthanc, cloud: Orthanc
) -> None:
    """496 bytes of JPEG that are none: Orthanc answers 500 to the request for its pixels."""
    router = Router(tmp_path, busy_truck.url, cloud.url)
    broken, *others = mammograms("broken")
    broken.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    broken.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xf7" + bytes(492)])
    broken["PixelData"].is_undefined_length = True
    broken = pydicom.dcmread(io.BytesIO(data.file_bytes(broken)))
    with router.running() as app:
        assert scanner.store([broken], busy_truck.dicom_port) == [scanner.SUCCESS]
        assert scanner.store(others, busy_truck.dicom_port) == [scanner.SUCCESS] * 3
        study = until(lambda: s if (s := seen(app)).get("unseen") == 0 else {}, what="the looks")
    assert study["images"] == 4
    (row,) = checked(router)
    assert row["unseen"] == 0
    named = [one["code"] for one in row["left_out"]]
    named += [flag["flag"] for image in row["look_at"] for flag in image["flags"]]
    assert named
    assert row["seen"] >= 3
