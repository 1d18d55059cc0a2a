"""Writes the parts of the documents that are generated from the code, between their markers.

python -m tools.document            rewrite
python -m tools.document --check    exit 1 where a document is not current
"""

from __future__ import annotations

import sys
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, get_args, get_origin

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.tag import BaseTag
from pydicom.uid import UID

from fleet_qc.exporter import FAMILIES
from router.deid import gate, policies, profile
from router.deid.policies import Verdict
from router.deid.profile import Action
from router.destinations import KINDS
from router.errors import ADVICE
from router.machine import MachineFigures
from router.metrics import JournalFigures, Metrics, QualityFigures
from router.settings import Settings
from router.study import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric
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


def metrics_table() -> str:
    """Every metric of the router, of the fleet's QC, and what else a truck sends."""
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for family in sorted(_families(), key=lambda row: row[0]):
        name, kind, labels, text = family
        rows.append(f"| `{name}` | {kind} | {', '.join(f'`{x}`' for x in labels)} | {text} |")
    return "\n".join(rows)


def _families() -> Iterator[tuple[str, str, list[str], str]]:
    metrics = Metrics(CollectorRegistry())
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            yield from _shown(metric.describe(), metric._labelnames)  # noqa: SLF001
    yield "edge_router_build_info", "gauge", ["version"], "The router that runs."
    journal = JournalFigures(dict, dict, dict, float, [])
    machine = MachineFigures(lambda: (0, 0), dict)
    quality = QualityFigures(list, dict, list, int)
    for collector in (journal, machine, quality):
        for family in collector.collect():
            yield from _shown([family], family._labelnames)  # type: ignore[attr-defined]  # noqa: SLF001
    for name, text, labels in FAMILIES.values():
        yield name, "gauge", labels, text


def _shown(
    families: Iterable[Metric], labels: Iterable[str]
) -> Iterator[tuple[str, str, list[str], str]]:
    for family in families:
        suffix = "_total" if family.type == "counter" else ""
        yield f"{family.name}{suffix}", family.type, list(labels), family.documentation


def options_table() -> str:
    """The options of Annex E, and which are on where nothing is set."""
    rows = ["| code | option | by default |", "|---|---|---|"]
    rows += ["| 113100 | Basic Application Confidentiality Profile | always |"]
    rows += [
        f"| {option} | {profile.MEANINGS[option]} | {'on' if option in profile.SCREENING else 'off'} |"
        for option in profile.Option
    ]
    return "\n".join(rows)


_ACTIONS = {
    Action.REMOVE: "removed",
    Action.EMPTY: "emptied",
    Action.DUMMY: "dummy",
    Action.UID: "new UID, keyed",
    Action.KEEP: "kept; items of a sequence one by one",
    Action.SHIFT: "moved by the patient's weeks",
    Action.TIME: "kept where it is a time",
    Action.AGE: "kept, from 90 years on 090Y",
    Action.TERM: "kept where it is a term or a number",
    Action.TEXT: "kept where its words are allowed",
}


def actions_table() -> str:
    """What the default options make of each row of Table E.1-1, by kind of object."""
    chosen = profile.Profile.of(profile.SCREENING)
    kinds = {"image": "image", "enhanced": "multi-frame", "sr-device": "report"}
    rows = [
        f"| tag | attribute | table | {' | '.join(kinds.values())} |",
        "|---|---|---|---|---|---|",
    ]
    for number, row in profile.TABLE.items():
        tag = BaseTag(number)
        if not dictionary_has_tag(tag):
            told = ["removed"] * len(kinds)
        else:
            told = [_told(chosen.rule(tag, dictionary_VR(tag), kind)) for kind in kinds]
        letters = "; ".join([row.basic, *(f"{o}: {c}" for o, c in sorted(row.options.items()))])
        rows.append(f"| {tag} | {row.name} | {letters} | {' | '.join(told)} |")
    return "\n".join(rows)


def _told(rule: profile.Rule) -> str:
    if rule.fallback is rule.action or rule.action is Action.KEEP:
        return _ACTIONS[rule.action]
    return f"{_ACTIONS[rule.action]}, else {_ACTIONS[rule.fallback]}"


def policies_table() -> str:
    """The shipped policies in their order."""
    rows = ["| when | then | why |", "|---|---|---|"]
    for policy in policies.SHIPPED:
        when = [
            f"class: {', '.join(sorted(UID(c).name for c in policy.sop_classes))}"
            if policy.sop_classes
            else "",
            f"modality: {', '.join(sorted(policy.modalities))}" if policy.modalities else "",
            f"ImageType: {', '.join(policy.image_types)}" if policy.image_types else "",
            "text burned in" if policy.burned_in else "",
            "in colour or of a screen" if policy.screen else "",
            f"options: {', '.join(sorted(policy.needs))}" if policy.needs else "",
        ]
        then = f"held, `{policy.code}`" if policy.action is Verdict.HOLD else str(policy.action)
        rows.append(f"| {'; '.join(filter(None, when))} | {then} | {policy.because} |")
    return "\n".join(rows)


def tiers_table() -> str:
    """What of the original is looked for, and how hard."""
    rows = ["| what is looked for | how | why so and no harder |", "|---|---|---|"]
    rows += [f"| {tier.values} | {tier.search} | {tier.reason} |" for tier in gate.TIERS]
    return "\n".join(rows)


#: Document → marker → what stands there.
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"settings": settings_table},
    "docs/architecture.md": {"states": state_table},
    "docs/metrics.md": {"metrics": metrics_table},
    "docs/operations.md": {"holds": hold_table},
    "docs/privacy.md": {
        "options": options_table,
        "actions": actions_table,
        "policies": policies_table,
        "tiers": tiers_table,
    },
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
