"""The journal stays as fast with many studies as with few; and a long outage ends in the right order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.journal import Identities, Journal, Pin
from router.records.copies import Copy, Route
from router.records.instance import Arrival
from router.records.receipt import VerifiedBy
from router.records.study import Outcome, Priority, State
from tests.benchmarks.journal import filled, look_at_all, scrape_s

if TYPE_CHECKING:
    from pathlib import Path

CLOUD = "cloud"
#: Of the processor, by scrapes every 15 s.
MOST_BY_SCRAPES = 0.01 * 15
STUDIES = 120  # two days, sixty a day


def test_no_question_of_the_delivery_reads_a_whole_table(tmp_path: Path) -> None:
    journal = filled(tmp_path / "journal.db", 50)
    asked: list[str] = []
    journal._db._connection.set_trace_callback(asked.append)
    journal.outbox.to_send(CLOUD, 1e12, 48)
    journal.outbox.to_verify(CLOUD, 1e12, 48)
    journal.studies.due(1e12)
    journal.studies.settle("s50", 1.0)
    journal._db._connection.set_trace_callback(None)
    for sql in asked:
        if sql.startswith("SELECT"):
            plan = journal._db.rows(f"EXPLAIN QUERY PLAN {sql}")
            # A list that is handed over with the question is no table.
            steps = [str(row["detail"]) for row in plan if "json_each" not in row["detail"]]
            assert not [step for step in steps if step.startswith("SCAN")], steps
    journal.close()


@pytest.mark.alone
def test_metrics_cost_at_most_a_hundredth_of_the_routers_time_however_much_is_in_the_journal(
    tmp_path: Path,
) -> None:
    journal = filled(tmp_path / "journal.db", 20_000)
    look_at_all(journal)
    assert scrape_s(journal, 20_000) <= MOST_BY_SCRAPES
    journal.close()


def _waiting(journal: Journal, number: int, urgent: bool) -> str:  # noqa: FBT001
    name = f"{number:03d}{'u' if urgent else ''}"
    now = number * 1440.0
    copy = Copy(
        orthanc_id=f"copy-{name}", study_uid=name, series_uid=name, sop_uid=name, sop_class="1.2",
        modality="MG", transfer_syntax="1.2.840", instance_number=1, digest=name, md5=name, size=1,
    )  # fmt: skip
    pin = Pin(name, "key", "basic-1")
    journal.arrivals.take_in([Arrival(name, name, "S")], [name], {name: pin}, None, now)
    route = Route(
        rule="r", destinations=None, priority=Priority.URGENT if urgent else Priority.NORMAL,
        analyses=None, policy="",
    )  # fmt: skip
    journal.copies.begin(name, copy, Identities("key", {}), now, route)
    journal.copies.finish(name)
    for outcome in (Outcome.DONE, Outcome.SKIP):
        study = journal.studies.get(name)
        assert study is not None
        assert journal.studies.move(study, outcome, now, [CLOUD])
    return name


def test_after_two_days_without_a_link_all_goes_out_the_urgent_first_and_nothing_is_held(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "journal.db")
    names = [_waiting(journal, n, urgent=n % 10 == 9) for n in range(STUDIES)]
    now = STUDIES * 1440.0
    order = []
    while due := journal.outbox.to_send(CLOUD, now, 1):
        (receipt,) = due
        order.append(receipt.instance)
        journal.receipts.begin_sending([receipt], now)
        journal.receipts.verified(receipt, VerifiedBy.DIGEST, now)
        assert journal.studies.settle(receipt.study, now) is Outcome.DONE
    urgent = [name for name in names if name.endswith("u")]
    assert order == urgent + [name for name in names if not name.endswith("u")]
    assert journal.studies.count() == {State.DELIVERED: STUDIES}
    assert journal.holds.count() == {}
    journal.close()


def test_what_has_waited_for_days_goes_before_what_is_urgent_now(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    old = _waiting(journal, 0, urgent=False)
    new = _waiting(journal, 60 * 7, urgent=True)  # a week later
    assert [r.instance for r in journal.outbox.to_send(CLOUD, 1e9, 2)] == [old, new]
    journal.close()
