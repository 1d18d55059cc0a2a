"""What the Store Instances Response (PS3.18, I.2) and the HTTP status around it say of an instance.

The status alone says little: Orthanc answers 400 although the good parts are stored, and 200 for a
duplicate whose bytes it threw away. So the body decides, and the read-back decides after it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from router.destinations import statuses
from router.destinations.peer_words import peer_words
from router.destinations.statuses import Meaning, meaning_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.destinations.base import Stored

_FAILED_SOP_SEQUENCE, _REFERENCED_SOP_SEQUENCE = "00081198", "00081199"
_FAILURE_REASON, _WARNING_REASON = "00081197", "00081196"
_REFERENCED_SOP_INSTANCE, _ERROR_COMMENT = "00081155", "00000902"


@dataclass(frozen=True)
class _Failed:
    #: ``None``: it gives none.
    reason: int | None
    words: str


def send_outcome(
    status: int,
    content: bytes,
    retry_after_s: float | None,
    sop_uid: str,
    *,
    alone: bool = True,
) -> Stored:
    """What an answer means for one instance; ``alone``: it was the only one of its request.

    Reads the body whatever the status (202 and 400 come with instances that were stored). Raises
    StoreRefused, DeliveryDeferred, SyntaxRefused or Hold (DESTINATION_REFUSED).
    """
    said = _said_of(content, sop_uid, alone=alone)
    if said is None:
        # The tags of a response are no words.
        words = "" if b'"vr"' in content else peer_words(content)
        return statuses.http_outcome(status, words, retry_after_s, alone=alone)
    if not isinstance(said, _Failed):
        return said
    vague = said.reason is None or (
        meaning_of(said.reason, statuses.STATUSES).meaning is Meaning.MAY_MEND
    )
    if vague and meaning_of(status, statuses.HTTP).meaning is Meaning.EVERYTHING:
        return statuses.http_outcome(status, said.words, retry_after_s)
    return statuses.failure_outcome(said.reason, said.words, retry_after_s)


def _said_of(content: bytes, sop_uid: str, *, alone: bool) -> Stored | _Failed | None:
    """What the response says of the instance; ``None``: nothing."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if isinstance(answer, list):
        answer = answer[0] if answer else {}
    for item in items(answer, _REFERENCED_SOP_SEQUENCE):
        if value(item, _REFERENCED_SOP_INSTANCE) == sop_uid:
            return statuses.stored(changed=value(item, _WARNING_REASON) is not None)
    for item in items(answer, _FAILED_SOP_SEQUENCE):
        if value(item, _REFERENCED_SOP_INSTANCE) in ({sop_uid, None} if alone else {sop_uid}):
            reason = value(item, _FAILURE_REASON)
            return _Failed(
                reason if isinstance(reason, int) else None, peer_words(" ".join(_comments(item)))
            )
    return None


def items(answer: object, tag: str) -> list[Any]:
    """The values of an element in the DICOM JSON model (PS3.18, F.2); empty: it has none."""
    element = answer.get(tag) if isinstance(answer, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return list(values) if isinstance(values, list) else []


def value(item: object, tag: str) -> Any:  # noqa: ANN401  (JSON of a foreign server)
    """The first of them, or ``None``."""
    values = items(item, tag)
    return values[0] if values else None


def _comments(item: object) -> Iterator[str]:
    """Every Error Comment in an item and in the sequences below it."""
    if isinstance(item, dict):
        yield from (str(comment) for comment in items(item, _ERROR_COMMENT))
        for element in item.values():
            yield from _comments(element)
    elif isinstance(item, list):
        for one in item:
            yield from _comments(one)
