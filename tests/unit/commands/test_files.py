"""The commands for single files: inspect, segment, compare."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from router.__main__ import main
from router.deid import pseudonyms
from router.deid.planning import plan
from router.operator import import_files  # noqa: F401  (pynetdicom needs the real socket when it is loaded)
from tests.support import apply_plan, data, image_faults

if TYPE_CHECKING:
    from pathlib import Path

KEY = pseudonyms.Key("test", bytes(range(32)))
PATIENT = data.Patient.made("files")


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "original.dcm"
    path.write_bytes(data.file_bytes(next(data.ct_series("files", PATIENT, 1, 64))))
    return path


@pytest.fixture
def anonymized(tmp_path: Path, original: Path) -> Path:
    file = original.read_bytes()
    path = tmp_path / "anonymized.dcm"
    path.write_bytes(apply_plan.apply(file, plan.make(apply_plan.read(file), KEY, "T1")))
    return path


def test_inspect_shows_header_figures_and_picture(
    original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.png"
    assert main(["inspect", str(original), "-o", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert "Rescale Intercept" in shown
    assert shown.count("Media Storage SOP Instance UID") == 1
    assert "kvp_kv: 120" in shown
    assert size_of(picture) == (384, 384)


def test_inspect_says_what_to_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = image_faults.clean("CR", "inspect")
    image_faults.blank(image, np.random.default_rng(1))
    path = tmp_path / "blank.dcm"
    path.write_bytes(data.file_bytes(image))
    assert main(["inspect", "--json", str(path)]) == 1
    assert json.loads(capsys.readouterr().out)["flags"] == ["BLANK"]


def test_inspect_of_a_report_has_no_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.dcm"
    uids = data.Uids("files")
    path.write_bytes(data.file_bytes(data.dose_report(PATIENT, uids.new(), uids)))
    assert main(["inspect", str(path)]) == 0
    assert "NO_PIXELS" in capsys.readouterr().out
    assert main(["inspect", str(path), "-o", str(tmp_path / "none.png")]) == 1
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize("k", ["2", "3", "5"])
def test_segment_draws_any_number_of_classes(
    k: str, original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.png"
    assert main(["segment", "--json", str(original), "-k", k, "-o", str(picture)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["classes"]) == int(k)
    assert sum(c["fraction"] for c in told["classes"]) == pytest.approx(1)
    assert size_of(picture)[0] == 2 * 384


def test_compare_names_attributes_and_no_values(
    original: Path, anonymized: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.png"
    assert main(["compare", str(original), str(anonymized), "-o", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert "removed  PatientAddress" in shown
    assert "replaced PatientID" in shown
    assert "added    PatientIdentityRemoved" in shown
    assert "pixels: the same" in shown
    assert [value for value in PATIENT.identifiers() if value in shown] == []
    assert size_of(picture)[0] == 2 * 384 + 8


@pytest.mark.parametrize("surplus", [b"\1\0", bytes(2), b"more"])
def test_compare_says_when_something_was_cut_off_behind_the_first_page(
    original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], surplus: bytes
) -> None:
    longer = apply_plan.read(original.read_bytes())
    longer.PixelData += surplus
    other = tmp_path / "longer.dcm"
    other.write_bytes(data.file_bytes(longer))
    assert main(["compare", str(other), str(original), "-o", str(tmp_path / "p.png")]) == 1
    assert "pixels: NOT the same" in capsys.readouterr().out


def test_compare_says_when_pixels_changed(
    original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = apply_plan.read(original.read_bytes())
    values = image_faults.pixels_of(changed)
    values[3, 3] += 1
    image_faults.set_pixels(changed, values)
    other = tmp_path / "changed.dcm"
    other.write_bytes(data.file_bytes(changed))
    assert main(["compare", str(original), str(other), "-o", str(tmp_path / "p.png")]) == 1
    assert "pixels: NOT the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["inspect", "{folder}/missing.dcm"], "FILE_UNREADABLE"),
        (["inspect", "{folder}/text.dcm"], "UNREADABLE"),
        (["segment", "{file}", "-o", "{folder}/no/such/folder.png"], "FILE_UNWRITABLE"),
        (["segment", "{file}", "-k", "1", "-o", "{folder}/p.png"], "WRONG_ARGUMENT"),
        (["import", "{folder}/text.dcm"], "FILE_UNREADABLE"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_code(
    arguments: list[str],
    code: str,
    original: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text.dcm").write_text("no image")
    filled = [a.format(folder=tmp_path, file=original) for a in arguments]
    assert main([*filled, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"] == code
