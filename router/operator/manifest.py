"""The proof of delivery of a study as a file: what was sent where, and how it is known to be there.

It names pseudonymous UIDs, digests and destinations; nothing in it is a patient's, or can be traced
to one without the programme's key. The key seals it, so that a later reader knows that a truck of
the programme wrote it and nobody changed it since. Format 1; a change of meaning takes another number.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from router.records.errors import Code, OperatorError
from router.records.instance import Role, Stage
from router.records.receipt import ReceiptState, is_given_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.deid.pseudonyms import Key
    from router.records.instance import Instance
    from router.records.receipt import Receipt

FORMAT = 1
_OF_SCANNER = frozenset({Role.SOURCE, Role.REPEATED})


@dataclass(frozen=True)
class Manifest:
    """What a genuine manifest says."""

    study: str
    truck: str
    made_at: str
    instances: int
    #: Entries are one for each instance and destination.
    entries: int
    verified: int
    #: Images that stayed on the truck, or were given up everywhere, by a person's leave.
    left_out: int
    #: Whether each image that was to go is verified at each destination that it was to go to.
    complete: bool
    #: Deliveries to single destinations that a person gave up; the same images' others stand.
    given_up: int = 0
    #: Destinations that verifiably got the note by which these images are rejected.
    rejected_at: tuple[str, ...] = ()


def make(
    key: Key, truck: str, alias: str, instances: Sequence[Instance], receipts: Sequence[Receipt],
    now: float,
) -> str:  # fmt: skip
    """The manifest of a study, as the text of its file."""
    roles = {instance.orthanc_id: instance.role for instance in instances}
    states: dict[str, list[ReceiptState]] = defaultdict(list)
    for receipt in receipts:
        states[receipt.instance].append(receipt.state)
    images = [instance for instance in instances if instance.role in _OF_SCANNER]
    held = {i.orthanc_id for i in images if i.stage is Stage.HELD}
    discarded = {
        i.orthanc_id
        for i in instances
        if is_given_up(states[i.orthanc_id])
        # What had arrived before it was given up has arrived.
        or (
            i.role in _OF_SCANNER
            and i.stage is Stage.DISCARDED
            and ReceiptState.VERIFIED not in states[i.orthanc_id]
        )
    }
    stopped = held | {i.orthanc_id for i in instances if i.stage is Stage.DISCARDED}
    waiting = [i for i in images if i.orthanc_id not in stopped and not states[i.orthanc_id]]
    entries = [
        _entry(receipt, roles[receipt.instance])
        for receipt in receipts
        if receipt.state is ReceiptState.VERIFIED
        # What one destination holds up was to go there, and is not there.
        or (receipt.state is not ReceiptState.DISCARDED and receipt.instance not in stopped)
    ]
    content = {
        "format": FORMAT,
        "truck": truck,
        "study": alias,
        "made_at": _moment(now),
        "held": len(held),
        "discarded": len(discarded),
        "given_up": sum(
            r.state is ReceiptState.DISCARDED and r.instance not in discarded for r in receipts
        ),
        "rejected_at": sorted(
            e["destination"] for e in entries if e["role"] is Role.NOTE and e["verified_at"]
        ),
        "complete": bool(entries) and not waiting and all(e["verified_at"] for e in entries),
        "instances": entries,
    }
    sealed = {"manifest": content, "key": key.id, "hmac_sha256": _seal(key, content)}
    return json.dumps(sealed, indent=1, ensure_ascii=True) + "\n"


def check(text: str, keys: Mapping[str, Key]) -> Manifest:
    """What a manifest says, where it is genuine.

    ``keys``: the programme's, by id. Raises OperatorError (MANIFEST_UNREADABLE, MANIFEST_NOT_GENUINE,
    KEY_UNKNOWN).
    """
    try:
        sealed = json.loads(text)
        content, key_id, seal = sealed["manifest"], str(sealed["key"]), str(sealed["hmac_sha256"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise OperatorError(Code.MANIFEST_UNREADABLE, "The file is no manifest.") from None
    if key_id not in keys:
        raise OperatorError(
            Code.KEY_UNKNOWN, "It is sealed with a key that is not among deid.key_files."
        )
    if not hmac.compare_digest(_seal(keys[key_id], content).encode(), seal.encode()):
        raise OperatorError(
            Code.MANIFEST_NOT_GENUINE,
            "The manifest was changed since it was made, or not made with this programme's key.",
        )
    if content.get("format") != FORMAT:
        raise OperatorError(
            Code.MANIFEST_UNREADABLE, "The manifest is genuine, and of a newer router."
        )
    entries = content["instances"]
    return Manifest(
        study=content["study"],
        truck=content["truck"],
        made_at=content["made_at"],
        instances=len({entry["sop_instance_uid"] for entry in entries}),
        entries=len(entries),
        verified=sum(entry["verified_at"] is not None for entry in entries),
        left_out=content["held"] + content["discarded"],
        given_up=content.get("given_up", 0),  # earlier routers knew no such thing
        complete=content["complete"],
        # Of a router that knew no correction yet, there is none.
        rejected_at=tuple(content.get("rejected_at", ())),
    )


def _entry(receipt: Receipt, role: Role) -> dict[str, Any]:
    copy = receipt.copy
    held_for = {} if receipt.hold is None else {"held_for": receipt.hold.code}
    return {
        "destination": receipt.destination,
        "role": role,
        "study_instance_uid": copy.study_uid,
        "series_instance_uid": copy.series_uid,
        "sop_instance_uid": copy.sop_uid,
        "transfer_syntax_uid": receipt.syntax or copy.transfer_syntax,
        "sha256": copy.digest,
        "bytes": copy.size,
        "sent_at": _moment(receipt.sent_at),
        "verified_at": _moment(receipt.verified_at),
        "verified_by": receipt.verified_by,
        **held_for,
    }


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def _seal(key: Key, content: object) -> str:
    """HMAC-SHA256 of the content in one spelling, with a key of its own: who may check manifests
    need not be able to make pseudonyms."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(key.digest("manifest"), canonical.encode(), hashlib.sha256).hexdigest()
