"""Writes the parts of the documents that are generated from the code, between their markers.

python -m tools.document            rewrite
python -m tools.document --check    exit 1 where a document is not current
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from router.records.holds import ADVICE
from router.records.instance import INSTANCE_TABLE
from router.records.receipt import RECEIPT_TABLE
from router.records.study import TABLE
from tools.tables import actions, answers, house, metrics, privacy, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).parent.parent.parent


def state_table() -> str:
    """The state table of a study, as the code has it."""
    return _moves(TABLE.items())


def instance_table() -> str:
    """The stage table of an instance, as the code has it."""
    return _moves(INSTANCE_TABLE.items())


def receipt_table() -> str:
    """The state table of a receipt, as the code has it."""
    return _moves(RECEIPT_TABLE.items())


def _moves(table: Iterable[tuple[tuple[str, str], str]]) -> str:
    rows = ["| in this state | when | then |", "|---|---|---|"]
    rows += [f"| {state} | {outcome} | {target} |" for (state, outcome), target in table]
    return "\n".join(rows)


def hold_table() -> str:
    """Every reason for a hold and what to do."""
    rows = ["| code | why | what to do |", "|---|---|---|"]
    rows += [f"| `{code}` | {advice.why} | {advice.do} |" for code, advice in ADVICE.items()]
    return "\n".join(rows)


#: Document → marker → what stands there.
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"settings": settings.table},
    "docs/architecture.md": {
        "states": state_table,
        "instances": instance_table,
        "receipts": receipt_table,
        "house": house.table,
    },
    "docs/metrics.md": {"metrics": metrics.table},
    "docs/operations.md": {"answers": answers.table, "holds": hold_table},
    "docs/privacy.md": {
        "options": privacy.options_table,
        "actions": actions.actions_table,
        "policies": privacy.policies_table,
        "gate": privacy.gate_rules_table,
        "tiers": privacy.tiers_table,
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
