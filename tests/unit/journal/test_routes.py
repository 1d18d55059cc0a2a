"""Where each image goes, in the journal: decided once, followed by receipts and captures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.journal import Identities, Journal, Pin
from router.observe.audit import Audit
from router.operator.decisions import Reason, What, release
from router.records.copies import Copy, Route
from router.records.errors import Code
from router.records.instance import Arrival, Stage
from router.records.receipt import VerifiedBy
from router.records.study import Outcome, Priority, State, Study

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.records.receipt import Receipt

ALL = ["cloud", "research"]
WHO = Identities("key", {})
PIN = Pin("abcdef012345", "key", "basic-1")


def route(*destinations: str, priority: Priority = Priority.NORMAL) -> Route:
    return Route("rule", destinations or None, priority, "shipped", None)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def _copy(name: str, study: str = "study") -> Copy:
    return Copy(
        orthanc_id=f"copy-{name}", study_uid=f"2.25.1{len(study)}", series_uid="2.25.2", sop_uid=f"2.25.{name}",
        sop_class="1.2.840.10008.5.1.4.1.1.2", modality="CT",
        transfer_syntax="1.2.840.10008.1.2.1", instance_number=1, digest=f"digest-{name}",
        md5=f"md5-{name}", size=100,
    )  # fmt: skip


def _study(journal: Journal, study: str = "study") -> Study:
    found = journal.studies.get(study)
    assert found is not None
    return found


def _anonymized(journal: Journal, routes: dict[str, Route | None], study: str = "study") -> None:
    """A study whose images were copied, each by its route, and whose receipts are open."""
    arrivals = [Arrival(name, study, "SCANNER") for name in routes]
    journal.arrivals.take_in(arrivals, [study], {study: PIN}, None, 10.0)
    for name, chosen in routes.items():
        journal.copies.begin(name, _copy(name, study), WHO, 11.0, chosen)
        journal.copies.finish(name)
    assert journal.studies.move(_study(journal, study), Outcome.DONE, 12.0, ALL)


def _prove(journal: Journal, receipt: Receipt, now: float) -> None:
    """It is sent, and found there."""
    journal.receipts.begin_sending([receipt], now)
    journal.receipts.verified(receipt, VerifiedBy.DIGEST, now)


def _goes_to(journal: Journal, study: str = "study") -> set[tuple[str, str]]:
    return {(r.instance, r.destination) for r in journal.outbox.of_study(study)}


def _stage(journal: Journal, name: str) -> tuple[Stage, Code | None]:
    (found,) = [i for i in journal.instances.of_study("study") if i.orthanc_id == name]
    return found.stage, found.hold.code if found.hold else None


def test_receipts_are_opened_only_for_the_destinations_of_an_image(journal: Journal) -> None:
    _anonymized(journal, {"a": route(), "b": route("research"), "c": None})
    assert _goes_to(journal) == {
        ("a", "cloud"), ("a", "research"), ("b", "research"), ("c", "cloud"), ("c", "research"),
    }  # fmt: skip


def test_delivered_means_verified_at_each_of_its_destinations(journal: Journal) -> None:
    _anonymized(journal, {"a": route("research"), "b": route()})
    journal.studies.move(_study(journal), Outcome.SKIP, 13.0, ALL)
    receipts = journal.outbox.of_study("study")
    for receipt in receipts[:-1]:
        _prove(journal, receipt, 14.0)
        assert journal.studies.settle("study", 14.0) is None
    _prove(journal, receipts[-1], 14.0)
    assert journal.studies.settle("study", 14.0) is Outcome.DONE
    assert len(receipts) == 3


def test_what_was_decided_once_stays_decided(journal: Journal) -> None:
    _anonymized(journal, {"a": route("research")})
    other = Route("other", ("cloud",), Priority.NORMAL, "hold", ())
    journal.copies.begin("a", _copy("a"), WHO, 20.0, other)
    assert journal.routes.of("a") == route("research")
    assert journal.routes.of_study("study") == {"a": route("research")}
    assert journal.routes.of("unknown") is None


def test_a_route_comes_back_as_it_was_written(journal: Journal) -> None:
    written = Route("r", ("research",), Priority.LOW, "hold", ("density-kmeans",))
    empty = Route("r", None, Priority.URGENT, "shipped", ())
    _anonymized(journal, {"a": written, "b": empty})
    assert journal.routes.of_study("study") == {"a": written, "b": empty}


def test_a_study_is_as_urgent_as_its_most_urgent_image(journal: Journal) -> None:
    urgent = route(priority=Priority.URGENT)
    _anonymized(journal, {"a": route(), "b": urgent, "c": route(priority=Priority.LOW)})
    assert _study(journal).priority == Priority.URGENT


def test_the_urgent_study_goes_first_although_it_came_later(journal: Journal) -> None:
    _anonymized(journal, {"a": route()}, "early")
    _anonymized(journal, {"b": route(priority=Priority.URGENT)}, "late")
    order = [receipt.study for receipt in journal.outbox.to_send("cloud", 20.0, 10)]
    assert order == ["late", "early"]


def test_a_capture_goes_where_its_source_goes(journal: Journal) -> None:
    _anonymized(journal, {"a": route("research")})
    journal.copies.begin_capture("a", _copy("capture"), 13.0)
    journal.copies.finish("copy-capture")
    journal.studies.move(_study(journal), Outcome.DONE, 14.0, ALL)
    assert _goes_to(journal) == {("a", "research"), ("copy-capture", "research")}


def test_a_new_destination_gets_what_goes_everywhere_and_not_what_goes_elsewhere(
    journal: Journal,
) -> None:
    _anonymized(journal, {"a": route(), "b": route("research")})
    journal.destinations.adopt([*ALL, "archive"], 20.0)
    assert {name for name, where in _goes_to(journal) if where == "archive"} == {"a"}


def test_what_has_no_destination_left_is_held_and_goes_on_when_one_is_back(
    journal: Journal,
) -> None:
    _anonymized(journal, {"a": route("research"), "b": route()})
    journal.studies.move(_study(journal), Outcome.SKIP, 13.0, ALL)
    journal.destinations.adopt(["cloud"], 20.0)
    assert _stage(journal, "a") == (Stage.HELD, Code.NO_DESTINATION)
    assert _stage(journal, "b") == (Stage.ANONYMIZED, None)
    (receipt,) = journal.outbox.of_study("study")
    assert (receipt.instance, receipt.destination) == ("b", "cloud")
    journal.destinations.adopt(ALL, 30.0)
    assert _stage(journal, "a") == (Stage.RECEIVED, None)
    assert _study(journal).state is State.RECEIVED
    assert journal.routes.of("a") == route("research")


def test_a_study_with_no_destination_left_is_held_and_not_delivered(journal: Journal) -> None:
    _anonymized(journal, {"a": route("research")})
    journal.studies.move(_study(journal), Outcome.SKIP, 13.0, ALL)
    journal.destinations.adopt(["cloud"], 20.0)
    assert _study(journal).state is State.HELD


def test_what_a_destination_verifiably_held_is_delivered_although_it_is_gone(
    journal: Journal,
) -> None:
    _anonymized(journal, {"a": route("research")})
    (receipt,) = journal.outbox.of_study("study")
    _prove(journal, receipt, 13.0)
    journal.studies.move(_study(journal), Outcome.SKIP, 14.0, ALL)
    journal.destinations.adopt(["cloud"], 20.0)
    assert _study(journal).state is State.DELIVERED


def test_released_by_a_person_it_is_decided_about_anew(journal: Journal, tmp_path: Path) -> None:
    _anonymized(journal, {"a": route("research")})
    journal.destinations.adopt(["cloud"], 20.0)
    audit = Audit(tmp_path / "audit.jsonl")
    assert release(journal, audit, What("a"), "retry", Reason("Ana", "closed"), 30.0) == ["a"]
    assert journal.routes.of("a") is None
    assert _stage(journal, "a") == (Stage.RECEIVED, None)


def test_any_other_release_keeps_its_route(journal: Journal, tmp_path: Path) -> None:
    _anonymized(journal, {"a": route("research")})
    journal.instances.hold("a", Code.UNREADABLE, "no", 20.0)
    audit = Audit(tmp_path / "audit.jsonl")
    release(journal, audit, What("a"), "retry", Reason("Ana", "mended"), 30.0)
    assert journal.routes.of("a") == route("research")
