"""The settings: every fault at once, with its path; secrets from files, never printed."""

from __future__ import annotations

import re
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.config.settings import Settings
from router.destinations.dimse import DimseSettings
from router.destinations.stow import StowSettings
from router.records.errors import Code, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = """
[truck]
id = "TRUCK1"
[orthanc]
url = "http://truck-orthanc:8042"
password_file = "{folder}/password"
[deid]
key_files = ["{folder}/key"]
[[destinations]]
kind = "stow"
name = "cloud"
url = "https://cloud/dicom-web"
user = "truck"
password_file = "{folder}/password"
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Settings]:
    (tmp_path / "password").write_text("secret-word\n")
    (tmp_path / "key").write_text("k1:" + "ab" * 32)

    def write_and_load(text: str) -> Settings:
        path = tmp_path / "config.toml"
        path.write_text(text.replace("{folder}", str(tmp_path)))
        return Settings.load(path)

    return write_and_load


def test_good_settings_load_with_their_defaults(load: Callable[[str], Settings]) -> None:
    settings = load(GOOD)
    assert settings.api.port == 8080
    assert settings.orthanc_password() == "secret-word"
    assert list(map(attrgetter("id"), settings.keys())) == ["k1"]
    (cloud,) = settings.destinations
    assert isinstance(cloud, StowSettings)
    assert cloud.password() == "secret-word"


def test_every_fault_is_reported_at_once_with_its_path(load: Callable[[str], Settings]) -> None:
    text = GOOD.replace('id = "TRUCK1"', 'id = "with spaces"').replace(
        "http://truck", "ftp://truck"
    )
    with pytest.raises(SettingsError) as raised:
        load(text + "\n[intake]\npoll_s = -1\n[nonsense]\n")
    assert raised.value.code is Code.SETTINGS_INVALID
    for path in ("truck.id", "orthanc.url", "intake.poll_s", "nonsense"):
        assert path in raised.value.sentence


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("https://cloud", "http://cloud", "insecure"),
        ('user = "truck"\npassword_file = "{folder}/password"', 'user = "truck"', "password_file"),
        ('user = "truck"', 'user = "truck"\nreadback = "orthanc"', "readback_url"),
        ('name = "cloud"', 'name = "Cloud PACS"', "name"),
        ('kind = "stow"', 'kind = "pigeon"', "kind"),
        ('user = "truck"', 'client_key_file = "{folder}/key"', "client_certificate_file"),
        ('user = "truck"', 'user = "truck"\ntoken_file = "{folder}/key"', "token_file"),
    ],
)
def test_a_faulty_destination_is_named(
    load: Callable[[str], Settings], old: str, new: str, fault: str
) -> None:
    with pytest.raises(SettingsError, match=fault):
        load(GOOD.replace(old, new))


ARCHIVE = """
[[destinations]]
kind = "dimse"
name = "archive"
host = "archive"
called_aet = "ARCHIVE"
"""


def test_destinations_can_be_of_several_kinds(load: Callable[[str], Settings]) -> None:
    cloud, archive = load(GOOD + ARCHIVE).destinations
    assert isinstance(cloud, StowSettings)
    assert isinstance(archive, DimseSettings)
    assert (archive.port, archive.tls, archive.calling_aet) == (2762, True, "EDGEROUTER")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('host = "archive"', 'host = "archive"\ntls = false', "insecure"),
        ('host = "archive"', 'host = "localhost"\ntls = false\nca_file = "{folder}/key"', "tls"),
        ('called_aet = "ARCHIVE"', "", "called_aet"),
        ('"ARCHIVE"', '"A TITLE THAT IS TOO LONG"', "called_aet"),
        ('"ARCHIVE"', '"BACK\\\\SLASH"', "called_aet"),
        ('host = "archive"', 'host = "archive"\nport = 0', "port"),
    ],
)
def test_a_faulty_archive_is_named(
    load: Callable[[str], Settings], old: str, new: str, fault: str
) -> None:
    with pytest.raises(SettingsError, match=fault):
        load(GOOD + ARCHIVE.replace(old, new))


def test_two_destinations_may_not_share_a_name(load: Callable[[str], Settings]) -> None:
    destination = GOOD[GOOD.index("[[destinations]]") :]
    with pytest.raises(SettingsError, match="same name"):
        load(GOOD + destination)


def test_no_secret_is_printed(load: Callable[[str], Settings]) -> None:
    settings = load(GOOD)
    shown = repr(settings) + repr(settings.keys())
    assert "secret-word" not in shown
    assert "abab" not in shown


def test_the_settings_of_the_compose_stack_are_valid_but_for_their_secrets() -> None:
    path = Path(__file__).parent.parent.parent.parent / "router" / "config" / "config.toml"
    with pytest.raises(SettingsError) as raised:
        Settings.load(path)
    paths = set(re.findall(r"^  ([\w.]+):", raised.value.sentence, re.MULTILINE))
    assert paths <= {"destinations.0.password_file", "destinations.0.ca_file"}
