from __future__ import annotations

import ast
from pathlib import Path

import pytest

import router
from router.records.errors import (
    AnalysisSkipped,
    Code,
    DeliveryDeferred,
    EdgeRouterError,
    Hold,
    IllegalTransition,
)
from router.records.holds import ADVICE

SOURCES = sorted(Path(router.__file__).parent.rglob("*.py"))
#: A code that stands only here is told of and never given.
TOLD_ALONE = {path for path in SOURCES if path.parent.name == "records"}
#: Calls that hold an instance with the code among their arguments.
HOLDING = frozenset({
    "Hold", "_hold", "hold", "try_again_or_hold", "_refuse", "refuse", "Policy", "__init__",
})  # fmt: skip


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _codes(node: ast.AST) -> set[str]:
    return {
        child.attr
        for child in ast.walk(node)
        if isinstance(child, ast.Attribute) and _name(child.value) == "Code"
    }


def holding_codes() -> set[str]:
    """The names of the codes that the source holds instances with."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) in HOLDING:
                found.update(*(_codes(argument) for argument in node.args))
    return found


def test_the_search_finds_the_holds_of_the_source() -> None:
    assert {"UNREADABLE", "GATE_IDENTIFIER", "SOURCE_MISSING", "UNEXPECTED"} <= holding_codes()


def test_every_code_that_holds_an_instance_has_advice() -> None:
    assert holding_codes() <= {code.name for code in ADVICE}


def test_every_advice_is_for_a_code_that_holds_instances() -> None:
    assert {code.name for code in ADVICE} <= holding_codes()


def test_every_code_is_used() -> None:
    used: set[str] = set()
    for path in SOURCES:
        if path not in TOLD_ALONE:
            used |= _codes(ast.parse(path.read_text(encoding="utf-8")))
    assert {code.name for code in Code} - used == set()


@pytest.mark.parametrize("code", Code)
def test_a_code_is_its_name(code: Code) -> None:
    assert code.value == code.name == str(code)
    assert code.name == code.name.upper()


@pytest.mark.parametrize("code", ADVICE)
def test_advice_is_whole_sentences(code: Code) -> None:
    advice = ADVICE[code]
    for text in (advice.why, advice.do):
        assert text[0].isupper()
        assert text.endswith(".")


def test_an_error_shows_its_code_and_its_sentence() -> None:
    hold = Hold(Code.NO_UID, "SOPInstanceUID is missing")
    assert str(hold) == "NO_UID: SOPInstanceUID is missing"
    assert (hold.code, hold.sentence) == (Code.NO_UID, "SOPInstanceUID is missing")


def test_a_deferral_may_say_how_long() -> None:
    assert DeliveryDeferred(Code.DESTINATION_BUSY, "busy").retry_after_s is None
    assert DeliveryDeferred(Code.DESTINATION_BUSY, "busy", 7.5).retry_after_s == 7.5


def test_a_fault_of_the_router_is_not_caught_as_an_error_of_its_work() -> None:
    assert issubclass(AnalysisSkipped, EdgeRouterError)
    assert not issubclass(IllegalTransition, EdgeRouterError)
