"""What one destination holds up: seen, released, given up, and never purged or told as delivered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from router.deid.pseudonyms import Key
from router.journal import Identities, Journal, Pin
from router.journal.sightings import repeated_name
from router.observe.audit import Audit
from router.operator import manifest, status
from router.operator.decisions import Reason, What, discard, release
from router.records.copies import Copy
from router.records.errors import Code, OperatorError
from router.records.instance import Arrival, Stage
from router.records.receipt import ReceiptState, VerifiedBy
from router.records.study import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.records.receipt import Receipt

PLACES = ("archive", "cloud", "research")
STUDY, ALIAS = "study", "abcdef012345"
REASON = Reason("Ana", "mended")
KEY = Key("key", bytes(range(32)))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path / "audit.jsonl")


def _copy(name: str) -> Copy:
    return Copy(
        orthanc_id=f"copy-{name}", study_uid="2.25.1", series_uid="2.25.2", sop_uid=f"2.25.3{name}",
        sop_class="1.2", modality="CT", transfer_syntax="1.2.840.10008.1.2.1", instance_number=1,
        digest=f"digest-{name}", md5=f"md5-{name}", size=100,
    )  # fmt: skip


def _move(journal: Journal, outcome: Outcome) -> None:
    study = journal.studies.get(STUDY)
    assert study is not None
    assert journal.studies.move(study, outcome, 12.0, PLACES)


@pytest.fixture
def receipts(journal: Journal) -> dict[str, Receipt]:
    """Of one image, by destination; its study is on its way, and each destination was reached."""
    journal.arrivals.take_in(
        [Arrival("7", STUDY, "S")], [STUDY], {STUDY: Pin(ALIAS, "key", "basic-1")}, None, 10.0
    )
    journal.copies.begin("7", _copy("7"), Identities("key", {}), 11.0)
    journal.copies.finish("7")
    _move(journal, Outcome.DONE)
    _move(journal, Outcome.SKIP)
    for name in PLACES:
        journal.links.reached(name, 5.0)
    return {receipt.destination: receipt for receipt in journal.outbox.of_study(STUDY)}


def _refuse(journal: Journal, receipt: Receipt) -> None:
    journal.receipts.begin_sending([receipt], 20.0)
    journal.receipts.hold(receipt, Code.DESTINATION_REFUSED, "answered 413", 21.0)
    journal.studies.settle(STUDY, 21.0)


def _prove(journal: Journal, receipt: Receipt) -> None:
    journal.receipts.begin_sending([receipt], 22.0)
    journal.receipts.sent([receipt], 23.0)
    journal.receipts.verified(receipt, VerifiedBy.DIGEST, 24.0)
    journal.studies.settle(STUDY, 24.0)


def _seen(journal: Journal) -> dict[str, Any]:
    overview = status.overview(journal, (), PLACES)
    (study,) = overview["studies"]
    return {**study, "safe": overview["safe"], "summary": overview["summary"]}


def _states(journal: Journal) -> dict[str, ReceiptState]:
    return {receipt.destination: receipt.state for receipt in journal.outbox.of_study(STUDY)}


def test_held_at_one_destination_it_is_named_there_and_the_truck_is_not_safe(
    journal: Journal, receipts: dict[str, Receipt]
) -> None:
    _refuse(journal, receipts["archive"])
    assert _seen(journal)["state"] is State.ANALYSED  # the others still get it
    _prove(journal, receipts["cloud"])
    _prove(journal, receipts["research"])
    seen = _seen(journal)
    assert seen["state"] is State.DELIVERED
    assert seen["way"] == "0 delivered, 1 held (at archive: 1)"
    assert not seen["safe"]
    assert seen["summary"] == "nothing is on its way; 1 instances are held and wait for a person"
    (row,) = status.held_rows(journal.holds.all())
    assert (row["instance"], row["destination"]) == ("7", "archive")
    assert "release 7 --destination archive" in row["do"]
    assert "discard 7 --destination archive" in row["do"]
    (image,) = journal.instances.of_study(STUDY)
    assert image.stage is Stage.ANONYMIZED


def test_two_destinations_that_refuse_it_hold_it_each(
    journal: Journal, receipts: dict[str, Receipt]
) -> None:
    _refuse(journal, receipts["archive"])
    _refuse(journal, receipts["cloud"])
    assert journal.outbox.to_send("archive", 1e9, 10) == []
    assert journal.outbox.to_send("cloud", 1e9, 10) == []
    assert [r.instance for r in journal.outbox.to_send("research", 1e9, 10)] == ["7"]
    assert set(journal.outbox.oldest_undelivered(PLACES)) == {"research"}
    assert journal.holds.count() == {Code.DESTINATION_REFUSED: 1}  # one image, at two of them
    assert len(journal.holds.all()) == 2
    _refuse(journal, receipts["research"])
    assert _seen(journal)["state"] is State.HELD  # nothing of it can go on
    assert journal.outbox.oldest_undelivered(PLACES) == {}


def test_released_at_one_destination_it_starts_fresh_there_and_is_asked_for_first(
    journal: Journal, receipts: dict[str, Receipt], audit: Audit, tmp_path: Path
) -> None:
    _refuse(journal, receipts["archive"])
    _refuse(journal, receipts["cloud"])
    _prove(journal, receipts["research"])
    what = What("7", "archive", PLACES)
    assert release(journal, audit, what, None, REASON, 30.0) == ["7"]
    assert _states(journal) == {
        "archive": ReceiptState.UNCERTAIN,
        "cloud": ReceiptState.HELD,
        "research": ReceiptState.VERIFIED,
    }
    (again,) = journal.outbox.to_send("archive", 30.0, 10)
    assert (again.attempts, again.last_code, again.hold) == (0, None, None)
    assert _seen(journal)["state"] is State.RECEIVED  # and goes its way again, made by nobody anew
    (line,) = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["destination"] == "archive"


def test_a_release_without_a_destination_is_for_all_that_is_held_of_it(
    journal: Journal, receipts: dict[str, Receipt], audit: Audit
) -> None:
    _refuse(journal, receipts["archive"])
    _refuse(journal, receipts["cloud"])
    assert release(journal, audit, What(ALIAS, None, PLACES), None, REASON, 30.0) == ["7"]
    assert not journal.holds.all()


def test_what_is_held_before_delivery_needs_a_policy(
    journal: Journal, receipts: dict[str, Receipt], audit: Audit
) -> None:
    assert receipts
    journal.instances.hold("7", Code.BURNED_IN_TEXT, "text", 20.0)
    with pytest.raises(OperatorError) as raised:
        release(journal, audit, What("7"), None, REASON, 30.0)
    assert raised.value.code is Code.WRONG_ARGUMENT
    assert release(journal, audit, What("7"), "pixels-checked", REASON, 30.0) == ["7"]


def test_a_destination_that_is_not_configured_gets_nothing_released(
    journal: Journal, receipts: dict[str, Receipt], audit: Audit
) -> None:
    _refuse(journal, receipts["archive"])
    journal.destinations.adopt(["cloud", "research"], 25.0)
    assert _states(journal)["archive"] is ReceiptState.HELD  # it still waits for a person
    with pytest.raises(OperatorError) as raised:
        release(journal, audit, What("7", None, ("cloud", "research")), None, REASON, 30.0)
    assert raised.value.code is Code.NOT_RELEASABLE
    assert discard(journal, audit, What("7"), REASON, 31.0) == ["7"]


def test_what_another_destination_holds_up_is_not_meant(
    journal: Journal, receipts: dict[str, Receipt], audit: Audit
) -> None:
    _refuse(journal, receipts["archive"])
    other = What("7", "cloud", PLACES)
    with pytest.raises(OperatorError) as raised:
        release(journal, audit, other, None, REASON, 30.0)
    assert raised.value.code is Code.NOT_HELD
    with pytest.raises(OperatorError) as raised:
        discard(journal, audit, other, REASON, 30.0)
    assert raised.value.code is Code.NOT_HELD


def test_given_up_at_one_destination_it_is_delivered_but_for_that(
    journal: Journal, receipts: dict[str, Receipt], audit: Audit
) -> None:
    _refuse(journal, receipts["archive"])
    for name in ("cloud", "research"):
        _prove(journal, receipts[name])
    assert journal.purges.candidates(10) == []
    assert discard(journal, audit, What("7", "archive"), REASON, 30.0) == ["7"]
    seen = _seen(journal)
    assert (seen["state"], seen["safe"]) == (State.DELIVERED, True)
    assert seen["way"] == "1 delivered, 0 held, given up (at archive: 1)"
    assert seen["summary"] == (
        "all 1 studies are delivered, but for what was given up (at archive: 1)"
    )
    assert [one.instance for one in journal.purges.candidates(10)] == ["7"]


def test_given_up_everywhere_a_study_is_discarded_and_not_delivered(
    journal: Journal, receipts: dict[str, Receipt], audit: Audit
) -> None:
    for receipt in receipts.values():
        _refuse(journal, receipt)
    assert discard(journal, audit, What(ALIAS), REASON, 30.0) == ["7"]
    seen = _seen(journal)
    assert (seen["state"], seen["delivered"], seen["discarded"]) == (State.DISCARDED, 0, 1)
    assert seen["summary"] == (
        "nothing is on its way; 0 of 1 studies are delivered, 1 were discarded"
    )
    (gone,) = journal.purges.candidates(10)
    journal.purges.purged([gone], 40.0)
    assert "delivered, 1 were discarded" in _seen(journal)["summary"]  # purged, too


def test_a_study_that_a_person_discarded_is_not_told_as_delivered(journal: Journal) -> None:
    journal.arrivals.take_in(
        [Arrival("7", STUDY, "S")], [STUDY], {STUDY: Pin(ALIAS, "key", "basic-1")}, None, 10.0
    )
    journal.instances.hold("7", Code.BURNED_IN_TEXT, "text", 20.0)
    _move(journal, Outcome.ALL_HELD)
    assert journal.decisions.discard("7", 30.0)
    assert "all 1 studies are delivered" not in _seen(journal)["summary"]


def test_without_proof_that_a_destination_can_be_reached_nothing_is_safe(journal: Journal) -> None:
    told = status.overview(journal, (), PLACES)
    assert not told["safe"]
    assert told["summary"].startswith("no study has come yet; archive was never reached")
    for name in PLACES[:2]:
        journal.links.reached(name, 5.0)
    assert not status.overview(journal, (), PLACES)["safe"]
    journal.links.reached(PLACES[2], 5.0)
    assert status.overview(journal, (), PLACES)["safe"]
    assert not status.overview(journal, (), ())["safe"]


def test_what_nothing_was_sent_of_yet_waits_for_what_keeps_all_from_a_destination(
    journal: Journal, receipts: dict[str, Receipt]
) -> None:
    assert receipts
    assert _seen(journal)["waits_for"] is None
    journal.links.closed("cloud", Code.DESTINATION_DENIED, 20.0)
    seen = _seen(journal)
    assert (seen["waits_for"], seen["waits_at"]) == (Code.DESTINATION_DENIED, "cloud")
    journal.links.reached("cloud", 21.0)
    assert _seen(journal)["waits_for"] is None
    assert journal.links.all()["cloud"].reached_at == 5.0  # the first time counts


def test_what_has_no_copy_yet_is_undelivered_everywhere(journal: Journal) -> None:
    journal.arrivals.take_in(
        [Arrival("7", STUDY, "S")], [], {STUDY: Pin(ALIAS, "key", "basic-1")}, None, 10.0
    )
    assert journal.outbox.oldest_undelivered(PLACES) == dict.fromkeys(PLACES, 10.0)


def _manifest(journal: Journal) -> tuple[manifest.Manifest, list[dict[str, Any]]]:
    text = manifest.make(
        KEY,
        "TRUCK1",
        ALIAS,
        journal.instances.of_study(STUDY),
        journal.outbox.of_study(STUDY),
        100.0,
    )
    entries: list[dict[str, Any]] = json.loads(text)["manifest"]["instances"]
    return manifest.check(text, {KEY.id: KEY}), entries


def test_a_manifest_is_not_complete_while_a_destination_holds_something_up(
    journal: Journal, receipts: dict[str, Receipt], audit: Audit
) -> None:
    _refuse(journal, receipts["archive"])
    for name in ("cloud", "research"):
        _prove(journal, receipts[name])
    made, entries = _manifest(journal)
    assert (made.entries, made.verified, made.complete) == (3, 2, False)
    assert {e["destination"]: e.get("held_for") for e in entries} == {
        "archive": "DESTINATION_REFUSED", "cloud": None, "research": None,
    }  # fmt: skip
    discard(journal, audit, What("7", "archive"), REASON, 30.0)
    made, _ = _manifest(journal)
    assert (made.entries, made.complete, made.left_out, made.given_up) == (2, True, 0, 1)


def test_a_manifest_of_what_was_given_up_everywhere_proves_nothing(
    journal: Journal, receipts: dict[str, Receipt], audit: Audit
) -> None:
    for receipt in receipts.values():
        _refuse(journal, receipt)
    discard(journal, audit, What(ALIAS), REASON, 30.0)
    made, entries = _manifest(journal)
    assert (entries, made.complete, made.left_out) == ([], False, 1)


def test_what_has_arrived_stands_where_another_image_under_its_uid_is_given_up(
    journal: Journal, receipts: dict[str, Receipt]
) -> None:
    for receipt in receipts.values():
        _prove(journal, receipt)
    code, other = Code.SAME_UID_OTHER_BYTES, "b" * 64
    assert journal.sightings.hold("7", other, code, "other bytes", 30.0)
    assert not journal.sightings.hold("7", other, code, "other bytes", 30.0)
    assert (_seen(journal)["delivered"], _seen(journal)["held"]) == (1, 1)
    assert journal.decisions.discard(repeated_name("7", other), 31.0)
    assert not journal.sightings.hold("7", other, code, "other bytes", 32.0)
    made, entries = _manifest(journal)
    assert (len(entries), made.verified, made.complete, made.left_out) == (3, 3, True, 1)
    seen = _seen(journal)
    assert (seen["delivered"], seen["held"], seen["discarded"]) == (1, 0, 1)
