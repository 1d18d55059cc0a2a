"""The journal: transactions, compare-and-swap, receipts, durability settings."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from router.journal import Cursor, Identities, Journal, Pin, lock
from router.journal.schema import NEWEST
from router.records.copies import Copy
from router.records.errors import Code, Hold, IllegalTransition, JournalError
from router.records.instance import CAPTURE_GONE, CAPTURED, Arrival, Role, Stage
from router.records.receipt import VerifiedBy
from router.records.study import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.records.receipt import Receipt
    from router.records.study import Study

PIN = Pin("abcdef012345", "key", "basic-1")
WHO = Identities("key", {("patient", "PSEUDONYM"): {"patient_id": "1", "name": "Doe^Jane"}})
CLOUD = "cloud"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    opened = Journal(path)
    yield opened
    opened.close()


def _copy(name: str) -> Copy:
    return Copy(
        orthanc_id=f"copy-{name}", study_uid="2.25.1", series_uid="2.25.2", sop_uid=f"2.25.{name}",
        sop_class="1.2.840.10008.5.1.4.1.1.2", modality="CT",
        transfer_syntax="1.2.840.10008.1.2.1", instance_number=1, digest=f"digest-{name}",
        md5=f"md5-{name}", size=100,
    )  # fmt: skip


def _arrive(journal: Journal, *instances: str, study: str = "study", now: float = 10.0) -> int:
    arrivals = [Arrival(instance, study, "SCANNER") for instance in instances]
    return journal.arrivals.take_in(arrivals, [], {study: PIN}, None, now)


def _stable(journal: Journal, study: str = "study", now: float = 20.0) -> None:
    journal.arrivals.take_in([], [study], {}, None, now)


def _study(journal: Journal, study: str = "study") -> Study:
    found = journal.studies.get(study)
    assert found is not None
    return found


def _anonymize(journal: Journal, *instances: str) -> None:
    for instance in instances:
        journal.copies.begin(instance, _copy(instance), WHO, 30.0)
        journal.copies.finish(instance)


def _to_analysed(journal: Journal, *instances: str) -> list[Receipt]:
    _arrive(journal, *instances)
    _stable(journal)
    _anonymize(journal, *instances)
    assert journal.studies.move(_study(journal), Outcome.DONE, 31.0)
    assert journal.studies.move(_study(journal), Outcome.SKIP, 32.0, [CLOUD])
    return journal.outbox.to_send(CLOUD, 33.0, 100)


def _prove(journal: Journal, receipt: Receipt, now: float) -> None:
    """It is sent and read back."""
    journal.receipts.begin_sending([receipt], now)
    journal.receipts.sent([receipt], now)
    journal.receipts.verified(receipt, VerifiedBy.DIGEST, now)


def test_a_study_waits_until_the_scanner_has_finished(journal: Journal) -> None:
    assert _arrive(journal, "a", "b") == 2
    assert journal.studies.due(1e9) is None
    assert journal.studies.arriving() == ["study"]
    _stable(journal)
    assert journal.studies.due(20.0) == _study(journal)
    assert journal.studies.arriving() == []


def test_an_instance_is_taken_in_once_and_a_copy_never(journal: Journal) -> None:
    _arrive(journal, "a")
    assert _arrive(journal, "a") == 0
    journal.copies.begin("a", _copy("a"), WHO, 1.0)
    assert journal.arrivals.unknown(["a", "copy-a", "new"]) == ["new"]
    assert _arrive(journal, "copy-a", "b") == 1


def test_the_cursor_moves_with_the_work_it_stands_for_or_not_at_all(journal: Journal) -> None:
    assert journal.arrivals.cursor() is None
    with pytest.raises(KeyError):
        journal.arrivals.take_in([Arrival("a", "study", "S")], [], {}, Cursor("db", 7), 1.0)
    assert journal.arrivals.cursor() is None
    assert journal.studies.get("study") is None
    journal.arrivals.take_in([Arrival("a", "study", "S")], [], {"study": PIN}, Cursor("db", 7), 1.0)
    assert journal.arrivals.cursor() == Cursor("db", 7)


def test_an_image_that_arrives_in_the_middle_of_a_step_sends_the_study_round_again(
    journal: Journal,
) -> None:
    _arrive(journal, "a")
    _stable(journal)
    seen = _study(journal)
    _anonymize(journal, "a")
    _arrive(journal, "late")
    assert not journal.studies.move(seen, Outcome.DONE, 40.0)
    after = _study(journal)
    assert (after.state, after.due_at) == (State.RECEIVED, None)
    assert after.generation > seen.generation
    stages = {i.orthanc_id: i.stage for i in journal.instances.of_study("study")}
    assert stages == {"a": Stage.ANONYMIZED, "late": Stage.RECEIVED}  # no work is lost


def test_a_delivered_study_grows_and_only_the_new_instance_is_sent(journal: Journal) -> None:
    (receipt,) = _to_analysed(journal, "a")
    _prove(journal, receipt, 34.0)
    assert journal.studies.settle("study", 35.0) is Outcome.DONE
    _arrive(journal, "late")
    _stable(journal)
    _anonymize(journal, "late")
    journal.studies.move(_study(journal), Outcome.DONE, 41.0)
    journal.studies.move(_study(journal), Outcome.SKIP, 42.0, [CLOUD])
    assert [r.instance for r in journal.outbox.to_send(CLOUD, 43.0, 100)] == ["late"]


def test_a_move_that_the_table_does_not_know_raises(journal: Journal) -> None:
    _arrive(journal, "a")
    with pytest.raises(IllegalTransition):
        journal.studies.move(_study(journal), Outcome.PURGE, 1.0)
    with pytest.raises(IllegalTransition):
        journal.decisions.release("a", 1.0) or journal.studies.move(
            _study(journal), Outcome.SKIP, 1.0
        )


def test_saying_that_it_was_sent_is_not_delivery(journal: Journal) -> None:
    (receipt,) = _to_analysed(journal, "a")
    journal.receipts.begin_sending([receipt], 33.0)
    journal.receipts.sent([receipt], 34.0)
    assert journal.studies.settle("study", 35.0) is None
    assert journal.outbox.to_send(CLOUD, 36.0, 10) == []
    (waiting,) = journal.outbox.to_verify(CLOUD, 36.0, 10)
    journal.receipts.verified(waiting, VerifiedBy.PRESENCE, 37.0)
    assert journal.studies.settle("study", 38.0) is Outcome.DONE
    assert _study(journal).state is State.DELIVERED


def test_images_travel_while_they_are_analysed_and_wait_for_their_captures(
    journal: Journal,
) -> None:
    _arrive(journal, "a")
    _stable(journal)
    _anonymize(journal, "a")
    journal.studies.move(_study(journal), Outcome.DONE, 31.0, [CLOUD])
    (receipt,) = journal.outbox.to_send(CLOUD, 32.0, 10)
    _prove(journal, receipt, 33.0)
    assert journal.studies.settle("study", 34.0) is None
    assert _study(journal).state is State.ANONYMIZED
    journal.copies.begin_capture("a", _copy("capture"), 35.0)
    journal.copies.finish("copy-capture")
    journal.instances.decide_analysis({"a": CAPTURED})
    journal.studies.move(_study(journal), Outcome.DONE, 36.0, [CLOUD])
    assert journal.studies.settle("study", 37.0) is None
    (capture,) = journal.outbox.to_send(CLOUD, 38.0, 10)
    assert capture.instance == "copy-capture"
    _prove(journal, capture, 39.0)
    assert journal.studies.settle("study", 40.0) is Outcome.DONE


def test_a_try_that_was_cut_off_is_remembered_as_doubtful(journal: Journal) -> None:
    (receipt,) = _to_analysed(journal, "a")
    assert receipt.begun_at is None
    journal.receipts.begin_sending([receipt], 33.0)
    (delivery_unknown,) = journal.outbox.to_send(CLOUD, 34.0, 10)
    assert delivery_unknown.begun_at == 33.0


def test_a_refusal_counts_and_waits_and_a_verified_receipt_never_changes(journal: Journal) -> None:
    (receipt,) = _to_analysed(journal, "a")
    journal.receipts.put_off(receipt, Code.DESTINATION_BUSY, 100.0, counts=True)
    assert journal.outbox.to_send(CLOUD, 99.0, 10) == []
    (again,) = journal.outbox.to_send(CLOUD, 100.0, 10)
    assert (again.attempts, again.last_code) == (1, Code.DESTINATION_BUSY)
    _prove(journal, again, 101.0)
    journal.receipts.put_off(again, Code.DESTINATION_BUSY, 200.0, counts=True)
    with pytest.raises(IllegalTransition):
        journal.receipts.send_again(again, Code.DESTINATION_BUSY, 200.0)
    (kept,) = journal.outbox.of_study("study")
    assert (kept.verified_at, kept.attempts) == (101.0, 1)


def test_a_held_instance_never_blocks_its_study(journal: Journal) -> None:
    receipts = _to_analysed(journal, "a", "b")
    sent, refused = sorted(receipts, key=lambda receipt: receipt.instance)
    journal.receipts.hold(refused, Code.DESTINATION_REFUSED, "why", 34.0)
    _prove(journal, sent, 35.0)
    assert journal.studies.settle("study", 36.0) is Outcome.DONE
    assert [r.instance for r in journal.outbox.to_send(CLOUD, 37.0, 10)] == []
    (held,) = journal.holds.all()
    assert (held.study.state, held.instance.orthanc_id) == (State.DELIVERED, "b")
    assert (held.hold.code, held.hold.since) == (Code.DESTINATION_REFUSED, 34.0)
    assert held.destination == CLOUD
    assert journal.holds.count() == {Code.DESTINATION_REFUSED: 1}


def test_a_study_with_nothing_left_to_send_is_held(journal: Journal) -> None:
    (receipt,) = _to_analysed(journal, "a")
    journal.receipts.hold(receipt, Code.DESTINATION_REFUSED, "why", 34.0)
    assert journal.studies.settle("study", 35.0) is Outcome.ALL_HELD
    assert _study(journal).state is State.HELD


def test_a_released_instance_starts_from_the_beginning(journal: Journal) -> None:
    _to_analysed(journal, "a")
    journal.instances.hold("a", Code.COPY_DIFFERS, "why", 34.0)
    journal.studies.settle("study", 35.0)
    assert journal.decisions.release("a", 36.0)
    assert not journal.decisions.release("a", 37.0)
    (instance,) = journal.instances.of_study("study")
    assert (instance.stage, instance.hold) == (Stage.RECEIVED, None)
    assert _study(journal).state is State.RECEIVED
    assert journal.studies.due(36.0) is not None


def test_only_what_was_missing_is_released_when_it_is_found_again(journal: Journal) -> None:
    _arrive(journal, "a", "b")
    journal.instances.hold("a", Code.SOURCE_MISSING, "gone", 1.0)
    journal.instances.hold("b", Code.BURNED_IN_TEXT, "text", 1.0)
    assert journal.arrivals.found_again(["a", "b"], 2.0) == 1
    assert [held.instance.orthanc_id for held in journal.holds.all()] == ["b"]


def test_a_capture_is_entered_once_however_often_it_is_made(journal: Journal) -> None:
    _arrive(journal, "a")
    _anonymize(journal, "a")
    for _ in range(2):
        journal.copies.begin_capture("a", _copy("capture"), 31.0)
    journal.copies.finish("copy-capture")
    journal.instances.decide_analysis({"a": CAPTURED})
    journal.instances.decide_analysis({"a": "SOMETHING_ELSE"})
    source, capture = journal.instances.of_study("study")
    assert (source.analysis, capture.role) == (CAPTURED, Role.CAPTURE)
    assert capture.stage is Stage.ANONYMIZED


def test_a_copy_that_vanished_is_made_again_and_a_capture_from_its_source(
    journal: Journal,
) -> None:
    _arrive(journal, "a")
    _stable(journal)
    _anonymize(journal, "a")
    journal.copies.begin_capture("a", _copy("capture"), 31.0)
    journal.copies.finish("copy-capture")
    journal.instances.decide_analysis({"a": CAPTURED})
    journal.copies.make_again("copy-capture", 40.0)
    source, capture = journal.instances.of_study("study")
    assert (source.stage, source.analysis) == (Stage.ANONYMIZED, CAPTURE_GONE)
    assert capture.stage is Stage.RECEIVED
    journal.copies.make_again("a", 41.0)
    assert journal.instances.of_study("study")[0].stage is Stage.RECEIVED
    assert _study(journal).state is State.RECEIVED


def test_due_times_of_a_wrong_clock_are_brought_back(journal: Journal) -> None:
    (receipt,) = _to_analysed(journal, "a")
    journal.receipts.put_off(receipt, Code.DESTINATION_BUSY, 1e12, counts=False)
    journal.studies.cap_due_times(100.0)
    (again,) = journal.outbox.to_send(CLOUD, 100.0, 10)
    assert again.due_at == 100.0
    journal.receipts.put_off(again, Code.DESTINATION_BUSY, 500.0, counts=False)
    journal.studies.cap_due_times(100.0)
    assert journal.outbox.to_send(CLOUD, 100.0, 10) == []
    journal.studies.cap_due_times(100.0, 0.0)
    assert len(journal.outbox.to_send(CLOUD, 100.0, 10)) == 1


def test_failures_of_an_instance_are_counted(journal: Journal) -> None:
    _arrive(journal, "a")
    assert [journal.instances.count_failure("a") for _ in range(3)] == [1, 2, 3]


def test_a_postponed_step_waits_and_counts_only_where_it_was_a_try(journal: Journal) -> None:
    _arrive(journal, "a")
    _stable(journal)
    journal.studies.postpone(_study(journal), Code.ORTHANC_UNREACHABLE, 50.0, counts=False)
    assert journal.studies.due(49.0) is None
    journal.studies.postpone(_study(journal), Code.UNEXPECTED, 60.0, counts=True)
    assert (_study(journal).attempts, _study(journal).due_at) == (1, 60.0)


def test_the_oldest_undelivered_image_is_known_per_destination(journal: Journal) -> None:
    assert journal.outbox.oldest_undelivered([CLOUD]) == {}
    (receipt,) = _to_analysed(journal, "a")
    assert journal.outbox.oldest_undelivered([CLOUD]) == {CLOUD: 10.0}
    _prove(journal, receipt, 50.0)
    assert journal.outbox.oldest_undelivered([CLOUD]) == {}
    assert journal.studies.count() == {State.ANALYSED: 1}


def test_the_patient_is_written_with_the_first_use_of_the_pseudonym(
    journal: Journal, path: Path
) -> None:
    _arrive(journal, "a")
    journal.copies.begin("a", _copy("a"), WHO, 30.0)
    with sqlite3.connect(path) as reader:
        rows = reader.execute("SELECT kind, pseudonym, scheme, first_used_at FROM identity")
        assert rows.fetchall() == [("patient", "PSEUDONYM", 0, 30.0)]
    reader.close()


def test_commits_survive_a_power_cut_by_the_settings_of_the_file(path: Path) -> None:
    journal = Journal(path)
    assert journal._db.rows("PRAGMA journal_mode")[0][0] == "wal"
    assert journal._db.rows("PRAGMA synchronous")[0][0] == 2  # FULL
    journal.close()


def test_a_journal_survives_being_opened_again(path: Path) -> None:
    first = Journal(path)
    _arrive(first, "a")
    first.close()
    second = Journal(path)
    assert [i.orthanc_id for i in second.instances.of_study("study")] == ["a"]
    second.close()


def test_a_journal_of_a_newer_router_is_refused(path: Path) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as writer:
        writer.execute(f"PRAGMA user_version = {NEWEST + 1}")
    writer.close()
    with pytest.raises(JournalError) as raised:
        Journal(path)
    assert raised.value.code is Code.JOURNAL_NEWER


def test_a_damaged_journal_is_refused(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(JournalError) as raised:
        Journal(path)
    assert raised.value.code is Code.JOURNAL_UNUSABLE


def test_only_one_router_works_with_a_journal(path: Path) -> None:
    with lock(path), pytest.raises(JournalError) as raised, lock(path):
        pass
    assert raised.value.code is Code.JOURNAL_LOCKED
    with lock(path):
        pass


def test_receipts_follow_the_destinations_of_the_settings(journal: Journal) -> None:
    _to_analysed(journal, "a")
    assert journal.destinations.adopt(["pacs"], 40.0) == 1
    (receipt,) = journal.outbox.to_send("pacs", 41.0, 10)
    _prove(journal, receipt, 42.0)
    assert journal.studies.settle("study", 43.0) is Outcome.DONE
    assert journal.destinations.adopt(["other"], 44.0) == 0
    assert journal.outbox.to_send("other", 45.0, 10) == []  # what was delivered stays so


def test_what_one_destination_refuses_still_goes_to_the_others(journal: Journal) -> None:
    _to_analysed(journal, "a")
    journal.destinations.adopt([CLOUD, "pacs"], 33.0)
    (refused,) = journal.outbox.to_send("pacs", 34.0, 10)
    journal.receipts.hold(refused, Code.DESTINATION_REFUSED, "why", 34.0)
    assert [r.instance for r in journal.outbox.to_send(CLOUD, 35.0, 10)] == ["a"]
    assert journal.outbox.to_send("pacs", 35.0, 10) == []


def test_two_originals_with_one_sop_instance_uid_are_found(journal: Journal) -> None:
    _arrive(journal, "a", "b")
    journal.copies.begin("a", _copy("same"), WHO, 1.0)
    journal.copies.begin("a", _copy("same"), WHO, 2.0)
    with pytest.raises(Hold) as raised:
        journal.copies.begin("b", _copy("same"), WHO, 3.0)
    assert raised.value.code is Code.UID_CONFLICT


def test_a_released_capture_is_made_again(journal: Journal) -> None:
    _arrive(journal, "a")
    _stable(journal)
    _anonymize(journal, "a")
    journal.copies.begin_capture("a", _copy("capture"), 31.0)
    journal.copies.finish("copy-capture")
    journal.instances.decide_analysis({"a": CAPTURED})
    assert journal.instances.of_study("study")[0].analysis == CAPTURED
    journal.instances.hold("copy-capture", Code.COPY_DIFFERS, "why", 32.0)
    assert journal.decisions.release("copy-capture", 33.0)
    source, capture = journal.instances.of_study("study")
    assert (source.analysis, capture.stage) == (CAPTURE_GONE, Stage.RECEIVED)
