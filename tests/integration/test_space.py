"""Space, late images and images that come twice, over real Orthancs."""

from __future__ import annotations

import io
import tarfile
import uuid
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
import requests

from router.journal import Journal
from router.records.instance import Stage
from router.records.study import State
from tests.faults.scanning import Image, Scanner
from tests.support import data, scanner
from tests.support.waiting import until

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from tests.support.in_process import AtRest, Router
    from tests.support.orthancs import Orthanc

#: Every image above nothing is too much: what is verified goes at once.
PURGE_ALL = """
[space]
high_percent = 0.000001
low_percent = 0
refuse_percent = 100
look_s = 0.3
"""


def _ct(seed: str, slices: int) -> list[FileDataset]:
    return list(data.ct_series(seed, data.Patient.made(seed), slices=slices, size=64))


def _configure(router: Router, truck: Orthanc, cloud: Orthanc, extra: str) -> None:
    router.write_config(truck.url, cloud.url, extra)


def _status(port: int) -> dict[str, object]:
    (study,) = requests.get(f"http://127.0.0.1:{port}/status", timeout=10).json()["studies"]
    assert isinstance(study, dict)
    return study


def _corrected(image: FileDataset) -> FileDataset:
    pixels = image.pixel_array.copy()
    pixels[0, 0] += 1
    image.PixelData = pixels.tobytes()
    return image


def test_what_is_verified_leaves_the_truck_and_late_images_still_join_their_study(
    router: Router, truck: Orthanc, cloud: Orthanc
) -> None:
    _configure(router, truck, cloud, PURGE_ALL)
    first, second, late = _ct("purge", 3)
    scanner.store([first, second], truck.dicom_port)
    with router.running() as app:
        until(lambda: not truck.instances() and _status(app.port), what="the purge")
        until(lambda: _status(app.port)["state"] == "PURGED", what="the state PURGED")
        held_in_cloud = set(cloud.instances())
        assert len(held_in_cloud) == 3
        # The same images again: no second copy, nothing sent, and they go again.
        assert set(scanner.store([first, second], truck.dicom_port)) == {scanner.SUCCESS}
        until(lambda: not truck.instances(), what="the duplicates to go")
        assert set(cloud.instances()) == held_in_cloud
        scanner.store([late], truck.dicom_port)
        until(lambda: len(cloud.instances()) == 4, what="the late image in the cloud")
        until(lambda: _status(app.port)["state"] == "PURGED", what="the state PURGED again")
        assert _status(app.port)["way"] == "4 delivered, 0 held"
        receipts = router.command("receipts", str(_status(app.port)["study"]))
    assert receipts.returncode == 0
    assert receipts.stdout.count('"verified_at"') == 4


@pytest.mark.parametrize("purged", [True, False])
def test_other_bytes_under_a_uid_are_held_with_both_digests(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest, *, purged: bool
) -> None:
    _configure(router, truck, cloud, PURGE_ALL if purged else "")
    (image,) = _ct(f"other{purged}", 1)
    scanner.store([image], truck.dicom_port)
    with router.running() as app:
        until(lambda: len(cloud.instances()) == 2, what="the delivery")
        at_rest(app, 1)
        if purged:
            until(lambda: not truck.instances(), what="the purge")
        before = {instance: cloud.file(instance) for instance in cloud.instances()}
        assert scanner.store([_corrected(image)], truck.dicom_port) == [scanner.SUCCESS]
        until(lambda: _status(app.port)["held"] == 1, what="the hold")
        held = router.command("held")
        released = router.command(
            "release", str(_status(app.port)["study"]), "--policy", "retry", "--reason", "why"
        )
    assert "SAME_UID_OTHER_BYTES" in held.stdout
    assert held.stdout.count("SHA-256 first") == 1
    assert "NOT_RELEASABLE" in released.stdout
    assert {instance: cloud.file(instance) for instance in cloud.instances()} == before


def test_the_door_is_shut_when_all_that_is_left_is_undelivered_and_opens_again(
    router: Router, truck: Orthanc, cloud: Orthanc
) -> None:
    full = PURGE_ALL.replace("refuse_percent = 100", "refuse_percent = 0.00001")
    nowhere = "http://127.0.0.1:9"
    _configure(router, truck, cloud, full)
    router.config.write_text(router.config.read_text().replace(cloud.url, nowhere))
    one, two = _ct("door1", 1), _ct("door2", 1)
    scanner.store(one, truck.dicom_port)
    with router.running() as app:
        metric = "edge_router_ingest_refused 1.0"
        until(lambda: metric in _metrics(app.port), what="the alert")
        assert scanner.store(two, truck.dicom_port) == [0xA700]
    _configure(router, truck, cloud, full.replace("0.00001", "100"))
    with router.running():
        until(lambda: len(cloud.instances()) == 2, what="the delivery")
        truck.request("POST", "/edge-router/door", data="0").raise_for_status()
        assert scanner.store(two, truck.dicom_port) == [scanner.SUCCESS]


def _metrics(port: int) -> str:
    return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text


def _wait_for(cloud: Orthanc, images: int) -> None:
    until(lambda: len(cloud.instances()) >= images, what="the image in the cloud")


def test_images_are_sent_while_the_scanner_still_sends(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    _configure(router, truck, cloud, '[sending]\nstart = "arrival"\n')
    images = _ct("arrival", 4)
    with router.running() as app:
        for number, image in enumerate(images, 1):
            scanner.store([image], truck.dicom_port)
            _wait_for(cloud, number)
        (study,) = at_rest(app, 1)
    assert study["way"] == "5 delivered, 0 held"
    journal = Journal(router.folder / "journal.db")
    (kept,) = journal.studies.all()
    assert kept.state is State.DELIVERED
    journal.close()


def _leave_orphans(truck: Orthanc, images: list[FileDataset]) -> None:
    """As a power cut leaves them: the files are there, and the index knows nothing of them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for image in images:
            name = str(uuid.uuid4())
            folder = f"{name[:2]}/{name[2:4]}"
            for path, content in ((name[:2], None), (folder, None), (f"{folder}/{name}", image)):
                member = tarfile.TarInfo(path)
                member.uid = member.gid = 10001
                member.mode, member.mtime = 0o700, 1_000_000_000
                if content is None:
                    member.type = tarfile.DIRTYPE
                    archive.addfile(member)
                else:
                    raw = data.file_bytes(content)
                    member.size = len(raw)
                    archive.addfile(member, io.BytesIO(raw))
    truck.container.get_wrapped_container().put_archive("/var/lib/orthanc-data", packed.getvalue())


def test_what_the_index_lost_is_taken_up_while_the_scanner_stores(truck: Orthanc) -> None:
    _leave_orphans(truck, _ct("lost", 40))
    container = truck.container.get_wrapped_container()
    container.kill("SIGKILL")
    container.start()
    # Not waited for: the scanner's images meet the import.
    patient = data.Patient.made("meanwhile")
    others = [Image(dataset, patient, is_report=False) for dataset in _ct("meanwhile", 40)]
    assert Scanner(truck.dicom_port).hand_over(others) == len(others)
    until(lambda: len(truck.instances()) == 80, what="all of both")


def test_a_file_that_the_index_lost_is_found_and_taken_up_again(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    kept, lost = _ct("orphan", 2)
    scanner.store([kept], truck.dicom_port)
    _leave_orphans(truck, [lost])
    truck.kill()
    until(lambda: len(truck.instances()) == 2, what="the orphan to be imported")
    router.write_config(truck.url, cloud.url)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["way"] == "3 delivered, 0 held"


def test_a_copy_is_compressed_without_loss_and_only_where_that_is_smaller(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    (image,) = _ct("compressed", 1)
    (noise,) = _ct("noise", 1)
    rng = np.random.default_rng(1)
    del noise.PixelPaddingValue
    noise.PixelRepresentation, noise.BitsStored, noise.HighBit = 0, 16, 15
    noise.PixelData = rng.integers(0, 1 << 16, (64, 64), dtype=np.uint16).tobytes()
    scanner.store([image, noise], truck.dicom_port)
    with router.running() as app:
        at_rest(app, 2)
    found = [pydicom.dcmread(io.BytesIO(cloud.file(i))) for i in cloud.instances()]
    sent = {d.PatientID: d for d in found if d.Modality == "CT"}
    syntaxes = sorted(str(d.file_meta.TransferSyntaxUID) for d in sent.values())
    assert syntaxes == ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"]
    expected = {image.pixel_array.tobytes(), noise.pixel_array.tobytes()}
    assert {d.pixel_array.tobytes() for d in sent.values()} == expected
    journal = Journal(router.folder / "journal.db")
    for study in journal.studies.all():
        for instance in journal.instances.of_study(study.orthanc_id):
            assert instance.stage is Stage.ANONYMIZED
    journal.close()
