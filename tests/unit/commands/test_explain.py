"""``check-config --explain FILE``: which rule takes a file, why, and what follows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from router.__main__ import main
from tests.support import data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import FileDataset

PATIENT = data.Patient.made("explain")
CONFIG = """
[truck]
id = "TRUCK1"
[orthanc]
url = "http://127.0.0.1:1"
password_file = "{folder}/password"
[journal]
path = "{folder}/journal.db"
audit = "{folder}/audit.jsonl"
[deid]
key_files = ["{folder}/key"]
[[destinations]]
kind = "stow"
name = "cloud"
url = "https://cloud/dicom-web"
[[destinations]]
kind = "stow"
name = "research"
url = "https://research/dicom-web"
[[rules]]
name = "emergency"
when = {{ calling_aet = "EMERG*", modality = ["CT", "MR"] }}
priority = "urgent"
[[rules]]
name = "sealed"
when = {{ modality = "CR" }}
policy = "hold"
destinations = ["research"]
analyses = []
"""


@pytest.fixture
def explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(folder=tmp_path))

    def ask(dataset: FileDataset, *more: str) -> str:
        path = tmp_path / "image.dcm"
        path.write_bytes(data.file_bytes(dataset))
        asked = ["check-config", "--config", str(config), "--explain", str(path), *more]
        assert main(asked) == 0
        return capsys.readouterr().out

    return ask


def ct() -> FileDataset:
    return next(iter(data.ct_series("explain", PATIENT, slices=1, size=16)))


def test_each_condition_is_told_down_to_the_rule_that_takes_the_file(
    explain: Callable[..., str],
) -> None:
    assert explain(ct()).splitlines() == [
        "1. emergency: no",
        "   - calling_aet asks for 'EMERG*'; the image has nothing: name it with --calling-aet",
        "   + modality asks for 'CT' or 'MR'; the image has 'CT'",
        "2. sealed: no",
        "   - modality asks for 'CR'; the image has 'CT'",
        "3. fallback: takes it",
        "rule: fallback",
        "destinations: cloud, research",
        "priority: normal",
        "policy: shipped",
        "analyses: density-kmeans",
    ]


def test_the_sender_is_named_beside_the_file(explain: Callable[..., str]) -> None:
    lines = explain(ct(), "--calling-aet", "EMERGENCY1").splitlines()
    assert lines[0] == "1. emergency: takes it"
    assert {"rule: emergency", "priority: urgent"} <= set(lines)


def test_what_the_order_asks_for_is_told(explain: Callable[..., str]) -> None:
    dataset = ct()
    dataset.RequestedProcedurePriority = "STAT"
    assert "priority: urgent (the order asks for urgent)" in explain(dataset).splitlines()


def test_a_file_that_would_be_held_is_told_with_its_code(explain: Callable[..., str]) -> None:
    told: dict[str, Any] = json.loads(
        explain(data.radiograph("explain", PATIENT, rows=32, columns=26), "--json")
    )
    assert told["rule"] == "sealed"
    assert told["held"]["code"] == "HELD_BY_RULE"
    assert (told["destinations"], told["analyses"]) == (["research"], [])
    assert told["asked"][0] == {
        "rule": "emergency",
        "takes": False,
        "conditions": [
            {"condition": "calling_aet", "patterns": ["EMERG*"], "seen": [], "holds": False},
            {"condition": "modality", "patterns": ["CT", "MR"], "seen": ["CR"], "holds": False},
        ],
    }


@pytest.mark.parametrize("content", [None, b"no DICOM"])
def test_a_file_that_cannot_be_read_is_told_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    config, path = tmp_path / "config.toml", tmp_path / "file"
    config.write_text(CONFIG.format(folder=tmp_path))
    if content is not None:
        path.write_bytes(content)
    asked = ["check-config", "--config", str(config), "--explain", str(path), "--json"]
    assert main(asked) == 1
    assert json.loads(capsys.readouterr().out)["error"] == "UNREADABLE"


def test_a_look_at_a_file_is_in_the_audit_file(explain: Callable[..., str], tmp_path: Path) -> None:
    explain(ct())
    (line,) = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["action"] == "check-config"
