"""scripts/secrets: each machine has a set of its own, and nothing of another's."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.orthancs import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def _secrets(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [ROOT / "scripts" / "secrets", *arguments],
        check=True, capture_output=True, env=os.environ | {"SECRETS_DIR": str(folder)},
    )  # fmt: skip


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sets of a cloud and of two trucks were made."""
    folder = tmp_path_factory.mktemp("office")
    for machine in (("truck", "A"), ("cloud", "pacs.example"), ("truck", "B")):
        _secrets(folder, *machine)
    return folder


def test_no_machine_holds_what_only_another_needs(office: Path) -> None:
    one, other = _contents(office / "trucks" / "A"), _contents(office / "trucks" / "B")
    cloud = _contents(office / "cloud")
    shared = {"programme_key", "cloud_ca.pem"}
    assert {name for name in one if one[name] == other[name]} == shared
    key = (office / "authority" / "ca_key.pem").read_bytes()
    programme = one["programme_key"].strip()
    for held in (one, other, cloud):
        assert key not in held.values()
    assert not any(programme in content for content in cloud.values())
    readers = {content.strip() for name, content in cloud.items() if name.endswith("_password")}
    assert len(readers) == len([name for name in cloud if name.endswith("_password")])
    for word in readers:
        assert not any(word in content for content in (*one.values(), *other.values()))


def test_the_cloud_knows_of_a_trucks_two_passwords_the_digests(office: Path) -> None:
    truck = office / "trucks" / "A"
    known = json.loads((office / "cloud" / "trucks" / "A.json").read_text())
    for purpose, file in (("store", "cloud_password"), ("metrics", "metrics_password")):
        word = (truck / file).read_text().strip()
        assert known[f"{purpose}_sha256"] == hashlib.sha256(word.encode()).hexdigest()
    assert known["store_sha256"] != known["metrics_sha256"]


def test_each_secret_is_read_by_one_service_and_by_nobody_else(office: Path) -> None:
    public = {"ca.pem", "cloud_ca.pem", "certificate.pem"}
    for path in office.rglob("*"):
        mode = path.stat().st_mode & 0o777
        if path.is_dir():
            assert mode & 0o007 == 0, path
        elif path.name not in public:
            assert mode in {0o400, 0o440}, path
    groups = {(office / "trucks" / "A" / name).stat().st_gid
              for name in ("programme_key", "orthanc_users.json", "metrics_password")}  # fmt: skip
    assert groups == {10001, 10002, 10003}


def test_nothing_is_replaced_and_a_revoked_truck_alone_is_let_in_no_more(office: Path) -> None:
    before = _contents(office)
    for machine in (("cloud",), ("truck", "A"), ("truck", "B")):
        _secrets(office, *machine)
    assert _contents(office) == before
    _secrets(office, "revoke", "B")
    _secrets(office, "cloud")  # does not let it in again
    revoked = (before["trucks/B/cloud_password"], before["trucks/B/metrics_password"])
    after = _contents(office / "cloud")
    for word in revoked:
        assert not any(word.strip() in content for content in after.values())
        digest = hashlib.sha256(word.strip()).hexdigest().encode()
        assert not any(digest in content for content in after.values())
    assert after["trucks/A.json"] == before["cloud/trucks/A.json"]
    _secrets(office, "truck", "B")
    assert (office / "trucks" / "B" / "cloud_password").read_bytes() not in revoked
    assert (office / "cloud" / "trucks" / "B.json").exists()


def test_a_truck_alone_keeps_its_set_and_makes_no_other_key(office: Path, tmp_path: Path) -> None:
    carried = tmp_path / "trucks" / "A"
    carried.parent.mkdir()
    subprocess.run(["cp", "-a", office / "trucks" / "A", carried], check=True)
    before = _contents(tmp_path)
    _secrets(tmp_path, "truck", "A")
    assert _contents(tmp_path) == before
