"""Pixels as people really have them, through a real Orthanc: all arrive, or a person is told why not."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import jpeg_ls
import numpy as np
import pydicom
import pytest
import requests
from pydicom.encaps import encapsulate, generate_fragments, generate_frames
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)
from pynetdicom import _config

from tests.support import data, scanner
from tests.support.waiting import until

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset
    from pydicom.uid import UID

    from router.app import App
    from tests.support.in_process import AtRest, Router
    from tests.support.orthancs import Orthanc


def ct_image(seed: str, size: int = 64) -> FileDataset:
    return next(data.ct_series(seed, data.Patient.made(seed), slices=1, size=size))


def pages(seed: str, count: int) -> FileDataset:
    """Several pages; how many is not said."""
    image = ct_image(seed)
    first = np.frombuffer(image.PixelData, "<i2")
    image.PixelData = b"".join((first + page).astype("<i2").tobytes() for page in range(count))
    return image


def sources(cloud: Orthanc) -> list[FileDataset]:
    """What arrived, without the captures."""
    found = [pydicom.dcmread(io.BytesIO(cloud.file(name))) for name in cloud.instances()]
    return [dataset for dataset in found if dataset.Modality != "OT"]


def stored_bytes(dataset: FileDataset) -> bytes:
    """Pixel Data as it lies there; of JPEG-LS what its codestreams decode to, and no rule of ours."""
    if dataset.file_meta.TransferSyntaxUID != JPEGLSLossless:
        return bytes(dataset.PixelData)
    count = int(dataset.get("NumberOfFrames") or 1)
    frames = generate_frames(dataset.PixelData, number_of_frames=count)
    return b"".join(bytes(jpeg_ls.decode_pixel_data(frame)[0]) for frame in frames)


def held(router: Router) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(router.command("held").stdout)["held"]
    return rows


def release(router: Router, name: str, policy: str) -> None:
    done = router.command("release", name, "--policy", policy, "--reason", "looked", "--by", "Ana")
    assert done.returncode == 0, done.stderr


def checked(router: Router) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(router.command("check-now").stdout)["studies"]
    return rows


@pytest.fixture
def compressing(router: Router, truck: Orthanc, cloud: Orthanc) -> Router:
    router.write_config(truck.url, cloud.url, "[compression]\nalways = true")
    return router


# --- more than the header says --------------------------------------------------------------------


def test_three_pages_of_which_one_is_declared_arrive_all_when_a_person_has_looked(
    compressing: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    image = pages("three", 3)
    scanner.store([image], truck.dicom_port)
    with compressing.running() as app:
        (study,) = at_rest(app, 1)
        assert study["state"] == "HELD"
        (row,) = held(compressing)
        assert (row["code"], row["detail"]) == (
            "PIXELS_UNDECLARED", "3 pages, and the header says 1",
        )  # fmt: skip
        assert not cloud.instances()
        release(compressing, row["instance"], "pixels-checked")
        (study,) = at_rest(app, 1)
    assert study["state"] == "DELIVERED"
    (arrived,) = sources(cloud)
    assert stored_bytes(arrived) == image.PixelData


def test_text_behind_the_pixels_is_held_and_found_when_a_person_has_overlooked_it(
    compressing: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    image = ct_image("behind")
    name = str(image.PatientName).split("^")[0]
    image.PixelData += f"{name}, seen ".encode("utf-16-le")
    scanner.store([image], truck.dicom_port)
    with compressing.running() as app:
        at_rest(app, 1)
        (row,) = held(compressing)
        assert row["code"] == "PIXELS_UNDECLARED"
        release(compressing, row["instance"], "pixels-checked")
        at_rest(app, 1)
        (row,) = held(compressing)
    assert row["code"] == "GATE_IDENTIFIER"
    assert not cloud.instances()


@pytest.mark.parametrize(
    ("syntax", "unopenable", "drawn"),
    [
        (JPEGLSLossless, "hold", True), (JPEGLSLossless, "deliver", True),
        (JPEGLosslessSV1, "hold", True), (JPEGLosslessSV1, "hold", False),
        (JPEGLossless, "deliver", True),
    ],
)  # fmt: skip
def test_what_lies_beside_the_stored_bits_of_compressed_pixels_is_held(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest, syntax: UID,
    unopenable: str, *, drawn: bool,
) -> None:  # fmt: skip
    router.write_config(truck.url, cloud.url, f'[sending]\nunopenable = "{unopenable}"')
    image = ct_image(f"beside {syntax} {drawn} {unopenable}")
    del image.PixelPaddingValue
    values = np.random.default_rng(1).integers(0, 1 << 12, (64, 64), dtype=np.uint16)
    if drawn:
        values[8:10, 5:40] |= 0x1000
    image.PixelRepresentation, image.PixelData = 0, values.astype("<u2").tobytes()
    image.BitsStored, image.HighBit = 16, 15
    stored = truck.request("POST", "/instances", data=data.file_bytes(image)).json()["ID"]
    answer = truck.request("GET", f"/instances/{stored}/file?transcode={syntax}")
    truck.wipe()
    made = pydicom.dcmread(io.BytesIO(answer.content))
    assert made.file_meta.TransferSyntaxUID == syntax
    made.BitsStored, made.HighBit = 12, 11
    scanner.store([made], truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
        if not drawn:
            assert study["state"] == "DELIVERED"
            return
        (row,) = held(router)
        assert (row["code"], row["detail"]) == (
            "PIXELS_UNDECLARED", "4 bits of each value that are not stored ones",
        )  # fmt: skip
        assert not cloud.instances()
        release(router, row["instance"], "pixels-checked")
        (study,) = at_rest(app, 1)
    assert study["state"] == "DELIVERED"


def grid() -> dict[str, FileDataset]:
    """Headers and bits that scanners really write; each of them tells nothing but its picture."""
    made: dict[str, FileDataset] = {}
    rng = np.random.default_rng(1)
    for name, stored, high, signed, spare in (
        ("12 of 16", 12, 11, False, 0), ("16 signed", 16, 15, True, 0),
        ("12 signed, sign extended", 12, 11, True, -1), ("left-justified", 12, 15, False, 0),
        ("ones in the unused bits", 12, 11, False, 0xF000), ("8 of 16", 8, 7, False, 0),
        ("15 of 16", 15, 14, False, 0),
    ):  # fmt: skip
        image = ct_image(f"grid {name}")
        del image.PixelPaddingValue
        shape = np.sort(rng.integers(0, 1 << stored, 64 * 64))
        values = shape << (high + 1 - stored)
        if spare == -1:
            values = np.where(shape >> (stored - 1), values | (0xFFFF << stored), values)
        values = (values | max(spare, 0)) & 0xFFFF
        image.BitsStored, image.HighBit, image.PixelRepresentation = stored, high, int(signed)
        image.PixelData = values.astype("<u2").tobytes()
        made[name] = image
    three = pages("grid three", 3)
    three.NumberOfFrames = 3
    made["three pages, declared"] = three
    filled = ct_image("grid filled")
    filled.PixelData += bytes(512)
    made["filled up to a block"] = filled
    return made


def test_whatever_the_bits_every_byte_arrives_as_it_was(
    compressing: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    images = grid()
    scanner.store(images.values(), truck.dicom_port)
    with compressing.running() as app:
        studies = at_rest(app, len(images))
        metrics = requests.get(f"http://127.0.0.1:{app.port}/metrics", timeout=10).text
    assert {study["state"] for study in studies} == {"DELIVERED"}, held(compressing)
    arrived = sources(cloud)
    came = sorted(bytes(image.PixelData) for image in images.values())
    assert sorted(stored_bytes(image) for image in arrived) == came
    syntaxes = [image.file_meta.TransferSyntaxUID for image in arrived]
    # What can be compressed without losing a bit is.
    assert syntaxes.count(JPEGLSLossless) >= 4
    # It is counted by how much smaller they are: what is left of their pixels is not saved.
    smaller = [
        len(stored_bytes(image)) - len(image.PixelData)
        for image in arrived
        if image.file_meta.TransferSyntaxUID == JPEGLSLossless
    ]
    (saved,) = re.findall(
        r"^edge_router_compression_saved_bytes_total (\S+)", metrics, re.MULTILINE
    )
    headers = 4096 * len(images)
    assert sum(smaller) - headers < float(saved) < sum(smaller) + headers


# --- what nobody can open -------------------------------------------------------------------------


def without_its_end(seed: str) -> FileDataset:
    image = ct_image(seed)
    image.compress(JPEGLSLossless, generate_instance_uid=False)
    (item,) = list(generate_fragments(image.PixelData))[1:]
    cut = item.rstrip(b"\0")[:-2]
    return with_items(image, [cut])


def with_items(image: FileDataset, items: list[bytes]) -> FileDataset:
    """The image as a file has it, with these items as its pixels."""
    image.PixelData = encapsulate([item + b"\0" * (len(item) % 2) for item in items])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    return pydicom.dcmread(io.BytesIO(data.file_bytes(image)))


def flagged(app: App, router: Router, at_rest: AtRest) -> list[str]:
    """The flags that check-now lists, once the study is at rest and was looked at."""
    at_rest(app, 1)
    rows = until(lambda: checked(router), 20, what="the flag")
    return [flag["flag"] for image in rows[0]["look_at"] for flag in image["flags"]]


def test_an_image_that_nobody_can_open_is_told_at_once_and_goes_when_a_person_says_so(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    image = without_its_end("no end")
    scanner.store([image], truck.dicom_port)
    with router.running() as app:
        assert flagged(app, router, at_rest) == ["CANNOT_BE_OPENED"]
        (row,) = held(router)
        assert (row["code"], row["detail"]) == ("PIXELS_UNDECODABLE", "page 1 has no end")
        assert not cloud.instances()
        release(router, row["instance"], "as-it-is")
        (study,) = at_rest(app, 1)
    assert (study["state"], study["captures"]) == ("DELIVERED", 0)
    (arrived,) = sources(cloud)
    assert arrived.PixelData == image.PixelData


@pytest.mark.parametrize("fault", ["no end", "surplus"])
def test_the_advice_leads_to_a_good_image_under_the_same_uid(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest, fault: str
) -> None:
    good = ct_image(f"advice {fault}")
    bad = without_its_end(f"advice {fault}") if fault == "no end" else pages(f"advice {fault}", 2)
    scanner.store([bad], truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
        (row,) = held(router)
        done = router.command("discard", row["instance"], "--reason", "broken", "--by", "Ana")
        assert done.returncode == 0
        until(lambda: not truck.instances(), what="the broken one to go")
        scanner.store([good], truck.dicom_port)
        until(lambda: len(cloud.instances()) == 2, what="the good one and its capture")
        at_rest(app, 1)
        assert not held(router)
    (arrived,) = sources(cloud)
    assert stored_bytes(arrived) == good.PixelData


def test_by_setting_it_goes_by_itself_and_is_told_all_the_same(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    router.write_config(truck.url, cloud.url, '[sending]\nunopenable = "deliver"')
    scanner.store([without_its_end("goes")], truck.dicom_port)
    with router.running() as app:
        assert flagged(app, router, at_rest) == ["CANNOT_BE_OPENED"]
        (study,) = at_rest(app, 1)
    assert study["state"] == "DELIVERED"


def test_jpeg_in_pieces_with_a_wrong_table_of_offsets_keeps_its_capture(
    router: Router, truck: Orthanc, at_rest: AtRest
) -> None:
    """As a perfusion map of a CT came: several items a page, and a table that says otherwise."""
    image = ct_image("pieces")
    image.NumberOfFrames = 2
    image.PixelData *= 2
    image.compress(JPEGLSLossless, generate_instance_uid=False)
    frames = list(generate_frames(image.PixelData, number_of_frames=2))
    pieces = [frame[i : i + 400] for frame in frames for i in range(0, len(frame), 400)]
    scanner.store([with_items(image, pieces)], truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
        assert not checked(router)
    assert (study["state"], study["captures"]) == ("DELIVERED", 1)


# --- small things that stopped an image ------------------------------------------------------------


def test_a_deflated_data_set_is_not_accepted_and_another_encoding_is_taken(truck: Orthanc) -> None:
    for offered, taken in (
        ([DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian], [ExplicitVRLittleEndian]),
        ([DeflatedExplicitVRLittleEndian], []),
        ([JPEGLSLossless, ExplicitVRLittleEndian], [JPEGLSLossless]),
    ):
        entity = scanner.Entity("SCANNER")
        entity.add_requested_context(CTImageStorage, offered)
        with scanner.associated(entity, truck.dicom_port) as association:
            accepted = [context.transfer_syntax[0] for context in association.accepted_contexts]
        assert accepted == taken


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("SOPInstanceUID", "1.2.840.99999.4F2A77BC.1"),
        ("StudyInstanceUID", "1.2.840.99999." + "1234567890." * 4 + "12345678"),
        ("StudyInstanceUID", "1.2.840.99999.4F2A77BC.1"),
        ("SeriesInstanceUID", "1.2.840.99999.0012.007.1"),
        ("FrameOfReferenceUID", "{6F9619FF-8B86-D011-B42D-00CF4FC964FF}"),
    ],
)
def test_a_uid_that_breaks_the_rules_is_replaced_like_any_other(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest,
    monkeypatch: pytest.MonkeyPatch, keyword: str, value: str,
) -> None:  # fmt: skip
    # Scanners do not look at it either.
    monkeypatch.setitem(_config.VALIDATORS, "UI", lambda _: (True, ""))
    image = ct_image(f"uid {keyword}")
    setattr(image, keyword, value)
    if keyword == "SOPInstanceUID":
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    assert scanner.store([image], truck.dicom_port) == [scanner.SUCCESS]
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert study["state"] == "DELIVERED", held(router)
    (arrived,) = sources(cloud)
    assert arrived[keyword].value.startswith("2.25.")
    assert value not in str(arrived)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("InstanceNumber", "1A"), ("SeriesNumber", "1.0"), ("InstanceNumber", "99999999999")],
)
def test_a_number_that_is_none_keeps_the_capture(
    router: Router, truck: Orthanc, at_rest: AtRest, keyword: str, value: str
) -> None:
    image = ct_image(f"number {keyword} {value}", 128)
    setattr(image, keyword, "7")
    image[keyword]._value = value
    scanner.store([image], truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert (study["state"], study["captures"]) == ("DELIVERED", 1)
