"""Journals that the routers of versions 6 and 7 wrote: what becomes of them under this one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from prometheus_client import CollectorRegistry

from router.journal import Identities, Journal
from router.journal.schema import NEWEST
from router.observe.metrics import Metrics
from router.operator import status
from router.pipeline.deliver import Delivery
from router.pipeline.worker import Worker
from router.records.errors import Code
from router.records.instance import Role, Stage
from router.records.receipt import ReceiptState
from router.records.study import Outcome, State, rest
from tests.support.delivery_world import Pacs, Truck
from tests.support.stored_journal import copy_of, file_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.pipeline.steps import Steps
    from router.records.study import Study
    from router.truck.orthanc import TruckOrthanc

STORED = Path(__file__).with_name("journal_v6.sql")
LAST = Path(__file__).with_name("journal_v7.sql")
ROOT = Path(__file__).resolve().parents[3]
DESTINATIONS = ["archive", "cloud"]
#: Long after the last of what it says.
NOW = 1_700_100_000.0
_OPEN_AND_DIE = (
    "import os, signal, sys; from pathlib import Path; from router.journal import Journal;"
    " Journal(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
)


def _restored(written: Path, place: Path) -> Path:
    with sqlite3.connect(place) as stored:
        stored.executescript(written.read_text(encoding="utf-8"))
    stored.close()
    return place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return _restored(STORED, tmp_path / "journal.db")


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    opened = Journal(path)
    yield opened
    opened.close()


class _Copying:
    """The local steps: each image that has no copy gets the one that its name stands for."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def take(self, study: Study) -> Outcome:
        if study.state is State.ANONYMIZED:
            return Outcome.SKIP
        for found in self._journal.instances.of_study(study.orthanc_id):
            if found.role is Role.SOURCE and found.stage is Stage.RECEIVED:
                copy = copy_of(study.orthanc_id, found.orthanc_id)
                self._journal.copies.begin(found.orthanc_id, copy, Identities("key", {}), NOW)
                self._journal.copies.finish(found.orthanc_id)
        stages = {found.stage for found in self._journal.instances.of_study(study.orthanc_id)}
        return rest(sendable=Stage.ANONYMIZED in stages, held=Stage.HELD in stages)


def _deliver(journal: Journal) -> dict[str, Pacs]:
    """Lets everything go its way; what each destination was given."""
    truck, there = Truck(), {name: Pacs(name) for name in DESTINATIONS}
    for study in journal.studies.all():
        for found in journal.instances.of_study(study.orthanc_id):
            copy = copy_of(study.orthanc_id, found.orthanc_id)
            truck.copies[copy.orthanc_id] = file_of(study.orthanc_id, found.orthanc_id)
            for receipt in journal.outbox.of_study(study.orthanc_id):
                if receipt.instance == found.orthanc_id and receipt.sent_at is not None:
                    there[receipt.destination].stored[copy.sop_uid] = copy.digest
    journal.destinations.adopt(DESTINATIONS, NOW)
    worker = Worker(
        journal, cast("Steps", _Copying(journal)), DESTINATIONS, lambda: NOW, lambda: 0.0
    )
    while worker.work_once():
        pass
    for pacs in there.values():
        delivery = Delivery(
            pacs, cast("TruckOrthanc", truck), journal, Metrics(CollectorRegistry()),
            lambda: NOW, lambda: 0.0, lambda: False,
        )  # fmt: skip
        while not delivery.work_once():
            pass
        delivery.close()
    return there


def _states(journal: Journal) -> dict[str, State]:
    return {study.orthanc_id: study.state for study in journal.studies.all()}


def _held(journal: Journal) -> set[tuple[str, str | None, Code]]:
    return {(h.instance.orthanc_id, h.destination, h.hold.code) for h in journal.holds.all()}


HELD = {
    ("text-1", None, Code.BURNED_IN_TEXT),
    ("copy-1", None, Code.COPY_DIFFERS),
    ("onerefused-1", "archive", Code.DESTINATION_REFUSED),
    ("endless-1", "archive", Code.DESTINATION_REFUSED),
    ("alone-1", "archive", Code.DESTINATION_REFUSED),
    ("only-1", "cloud", Code.DESTINATION_REFUSED),
    ("gone-1", "former", Code.DESTINATION_REFUSED),
}


def test_what_one_destination_held_up_everywhere_is_held_there_alone(journal: Journal) -> None:
    assert _held(journal) == HELD
    details = {h.hold.detail for h in journal.holds.all() if h.destination == "archive"}
    assert details == {"archive: answered 413"}


def test_each_receipt_has_the_state_that_its_times_say(journal: Journal) -> None:
    states = {
        (r.instance, r.destination): r.state
        for study in journal.studies.all()
        for r in journal.outbox.of_study(study.orthanc_id)
    }
    assert states["analysed-1", "archive"] is ReceiptState.WAITING
    assert states["analysed-1", "cloud"] is ReceiptState.UNCERTAIN
    assert states["analysed-2", "cloud"] is ReceiptState.SENT
    assert states["analysed-3", "cloud"] is ReceiptState.VERIFIED
    assert states["endless-1", "cloud"] is ReceiptState.WAITING
    assert states["only-1", "cloud"] is ReceiptState.HELD


def test_a_study_that_was_told_as_delivered_and_was_not_is_on_its_way_again(
    journal: Journal,
) -> None:
    states = _states(journal)
    assert {name for name, state in states.items() if state is State.RECEIVED} == {
        "arriving", "received", "endless", "alone", "onerefused", "gone",
    }  # fmt: skip
    assert (states["only"], states["copy"], states["text"]) == (State.HELD,) * 3
    assert states["delivered"] is State.DELIVERED
    assert states["purged"] is State.PURGED
    assert states["discarded"] is State.DISCARDED


def test_what_was_reached_is_known(journal: Journal) -> None:
    links = journal.links.all()
    assert {name: link.reached_at for name, link in links.items()} == {
        "archive": 1_700_000_004.0, "cloud": 1_700_000_004.0,
    }  # fmt: skip
    assert not status.overview(journal, (), [*DESTINATIONS, "new"])["safe"]


#: What only the journal of version 7 holds: it was sent under the UID of a known image.
OTHER_IMAGE = (f"delivered-1+{'b' * 12}", None, Code.SAME_UID_OTHER_BYTES)


def _assert_all_went_on(journal: Journal, there: dict[str, Pacs]) -> None:
    assert _states(journal) == {
        "arriving": State.RECEIVED, "received": State.DELIVERED, "text": State.HELD,
        "anonymized": State.DELIVERED, "analysed": State.DELIVERED, "delivered": State.DELIVERED,
        "purged": State.PURGED, "discarded": State.DISCARDED, "onerefused": State.DELIVERED,
        "endless": State.DELIVERED, "alone": State.DELIVERED, "only": State.HELD,
        "copy": State.HELD, "gone": State.DELIVERED,
    }  # fmt: skip
    assert _held(journal) - {OTHER_IMAGE} == HELD
    refused = {copy_of(name, f"{name}-1").sop_uid for name in ("onerefused", "endless", "alone")}
    assert not refused & there["archive"].stored.keys()
    assert refused <= there["cloud"].stored.keys()
    assert not any(pacs.different for pacs in there.values())


def _open_and_die(path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _OPEN_AND_DIE, str(path)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert ended.returncode == -9


@pytest.mark.parametrize("killed", [False, True])
def test_its_deliveries_go_on_also_where_the_router_dies_right_after_the_migration(
    path: Path, *, killed: bool
) -> None:
    if killed:
        _open_and_die(path)
    journal = Journal(path)
    assert journal._db.rows("PRAGMA user_version")[0][0] == NEWEST
    assert path.with_name("journal.db.v6.bak").exists()
    there = _deliver(journal)
    _assert_all_went_on(journal, there)
    journal.close()


@pytest.mark.parametrize("killed", [False, True])
def test_the_journal_of_the_last_version_goes_on_as_it_is(tmp_path: Path, *, killed: bool) -> None:
    path = _restored(LAST, tmp_path / "journal.db")
    if killed:
        _open_and_die(path)
    journal = Journal(path)
    assert journal._db.rows("PRAGMA user_version")[0][0] == NEWEST
    _assert_all_went_on(journal, _deliver(journal))
    assert OTHER_IMAGE in _held(journal)
    assert journal.decisions.discard(OTHER_IMAGE[0], NOW)
    assert journal.sightings.others("delivered-1") == {"b" * 64: Stage.DISCARDED}
    assert _states(journal)["delivered"] is State.DELIVERED
    journal.close()


def test_what_was_held_for_another_image_s_sake_stands_and_the_other_is_held_beside_it(
    path: Path,
) -> None:
    detail = f"SHA-256 first {'a' * 64}, then {'b' * 64}"
    with sqlite3.connect(path) as stored:
        stored.execute(
            "UPDATE instance SET stage = 'HELD', hold_code = 'SAME_UID_OTHER_BYTES',"
            " hold_detail = ?, held_at = 1700000005.0 WHERE orthanc_id IN"
            " ('delivered-1', 'received-1')",
            (detail,),
        )
    stored.close()
    opened = Journal(path)
    try:
        first, other = (
            next(i for i in opened.instances.of_study("delivered") if i.orthanc_id == name)
            for name in ("delivered-1", f"delivered-1+{'b' * 12}")
        )
        assert (first.stage, first.hold) == (Stage.ANONYMIZED, None)
        assert (other.role, other.stage) == (Role.REPEATED, Stage.HELD)
        assert opened.sightings.others("delivered-1") == {"b" * 64: Stage.HELD}
        # What had not gone anywhere is still the question that it was.
        assert ("received-1", None, Code.SAME_UID_OTHER_BYTES) in _held(opened)
    finally:
        opened.close()
