"""What an operator looks at and decides: status, held, receipts, release, discard."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from router.commands.terminal import (
    ATTENTION,
    FINE,
    add_reason,
    moment,
    note,
    open_journal,
    show,
)
from router.config.settings import Settings
from router.deid.eligibility import RELEASES
from router.journal import Journal
from router.observe.audit import Audit
from router.operator import decisions, examined, status
from router.operator.decisions import RELEASE_POLICIES, Reason, What
from router.operator.examined import Examined
from router.pipeline import discarded
from router.records.errors import OrthancError
from router.records.holds import CALLER_ADVICE
from router.records.receipt import FINAL
from router.truck.spool import Spool

if TYPE_CHECKING:
    import argparse

    from router.commands.terminal import Add


def register(add: Add) -> None:
    """Adds the commands that show what is held, and decide it."""
    add("status", _status, "the way of each study, and whether the truck may drive on")
    add("held", _held, "what is held: why, since when, what to do")
    add("callers", _callers, "who called at the scanner's door, and who was refused")
    sub = add("receipts", _receipts, "what is proven of each instance of a study")
    sub.add_argument("study", help="a study, as status names it")
    sub = add("release", _release, "let held instances go on: from the start, or at a destination")
    _add_what(sub)
    policies = "; ".join(f"{name}: {RELEASES[name].meaning}" for name in RELEASE_POLICIES)
    sub.add_argument(
        "--policy",
        choices=RELEASE_POLICIES,
        help=f"{policies}. Needed for what is held before delivery",
    )
    add_reason(sub)
    sub = add("discard", _discard, "give held instances up for good; they will never be sent")
    _add_what(sub)
    add_reason(sub)


def _add_what(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", help="an instance, or a study for all that is held of it")
    sub.add_argument("--destination", help="only what this destination holds up")


def _what(asked: argparse.Namespace, settings: Settings) -> What:
    return What(asked.name, asked.destination, tuple(settings.destination_names))


def _status(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    note(settings, asked)
    with closing(Journal(settings.journal.path)) as journal:
        overview = status.overview(
            journal, settings.quality.expected_views, settings.destination_names
        )
    lines = [
        f"{s['study']}  {s['state']:<10}  {s['images']} images, {s['captures']} captures: {s['way']}"
        + ("  (arriving)" if s["arriving"] else "")
        + (f"  (in place of {s['replaces']})" if s["replaces"] else "")
        + (f"  (rejected: {s['replaced_by']} takes its place)" if s["replaced_by"] else "")
        + (f"  (waits: {_waits(s)})" if s["waits_for"] else "")
        + ("  (check-now)" if s["look_at"] or s["missing_views"] or s["patient"] else "")
        for s in overview["studies"]
    ]
    if refused := overview["callers_refused"]:
        lines.append(f"{refused} callers were refused at the scanner's door: see `callers`")
    show(asked, overview, [*lines, overview["summary"]])
    return FINE if overview["safe"] else ATTENTION


def _waits(study: dict[str, Any]) -> str:
    return f"{study['waits_for']}" + (f" at {study['waits_at']}" if study["waits_at"] else "")


def _held(asked: argparse.Namespace) -> int:
    from router.app import orthanc_of  # the other commands need none of its threads  # noqa: PLC0415

    settings = Settings.load(asked.config)
    note(settings, asked)
    with (
        closing(Journal(settings.journal.path)) as journal,
        closing(orthanc_of(settings, Spool(settings.journal.spool))) as orthanc,
    ):
        found, told = journal.holds.all(), Examined(journal, orthanc)
        sides = [told.sides(held) for held in found]
        rows = [
            row | {"whose": whose, "conflicts_with": other}
            for row, (whose, other) in zip(status.held_rows(found), sides, strict=True)
        ]
    lines = []
    for row in rows:
        lines += [
            f"{row['instance']}  study {row['study']}  held"
            + (f" at {row['destination']}" if row["destination"] else "")
            + f" since {moment(row['since'])}",
            f"  Whose: {examined.line(row['whose'])}",
            f"  {row['code']}: {row['why']} ({row['detail']})",
        ]
        if other := row["conflicts_with"]:
            study = f"study {other['study']}: " if "study" in other else ""
            lines.append(f"  The other: {study}{examined.line(other)}")
        lines.append(f"  To do: {row['do']}")
    show(asked, {"held": rows}, lines or ["nothing is held"])
    return ATTENTION if rows else FINE


def _callers(asked: argparse.Namespace) -> int:
    with open_journal(asked) as journal:
        found = journal.callers.all()
    lines = []
    for one in found:
        lines.append(
            f"{one.calling or '(blank)':<16}  {one.address:<15}  {one.accepted} accepted, "
            f"{one.refused} refused, the last {moment(one.last_at)}"
        )
        if one.reason:
            lines.append(f"  refused: {CALLER_ADVICE.get(one.reason, one.reason)}")
    show(asked, {"callers": [asdict(one) for one in found]}, lines or ["nobody has called yet"])
    return ATTENTION if any(one.reason for one in found) else FINE


def _receipts(asked: argparse.Namespace) -> int:
    with open_journal(asked) as journal:
        study = decisions.find_study(journal, asked.study)
        rows = status.receipt_rows(journal, study)
    lines = [
        f"{row['instance']}  {row['role']:<7}  {row['rule'] or '-'}  {row['destination']}  "
        f"{row['state']:<9}  sent {moment(row['sent_at'])}  verified {moment(row['verified_at'])}"
        f" {row['verified_by'] or '-'}  sha256 {row['digest']}"
        for row in rows
    ]
    show(asked, {"study": study.alias, "receipts": rows}, lines or ["nothing was sent yet"])
    return FINE if all(row["state"] in FINAL for row in rows) else ATTENTION


def _release(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    with closing(Journal(settings.journal.path)) as journal:
        released = decisions.release(
            journal, Audit(settings.journal.audit), _what(asked, settings), asked.policy,
            Reason(asked.by, asked.reason), time.time(),
        )  # fmt: skip
    return _done(asked, "released", released)


def _discard(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    with closing(Journal(settings.journal.path)) as journal:
        given_up = decisions.discard(
            journal, Audit(settings.journal.audit), _what(asked, settings),
            Reason(asked.by, asked.reason), time.time(),
        )  # fmt: skip
        removed = _remove(settings, journal)
    if not removed:
        print("edge-router: the truck's Orthanc cannot be reached: wait a minute before the scanner"
              " sends in its place", file=sys.stderr)  # fmt: skip
    return _done(asked, "discarded", given_up)


def _remove(settings: Settings, journal: Journal) -> bool:
    """Makes room at once for what the scanner sends in its place; the router does it otherwise."""
    from router.app import orthanc_of  # the other commands need none of its threads  # noqa: PLC0415

    with closing(orthanc_of(settings, Spool(settings.journal.spool))) as orthanc:
        try:
            discarded.remove(orthanc, journal, settings.keys(), time.time())
        except OrthancError:
            return False
    return True


def _done(asked: argparse.Namespace, what: str, instances: list[str]) -> int:
    show(asked, {what: instances}, [f"{what} {instance}" for instance in instances])
    return FINE
