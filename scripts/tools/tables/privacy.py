"""What de-identification does, as its rules tell it."""

from __future__ import annotations

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.tag import BaseTag
from pydicom.uid import UID

from router.deid import gate, policies, profile
from router.deid.policies import Verdict
from router.deid.profile import Action


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
