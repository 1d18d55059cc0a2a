"""The proof of delivery: what it says, what it does not, and who can have written it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.deid.pseudonyms import Key
from router.operator import manifest
from router.records.copies import Copy
from router.records.errors import Code, OperatorError
from router.records.holds import HoldRecord
from router.records.instance import Instance, Role, Stage
from router.records.receipt import Receipt, ReceiptState, VerifiedBy

KEY = Key("k1", bytes(range(32)))
KEYS = {KEY.id: KEY}
COPY = Copy(
    orthanc_id="copy-id", study_uid="2.25.1", series_uid="2.25.2", sop_uid="2.25.3",
    sop_class="1.2", modality="CT", transfer_syntax="1.2.840.10008.1.2.1", instance_number=1,
    digest="ab" * 32, md5="cd" * 16, size=1000,
)  # fmt: skip
INSTANCE = Instance(
    orthanc_id="orthanc-id-of-a-patient", study="orthanc-study", role=Role.SOURCE,
    stage=Stage.ANONYMIZED, attempts=0, copy=COPY, analysis=None, hold=None, policy="",
)  # fmt: skip
RECEIPT = Receipt(
    instance=INSTANCE.orthanc_id, study="orthanc-study", alias="0123456789ab", destination="cloud",
    copy=COPY, attempts=0, due_at=0.0, begun_at=1.0, sent_at=2.0, verified_at=3.0,
    verified_by=VerifiedBy.DIGEST, last_code=None, breaks=0, received_at=0.0,
    state=ReceiptState.VERIFIED,
)  # fmt: skip


def _made(
    instances: tuple[Instance, ...] = (INSTANCE,), receipts: tuple[Receipt, ...] = (RECEIPT,)
) -> str:
    return manifest.make(KEY, "TRUCK1", "0123456789ab", instances, receipts, 1e9)


def test_it_says_what_was_sent_where_when_and_how_that_is_known() -> None:
    content = json.loads(_made())["manifest"]
    assert content["instances"] == [{
        "destination": "cloud", "role": "SOURCE", "study_instance_uid": "2.25.1",
        "series_instance_uid": "2.25.2", "sop_instance_uid": "2.25.3",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1", "sha256": "ab" * 32, "bytes": 1000,
        "sent_at": "1970-01-01T00:00:02+00:00", "verified_at": "1970-01-01T00:00:03+00:00",
        "verified_by": "DIGEST",
    }]  # fmt: skip
    assert manifest.check(_made(), KEYS) == manifest.Manifest(
        study="0123456789ab", truck="TRUCK1", made_at="2001-09-09T01:46:40+00:00", instances=1,
        entries=1, verified=1, left_out=0, complete=True,
    )  # fmt: skip


def test_orthancs_ids_which_are_made_of_identifiers_are_not_in_it() -> None:
    text = _made()
    assert INSTANCE.orthanc_id not in text
    assert INSTANCE.study not in text
    assert COPY.orthanc_id not in text


@given(st.data())
def test_no_character_of_it_can_be_changed_without_notice(data: st.DataObject) -> None:
    sealed = json.loads(_made())
    entry = sealed["manifest"]["instances"][0]
    name = data.draw(st.sampled_from(sorted(entry)))
    entry[name] = data.draw(st.text() | st.none() | st.integers())
    if entry == json.loads(_made())["manifest"]["instances"][0]:
        return
    with pytest.raises(OperatorError) as raised:
        manifest.check(json.dumps(sealed), KEYS)
    assert raised.value.code is Code.MANIFEST_NOT_GENUINE


@pytest.mark.parametrize(
    "change",
    [{"instances": []}, {"complete": False}, {"held": 1}, {"more": 1}, {"study": "another"}],
    ids=str,
)
def test_nothing_can_be_left_out_of_it_or_added(change: dict[str, object]) -> None:
    sealed = json.loads(_made())
    sealed["manifest"] |= change
    with pytest.raises(OperatorError) as raised:
        manifest.check(json.dumps(sealed), KEYS)
    assert raised.value.code is Code.MANIFEST_NOT_GENUINE


def test_it_is_genuine_in_another_spelling() -> None:
    assert manifest.check(json.dumps(json.loads(_made()), indent=4), KEYS).complete


def test_another_programmes_key_did_not_write_it() -> None:
    other = Key("k1", bytes(32))
    with pytest.raises(OperatorError) as raised:
        manifest.check(_made(), {"k1": other})
    assert raised.value.code is Code.MANIFEST_NOT_GENUINE
    with pytest.raises(OperatorError) as raised:
        manifest.check(_made(), {"k2": other})
    assert raised.value.code is Code.KEY_UNKNOWN


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"manifest": 1, "key": 2}', "[" * 100_000, "\x00"]
)
def test_what_is_no_manifest_is_said(text: str) -> None:
    with pytest.raises(OperatorError) as raised:
        manifest.check(text, KEYS)
    assert raised.value.code in {Code.MANIFEST_UNREADABLE, Code.KEY_UNKNOWN}


def test_a_study_on_its_way_is_not_complete() -> None:
    waiting = replace(
        RECEIPT, destination="archive", state=ReceiptState.SENT, verified_at=None, verified_by=None
    )
    found = manifest.check(_made(receipts=(RECEIPT, waiting)), KEYS)
    assert (found.entries, found.verified, found.complete) == (2, 1, False)
    new = replace(INSTANCE, orthanc_id="new", stage=Stage.RECEIVED, copy=None)
    assert not manifest.check(_made(instances=(INSTANCE, new)), KEYS).complete
    assert not manifest.check(_made(receipts=()), KEYS).complete


def test_what_a_person_left_on_the_truck_is_counted_and_not_hidden() -> None:
    held = replace(
        INSTANCE, orthanc_id="held", stage=Stage.HELD,
        hold=HoldRecord(Code.BURNED_IN_TEXT, "", 0.0),
    )  # fmt: skip
    found = manifest.check(_made(instances=(INSTANCE, held)), KEYS)
    assert (found.left_out, found.complete) == (1, True)


def test_it_says_where_its_images_were_rejected_since() -> None:
    note = replace(INSTANCE, orthanc_id="note", role=Role.NOTE)
    there = replace(RECEIPT, instance="note")
    waits = replace(
        there, destination="other", state=ReceiptState.WAITING, verified_at=None, verified_by=None
    )
    made = _made((INSTANCE, note), (RECEIPT, there, waits))
    assert manifest.check(made, KEYS).rejected_at == ("cloud",)
    assert manifest.check(_made(), KEYS).rejected_at == ()
