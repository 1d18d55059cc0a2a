"""What an operator decides about held instances: release under a policy, or discard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.deid.clearance import POLICIES
from router.errors import Code, OperatorError

if TYPE_CHECKING:
    from router.audit import Audit
    from router.journal import Journal
    from router.study import Instance, Study

#: The policies that a person can name.
RELEASE_POLICIES = tuple(name for name in POLICIES if name)


@dataclass(frozen=True)
class Reason:
    """Who decides, and why; both go into the audit file."""

    by: str
    text: str


def find_study(journal: Journal, name: str) -> Study:
    """By Orthanc's id or by the alias of logs and status. Raises OperatorError."""
    study = journal.find_study(name)
    if study is None:
        raise OperatorError(Code.NOT_IN_JOURNAL, f"The journal knows no study {name}.")
    return study


def release(
    journal: Journal, audit: Audit, name: str, policy: str, reason: Reason, now: float
) -> list[str]:
    """Sends held instances back to RECEIVED under a policy; never past the gate.

    ``name``: an instance, or a study for all that is held of it. Returns the instances. Raises
    OperatorError (NOT_IN_JOURNAL, NOT_HELD, NOT_RELEASABLE), JournalError.
    """
    chosen = _held(journal, name)
    if any(_was_delivered(journal, study, instance) for study, instance in chosen):
        raise OperatorError(
            Code.NOT_RELEASABLE,
            "An image under its UID was delivered: another one needs a new SOP Instance UID.",
        )
    _record(audit, "release", chosen, {"policy": policy}, reason, now)
    for _, instance in chosen:
        if instance.hold and instance.hold.code is Code.NO_DESTINATION:
            journal.routes.forget(instance.orthanc_id)
    return [
        i.orthanc_id
        for _, i in chosen
        if journal.release(i.orthanc_id, now, _combined(i.policy, policy))
    ]


def _combined(earlier: str, policy: str) -> str:
    """What was answered for once stays answered for; a retry asks everything anew."""
    if policy == "retry":
        return policy
    kept = [name for name in earlier.split("+") if name not in {"", "retry", policy}]
    return "+".join([*kept, policy])


def discard(journal: Journal, audit: Audit, name: str, reason: Reason, now: float) -> list[str]:
    """Gives held instances up for good. Arguments and errors as for ``release``."""
    chosen = _held(journal, name)
    _record(audit, "discard", chosen, {}, reason, now)
    return [i.orthanc_id for _, i in chosen if journal.discard(i.orthanc_id, now)]


def _was_delivered(journal: Journal, study: Study, instance: Instance) -> bool:
    """Whether another image under its UID has arrived somewhere."""
    if instance.hold is None or instance.hold.code is not Code.SAME_UID_OTHER_BYTES:
        return False
    return any(
        receipt.instance == instance.orthanc_id and receipt.begun_at is not None
        for receipt in journal.receipts(study.orthanc_id)
    )


def _held(journal: Journal, name: str) -> list[tuple[Study, Instance]]:
    chosen = [
        (study, instance)
        for study, instance in journal.held()
        if name in {instance.orthanc_id, study.orthanc_id, study.alias}
    ]
    if not chosen:
        find_study_or_instance(journal, name)
        raise OperatorError(Code.NOT_HELD, f"Nothing of {name} is held.")
    return chosen


def find_study_or_instance(journal: Journal, name: str) -> None:
    """Raises OperatorError (NOT_IN_JOURNAL) where the name is neither."""
    if journal.unknown([name]):
        find_study(journal, name)


def _record(
    audit: Audit, action: str, chosen: list[tuple[Study, Instance]], more: dict[str, str],
    reason: Reason, now: float,
) -> None:  # fmt: skip
    for study, instance in chosen:
        code = instance.hold.code if instance.hold else None
        audit.record(
            now,
            {"action": action, "study": study.alias, "instance": instance.orthanc_id,
             "code": code, **more, "by": reason.by, "reason": reason.text},
        )  # fmt: skip
