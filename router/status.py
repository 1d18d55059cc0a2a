"""The way of each study, as the technologist, the operator and the demo want to see it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from router import check_now
from router.errors import ADVICE
from router.study import Role, Stage, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.journal import Journal
    from router.study import Instance, Receipt, Study

#: So many of the newest studies are shown, beside all that are on their way or held.
_SHOWN = 200
#: Nothing is left to do by itself in these states.
_AT_REST = frozenset({State.DELIVERED, State.PURGED, State.HELD, State.DISCARDED})


def overview(journal: Journal, expected_views: Sequence[str] = ()) -> dict[str, Any]:
    """Every study with its counts, and whether the truck may drive on.

    ``expected_views``: what a screening mammography should have; what is missing is only shown.
    """
    studies = [
        study_status(journal, study) | check_now.quality(journal, study, expected_views)
        for study in journal.studies(_SHOWN)
    ]
    held = sum(study["held"] for study in studies)
    open_studies = sum(not study["at_rest"] for study in studies)
    return {
        "safe": not held and not open_studies,
        "summary": _summary(len(studies), open_studies, held),
        "studies": studies,
    }


def study_status(journal: Journal, study: Study) -> dict[str, Any]:
    """One study: "n delivered, k held". No identifier, and nothing made of one without the key."""
    instances = journal.instances(study.orthanc_id)
    receipts = journal.receipts(study.orthanc_id)
    delivered = _delivered(instances, receipts)
    stages = Counter(instance.stage for instance in instances if instance.role is Role.SOURCE)
    held = sum(instance.stage is Stage.HELD for instance in instances)
    return {
        "study": study.alias,
        "state": study.state,
        "waits_for": study.last_code or _waits_for(receipts),
        "arriving": study.state is State.RECEIVED and study.due_at is None,
        "at_rest": study.state in _AT_REST,
        "received_at": study.received_at,
        "images": sum(stages.values()),
        "captures": sum(instance.role is Role.CAPTURE for instance in instances),
        "anonymized": stages[Stage.ANONYMIZED],
        "delivered": delivered,
        "held": held,
        "discarded": stages[Stage.DISCARDED],
        "way": f"{delivered} delivered, {held} held",
    }


def _waits_for(receipts: list[Receipt]) -> str | None:
    """Why what is not yet verified is being tried again."""
    codes = (r.last_code for r in receipts if r.verified_at is None and r.last_code)
    return next(codes, None)


def held_rows(journal: Journal) -> list[dict[str, Any]]:
    """What is held: why, since when, and what a person can do."""
    rows = []
    for study, instance in journal.held():
        hold = instance.hold
        if hold is None:
            continue
        advice = ADVICE[hold.code]
        rows.append(
            {
                "instance": instance.orthanc_id,
                "study": study.alias,
                "code": hold.code,
                "why": advice.why,
                "detail": hold.detail,
                "do": advice.do,
                "since": hold.since,
            }
        )
    return rows


def receipt_rows(journal: Journal, study: Study) -> list[dict[str, Any]]:
    """What is proven of each instance of a study at each destination."""
    roles = {i.orthanc_id: i.role for i in journal.instances(study.orthanc_id)}
    routes = journal.routes.of_study(study.orthanc_id)
    return [
        {
            "instance": receipt.instance,
            "role": roles[receipt.instance],
            # None: it came before there were rules, and goes everywhere.
            "rule": routes[receipt.instance].rule if receipt.instance in routes else None,
            "sop_uid": receipt.copy.sop_uid,
            "digest": receipt.copy.digest,
            "size": receipt.copy.size,
            "destination": receipt.destination,
            "sent_at": receipt.sent_at,
            "verified_at": receipt.verified_at,
            "verified_by": receipt.verified_by,
            "attempts": receipt.attempts,
            "last_code": receipt.last_code,
        }
        for receipt in journal.receipts(study.orthanc_id)
    ]


def _delivered(instances: list[Instance], receipts: list[Receipt]) -> int:
    """Images and captures that every destination verifiably holds."""
    waiting = {receipt.instance for receipt in receipts if receipt.verified_at is None}
    known = {receipt.instance for receipt in receipts}
    return sum(
        instance.stage is Stage.ANONYMIZED
        and instance.orthanc_id in known
        and instance.orthanc_id not in waiting
        for instance in instances
    )


def _summary(studies: int, open_studies: int, held: int) -> str:
    if open_studies:
        return f"{open_studies} of {studies} studies are on their way, {held} instances held"
    if held:
        return f"nothing is on its way; {held} instances are held and wait for a person"
    return f"all {studies} studies are delivered"
