"""edge-router mine: a folder of files, each device against the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from router.__main__ import main
from tests.support import data

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_folder_of_images_gives_a_picture_and_leaves_out_what_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        image = data.radiograph(f"mine{number}", data.Patient.made("mine", number), 96, 64)
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    (folder / "readme.txt").write_text("no image")
    picture = tmp_path / "report.png"
    assert main(["mine", str(folder), "-o", str(picture), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["files"], said["images"], said["findings"]) == (4, 3, [])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_images_is_an_error_with_a_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mine", str(tmp_path), "-o", str(tmp_path / "x.png"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"] == "FILE_UNREADABLE"
