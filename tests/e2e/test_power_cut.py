"""A short version of scripts/powercut: what was acknowledged survives the power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.power import cuts, disk

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(not disk.possible(), reason="needs root and loop devices")
def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged, lost, duplicates = cuts.run(2, 1, tmp_path, control=False)
    assert acknowledged > 0
    assert (lost, duplicates) == (0, 0)
