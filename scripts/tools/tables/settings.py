"""Every setting, as the settings' own types tell it."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, TypeGuard, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from router.config.settings import Settings
from router.destinations import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

_UNITS = {"_s": "seconds", "_mib": "MiB", "_bps": "bit/s", "_file": "path", "_files": "paths"}


def table() -> str:
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
    """What every kind has alike, once; then the others, with the names of the kinds."""
    every = [kind.settings.model_fields for kind in KINDS.values()]
    shared = {
        name
        for name, field in every[0].items()
        if all(name in fields and fields[name].default == field.default for fields in every)
    }
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
