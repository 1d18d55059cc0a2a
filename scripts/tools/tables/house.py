"""Where each piece of the router lives: the folders of the import contract, and their modules."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent.parent


def table() -> str:
    """A row a folder of ``router/``, the highest layer first, as the import contract has them."""
    rows = ["| folder | what lives there | modules |", "|---|---|---|"]
    for name in _layers():
        folder = _ROOT / "router" / name
        if folder.is_dir():
            rows.append(f"| `{name}/` | {_says(folder / '__init__.py')} | {_modules(folder)} |")
        else:
            rows.append(f"| `{name}.py` | {_says(folder.with_suffix('.py'))} | |")
    return "\n".join(rows)


def _layers() -> list[str]:
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (
        contract["layers"] for contract in contracts if contract.get("containers") == ["router"]
    )
    return [name.strip() for layer in layers for name in layer.replace("|", ":").split(":")]


def _says(path: Path) -> str:
    """The first line of the docstring."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0].removesuffix(".").replace("|", "\\|").replace("``", "`")


def _modules(folder: Path) -> str:
    files = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    folders = sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    return ", ".join([f"`{name}/`" for name in folders] + [f"`{name}`" for name in files])
