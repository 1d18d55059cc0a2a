"""``check-config`` warns where nothing keeps the machine's networks from its containers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from router.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[truck]
id = "TRUCK1"
[orthanc]
url = "http://127.0.0.1:1"
password_file = "{folder}/password"
[journal]
path = "{folder}/journal.db"
audit = "{folder}/audit.jsonl"
spool = "{folder}/spool"
[deid]
key_files = ["{folder}/key"]
[[destinations]]
kind = "stow"
name = "cloud"
url = "https://cloud/dicom-web"
"""


@pytest.mark.parametrize(
    ("found", "warned"),
    [
        ("open", True),
        ("unknown", True),  # nobody has looked: not a good sign
        ("", True),
        ("shut", False),
        ("engine", False),  # 28 or newer
        (None, False),  # not in the compose stack: nothing is published by it
    ],
)
def test_check_config_warns_of_an_open_machine_and_fails_nothing(
    found: str | None,
    *,
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("HOST_FIREWALL", raising=False)
    if found is not None:
        monkeypatch.setenv("HOST_FIREWALL", found)
    (tmp_path / "password").write_text("a-password")
    (tmp_path / "key").write_text("k1:" + "5a" * 32)
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(folder=tmp_path))
    code = main(["check-config", "--offline", "--json", "--config", str(config)])
    told = json.loads(capsys.readouterr().out)
    assert (code, told["faults"]) == (0, [])
    assert ("HOST_OPEN" in [warning["code"] for warning in told["warnings"]]) == warned
