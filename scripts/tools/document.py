"""Writes the parts of the documents that are generated from the code, between their markers.

python -m tools.document            rewrite
python -m tools.document --check    exit 1 where a document is not current
"""

from __future__ import annotations

import sys
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from router.destinations import KINDS
from router.errors import ADVICE
from router.settings import Settings
from router.study import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic.fields import FieldInfo

ROOT = Path(__file__).parent.parent.parent
_UNITS = {"_s": "seconds", "_mib": "MiB", "_bps": "bit/s", "_file": "path", "_files": "paths"}


def settings_table() -> str:
    """Every setting: name, unit, default, meaning."""
    rows = ["| setting | unit | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{path}` | {_unit(path, field)} | {_default(field)} | {field.description} |"
        for path, field in _fields(Settings, "")
    ]
    return "\n".join(rows)


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if _is_section(kind):
            yield from _fields(kind, f"{prefix}{name}.")
        elif get_origin(kind) is list and name == "destinations":
            yield from _destination_fields()
        elif get_origin(kind) is list and _is_section(get_args(kind)[0]):
            yield from _fields(get_args(kind)[0], f"{prefix}{name}[].")
        else:
            yield f"{prefix}{name}", field


def _destination_fields() -> Iterator[tuple[str, FieldInfo]]:
    """What every kind has, once; then what only some have, with their names."""
    every = [kind.settings.model_fields for kind in KINDS.values()]
    shared = {name for name in every[0] if all(name in fields for fields in every)}
    kind = copy(every[0]["kind"])
    kind.description = " or ".join(f"`{name}`" for name in KINDS)
    yield "destinations[].kind", kind
    for name, field in every[0].items():
        if name in shared - {"kind"}:
            yield f"destinations[].{name}", field
    for of, fields in zip(KINDS, every, strict=True):
        for name, field in fields.items():
            if name not in shared:
                shown = copy(field)
                shown.description = f"`{of}`: {field.description}"
                yield f"destinations[].{name}", shown


def _is_section(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _unit(path: str, field: FieldInfo) -> str:
    for suffix, unit in _UNITS.items():
        if path.endswith(suffix):
            return unit
    return "path" if "Path" in str(field.annotation) else ""


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None or field.default == "":
        return "none"
    value = field.default
    if isinstance(value, list):
        return ", ".join(f"`{entry}`" for entry in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def state_table() -> str:
    """The state table, as the code has it."""
    rows = ["| in this state | when | then |", "|---|---|---|"]
    rows += [f"| {state} | {outcome} | {target} |" for (state, outcome), target in TABLE.items()]
    return "\n".join(rows)


def hold_table() -> str:
    """Every reason for a hold and what to do."""
    rows = ["| code | why | what to do |", "|---|---|---|"]
    rows += [f"| `{code}` | {advice.why} | {advice.do} |" for code, advice in ADVICE.items()]
    return "\n".join(rows)


#: Document → marker → what stands there.
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"settings": settings_table},
    "docs/architecture.md": {"states": state_table},
    "docs/operations.md": {"holds": hold_table},
}


def current(text: str, parts: dict[str, Callable[[], str]]) -> str:
    """The text with its generated parts renewed. Raises ValueError for a missing marker."""
    for name, make in parts.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            message = f"the markers of {name!r} are missing"
            raise ValueError(message)
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


def main() -> int:
    stale = 0
    for name, parts in PARTS.items():
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        new = current(text, parts)
        if new != text and "--check" in sys.argv:
            print(f"{name} is not current: python -m tools.document")
            stale = 1
        elif new != text:
            path.write_text(new, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
