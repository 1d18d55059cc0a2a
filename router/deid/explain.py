"""What happens to each attribute of a file, for people: told by the rules of plan and gate.

No value of the original is told, so that what is printed can be shown to anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydicom.datadict import dictionary_description, dictionary_has_tag

from router.deid import gate
from router.deid.planning import attributes, plan
from router.deid.planning.actions import Action
from router.deid.standard import iod

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from router.deid.profile import Profile
    from router.deid.pseudonyms import Key


class Row(NamedTuple):
    """One attribute."""

    path: str
    name: str
    #: removed, emptied, replaced, kept, set
    action: str
    why: str
    #: What the gate asks of the copy.
    gate: str


def rows(
    dataset: Dataset, key: Key, station: str, chosen: Profile, *, masked: bool = False
) -> list[Row]:
    """Every attribute of the file in its order, then what the router adds. Raises Hold."""
    kind = iod.kind_of(str(dataset.get("SOPClassUID", "")))
    own = plan.own_values(dataset, key, station, chosen, masked=masked)
    told = []
    for decision in attributes.decisions(dataset, key, chosen):
        if "[" not in decision.path and decision.tag in own:
            told.append(_own(decision.path, decision.tag))
        else:
            asked = gate.asks(chosen, decision.tag, decision.vr, kind)
            told.append(
                Row(decision.path, _name(decision.tag), _action(decision), decision.rule.why, asked)
            )
    there = {row.path for row in told}
    added = [_own(f"{tag.group:04x}-{tag.element:04x}", tag) for tag in sorted(own)]
    return [*told, *(row for row in added if row.path not in there)]


def _own(path: str, tag: BaseTag) -> Row:
    return Row(path, _name(tag), "set", "the router's own value", gate.OWN_VALUE)


def _action(decision: attributes.Decision) -> str:
    if decision.value is not None:
        return "replaced" if decision.value else "emptied"
    return "removed" if decision.action is Action.REMOVE else "kept"


def _name(tag: BaseTag) -> str:
    return dictionary_description(tag) if dictionary_has_tag(tag) else "Private or unknown"
