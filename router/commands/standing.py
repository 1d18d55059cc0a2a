"""Decisions for good about kinds of objects: decide, decisions, revoke."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from pydicom.uid import UID

from router.commands.terminal import FINE, add_reason, moment, open_journal, show
from router.config.settings import Settings
from router.journal import Journal
from router.observe.audit import Audit
from router.operator import standing_decisions
from router.operator.decisions import Reason

if TYPE_CHECKING:
    import argparse

    from router.commands.terminal import Add
    from router.deid.policies import Kind


def register(add: Add) -> None:
    """Adds the commands for decisions about a kind of object."""
    sub = add("decide", _decide, "say once what happens to all objects of a kind that is held")
    _add_kind(sub)
    sub.add_argument(
        "--discard",
        action="store_true",
        required=True,
        help="never send them and never ask; they stay on the truck until the space is needed",
    )
    add_reason(sub)
    add("decisions", _decisions, "what was decided for good, by whom and why")
    sub = add("revoke", _revoke, "take such a decision back: what comes is held again")
    _add_kind(sub)
    add_reason(sub)


def _add_kind(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "name", help="a held instance for all of its kind, or a SOP class by UID or keyword"
    )
    sub.add_argument(
        "--image-type", default="", metavar="VALUE",
        help="of a SOP class: only objects with this value of Image Type",
    )  # fmt: skip


def _decide(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    with closing(Journal(settings.journal.path)) as journal:
        kind = standing_decisions.kind_named(
            journal, asked.name, asked.image_type, settings.policies(),
            settings.profile().options,
        )  # fmt: skip
        discarded = standing_decisions.decide(
            journal, Audit(settings.journal.audit), kind, Reason(asked.by, asked.reason),
            time.time(),
        )  # fmt: skip
    show(
        asked,
        {**kind._asdict(), "decision": "discard", "discarded": discarded},
        [f"{_told(kind)}: discarded from now on, and {len(discarded)} that were held"],
    )
    return FINE


def _decisions(asked: argparse.Namespace) -> int:
    with open_journal(asked) as journal:
        found = journal.standing.all()
    rows = [
        {**one.kind._asdict(), "decision": "discard", "decided_at": one.decided_at,
         "by": one.decided_by, "reason": one.reason, "discarded": one.discarded}
        for one in found
    ]  # fmt: skip
    lines = [
        f"{_told(one.kind)}: discard, since {moment(one.decided_at)} by {one.decided_by}"
        f" ({one.reason}); {one.discarded} discarded"
        for one in found
    ]
    show(asked, {"decisions": rows}, lines or ["nothing was decided for good"])
    return FINE


def _revoke(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    with closing(Journal(settings.journal.path)) as journal:
        kind = standing_decisions.kind_decided(journal, asked.name, asked.image_type)
        standing_decisions.revoke(
            journal, Audit(settings.journal.audit), kind, Reason(asked.by, asked.reason),
            time.time(),
        )  # fmt: skip
    show(asked, {"revoked": kind._asdict()}, [f"{_told(kind)}: held again from now on"])
    return FINE


def _told(kind: Kind) -> str:
    name = UID(kind.sop_class).name
    shown = kind.sop_class if name == kind.sop_class else f"{kind.sop_class} ({name})"
    return shown + (f", Image Type {kind.image_type}" if kind.image_type else "")
