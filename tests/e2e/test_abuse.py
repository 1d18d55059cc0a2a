"""A short attack on a stack of its own: nothing breaks, nothing gets in, and nothing gets out."""

from __future__ import annotations

import pytest

from tests.abuse.amounts import SHORT
from tests.abuse.attack import attack
from tests.abuse.report import Report

#: What is measured of good studies is what the attack costs them.
pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return attack(tmp_path_factory.mktemp("abuse"), SHORT, seed=2)


@pytest.mark.timeout(900)
def test_good_studies_keep_flowing_through_an_attack(report: Report) -> None:
    assert report.good_studies > 0
    assert report.lost == []
    assert report.survived == report.cases
    assert set(report.restarts.values()) == {0}


def test_nobody_gets_in(report: Report) -> None:
    assert report.intrusions == []


def test_no_identifier_stands_in_anything_that_a_container_writes(report: Report) -> None:
    assert report.leaks == []


def test_the_figures_are_within_their_bounds(report: Report) -> None:
    assert report.faults() == []


def test_a_run_without_evidence_is_no_good_run() -> None:
    assert "no good study was sent: nothing is known of them" in Report().faults()
