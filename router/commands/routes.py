"""Which routing rule takes a file, condition by condition, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.commands.terminal import FINE, show
from router.deid import eligibility
from router.dicom import part10
from router.imaging.analysis import ANALYSES
from router.records.errors import Code, Hold, OperatorError
from router.rules import rule_policy
from router.rules.routing import Header, Term

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from pydicom.dataset import FileDataset

    from router.config.settings import Settings
    from router.rules.routing import Trial


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Adds the options of ``check-config --explain``."""
    sub.add_argument(
        "--explain", metavar="FILE",
        help="instead: say which routing rule takes this DICOM file, and what follows from it",
    )  # fmt: skip
    sub.add_argument(
        "--calling-aet", default="", metavar="AET",
        help="with --explain: the AE title that sends it, which no file tells",
    )  # fmt: skip


def explain(asked: argparse.Namespace, settings: Settings, path: Path) -> int:
    """Raises OperatorError (UNREADABLE), Hold (UNREADABLE, NESTING_TOO_DEEP)."""
    try:
        with path.open("rb") as stream:
            told = _told(part10.read(stream), asked.calling_aet, settings)
    except OSError as error:
        raise OperatorError(Code.UNREADABLE, f"{path} cannot be read ({error.strerror}).") from None
    show(asked, {"file": str(path), **told}, _lines(told))
    return FINE


def _told(dataset: FileDataset, calling_aet: str, settings: Settings) -> dict[str, Any]:
    routing = settings.routing
    header = Header.of(dataset, calling_aet)
    trials = routing.explain(header)
    route = trials[-1].rule.route(header)
    analyses = ANALYSES if route.analyses is None else route.analyses
    return {
        "calling_aet": calling_aet or None,
        "asked": [_asked(trial) for trial in trials],
        "rule": route.rule,
        "destinations": list(routing.destinations_of(route)),
        "priority": route.priority.name.lower(),
        "requested_priority": header.requested.name.lower() if header.requested else None,
        "policy": route.policy,
        "held": _held(dataset, route.policy, settings),
        "analyses": sorted(analyses) if settings.analysis.enabled else [],
    }


def _asked(trial: Trial) -> dict[str, Any]:
    conditions = [
        {
            "condition": check.term,
            "patterns": check.patterns,
            "seen": check.seen,
            "holds": check.holds,
        }
        for check in trial.checks
    ]
    return {"rule": trial.rule.name, "takes": trial.takes, "conditions": conditions}


def _held(dataset: FileDataset, policy: str, settings: Settings) -> dict[str, str] | None:
    """Why it would be held before it is anonymized; the gate may hold it still."""
    try:
        eligibility.check(dataset, rules=settings.policies(), chosen=settings.profile())
        rule_policy.check(dataset, policy, ())
    except Hold as hold:
        return {"code": hold.code, "message": hold.sentence}
    return None


def _lines(told: dict[str, Any]) -> list[str]:
    lines = []
    for number, trial in enumerate(told["asked"], start=1):
        lines.append(f"{number}. {trial['rule']}: {'takes it' if trial['takes'] else 'no'}")
        lines += [_line(condition) for condition in trial["conditions"]]
    held = told["held"]
    asks = f" (the order asks for {told['requested_priority']})" if told["requested_priority"] else ""  # fmt: skip
    return [
        *lines,
        f"rule: {told['rule']}",
        f"destinations: {', '.join(told['destinations'])}",
        f"priority: {told['priority']}{asks}",
        f"policy: {told['policy']}"
        + (f"; it would be held: {held['code']} ({held['message']})" if held else ""),
        f"analyses: {', '.join(told['analyses']) or 'none'}",
    ]


def _line(condition: dict[str, Any]) -> str:
    seen = ", ".join(map(repr, condition["seen"])) or "nothing"
    if condition["condition"] == Term.CALLING_AET and not condition["seen"]:
        seen = "nothing: name it with --calling-aet"
    asked = " or ".join(map(repr, condition["patterns"]))
    sign = "+" if condition["holds"] else "-"
    return f"   {sign} {condition['condition']} asks for {asked}; the image has {seen}"
