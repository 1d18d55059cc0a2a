"""The cloud's viewer in a real browser: who may see it, and what it draws."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.support import data, scanner
from tests.support.orthancs import ROOT
from tools.audit import pseudonymous_uid

if TYPE_CHECKING:
    from tests.support.stack import Stack

#: Compressed with JPEG-LS: drawn only if the browser lets OHIF's decoders run.
_COMPRESSED = "MR_small_jpeg_ls_lossless.dcm"


@pytest.fixture(scope="module")
def delivered(stack: Stack) -> dict[str, str]:
    """The pseudonymous UIDs of a mammogram, a compressed MR image and a CT series in the cloud."""
    seed = data.fresh_seed()
    patients = [data.Patient.made(seed, number) for number in range(3)]
    studies = {
        "mammogram": list(data.mammogram_study(seed, patients[0], 1024, 832)),
        "compressed": [data.pydicom_file(_COMPRESSED, seed, patients[1])],
        "ct": list(data.ct_series(seed, patients[2], slices=6)),
    }
    images = [image for study in studies.values() for image in study]
    statuses = scanner.store(images, stack.port("door", 4242))
    assert set(statuses) == {scanner.SUCCESS}
    stack.at_rest({stack.alias(str(i.PatientID), str(i.StudyInstanceUID)) for i in images})
    return {
        name: pseudonymous_uid(stack.key(), str(study[0].StudyInstanceUID))
        for name, study in studies.items()
    }


@pytest.fixture(scope="module")
def seen(
    stack: Stack, delivered: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the radiologist's browser saw."""
    out = stack.docker(
        "compose", "--project-directory", str(ROOT), "--progress", "quiet",
        "run", "--rm", "--no-TTY", "browser", *delivered.values(),
    )  # fmt: skip
    found: dict[str, Any] = json.loads(out)
    picture = base64.b64decode(found.pop("picture"))
    kept = tmp_path_factory.mktemp("viewer") / "viewer.png"
    kept.write_bytes(picture)
    if place := os.environ.get("EDGE_KEEP_SCREENSHOT"):
        Path(place).write_bytes(picture)
    assert "error" not in found, f"{found}\nthe page at that moment: {kept}"
    return found


def test_nobody_sees_anything_of_the_viewer_without_signing_in(seen: dict[str, Any]) -> None:
    assert seen["without_password"]
    assert set(seen["without_password"].values()) == {401}


@pytest.mark.parametrize("study", ["mammogram", "compressed", "ct"])
def test_the_image_is_drawn_in_greys_and_its_segmentation_in_colours(
    study: str, seen: dict[str, Any], delivered: dict[str, str]
) -> None:
    drawn = seen["studies"][delivered[study]]
    assert drawn["source"]["greys"] > 100
    assert drawn["source"]["coloured"] == [0, 0, 0]
    # Pixels of each class; the background of a mammogram is shown as it is.
    tinted = 2 if study == "mammogram" else 3
    assert [number > 100 for number in drawn["capture"]["coloured"][:tinted]] == [True] * tinted


def test_the_viewer_asks_no_other_host_and_gets_all_it_asks_for(seen: dict[str, Any]) -> None:
    assert seen["foreign"] == []
    assert seen["refused"] == []
    assert seen["failed"] == []


def test_the_browser_comes_in_well_under_a_minute(seen: dict[str, Any]) -> None:
    assert seen["seconds"] < 60


def test_a_radiologist_reads_and_cannot_write(stack: Stack) -> None:
    session, url = stack.reader(), stack.entrance

    def ask(method: str, path: str) -> int:
        return session.request(method, url + path, headers={"Origin": url}, timeout=10).status_code

    assert ask("GET", "/dicom-web/studies") == 200
    assert ask("POST", "/dicom-web/studies") == 403
    for path in ("/dicom-web/servers/elsewhere", "/system", "/studies", "/instances"):
        assert {ask(method, path) for method in ("GET", "PUT", "DELETE")} == {404}, path
    assert ask("DELETE", "/dicom-web/studies") == 405
    # With a password alone a reader opens nothing, and a truck nothing with another's.
    for user in ("radiologist", "truck-TRUCK1"):
        answer = requests.post(
            f"{url}/dicom-web/studies", auth=(user, "wrong"), timeout=10,
            verify=str(stack.secrets / "cloud" / "ca.pem"),
        )  # fmt: skip
        assert answer.status_code == 401, user
