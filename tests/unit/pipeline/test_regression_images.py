"""Golden images: the same result every week, or an alarm."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from router.imaging.analysis.density import ANALYSIS
from router.imaging.worker_process import Analyser
from router.pipeline import regression_images
from router.records.errors import Code, OperatorError
from tests.support import data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def analyser() -> Iterator[Analyser]:
    with closing(Analyser(60, 2048)) as analyser:
        yield analyser


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "golden"
    images.mkdir()
    image = data.radiograph("golden", data.Patient.made("golden"), 96, 64)
    image.save_as(images / "chest.dcm", enforce_file_format=True)
    (images / "text.dcm").write_text("no image")
    return images


def test_a_result_is_kept_and_is_the_same_again(
    folder: Path, analyser: Analyser, tmp_path: Path
) -> None:
    assert regression_images.check(folder, analyser, tmp_path / "work", ANALYSIS).new == (
        "chest.dcm",
        "text.dcm",
    )
    again = regression_images.check(folder, analyser, tmp_path / "work", ANALYSIS)
    assert again == regression_images.Checked(("chest.dcm", "text.dcm"), (), ())
    assert not (tmp_path / "work").exists()


def test_another_result_is_told_and_never_accepted_by_itself(
    folder: Path, analyser: Analyser, tmp_path: Path
) -> None:
    regression_images.check(folder, analyser, tmp_path / "work", ANALYSIS)
    known = json.loads((folder / regression_images.RESULTS).read_text())
    first = min(known[ANALYSIS.label])
    known[ANALYSIS.label][first] = "another"
    (folder / regression_images.RESULTS).write_text(json.dumps(known))
    for _ in range(2):
        assert (
            len(regression_images.check(folder, analyser, tmp_path / "work", ANALYSIS).moved) == 1
        )


def test_another_version_of_the_algorithm_has_results_of_its_own(
    folder: Path, analyser: Analyser, tmp_path: Path
) -> None:
    regression_images.check(folder, analyser, tmp_path / "work", ANALYSIS)
    later = replace(ANALYSIS, version="next")
    assert len(regression_images.check(folder, analyser, tmp_path / "work", later).new) == 2


def test_a_folder_that_cannot_be_read_is_an_error_with_a_code(
    analyser: Analyser, tmp_path: Path
) -> None:
    with pytest.raises(OperatorError) as told:
        regression_images.check(tmp_path / "none", analyser, tmp_path / "work", ANALYSIS)
    assert told.value.code is Code.FILE_UNREADABLE
