"""Decisions for good about a kind of object that no policy clears: a scanner's private reports.

Such an object comes with each study and is held each time, though the answer is always the same. A
person says once that its kind is discarded. It never sends anything: what is decided stays on the
truck until purge, and what a policy clears is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom import uid
from pydicom.uid import UID

from router.deid import policies
from router.deid.policies import Kind
from router.operator.decisions import find_study_or_instance
from router.records.errors import Code, OperatorError

if TYPE_CHECKING:
    from router.deid.policies import Policy
    from router.deid.standard.options import Option
    from router.journal import Journal
    from router.observe.audit import Audit
    from router.operator.decisions import Reason


def kind_named(
    journal: Journal,
    name: str,
    image_type: str,
    rules: tuple[Policy, ...],
    options: frozenset[Option],
) -> Kind:
    """What a person names: a held instance for all of its kind, or a SOP class.

    ``name``: an instance as ``held`` tells it; a UID, or its keyword in PS3.6 (RawDataStorage).
    ``image_type``: of a class, only the objects with this value of ImageType. ``rules`` and
    ``options``: what clears objects today.

    Raises OperatorError (NOT_DECIDABLE) for what is looked at one by one, (NOT_IN_JOURNAL).
    """
    known = journal.standing.kind_of(name)
    if known is not None:
        return known
    sop_class = UID(str(getattr(uid, name, name)))
    if not sop_class.is_valid or "." not in sop_class:
        find_study_or_instance(journal, name)
        raise OperatorError(
            Code.NOT_DECIDABLE,
            f"{name} is not held for its kind: release or discard it by itself.",
        )
    if not image_type and policies.may_go_on(sop_class, rules, options):
        raise OperatorError(
            Code.NOT_DECIDABLE,
            f"Images of the class {sop_class.name} are sent: say which of them by --image-type.",
        )
    return Kind(str(sop_class), image_type.upper())


def kind_decided(journal: Journal, name: str, image_type: str) -> Kind:
    """The kind of a decision that is to be taken back, as ``decisions`` tells it."""
    return journal.standing.kind_of(name) or Kind(str(getattr(uid, name, name)), image_type.upper())


def decide(journal: Journal, audit: Audit, kind: Kind, reason: Reason, now: float) -> list[str]:
    """Discards what is held of the kind and whatever comes of it; the instances of now.

    Raises JournalError.
    """
    _record(audit, "decide", kind, reason, now)
    journal.standing.decide(kind, reason.by, reason.text, now)
    return journal.decisions.apply_standing(now)


def revoke(journal: Journal, audit: Audit, kind: Kind, reason: Reason, now: float) -> None:
    """What comes of the kind is held again. Raises OperatorError (NOT_DECIDED), JournalError."""
    if kind not in [one.kind for one in journal.standing.all()]:
        raise OperatorError(Code.NOT_DECIDED, "No such decision stands.")
    _record(audit, "revoke", kind, reason, now)
    journal.standing.revoke(kind)


def _record(audit: Audit, action: str, kind: Kind, reason: Reason, now: float) -> None:
    audit.record(
        now,
        {"action": action, "sop_class": kind.sop_class, "image_type": kind.image_type,
         "decision": "discard", "by": reason.by, "reason": reason.text},
    )  # fmt: skip
