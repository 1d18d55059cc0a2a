"""The plugin inside a real Orthanc: the door and the doorbell."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import pytest
import requests

from tests.support import data, scanner
from tests.support.orthancs import DELETE
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.orthancs import Orthanc


def _one_ct(truck: Orthanc, seed: str) -> str:
    patient = data.Patient.made(seed)
    statuses = scanner.store(data.ct_series(seed, patient, slices=1, size=64), truck.dicom_port)
    assert statuses == [scanner.SUCCESS]
    (instance,) = truck.instances()
    return instance


@pytest.mark.parametrize("level", ["instances", "series", "studies", "patients"])
def test_only_the_router_with_a_reason_deletes_at_any_level(truck: Orthanc, level: str) -> None:
    _one_ct(truck, f"delete-{level}")
    (resource,) = truck.request("GET", f"/{level}").json()
    path = f"/{level}/{resource}"
    assert truck.request("DELETE", path, user="other").status_code == 403
    assert truck.request("DELETE", path, user="other", headers=DELETE).status_code == 403
    assert truck.request("DELETE", path).status_code == 403
    assert len(truck.instances()) == 1
    assert truck.request("DELETE", path, headers=DELETE).status_code == 200
    assert truck.instances() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tools/bulk-delete", {"Resources": []}),
        ("/tools/reset", None),
        ("/tools/shutdown", None),
        ("/tools//bulk-delete", {"Resources": []}),
        ("/tools/bulk-modify", {"Resources": [], "Level": "Study"}),
    ],
)
def test_what_removes_images_without_a_delete_is_refused_too(
    truck: Orthanc, path: str, body: object
) -> None:
    _one_ct(truck, f"bulk{path}")
    for user in ("router", "other"):
        assert truck.request("POST", path, user=user, json=body).status_code == 403
    assert len(truck.instances()) == 1


def test_modifying_a_study_away_is_refused(truck: Orthanc) -> None:
    _one_ct(truck, "modify")
    (study,) = truck.request("GET", "/studies").json()
    answer = truck.request(
        "POST",
        f"/studies/{study}/modify",
        json={"Replace": {"StudyDescription": "x"}, "KeepSource": False},
    )
    assert answer.status_code == 403


def test_other_users_read_and_never_write(truck: Orthanc) -> None:
    instance = _one_ct(truck, "readers")
    assert truck.request("GET", f"/instances/{instance}", user="other").status_code == 200
    assert truck.request("POST", "/instances", user="other", data=b"x").status_code == 403
    assert truck.request("PUT", "/peers/evil", user="other", json={}).status_code == 403
    assert truck.request("GET", "/system", user="health").status_code == 200
    assert truck.request("GET", "/instances", user="health").status_code == 403


@pytest.mark.alone
def test_the_doorbell_rings_within_a_second_of_an_image(truck: Orthanc) -> None:
    before = truck.request("GET", "/edge-router/wait?timeout=0").json()
    heard: list[float] = []

    def listen() -> None:
        path = f"/edge-router/wait?boot={before['boot']}&since={before['rings']}&timeout=20"
        answer = truck.request("GET", path).json()
        if answer["rings"] > before["rings"]:
            heard.append(time.monotonic())

    listener = threading.Thread(target=listen)
    listener.start()
    begun = time.monotonic()
    _one_ct(truck, "doorbell")
    listener.join(timeout=20)
    assert heard
    assert heard[0] - begun < 1.0


def test_an_unknown_modality_or_called_title_cannot_store(truck: Orthanc) -> None:
    patient = data.Patient.made("aet")
    images = list(data.ct_series("aet", patient, slices=1, size=64))
    assert scanner.store(images, truck.dicom_port, calling="STRANGER") != [scanner.SUCCESS]
    assert scanner.store(images, truck.dicom_port, called="ELSEWHERE") == []
    assert truck.instances() == []


def test_orthanc_stops_at_once_while_a_client_waits_at_the_doorbell(truck: Orthanc) -> None:
    threading.Thread(target=_wait_until_cut, args=(truck,), daemon=True).start()
    begun = time.monotonic()
    container = truck.container.get_wrapped_container()
    container.stop(timeout=25)
    stopped_after = time.monotonic() - begun
    container.start()
    truck.wait_ready()
    until(lambda: truck.request("GET", "/studies").ok)
    assert stopped_after < 15


def _wait_until_cut(truck: Orthanc) -> None:
    with contextlib.suppress(requests.RequestException):  # the cut is what it waits for
        truck.request("GET", "/edge-router/wait?timeout=25")
