"""The table of an instance's life, searched as a graph; and who writes the journal's tables."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router import journal as package
from router.journal import Journal, Pin, instances
from router.records.copies import Copy
from router.records.errors import IllegalTransition
from router.records.instance import (
    ENTRY,
    FINAL,
    INSTANCE_TABLE,
    Arrival,
    Event,
    Role,
    Stage,
    advance_instance,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The table with what changes nothing left out.
MOVES = {pair: to for pair, to in INSTANCE_TABLE.items() if to is not pair[0]}


def reachable(start: Stage, *, without: Stage | None = None) -> set[Stage]:
    """Every stage to which the table leads from ``start``, itself included."""
    seen, frontier = {start}, [start]
    while frontier:
        here = frontier.pop()
        for (stage, _), following in INSTANCE_TABLE.items():
            if stage is here and following is not without and following not in seen:
                seen.add(following)
                frontier.append(following)
    return seen


def test_every_life_begins_before_the_gate() -> None:
    assert set(ENTRY) == set(Role)
    assert Stage.ANONYMIZED not in ENTRY.values()


def test_the_gate_is_the_only_way_to_anonymized() -> None:
    leading = {pair for pair, following in MOVES.items() if following is Stage.ANONYMIZED}
    assert leading == {(Stage.RECEIVED, Event.COPIED)}


@pytest.mark.parametrize("stage", [Stage.HELD, Stage.DISCARDED])
def test_what_left_the_way_comes_back_only_through_the_gate(stage: Stage) -> None:
    assert Stage.ANONYMIZED in reachable(stage)
    assert Stage.ANONYMIZED not in reachable(stage, without=Stage.RECEIVED)


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_that_is_not_final_has_a_way_to_each_final_one(stage: Stage) -> None:
    if stage not in FINAL:
        assert set(FINAL) <= reachable(stage)
    assert reachable(stage) - {stage}


@pytest.mark.parametrize("start", sorted(set(ENTRY.values())))
def test_every_stage_is_reached_from_every_entry(start: Stage) -> None:
    assert reachable(start) == set(Stage)


def test_what_is_held_goes_on_only_by_a_decision() -> None:
    assert {event for stage, event in MOVES if stage is Stage.HELD} == {
        Event.RELEASE, Event.DISCARD, Event.REPLACED,
    }  # fmt: skip


def test_what_was_discarded_stays_so_unless_the_scanner_sends_another_image() -> None:
    assert {pair: to for pair, to in MOVES.items() if pair[0] is Stage.DISCARDED} == {
        (Stage.DISCARDED, Event.CAME_AGAIN): Stage.RECEIVED
    }


def test_an_image_is_given_up_by_a_person_alone() -> None:
    by = {event for (_, event), following in MOVES.items() if following is Stage.DISCARDED}
    # A capture is the router's own: one that is gone and was never sent is made anew.
    assert by == {Event.DISCARD, Event.REPLACED, Event.SUPERSEDED}


@pytest.mark.parametrize("stage", [Stage.RECEIVED, Stage.ANONYMIZED])
def test_whatever_is_on_its_way_can_be_held(stage: Stage) -> None:
    assert advance_instance(stage, Event.HOLD) is Stage.HELD


def test_each_event_leads_to_one_stage_wherever_it_comes_from() -> None:
    for event in Event:
        assert len({to for (_, found), to in MOVES.items() if found is event}) == 1


@pytest.mark.parametrize(
    ("stage", "event"),
    [p for p in itertools.product(Stage, Event) if p not in INSTANCE_TABLE],
)
def test_what_is_not_in_the_table_is_illegal(stage: Stage, event: Event) -> None:
    with pytest.raises(IllegalTransition, match=f"{event} is not possible .* {stage}"):
        advance_instance(stage, event)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal.db")
    made.arrivals.take_in(
        [Arrival("i", "s", "S")], ["s"], {"s": Pin("alias", "key", "basic-1")}, None, 1.0
    )
    yield made
    made.close()


def test_the_journal_makes_no_move_that_the_table_lacks(journal: Journal) -> None:
    with pytest.raises(IllegalTransition), journal._db.writing() as db:
        instances.came_again(db, "i", 2.0)
    assert [i.stage for i in journal.instances.of_study("s")] == [Stage.RECEIVED]


@pytest.mark.parametrize("stage", Stage)
def test_only_what_passed_the_gate_gets_a_receipt(journal: Journal, stage: Stage) -> None:
    copy = Copy("c", "1", "2", "3", "4", "CT", "1.2.840", 1, "d", "m", 10)
    with journal._db.writing() as db:
        instances.enter_copy(db, "i", copy)
        db.execute(
            "UPDATE instance SET stage = ?, hold_code = ?, hold_detail = '', held_at = 1.0",
            (stage, "UNREADABLE" if stage is Stage.HELD else None),
        )
    journal.studies.open_receipts("s", ["cloud"], 2.0)
    assert len(journal.outbox.of_study("s")) == (stage is Stage.ANONYMIZED)


def test_each_table_has_one_module_that_writes_it(journal: Journal) -> None:
    writes = re.compile(r"(?:INTO|UPDATE|DELETE FROM) ([a-z_]+)\b")
    writers: dict[str, set[str]] = defaultdict(set)
    for path in Path(package.__file__).parents[1].rglob("*.py"):
        if not path.name.startswith("schema"):
            for table in writes.findall(path.read_text(encoding="utf-8")):
                writers[table].add(path.name)
    tables = {
        row["name"]
        for row in journal._db.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    assert {name: len(writers[name]) for name in tables} == dict.fromkeys(tables, 1)
    assert writers["instance"] == {"instances.py"}
    assert writers["study"] == {"studies.py"}
    assert writers["receipt"] == {"receipts.py"}


def test_the_stage_of_an_instance_is_written_in_one_place() -> None:
    source = Path(instances.__file__).read_text(encoding="utf-8")
    assert len(re.findall(r"SET stage\b", source)) == 1
