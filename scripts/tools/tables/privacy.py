"""What de-identification does, as its rules tell it."""

from __future__ import annotations

from pydicom.uid import UID

from router.deid import gate, policies, profile
from router.deid.policies import Verdict
from router.deid.standard.options import MEANINGS, Option


def options_table() -> str:
    """The options of Annex E, and which are on where nothing is set."""
    rows = ["| code | option | by default |", "|---|---|---|"]
    rows += ["| 113100 | Basic Application Confidentiality Profile | always |"]
    rows += [
        f"| {option} | {MEANINGS[option]} | {'on' if option in profile.SCREENING else 'off'} |"
        for option in Option
    ]
    return "\n".join(rows)


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


def gate_rules_table() -> str:
    """The rules of the gate: what it asks of which attributes."""
    rows = ["| attributes | what the copy must have |", "|---|---|"]
    rows += [f"| {check.of} | {check.asks} |" for check in gate.RULES.values()]
    return "\n".join(rows)
