"""What scripts/faults says in the end, also where it is ended early."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults import __main__ as faults
from tests.faults.reconcile import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

_GOOD = {"acknowledged": 40, "delivered": 39, "held": 1, "lost": 0, "duplicates": 0,
         "held_wrongly": 0, "identified": 0, "uncaptured": 0, "wasted_bodies_max": 1}  # fmt: skip


def _truck(**wrong: int) -> faults.OfTruck:
    return faults.OfTruck(
        3, 3, 20, 10, wrong.pop("failures", 0), (0.5, 2.0), Tally(**_GOOD | wrong)
    )


def _report(*trucks: faults.OfTruck) -> faults.Report:
    report = faults.Report()
    report.trucks = list(trucks)
    return report


def test_trucks_are_added_up() -> None:
    assert _report(_truck(), _truck()).line() == (
        "faults: scenarios=6 destinations=3 cuts=40 kills=20 acknowledged=80 delivered=78 lost=0"
        " duplicates=0 held_wrongly=0 wasted_bodies_max=1 recovery_p95_s=2.0"
    )


@pytest.mark.parametrize(
    "wrong", ["lost", "duplicates", "held_wrongly", "identified", "uncaptured", "failures"]
)
def test_one_fault_on_one_truck_spoils_the_run(wrong: str) -> None:
    assert _report(_truck()).clean
    assert not _report(_truck(), _truck(**{wrong: 1})).clean


def test_one_body_of_what_is_refused_for_good_is_what_it_takes_and_two_are_too_many() -> None:
    assert _report(_truck(wasted_bodies_max=1)).clean
    assert not _report(_truck(), _truck(wasted_bodies_max=2)).clean


def _ended(error: BaseException) -> Callable[..., None]:
    def run_all(_wanted: object, _amounts: object, _seed: object, report: faults.Report) -> None:
        report.trucks = [_truck()]
        raise error

    return run_all


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), RuntimeError("no engine")])
def test_a_run_that_is_ended_early_says_what_it_has_found(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(faults, "run_all", _ended(error))
    monkeypatch.setattr("tests.faults.__main__.signal.signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["faults"])
    with pytest.raises(type(error)):
        faults.main()
    *_, warning, line = capsys.readouterr().out.splitlines()
    assert "ended early" in warning
    assert line == _report(_truck()).line()
