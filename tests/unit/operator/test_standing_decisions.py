"""A kind of object that comes with each study is decided once, and the decision can be taken back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from pydicom import uid

from router.deid import eligibility, policies
from router.deid.policies import Kind
from router.deid.profile import SCREENING, Profile
from router.journal import Journal, Pin
from router.observe.audit import Audit
from router.operator import standing_decisions
from router.operator.decisions import Reason
from router.records.errors import Code, Hold, OperatorError
from router.records.holds import ADVICE
from router.records.instance import Arrival, Stage
from tests.support.read_images import as_read, ct_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import FileDataset

PRIVATE = Kind("1.3.12.2.1107.5.9.1", "")
OTHER = Kind(uid.RawDataStorage, "")
WHY = Reason("Ana", "nobody reads it")
OPTIONS = Profile.of(SCREENING).options


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path / "audit.jsonl")


def hold(journal: Journal, name: str, kind: Kind | None, code: Code, at: float = 5.0) -> None:
    journal.arrivals.take_in(
        [Arrival(name, "study", "S")], [], {"study": Pin("a", "k", "p")}, None, 1.0
    )
    if kind is not None:
        journal.standing.note_kind(name, kind)
    journal.instances.hold(name, code, "detail", at)


def stages(journal: Journal) -> dict[str, Stage]:
    return {one.orthanc_id: one.stage for one in journal.instances.of_study("study")}


def kind_of(dataset: FileDataset) -> Kind | None:
    with pytest.raises(Hold) as raised:
        eligibility.check(as_read(dataset), chosen=Profile.of(SCREENING))
    assert isinstance(raised.value, eligibility.NotCleared)
    return raised.value.kind


def test_what_is_held_of_a_kind_and_what_comes_of_it_is_discarded(
    journal: Journal, audit: Audit, tmp_path: Path
) -> None:
    hold(journal, "one", PRIVATE, Code.UNKNOWN_SOP_CLASS)
    hold(journal, "other", OTHER, Code.UNKNOWN_SOP_CLASS)
    assert standing_decisions.decide(journal, audit, PRIVATE, WHY, 6.0) == ["one"]
    hold(journal, "two", PRIVATE, Code.UNKNOWN_SOP_CLASS)
    assert journal.decisions.apply_standing(7.0) == ["two"]
    assert stages(journal) == {
        "one": Stage.DISCARDED, "other": Stage.HELD, "two": Stage.DISCARDED,
    }  # fmt: skip
    (told,) = journal.standing.all()
    assert (told.kind, told.decided_by, told.reason, told.discarded) == (
        PRIVATE,
        "Ana",
        WHY.text,
        2,
    )
    (line,) = (tmp_path / "audit.jsonl").read_text().splitlines()
    written = json.loads(line)
    assert (written["action"], written["sop_class"]) == ("decide", PRIVATE.sop_class)
    assert (written["by"], written["reason"]) == ("Ana", WHY.text)


def test_a_decision_that_was_taken_back_discards_nothing_more(
    journal: Journal, audit: Audit
) -> None:
    standing_decisions.decide(journal, audit, PRIVATE, WHY, 6.0)
    standing_decisions.revoke(journal, audit, PRIVATE, WHY, 7.0)
    hold(journal, "one", PRIVATE, Code.UNKNOWN_SOP_CLASS)
    assert journal.decisions.apply_standing(8.0) == []
    assert stages(journal) == {"one": Stage.HELD}
    assert journal.standing.all() == []
    with pytest.raises(OperatorError) as raised:
        standing_decisions.revoke(journal, audit, PRIVATE, WHY, 9.0)
    assert raised.value.code is Code.NOT_DECIDED


def test_what_is_held_for_another_reason_is_not_touched(journal: Journal, audit: Audit) -> None:
    hold(journal, "crashed", PRIVATE, Code.INSTANCE_CRASHES)
    hold(journal, "nameless", None, Code.UNKNOWN_SOP_CLASS)
    assert standing_decisions.decide(journal, audit, PRIVATE, WHY, 6.0) == []
    assert set(stages(journal).values()) == {Stage.HELD}


def test_the_kind_of_an_object_is_its_class_where_no_policy_clears_that() -> None:
    private = ct_image()
    private.SOPClassUID = PRIVATE.sop_class
    assert kind_of(private) == PRIVATE
    page = ct_image()
    page.SOPClassUID, page.Modality = uid.SecondaryCaptureImageStorage, "OT"
    assert kind_of(page) == Kind(uid.SecondaryCaptureImageStorage, "")
    page.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    assert kind_of(page) == Kind(uid.SecondaryCaptureImageStorage, "")


def test_of_a_class_that_is_sent_otherwise_only_pages_are_a_kind() -> None:
    protocol = ct_image()
    protocol.ImageType = ["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"]
    assert kind_of(protocol) == Kind(uid.CTImageStorage, "CT_SOM5 PROT")
    marked = ct_image()
    marked.BurnedInAnnotation = "YES"
    assert kind_of(marked) is None
    coloured = ct_image()
    coloured.SamplesPerPixel = 3
    assert kind_of(coloured) is None


def test_a_class_that_is_no_uid_is_no_kind() -> None:
    dataset = ct_image()
    dataset.SOPClassUID = "Novakova^Jana"
    assert kind_of(dataset) is None


@pytest.mark.parametrize(
    ("name", "image_type", "kind"),
    [
        ("held", "", PRIVATE),
        ("1.3.12.2.1107.5.9.1", "", PRIVATE),
        ("RawDataStorage", "", OTHER),
        ("CTImageStorage", "ct_som5 prot", Kind(uid.CTImageStorage, "CT_SOM5 PROT")),
    ],
)
def test_a_kind_is_named_by_one_of_it_or_by_its_class(
    journal: Journal, name: str, image_type: str, kind: Kind
) -> None:
    hold(journal, "held", PRIVATE, Code.UNKNOWN_SOP_CLASS)
    assert (
        standing_decisions.kind_named(journal, name, image_type, policies.SHIPPED, OPTIONS) == kind
    )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("CTImageStorage", Code.NOT_DECIDABLE),
        ("DigitalMammographyXRayImageStorageForPresentation", Code.NOT_DECIDABLE),
        ("marked", Code.NOT_DECIDABLE),
        ("nobody", Code.NOT_IN_JOURNAL),
    ],
)
def test_images_that_are_sent_otherwise_are_never_given_up_unseen(
    journal: Journal, name: str, code: Code
) -> None:
    hold(journal, "marked", None, Code.BURNED_IN_TEXT)
    with pytest.raises(OperatorError) as raised:
        standing_decisions.kind_named(journal, name, "", policies.SHIPPED, OPTIONS)
    assert raised.value.code is code


def test_a_report_whose_option_is_not_chosen_is_a_kind() -> None:
    report = uid.XRayRadiationDoseSRStorage
    assert policies.may_go_on(report, policies.SHIPPED, OPTIONS)
    assert not policies.may_go_on(report, policies.SHIPPED, frozenset())


def test_the_advice_names_the_command() -> None:
    for code in (Code.UNKNOWN_SOP_CLASS, Code.SOP_CLASS_NOT_CLEARED, Code.BURNED_IN_TEXT):
        assert "edge-router decide INSTANCE --discard --reason" in ADVICE[code].do
