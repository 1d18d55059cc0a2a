"""Bad input of the main job: a clear error or a hold with a code; the rest flows on."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

from router.records.errors import Code
from router.records.holds import ADVICE
from tests.support import data, scanner
from tests.support.orthancs import IMAGES
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.in_process import AtRest, Router
    from tests.support.orthancs import Orthanc


def _ct(seed: str) -> FileDataset:
    return next(iter(data.ct_series(seed, data.Patient.made(seed), slices=1, size=64)))


def _as_class(dataset: FileDataset, sop_class: str) -> FileDataset:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    return dataset


def _no_patient_id() -> FileDataset:
    dataset = _ct("no-id")
    dataset.PatientID = ""
    return dataset


def _burned_in() -> FileDataset:
    dataset = _ct("burned")
    dataset.BurnedInAnnotation = "YES"
    return dataset


def _screen_save() -> FileDataset:
    dataset = _ct("screen")
    dataset.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    return dataset


def _ultrasound() -> FileDataset:
    dataset = _as_class(_ct("us"), UltrasoundImageStorage)
    dataset.Modality = "US"
    return dataset


def _nested(depth: int) -> FileDataset:
    dataset = _ct(f"nested{depth}")
    inner = Dataset()
    inner.PatientName = "Deep^Down"
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedImageSequence = Sequence([inner])
        inner = outer
    dataset.ReferencedImageSequence = Sequence([inner])
    return dataset


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (_no_patient_id, Code.NO_PATIENT_ID),
        (_burned_in, Code.BURNED_IN_TEXT),
        (_screen_save, Code.BURNED_IN_TEXT),
        (_ultrasound, Code.SOP_CLASS_NOT_CLEARED),
        (lambda: _as_class(_ct("sc"), SecondaryCaptureImageStorage), Code.SOP_CLASS_NOT_CLEARED),
        (lambda: _as_class(_ct("pdf"), EncapsulatedPDFStorage), Code.SOP_CLASS_NOT_CLEARED),
        (lambda: _as_class(_ct("unknown"), "1.2.826.0.1.3680043.10.999.1"), Code.UNKNOWN_SOP_CLASS),
        (lambda: _nested(40), Code.NESTING_TOO_DEEP),
    ],
    ids=["no patient id", "burned in", "screen save", "ultrasound", "foreign secondary capture",
         "encapsulated document", "unknown sop class", "nested too deep"],
)  # fmt: skip
def test_an_object_that_may_not_leave_is_held_with_its_code_and_the_rest_flows_on(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest,
    make: Callable[[], FileDataset], code: Code,
) -> None:  # fmt: skip
    good = _ct(f"good-{code}")
    assert set(scanner.store([make(), good], truck.dicom_port)) == {scanner.SUCCESS}
    with router.running() as app:
        studies = at_rest(app, 2)
    assert {study["way"] for study in studies} == {"0 delivered, 1 held", "2 delivered, 0 held"}
    assert {study["state"] for study in studies} == {"HELD", "DELIVERED"}
    told = router.command("held")
    assert told.returncode == 1
    (row,) = json.loads(told.stdout)["held"]
    assert (row["code"], row["why"], row["do"]) == (code, ADVICE[code].why, ADVICE[code].do)
    assert len(truck.instances()) == 4  # both originals, the good one's copy and capture
    assert len(cloud.instances()) == 2


def _items_without_end() -> FileDataset:
    """A CT with 400,000 empty items: 3 MB that a parser makes 260 of, several times over."""
    dataset = _ct("items")
    bomb = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 400_000
    dataset._dict[Tag(0x00081140)] = RawDataElement(
        Tag(0x00081140), "SQ", len(bomb), bomb, 0, False, True
    )
    return dataset


def _peak_mib() -> float:
    """The most memory that this process had, MiB, since ``_forget_peak``."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def test_a_header_that_would_take_all_memory_costs_only_itself(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.dcm"
    path.write_bytes(data.file_bytes(_items_without_end()))
    good = _ct("beside")
    status = scanner.store_file(
        path, str(good.SOPClassUID), str(good.file_meta.TransferSyntaxUID), truck.dicom_port
    )
    assert status == scanner.SUCCESS, f"{status:04X}"
    assert scanner.store([good], truck.dicom_port) == [scanner.SUCCESS]
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak_mib()
    with router.running() as app:
        studies = at_rest(app, 2)
    grown = _peak_mib() - before
    assert {study["way"] for study in studies} == {"0 delivered, 1 held", "2 delivered, 0 held"}
    (row,) = json.loads(router.command("held").stdout)["held"]
    assert row["code"] == Code.HEADER_TOO_LARGE
    told = router.command("explain", row["instance"])
    assert (told.returncode, Code.HEADER_TOO_LARGE in told.stdout) == (1, True), told.stdout
    assert grown < 250, f"the router grew by {grown:.0f} MiB"
    assert len(cloud.instances()) == 2


def test_an_image_without_pixels_is_delivered_without_a_segmentation(
    router: Router, truck: Orthanc, at_rest: AtRest
) -> None:
    dataset = _ct("no-pixels")
    del dataset.PixelData
    assert scanner.store([dataset], truck.dicom_port) == [scanner.SUCCESS]
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert (study["way"], study["captures"]) == ("1 delivered, 0 held", 0)


def test_a_truncated_file_is_refused_to_the_scanner_or_held_and_never_sent(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest, tmp_path: Path
) -> None:
    dataset = _ct("truncated")
    path = tmp_path / "truncated.dcm"
    path.write_bytes(data.file_bytes(dataset)[:-2000])
    status = scanner.store_file(
        path, str(dataset.SOPClassUID), str(dataset.file_meta.TransferSyntaxUID), truck.dicom_port
    )
    assert scanner.store([_ct("whole")], truck.dicom_port) == [scanner.SUCCESS]
    stored = int(status == scanner.SUCCESS)
    with router.running() as app:
        studies = at_rest(app, 1 + stored)
    assert sum(study["held"] for study in studies) == stored
    assert len(cloud.instances()) == 2


def test_what_is_no_dicom_is_refused_by_the_truck(truck: Orthanc) -> None:
    assert truck.request("POST", "/instances", data=b"not DICOM at all").status_code == 400
    assert truck.instances() == []


def test_a_wrong_password_for_orthanc_is_said_and_nothing_is_lost(
    router: Router, truck: Orthanc, at_rest: AtRest
) -> None:
    wrong = router.folder / "wrong"
    wrong.write_text("wrong")
    text = router.config.read_text()
    broken = text.replace(f'"{router.folder}/password"\ntimeout_s', f'"{wrong}"\ntimeout_s')
    assert broken != text
    router.config.write_text(broken)
    scanner.store([_ct("password")], truck.dicom_port)
    with router.running() as app:
        url = f"http://127.0.0.1:{app.port}/health/ready"
        until(
            lambda: requests.get(url, timeout=5).json().get("orthanc") == "ORTHANC_DENIED",
            what="the refusal in /health/ready",
        )
        assert requests.get(url, timeout=5).status_code == 503
        assert requests.get(url.replace("ready", "live"), timeout=5).status_code == 200
    router.config.write_text(text)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["way"] == "2 delivered, 0 held"


def test_a_destination_that_does_not_exist_costs_no_attempts_and_the_study_waits(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    router.write_config(truck.url, "http://127.0.0.1:9")
    scanner.store([_ct("nowhere")], truck.dicom_port)
    with router.running() as app:
        url = f"http://127.0.0.1:{app.port}"
        until(
            lambda: (
                'edge_router_link_up{destination="cloud"} 0.0'
                in requests.get(f"{url}/metrics", timeout=5).text
            ),
            what="the link gate to close",
        )
        until(
            lambda: (
                [one["state"] for one in requests.get(f"{url}/status", timeout=5).json()["studies"]]
                == ["ANALYSED"]
            ),
            what="the study to wait for its delivery",
        )
    router.write_config(truck.url, cloud.url)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["way"] == "2 delivered, 0 held"
    assert _attempts_in_journal(router) == {0}


def _attempts_in_journal(router: Router) -> set[int]:
    from router.journal import Journal  # noqa: PLC0415

    journal = Journal(router.folder / "journal.db")
    (study,) = journal.studies.all()
    attempts = {receipt.attempts for receipt in journal.outbox.of_study(study.orthanc_id)}
    journal.close()
    return attempts


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda folder: (folder / "key").unlink(), Code.KEY_UNREADABLE),
        (lambda folder: (folder / "key").write_text("short:abcd"), Code.KEY_MALFORMED),
        (lambda folder: (folder / "password").unlink(), Code.SETTINGS_INVALID),
        (lambda folder: (folder / "config.toml").unlink(), Code.SETTINGS_UNREADABLE),
        (lambda folder: (folder / "config.toml").write_text("[truck"), Code.SETTINGS_UNREADABLE),
        (lambda folder: (folder / "journal.db").write_bytes(b"no database" * 100),
         Code.JOURNAL_UNUSABLE),
    ],
    ids=["key missing", "key malformed", "password missing", "config missing", "config broken",
         "journal damaged"],
)  # fmt: skip
def test_the_router_does_not_start_with_what_it_cannot_use_and_says_why(
    router: Router, spoil: Callable[[Path], None], code: Code
) -> None:
    spoil(router.folder)
    for command in ("run", "check-config"):
        told = router.command(command)
        assert told.returncode == 1
        assert code in told.stdout
        assert "Traceback" not in told.stderr


def test_a_read_only_journal_is_said_at_start(router: Router) -> None:
    """In the router's own image, on a volume that belongs to somebody else."""
    router.folder.chmod(0o755)
    for file in router.folder.iterdir():
        file.chmod(0o444)
    text = router.config.read_text().replace(str(router.folder), "/files")
    router.config.chmod(0o644)
    router.config.write_text(text)
    told = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "-v", f"{router.folder}:/files",
         f"{IMAGES}/router", "check-config", "--json", "--config", "/files/config.toml"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert told.returncode == 1
    assert Code.JOURNAL_READ_ONLY in told.stdout, told.stdout + told.stderr
