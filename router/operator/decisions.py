"""What an operator decides about held instances: release under a policy, or discard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.deid.eligibility import RELEASES
from router.records.errors import Code, OperatorError
from router.records.instance import Role

if TYPE_CHECKING:
    from router.journal import Held, Journal
    from router.observe.audit import Audit
    from router.records.study import Study

#: The policies that a person can name.
RELEASE_POLICIES = tuple(name for name in RELEASES if name)


@dataclass(frozen=True)
class Reason:
    """Who decides, and why; both go into the audit file."""

    by: str
    text: str


@dataclass(frozen=True)
class What:
    """Which holds a decision is about."""

    #: An instance, or a study for all that is held of it.
    name: str
    #: Only what this destination holds up; ``None``: whatever is held.
    destination: str | None = None
    #: The destinations of the settings: what another one held up cannot be sent there.
    configured: tuple[str, ...] = ()


def find_study(journal: Journal, name: str) -> Study:
    """By Orthanc's id or by the alias of logs and status. Raises OperatorError."""
    study = journal.studies.find(name)
    if study is None:
        raise OperatorError(Code.NOT_IN_JOURNAL, f"The journal knows no study {name}.")
    return study


def release(
    journal: Journal,
    audit: Audit,
    what: What,
    policy: str | None,
    reason: Reason,
    now: float,
) -> list[str]:
    """Sends held instances back to RECEIVED under a policy; never past the gate.

    What a single destination held up is sent there again as it is; no policy is asked for it.
    Returns the instances. Raises OperatorError (NOT_IN_JOURNAL, NOT_HELD, NOT_RELEASABLE,
    WRONG_ARGUMENT), JournalError.
    """
    found = _held(journal, what)
    # What else is held of a study goes on without them.
    chosen = [held for held in found if not _came_second(journal, held)]
    if not chosen:
        raise OperatorError(
            Code.NOT_RELEASABLE,
            "The image that came first under its UID stands: another one needs a new SOP Instance UID.",
        )
    if policy is None and any(held.destination is None for held in chosen):
        raise OperatorError(
            Code.WRONG_ARGUMENT, "It is held before delivery: --policy says why it may go on."
        )
    gone = {held.destination for held in chosen if held.destination} - set(what.configured)
    if gone:
        raise OperatorError(
            Code.NOT_RELEASABLE,
            f"The settings have no destination {', '.join(sorted(gone))}: configure it again and "
            "restart the router, or discard what it held up.",
        )
    _record(audit, "release", chosen, {} if policy is None else {"policy": policy}, reason, now)
    return list(
        dict.fromkeys(
            held.instance.orthanc_id for held in chosen if _release(journal, held, policy, now)
        )
    )


def _release(journal: Journal, held: Held, policy: str | None, now: float) -> bool:
    name = held.instance.orthanc_id
    if held.destination is not None:
        return journal.decisions.release_at(name, held.destination, now)
    if held.hold.code is Code.NO_DESTINATION:
        journal.routes.forget(name)
    return journal.decisions.release(name, now, _combined(held.instance.policy, policy or ""))


def _combined(earlier: str, policy: str) -> str:
    """What was answered for once stays answered for; a retry asks everything anew."""
    if policy == "retry":
        return policy
    kept = [name for name in earlier.split("+") if name not in {"", "retry", policy}]
    return "+".join([*kept, policy])


def discard(journal: Journal, audit: Audit, what: What, reason: Reason, now: float) -> list[str]:
    """Gives held instances up for good, everywhere or where they are held.

    Returns the instances. Raises OperatorError (NOT_IN_JOURNAL, NOT_HELD), JournalError.
    """
    chosen = _held(journal, what)
    _record(audit, "discard", chosen, {}, reason, now)
    return list(
        dict.fromkeys(held.instance.orthanc_id for held in chosen if _discard(journal, held, now))
    )


def _discard(journal: Journal, held: Held, now: float) -> bool:
    name = held.instance.orthanc_id
    if held.destination is not None:
        return journal.decisions.discard_at(name, held.destination, now)
    return journal.decisions.discard(name, now, for_another=True)


def _came_second(journal: Journal, held: Held) -> bool:
    """Whether another image has its UID: Orthanc kept that one, or it has arrived somewhere."""
    if held.instance.role is Role.REPEATED:
        return True
    return held.hold.code is Code.SAME_UID_OTHER_BYTES and journal.outbox.may_have_been_sent(
        held.instance.orthanc_id
    )


def _held(journal: Journal, what: What) -> list[Held]:
    chosen = [
        held
        for held in journal.holds.all()
        if what.name in {held.instance.orthanc_id, held.study.orthanc_id, held.study.alias}
        and what.destination in {None, held.destination}
    ]
    if not chosen:
        find_study_or_instance(journal, what.name)
        where = f" at {what.destination}" if what.destination else ""
        raise OperatorError(Code.NOT_HELD, f"Nothing of {what.name} is held{where}.")
    return chosen


def find_study_or_instance(journal: Journal, name: str) -> None:
    """Raises OperatorError (NOT_IN_JOURNAL) where the name is neither."""
    if journal.arrivals.unknown([name]):
        find_study(journal, name)


def _record(
    audit: Audit, action: str, chosen: list[Held], more: dict[str, str], reason: Reason, now: float
) -> None:
    for held in chosen:
        where = {} if held.destination is None else {"destination": held.destination}
        audit.record(
            now,
            {"action": action, "study": held.study.alias, "instance": held.instance.orthanc_id,
             "code": held.hold.code, **where, **more, "by": reason.by, "reason": reason.text},
        )  # fmt: skip
