"""A corrected study in another's place: who waits for whom at which destination, and what is given up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from router.imaging.rejection_note import Title
from router.journal import Identities, Journal, Pin
from router.journal.copies import UidConflict
from router.observe.audit import Audit
from router.operator.decisions import Reason
from router.operator.replacement import rejected, replace, told
from router.records.copies import Copy
from router.records.errors import Code, OperatorError
from router.records.instance import Arrival, Stage
from router.records.receipt import ReceiptState, VerifiedBy
from router.records.study import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.records.study import Study

NOBODY = Identities("k", {})
WHY = Reason("Ana", "the wrong worklist entry")
A, B = "near", "far"


class Truck:
    """A journal with a wrong study of two images, and the corrected one that is held."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.db")
        self.audit = Audit(folder / "audit.jsonl")
        studies = ("wrong", "right")
        arrivals = [Arrival(f"{study}-{n}", study, "S") for study in studies for n in (1, 2)]
        pins = {study: Pin(study.ljust(12, "0"), "k", "p") for study in studies}
        self.journal.arrivals.take_in(arrivals, studies, pins, None, 1.0)
        for n in (1, 2):
            self.copy("wrong", n, 0)
        self.go("wrong")

    def study(self, name: str) -> Study:
        found = self.journal.studies.get(name)
        assert found is not None
        return found

    def copy(self, study: str, n: int, correction: int) -> None:
        name = f"{study}-{n}"
        copy = Copy(
            orthanc_id=f"copy-{name}", study_uid=f"2.25.1{correction}", series_uid=f"2.25.2{correction}",
            sop_uid=f"2.25.3{n}{correction}", sop_class="1.2", modality="MG", transfer_syntax="1",
            instance_number=n, digest=name, md5="m", size=1,
        )  # fmt: skip
        try:
            self.journal.copies.begin(name, copy, NOBODY, 2.0)
        except UidConflict as conflict:
            self.journal.conflicts.note(name, conflict)
            self.journal.instances.hold(name, conflict.code, conflict.sentence, 2.0)
        else:
            self.journal.copies.finish(name)

    def go(self, study: str) -> None:
        for outcome in (Outcome.DONE, Outcome.SKIP):
            assert self.journal.studies.move(self.study(study), outcome, 3.0, [A, B])

    def due(self, destination: str) -> list[str]:
        return sorted(r.instance for r in self.journal.outbox.to_send(destination, 9.0, 99))

    def send(self, destination: str, *names: str, verify: bool = True) -> None:
        chosen = [
            r for r in self.journal.outbox.to_send(destination, 9.0, 99) if r.instance in names
        ]
        assert len(chosen) == len(names)
        self.journal.receipts.begin_sending(chosen, 4.0)
        if verify:
            self.journal.receipts.all_verified([(r, VerifiedBy.DIGEST) for r in chosen], 5.0)

    def correct(self) -> None:
        """The corrected images come, are held, and a person decides."""
        for n in (1, 2):
            self.copy("right", n, 0)
        assert replace(self.journal, self.audit, "right", Title.WORKLIST, WHY, 6.0).study
        number = self.journal.corrections.number("right")
        assert number == 1
        for n in (1, 2):
            self.copy("right", n, number)
        self.go("right")

    def make_note(self) -> None:
        correction = self.journal.corrections.unmade("wrong")
        assert correction is not None
        copy = Copy(
            orthanc_id="note", study_uid="2.25.10", series_uid="2.25.40", sop_uid="2.25.41",
            sop_class="1.3", modality="KO", transfer_syntax="1", instance_number=1, digest="n", md5="m",
            size=1,
        )  # fmt: skip
        self.journal.corrections.begin_note(correction, copy, 7.0)
        self.journal.copies.finish("note")
        self.go("wrong")


@pytest.fixture
def truck(tmp_path: Path) -> Iterator[Truck]:
    made = Truck(tmp_path)
    yield made
    made.journal.close()


def test_the_corrected_images_wait_for_the_note_where_the_wrong_ones_may_be_and_nowhere_else(
    truck: Truck,
) -> None:
    truck.send(A, "wrong-1")
    truck.correct()
    # Nothing of the wrong one goes any more; at the other destination nothing has to be rejected.
    assert truck.due(A) == []
    assert truck.due(B) == ["right-1", "right-2"]
    truck.make_note()
    assert truck.due(A) == ["note"]
    assert truck.due(B) == ["right-1", "right-2"]
    truck.send(A, "note", verify=False)
    assert truck.due(A) == ["note"], (
        "a note that may have arrived is asked about, and does not count"
    )
    truck.send(A, "note")
    assert truck.due(A) == ["right-1", "right-2"]
    instances = {i.orthanc_id: i.stage for i in truck.journal.instances.of_study("wrong")}
    assert instances["wrong-2"] is Stage.DISCARDED
    states = {(r.instance, r.destination): r.state for r in truck.journal.outbox.of_study("wrong")}
    assert states["wrong-1", B] is ReceiptState.DISCARDED


def test_the_note_waits_for_what_is_on_its_way(truck: Truck) -> None:
    truck.send(A, "wrong-1", verify=False)
    truck.correct()
    truck.make_note()
    assert truck.due(A) == ["wrong-1"], "it may arrive after the note, and would not be rejected"
    truck.send(A, "wrong-1")
    assert truck.due(A) == ["note"]


def test_of_a_study_that_never_left_nothing_is_rejected(truck: Truck) -> None:
    truck.correct()
    assert truck.journal.corrections.unmade("wrong") is None
    assert truck.study("wrong").state is State.DISCARDED
    assert truck.due(A) == truck.due(B) == ["right-1", "right-2"]


def test_an_archive_that_was_told_needs_no_note(truck: Truck) -> None:
    truck.send(A, "wrong-1")
    truck.correct()
    listed = rejected(truck.journal, "wrong").splitlines()
    assert len(listed) == 2
    assert listed[1].startswith(f"{A},2.25.10,2.25.20,2.25.310,1.2,DCM 113038,")
    with pytest.raises(OperatorError) as raised:
        told(truck.journal, truck.audit, "right", B, WHY, 8.0)
    assert raised.value.code is Code.WRONG_ARGUMENT
    told(truck.journal, truck.audit, "wrong", A, WHY, 8.0)
    assert truck.journal.corrections.unmade("wrong") is None
    assert truck.due(A) == ["right-1", "right-2"]


def test_each_decision_is_written_down_and_none_is_made_twice(truck: Truck, tmp_path: Path) -> None:
    truck.send(A, "wrong-1")
    truck.correct()
    for name in ("right", "wrong", "right-1"):
        with pytest.raises(OperatorError) as raised:
            replace(truck.journal, truck.audit, name, Title.WORKLIST, WHY, 9.0)
        assert raised.value.code in {Code.NOT_HELD, Code.NOT_IN_JOURNAL}
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [(x["action"], x["study"], x["replaces"], x["by"]) for x in lines] == [
        ("replace", "right0000000", "wrong0000000", "Ana"),
    ]  # fmt: skip


def test_a_study_that_was_sent_takes_nobodys_place(truck: Truck) -> None:
    truck.send(A, "wrong-1")
    truck.correct()
    truck.make_note()
    truck.send(A, "note")
    truck.send(A, "right-1")
    late = Arrival("wrong-3", "wrong", "S")
    truck.journal.arrivals.take_in([late], [], {"wrong": Pin("wrong0000000", "k", "p")}, None, 8.0)
    truck.copy("wrong", 3, 0)
    ((held),) = truck.journal.holds.all()
    assert held.hold.code is Code.UID_CONFLICT
    with pytest.raises(OperatorError) as raised:
        replace(truck.journal, truck.audit, "wrong", Title.WORKLIST, WHY, 9.0)
    assert raised.value.code is Code.NOT_REPLACEABLE


def test_a_second_correction_takes_the_place_of_the_first_under_new_uids(truck: Truck) -> None:
    truck.send(A, "wrong-1")
    truck.correct()
    truck.make_note()
    truck.send(A, "note")
    truck.send(A, "right-1")
    third = Arrival("third-1", "third", "S")
    truck.journal.arrivals.take_in([third], [], {"third": Pin("third0000000", "k", "p")}, None, 8.0)
    truck.copy("third", 1, 0)  # the scanner's UIDs are the same ever after
    done = replace(truck.journal, truck.audit, "third", Title.WORKLIST, WHY, 9.0)
    assert (done.replaces, done.destinations) == ("right0000000", (A,))
    assert truck.journal.corrections.number("third") == 2
    correction = truck.journal.corrections.unmade("right")
    assert correction is not None
    assert correction.original == "2.25.10"
    truck.copy("third", 1, 2)
    truck.go("third")
    assert truck.due(A) == []
    assert truck.due(B) == ["third-1"]


# --- what is discarded makes room ---------------------------------------------------------------


def test_what_comes_in_the_place_of_a_discarded_image_is_a_new_one(truck: Truck) -> None:
    truck.journal.instances.hold("right-1", Code.NO_PATIENT_ID, "", 2.0)
    assert truck.journal.decisions.discard("right-1", 3.0, for_another=True)
    (gone,) = truck.journal.purges.to_remove()
    assert gone.files == ("right-1",)
    assert truck.journal.purges.may_remove("right-1", "first")
    # The router dies before it is written down; meanwhile the scanner sends another one.
    assert not truck.journal.purges.may_remove("right-1", "second")
    truck.journal.purges.removed("right-1", 4.0)
    (back,) = truck.journal.purges.returned(["right-1"])
    assert back.given_up
    truck.journal.arrivals.take_back("right-1", 5.0)
    assert truck.journal.purges.returned(["right-1"]) == []
    assert truck.journal.purges.to_remove() == []
    instance = next(
        i for i in truck.journal.instances.of_study("right") if i.orthanc_id == "right-1"
    )
    assert (instance.stage, instance.purged_at, instance.copy) == (Stage.RECEIVED, None, None)
    assert truck.study("right").state is State.RECEIVED


def test_what_a_destination_may_hold_stays_on_the_truck_when_it_is_discarded(truck: Truck) -> None:
    truck.send(A, "wrong-1", verify=False)
    truck.journal.instances.hold("wrong-1", Code.SAME_UID_OTHER_BYTES, "", 5.0)
    assert truck.journal.decisions.discard("wrong-1", 6.0, for_another=True)
    assert truck.journal.purges.to_remove() == []
