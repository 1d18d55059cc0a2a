"""What comes again under a UID: the same image in another encoding is nothing, another one is told."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
import requests
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.uid import (
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from router.dicom import part10
from tests.support import data, scanner
from tests.support.waiting import until

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset
    from pydicom.uid import UID

    from router.app import App
    from tests.support.in_process import AtRest, Router
    from tests.support.orthancs import Orthanc

PURGE_ALL = """
[space]
high_percent = 0.000001
low_percent = 0.000001
refuse_percent = 100
look_s = 0.5
"""


def ct_image(seed: str) -> FileDataset:
    return next(data.ct_series(seed, data.Patient.made(seed), slices=1, size=64))


def encoded(image: FileDataset, syntax: UID) -> FileDataset:
    """The image as it would come in another transfer syntax."""
    again = pydicom.dcmread(io.BytesIO(data.file_bytes(image)))
    if syntax == ImplicitVRLittleEndian:
        again.file_meta.TransferSyntaxUID = syntax
        buffer = io.BytesIO()
        again.save_as(buffer, implicit_vr=True, enforce_file_format=True)
    else:
        again.compress(syntax, generate_instance_uid=False)
        buffer = io.BytesIO(data.file_bytes(again))
    buffer.seek(0)
    return pydicom.dcmread(buffer)


def study(app: App) -> dict[str, Any]:
    found: list[dict[str, Any]] = requests.get(
        f"http://127.0.0.1:{app.port}/status", timeout=10
    ).json()["studies"]
    return found[0]


def same(app: App) -> float:
    """How many came again and were found to be the same image."""
    text = requests.get(f"http://127.0.0.1:{app.port}/metrics", timeout=10).text
    name = 'edge_router_duplicates_total{result="SAME"}'
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def compared(app: App, number: int) -> bool:
    """Whether so many were compared, or one of them was found to be another image."""
    return same(app) >= number or bool(study(app)["held"])


def kept(truck: Orthanc, digest: str) -> int:
    return truck.request("GET", f"/edge-router/repeated/{digest}").status_code


@pytest.mark.parametrize("purged", [False, True])
def test_the_same_image_in_other_encodings_is_one_image(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest, *, purged: bool
) -> None:
    router.write_config(truck.url, cloud.url, PURGE_ALL if purged else "")
    image = ct_image(f"again{purged}")
    scanner.store([image], truck.dicom_port)
    with router.running() as app:
        until(lambda: len(cloud.instances()) == 2, what="the delivery")
        at_rest(app, 1)
        if purged:
            until(lambda: not truck.instances(), what="the purge")
        before = {name: cloud.file(name) for name in cloud.instances()}
        others = (ImplicitVRLittleEndian, JPEGLSLossless, RLELossless, JPEG2000Lossless)
        for number, syntax in enumerate(others, 1):
            sent = scanner.store([encoded(image, syntax)], truck.dicom_port)
            assert sent == [scanner.SUCCESS]
            until(partial(compared, app, number), what=str(syntax))
            if purged:
                until(lambda: not truck.instances(), what="it to go again")
        (row,) = at_rest(app, 1)
    assert (row["held"], row["way"]) == (0, "2 delivered, 0 held")
    assert {name: cloud.file(name) for name in cloud.instances()} == before


def test_an_image_that_came_as_jpeg_is_the_same_without_it(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    image = ct_image("jpeg first")
    scanner.store([by_orthanc(truck, image, JPEGLosslessSV1)], truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
        scanner.store([image], truck.dicom_port)
        until(lambda: compared(app, 1), what="the comparison")
        assert study(app)["held"] == 0
    assert len(cloud.instances()) == 2


def by_orthanc(truck: Orthanc, image: FileDataset, syntax: UID) -> FileDataset:
    """The image in an encoding of which Orthanc has the codec; the truck is empty before and after."""
    stored = truck.request("POST", "/instances", data=data.file_bytes(image)).json()["ID"]
    answer = truck.request("GET", f"/instances/{stored}/file?transcode={syntax}&lossy-quality=50")
    truck.wipe()
    made = pydicom.dcmread(io.BytesIO(answer.content))
    assert made.file_meta.TransferSyntaxUID == syntax
    # Compressing with loss, it gives the image a UID of its own; scanners that send it twice do not.
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return made


def in_twelve_bits(seed: str) -> FileDataset:
    """What JPEG with loss can hold at most."""
    image = ct_image(seed)
    del image.PixelPaddingValue
    image.BitsStored, image.HighBit, image.PixelRepresentation = 12, 11, 0
    noise = np.random.default_rng(1).integers(0, 1024, (64, 64))
    image.PixelData = (noise + np.arange(64)).astype("<u2").tobytes()
    return image


def test_an_image_that_comes_again_as_jpeg_lossless_is_the_same_and_another_one_is_held(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    image = ct_image("jpeg again")
    again = [by_orthanc(truck, image, syntax) for syntax in (JPEGLosslessSV1, JPEGLossless)]
    changed = pydicom.dcmread(io.BytesIO(data.file_bytes(image)))
    changed.PixelData = changed.PixelData[:-2] + bytes(
        [image.PixelData[-2] ^ 1, image.PixelData[-1]]
    )
    other = by_orthanc(truck, changed, JPEGLosslessSV1)
    scanner.store([image], truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
        before = {name: cloud.file(name) for name in cloud.instances()}
        for number, jpeg in enumerate(again, 1):
            assert scanner.store([jpeg], truck.dicom_port) == [scanner.SUCCESS]
            until(partial(compared, app, number), what="the comparison")
            assert study(app)["held"] == 0
        scanner.store([other], truck.dicom_port)
        until(lambda: study(app)["held"] == 1, what="the hold")
        (row,) = json.loads(router.command("held").stdout)["held"]
    assert row["code"] == "SAME_UID_OTHER_BYTES"
    assert {name: cloud.file(name) for name in cloud.instances()} == before


def test_a_lossy_image_is_the_same_in_other_fragments_and_the_lossless_one_is_another(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    image = in_twelve_bits("lossy")
    lossy = by_orthanc(truck, image, JPEGExtended12Bit)
    again = pydicom.dcmread(io.BytesIO(data.file_bytes(lossy)))
    (codestream,) = list(generate_fragments(lossy.PixelData))[1:]
    again.PixelData = encapsulate([codestream], fragments_per_frame=3, has_bot=False)
    assert again.PixelData != lossy.PixelData
    scanner.store([lossy], truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
        scanner.store([again], truck.dicom_port)
        until(lambda: compared(app, 1), what="the comparison")
        assert study(app)["held"] == 0
        scanner.store([image], truck.dicom_port)
        until(lambda: study(app)["held"] == 1, what="the hold")
        (row,) = json.loads(router.command("held").stdout)["held"]
    assert row["code"] == "SAME_UID_OTHER_BYTES"
    assert len(cloud.instances()) == 2


def test_the_truck_takes_and_anonymizes_images_while_a_file_is_decoded(truck: Orthanc) -> None:
    """Decoding keeps Python's lock, and so do the callbacks of what is stored: none waits for ever."""
    patient = data.Patient.made("decoding")
    images = list(data.ct_series("decoding", patient, slices=24, size=512))
    first = images[0]
    jpeg = data.file_bytes(by_orthanc(truck, first, JPEGLosslessSV1))
    scanner.store([first, pydicom.dcmread(io.BytesIO(jpeg))], truck.dicom_port)
    digest = part10.digest(memoryview(jpeg))
    until(lambda: kept(truck, digest) == 200, what="the file to be kept")
    (stored,) = truck.instances()

    def decode() -> bytes:
        return truck.request("GET", f"/edge-router/repeated/{digest}?decoded=1").content

    def anonymize() -> int:
        body = {"Transcode": str(JPEGLSLossless), "Force": True}
        return truck.request("POST", f"/instances/{stored}/anonymize", json=body).status_code

    with ThreadPoolExecutor(10) as pool:
        decoded = [pool.submit(decode) for _ in range(24)]
        anonymized = [pool.submit(anonymize) for _ in range(24)]
        sent = [pool.submit(scanner.store, [image], truck.dicom_port) for image in images[1:]]
        assert {future.result(60) for future in anonymized} == {200}
        assert all(future.result(60) == [scanner.SUCCESS] for future in sent)
        files = {future.result(60) for future in decoded}
    (file,) = files
    assert pydicom.dcmread(io.BytesIO(file)).PixelData == first.PixelData


@pytest.mark.parametrize("purged", [False, True])
def test_another_image_is_held_beside_the_one_that_stands(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest, *, purged: bool
) -> None:
    router.write_config(truck.url, cloud.url, PURGE_ALL if purged else "")
    image = ct_image(f"other{purged}")
    scanner.store([image], truck.dicom_port)
    with router.running() as app:
        until(lambda: len(cloud.instances()) == 2, what="the delivery")
        at_rest(app, 1)
        if purged:
            until(lambda: not truck.instances(), what="the purge")
        image.WindowWidth = 1500
        for _ in range(2):  # and again: told once
            scanner.store([image], truck.dicom_port)
        until(lambda: study(app)["held"] == 1, what="the hold")
        assert study(app)["way"] == "2 delivered, 1 held"
        (row,) = json.loads(router.command("held").stdout)["held"]
        assert row["code"] == "SAME_UID_OTHER_BYTES"
        digest = row["detail"].rpartition(" ")[2]
        assert kept(truck, digest) == 200 or purged
        name = study(app)["study"]
        refused = router.command("release", name, "--policy", "retry", "--reason", "why")
        assert "NOT_RELEASABLE" in refused.stdout
        # The advice, word by word.
        done = router.command("discard", row["instance"], "--reason", "sent anew", "--by", "Ana")
        assert done.returncode == 0
        until(lambda: kept(truck, digest) == 404, what="its bytes to go")
        if purged:
            until(lambda: not truck.instances(), what="it to go")
        assert study(app)["way"] == "2 delivered, 0 held, 1 discarded"
        made = router.command("manifest", name, "--output", str(router.folder / "manifest.json"))
    assert made.returncode == 0, made.stderr
    manifest = json.loads((router.folder / "manifest.json").read_text())["manifest"]
    assert manifest["complete"]
    assert (manifest["held"], manifest["discarded"], len(manifest["instances"])) == (0, 1, 2)
    assert all(entry["verified_at"] for entry in manifest["instances"])
    assert len(cloud.instances()) == 2


def test_one_uid_in_two_series_goes_once_and_the_other_is_held_with_a_reason(
    router: Router, truck: Orthanc, at_rest: AtRest
) -> None:
    image = ct_image("two series")
    copied = pydicom.dcmread(io.BytesIO(data.file_bytes(image)))
    copied.SeriesInstanceUID, copied.InstanceNumber = f"{image.SeriesInstanceUID}.9", 7
    scanner.store([image, copied], truck.dicom_port)
    with router.running() as app:
        (row,) = at_rest(app, 1)
        assert row["way"] == "2 delivered, 1 held"
        (held,) = json.loads(router.command("held").stdout)["held"]
        assert held["code"] == "UID_CONFLICT"
        assert router.command("discard", held["instance"], "--reason", "twice").returncode == 0
        until(lambda: study(app)["way"] == "2 delivered, 0 held, 1 discarded", what="the end")
