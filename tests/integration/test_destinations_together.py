"""Several destinations at once: each gets all of it, and none waits for another; the proof of it."""

from __future__ import annotations

import json
import re
import shlex
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.support import data, scanner
from tests.support.fake_dimse import CALLED, Answer, FakeScp
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.in_process import AtRest, Router
    from tests.support.orthancs import Orthanc

SLICES = 6
#: The images and the capture.
ALL = SLICES + 1


@pytest.fixture
def archive() -> Iterator[FakeScp]:
    scp = FakeScp.of_any_class()
    with scp.serving():
        yield scp


def _both(router: Router, truck: Orthanc, cloud_url: str, archive_port: int) -> None:
    router.write_config(truck.url, cloud_url, f"""
[[destinations]]
kind = "dimse"
name = "archive"
host = "127.0.0.1"
port = {archive_port}
called_aet = "{CALLED}"
tls = false
connect_timeout_s = 2
answer_timeout_s = 5
""")  # fmt: skip


def _scan(seed: str, truck: Orthanc) -> None:
    patient = data.Patient.made(seed)
    images = data.ct_series(seed, patient, slices=SLICES, size=64)
    assert set(scanner.store(images, truck.dicom_port)) == {scanner.SUCCESS}


def _receipts(router: Router, study: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(router.command("receipts", study).stdout)["receipts"]
    return rows


def _study(port: int) -> str:
    def known() -> list[dict[str, Any]]:
        studies: list[dict[str, Any]] = requests.get(
            f"http://127.0.0.1:{port}/status", timeout=10
        ).json()["studies"]
        return studies

    return str(until(known, what="the study")[0]["study"])


def test_each_destination_gets_all_of_it_and_the_manifest_proves_it(
    router: Router, truck: Orthanc, cloud: Orthanc, archive: FakeScp, at_rest: AtRest
) -> None:
    _both(router, truck, cloud.url, archive.port)
    _scan("both", truck)
    with router.running() as app:
        (study,) = at_rest(app, 1)
    assert (study["state"], study["way"]) == ("DELIVERED", f"{ALL} delivered, 0 held")
    rows = _receipts(router, study["study"])
    assert sorted((row["destination"], row["verified_by"]) for row in rows) == (
        [("archive", "PRESENCE")] * ALL + [("cloud", "DIGEST")] * ALL
    )
    assert len(cloud.instances()) == ALL
    assert archive.kept.keys() == {row["sop_uid"] for row in rows}

    file = router.folder / "proof.json"
    told = router.command("manifest", study["study"], "-o", str(file))
    assert told.returncode == 0, told.stdout
    proof = router.command("verify-manifest", str(file))
    found = json.loads(proof.stdout)
    assert (proof.returncode, found["genuine"], found["complete"]) == (0, True, True)
    assert (found["instances"], found["verified"]) == (ALL, 2 * ALL)
    patient = data.Patient.made("both")
    for identifier in (patient.patient_id, patient.name.split("^")[0], patient.birth_date):
        assert identifier not in file.read_text()
    file.write_text(file.read_text().replace("PRESENCE", "DIGEST", 1))
    forged = router.command("verify-manifest", str(file))
    assert (forged.returncode, json.loads(forged.stdout)["error"]) == (1, "MANIFEST_NOT_GENUINE")
    actions = [
        json.loads(line) for line in (router.folder / "audit.jsonl").read_text().splitlines()
    ]
    assert {"action": "manifest", "study": study["study"]}.items() <= next(
        line for line in actions if line["action"] == "manifest"
    ).items()


@pytest.mark.parametrize("down", ["archive", "cloud"])
def test_a_destination_that_is_down_delays_no_other(
    router: Router, truck: Orthanc, cloud: Orthanc, archive: FakeScp, at_rest: AtRest, down: str
) -> None:
    nobody = "http://127.0.0.1:9"
    if down == "archive":
        _both(router, truck, cloud.url, 9)
    else:
        _both(router, truck, nobody, archive.port)
    up = "cloud" if down == "archive" else "archive"
    _scan(f"down {down}", truck)
    with router.running() as app:
        begun = time.monotonic()
        study = _study(app.port)

        def there() -> bool:
            rows = _receipts(router, study)
            return len([r for r in rows if r["destination"] == up and r["verified_at"]]) == ALL

        until(there, 60, what=f"everything at {up}")
        took = time.monotonic() - begun
        waiting = [row for row in _receipts(router, study) if row["destination"] == down]
        assert len(waiting) == ALL
        assert not any(row["verified_at"] or row["attempts"] for row in waiting)
        unproven = router.command("manifest", study, "-o", str(router.folder / "early.json"))
        assert (unproven.returncode, json.loads(unproven.stdout)["complete"]) == (1, False)
    # Nothing waited for a timeout of the other: it takes as long as without it.
    assert took < 30
    _both(router, truck, cloud.url, archive.port)
    with router.running() as app:
        (now,) = at_rest(app, 1)
    assert now["way"] == f"{ALL} delivered, 0 held"
    assert (len(cloud.instances()), len(archive.kept)) == (ALL, ALL)


def test_what_one_destination_refuses_is_held_there_and_goes_on_as_the_advice_says_word_by_word(
    router: Router, truck: Orthanc, cloud: Orthanc, archive: FakeScp, at_rest: AtRest
) -> None:
    """Refused by status A900: one image for good, the other for good until its archive is mended."""
    _both(router, truck, cloud.url, archive.port)
    archive.answers += [Answer(0xA900, keep=False), Answer(0xA900, keep=False)]
    _scan("refused", truck)
    with router.running() as app:
        (study,) = at_rest(app, 1)
        assert len(cloud.instances()) == ALL
        assert study["state"] == "DELIVERED"
        assert study["way"] == f"{ALL - 2} delivered, 2 held (at archive: 2)"
        assert router.command("status").returncode == 1
        proof = router.command("manifest", study["study"], "-o", str(router.folder / "held.json"))
        assert (proof.returncode, json.loads(proof.stdout)["complete"]) == (1, False)
        first, second = json.loads(router.command("held").stdout)["held"]
        assert {first["destination"], second["destination"]} == {"archive"}
        sent_again, _ = _commands(first["do"])
        _, given_up = _commands(second["do"])
        assert router.command(*sent_again).returncode == 0
        assert router.command(*given_up).returncode == 0
        until(lambda: len(archive.kept) == ALL - 1, 60, what="the image that was sent again")
        (study,) = at_rest(app, 1)
        assert study["way"] == f"{ALL} delivered, 0 held, given up (at archive: 1)"
        told = router.command("status")
        assert told.returncode == 0, told.stdout
        summary = json.loads(told.stdout)["summary"]
        assert summary == "all 1 studies are delivered, but for what was given up (at archive: 1)"
    assert len(cloud.instances()) == ALL
    rows = [row for row in _receipts(router, study["study"]) if row["destination"] == "archive"]
    assert sorted(row["state"] for row in rows) == ["DISCARDED"] + ["VERIFIED"] * (ALL - 1)


def _commands(advice: str) -> list[list[str]]:
    """The arguments of each command that an advice names for this image, as a person types them."""
    found = [shlex.split(found) for found in re.findall(r"edge-router ([^.]+)\.", advice)]
    return [command for command in found if "INSTANCE" not in command]
