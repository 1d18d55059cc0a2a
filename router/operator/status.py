"""The way of each study, as the technologist, the operator and the demo want to see it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from router.operator import quality_report
from router.records.holds import ADVICE, NOTE_REFUSED, Advice
from router.records.instance import Role, Stage
from router.records.receipt import OPEN, ReceiptState, is_delivered, is_given_up
from router.records.study import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from router.journal import Held, Journal
    from router.journal.links import Link
    from router.records.instance import Instance
    from router.records.receipt import Receipt
    from router.records.study import Study

#: So many of the newest studies are shown, beside all that are on their way or held.
_SHOWN = 200
#: Nothing is left to do by itself in these states.
_AT_REST = frozenset({State.DELIVERED, State.PURGED, State.HELD, State.DISCARDED})


def overview(
    journal: Journal, expected_views: Sequence[str] = (), destinations: Sequence[str] = ()
) -> dict[str, Any]:
    """Every study with its counts, and whether the truck may drive on.

    ``expected_views``: what a screening mammography should have; what is missing is only shown.
    ``destinations``: those of the settings. What was never reached proves nothing: without a
    destination, or with one that never answered as it should, the truck is not safe.
    """
    links = journal.links.all()
    studies = [
        study_status(journal, study, links)
        | quality_report.of_study(journal, study, expected_views)
        for study in journal.studies.all(_SHOWN)
    ]
    unreached = [d for d in destinations if d not in links or links[d].reached_at is None]
    held = sum(study["held"] for study in studies)
    open_studies = sum(not study["at_rest"] for study in studies)
    return {
        "safe": bool(destinations) and not (unreached or held or open_studies),
        "summary": "; ".join([_summary(studies, open_studies, held), *map(_never, unreached)]),
        "destinations": [_destination(name, links.get(name)) for name in destinations],
        # AE titles and addresses: `callers` tells them, on the truck.
        "callers_refused": journal.callers.count_refused(),
        "studies": studies,
    }


def study_status(journal: Journal, study: Study, links: Mapping[str, Link]) -> dict[str, Any]:
    """One study: "n delivered, k held". No identifier, and nothing made of one without the key.

    ``links``: the way to each destination, by its name.
    """
    instances = journal.instances.of_study(study.orthanc_id)
    receipts = journal.outbox.of_study(study.orthanc_id)
    states: dict[str, list[ReceiptState]] = defaultdict(list)
    for receipt in receipts:
        states[receipt.instance].append(receipt.state)
    counts = Counter(_fate(instance, states[instance.orthanc_id]) for instance in instances)
    held_at = _by_destination(receipts, ReceiptState.HELD)
    discarded_at = _by_destination(receipts, ReceiptState.DISCARDED)
    stages = Counter(instance.stage for instance in instances if instance.role is Role.SOURCE)
    code, where = _waits_for(study, receipts, links)
    return {
        "study": study.alias,
        "state": study.state,
        "waits_for": code,
        "waits_at": where,
        "arriving": study.state is State.RECEIVED and study.due_at is None,
        "at_rest": study.state in _AT_REST,
        "received_at": study.received_at,
        "images": sum(stages.values()),
        **_places(journal, study),
        "captures": sum(instance.role is Role.CAPTURE for instance in instances),
        "anonymized": stages[Stage.ANONYMIZED],
        "delivered": counts["delivered"],
        "held": counts["held"],
        "held_at": held_at,
        "discarded": counts["discarded"],
        "discarded_at": discarded_at,
        "way": f"{counts['delivered']} delivered, {counts['held']} held{_at(held_at)}"
        + (f", {counts['discarded']} discarded" if counts["discarded"] else "")
        + (f", given up{_at(discarded_at)}" if discarded_at else ""),
    }


def _places(journal: Journal, study: Study) -> dict[str, str | None]:
    """Which study this one takes the place of, and which one takes its own; by their aliases."""
    own = journal.corrections.of(study.orthanc_id)
    other = journal.corrections.of_replaced(study.orthanc_id)
    replaces = journal.studies.get(own.replaces) if own else None
    replaced_by = journal.studies.get(other.study) if other else None
    return {
        "replaces": replaces.alias if replaces else None,
        "replaced_by": replaced_by.alias if replaced_by else None,
    }


def _fate(instance: Instance, states: list[ReceiptState]) -> str:
    """What an instance has come to. Held at one destination is held; the others may have it."""
    if instance.stage is Stage.HELD or ReceiptState.HELD in states:
        return "held"
    if instance.stage in {Stage.ANONYMIZED, Stage.DISCARDED} and is_delivered(states):
        return "delivered"
    of_scanner = instance.role in {Role.SOURCE, Role.REPEATED}
    if (of_scanner and instance.stage is Stage.DISCARDED) or is_given_up(states):
        return "discarded"
    return "under way"


def _by_destination(receipts: list[Receipt], state: ReceiptState) -> dict[str, int]:
    return dict(sorted(Counter(r.destination for r in receipts if r.state is state).items()))


def _at(numbers: Mapping[str, int]) -> str:
    if not numbers:
        return ""
    return f" (at {', '.join(f'{name}: {number}' for name, number in numbers.items())})"


def _waits_for(
    study: Study, receipts: list[Receipt], links: Mapping[str, Link]
) -> tuple[str | None, str | None]:
    """Why a study does not go on now, and at which destination; of the first that is in trouble.

    What keeps everything from a destination says more than what one image of it waits for.
    """
    if study.last_code is not None:
        return study.last_code, None
    waiting = [receipt for receipt in receipts if receipt.state in OPEN]
    for receipt in waiting:
        link = links.get(receipt.destination)
        if link is not None and link.code is not None:
            return link.code, receipt.destination
    for receipt in waiting:
        if receipt.last_code is not None:
            return receipt.last_code, receipt.destination
    return None, None


def _destination(name: str, link: Link | None) -> dict[str, Any]:
    return {
        "destination": name,
        "reached_at": None if link is None else link.reached_at,
        "in_the_way": None if link is None else link.code,
    }


def _never(name: str) -> str:
    return f"{name} was never reached"


def held_rows(found: Iterable[Held]) -> list[dict[str, Any]]:
    """What is held: why, since when, and what a person can do."""
    return [
        {
            "instance": held.instance.orthanc_id,
            "study": held.study.alias,
            # None: it goes nowhere.
            "destination": held.destination,
            "code": held.hold.code,
            "why": advice_of(held).why,
            "detail": held.hold.detail,
            "do": advice_of(held).do + _ways_out(held),
            "since": held.hold.since,
        }
        for held in found
    ]


def advice_of(held: Held) -> Advice:
    """What a hold means and what a person can do, by its code and by what is held."""
    if held.instance.role is Role.NOTE and held.destination is not None:
        return NOTE_REFUSED
    return ADVICE[held.hold.code]


def _ways_out(held: Held) -> str:
    """The commands for what a single destination holds up."""
    if held.destination is None or held.instance.role is Role.NOTE:
        return ""
    what = f"{held.instance.orthanc_id} --destination {held.destination} --reason WHY"
    return (
        f" To send it there again: edge-router release {what}. To give it up there alone: "
        f"edge-router discard {what}."
    )


def receipt_rows(journal: Journal, study: Study) -> list[dict[str, Any]]:
    """What is proven of each instance of a study at each destination."""
    roles = {i.orthanc_id: i.role for i in journal.instances.of_study(study.orthanc_id)}
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
            "state": receipt.state,
            "held_for": receipt.hold.code if receipt.hold else None,
            "sent_at": receipt.sent_at,
            "verified_at": receipt.verified_at,
            "verified_by": receipt.verified_by,
            "attempts": receipt.attempts,
            "last_code": receipt.last_code,
        }
        for receipt in journal.outbox.of_study(study.orthanc_id)
    ]


def _summary(studies: Sequence[Mapping[str, Any]], open_studies: int, held: int) -> str:
    if not studies:
        return "no study has come yet"
    if open_studies:
        return f"{open_studies} of {len(studies)} studies are on their way, {held} instances held"
    if held:
        return f"nothing is on its way; {held} instances are held and wait for a person"
    given_up = sum(not study["delivered"] for study in studies)
    if given_up:
        return (
            f"nothing is on its way; {len(studies) - given_up} of {len(studies)} studies are "
            f"delivered, {given_up} were discarded"
        )
    return f"all {len(studies)} studies are delivered{_but(studies)}"


def _but(studies: Sequence[Mapping[str, Any]]) -> str:
    """What was given up of studies that are delivered otherwise."""
    discarded = sum(study["discarded"] for study in studies)
    places = Counter[str]()
    for study in studies:
        places.update(study["discarded_at"])
    if discarded:
        return f", but for {discarded} instances that were discarded"
    return f", but for what was given up{_at(dict(sorted(places.items())))}" if places else ""
