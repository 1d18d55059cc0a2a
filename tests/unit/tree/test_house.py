"""The house is in order: sizes and shapes that a reader can hold in the head, measured in the tree."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PRODUCT = ("router", "python_plugin", "orthanc", "monitoring")
MOST_ENTRIES = 18
MOST_LINES = 300
MOST_LINES_OF_A_FUNCTION = 60
MOST_BROAD_EXCEPTS = 6
#: Begins the first line of a module that is longer, and says why.
REASON = "# reason: "

MODULES = sorted(path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_router_has_few_entries() -> None:
    entries = [p.name for p in (ROOT / "router").iterdir() if p.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_is_short_or_says_why_not(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES or text.startswith(REASON)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_functions_are_short(path: Path) -> None:
    long = {
        node.name: length
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    }
    assert long == {}


def _broad(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = {one.id for one in caught if isinstance(one, ast.Name)}
        if node.type is None or "Exception" in names:
            yield node.lineno


def test_everything_is_caught_at_few_boundaries_alone() -> None:
    found = [
        f"{_name(path)}:{line}"
        for path in MODULES
        if path.is_relative_to(ROOT / "router")
        for line in _broad(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(found) <= MOST_BROAD_EXCEPTS, found
