"""Who a Patient ID belongs to: conflicts, keys that change, and the way back to the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.deid.pseudonyms import Key
from router.journal import Identities, Journal, Pin
from router.journal.identities import IdentityConflict
from router.records.copies import Copy
from router.records.errors import Code, Hold, SettingsError
from router.records.instance import Arrival

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANA = {"issuer": "", "patient_id": "1", "name": "Novák^Ana", "birth_date": "19610203", "sex": "F"}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.db")
    arrivals = [Arrival(name, f"study-{name}", "S") for name in "abc"]
    pins = {arrival.study: Pin("0" * 12, "k1", "p") for arrival in arrivals}
    journal.arrivals.take_in(arrivals, [], pins, None, 1.0)
    yield journal
    journal.close()


def copy(name: str, study_uid: str) -> Copy:
    return Copy(
        orthanc_id=f"copy-{name}", study_uid=study_uid, series_uid="2.25.2", sop_uid=f"2.25.{ord(name)}",
        sop_class="1", modality="CT", transfer_syntax="1", instance_number=1, digest="d", md5="m",
        size=1,
    )  # fmt: skip


def who(**values: str) -> Identities:
    rows = {("patient", "P1"): {**ANA, **values},
            ("accession", "A1"): {"accession": "ACC-7", "patient": "P1"}}  # fmt: skip
    return Identities("k1", rows)


def test_a_number_with_another_patient_is_held_until_a_person_says_that_it_is_hers(
    journal: Journal,
) -> None:
    journal.copies.begin("a", copy("a", "2.25.10"), who(), 1.0)
    with pytest.raises(Hold) as raised:
        journal.copies.begin("b", copy("b", "2.25.11"), who(name="Dvořák^Eva"), 2.0)
    assert raised.value.code is Code.IDENTITY_CONFLICT
    assert "Dvo" not in str(raised.value)
    journal.copies.begin("b", copy("b", "2.25.11"), who(name="Dvořák^Eva"), 3.0, same_person=True)
    # From now on both names are hers.
    journal.copies.begin("c", copy("c", "2.25.12"), who(name="DVORAK^EVA"), 4.0)
    assert journal.people.likely("study-b") == journal.people.likely("study-c") == []


def test_a_new_surname_goes_on_and_is_told_once(journal: Journal) -> None:
    journal.copies.begin("a", copy("a", "2.25.10"), who(), 1.0)
    journal.copies.begin("b", copy("b", "2.25.11"), who(name="Dvořák^Ana"), 2.0)
    journal.copies.begin("c", copy("c", "2.25.12"), who(name="DVORAK^ANA"), 3.0)
    assert journal.people.likely("study-a") == journal.people.likely("study-c") == []
    (told,) = journal.people.likely("study-b")
    assert (told.field, told.pseudonym, told.said["name"], told.noted_at) == (
        "name", "P1", "Dvořák^Ana", 2.0,
    )  # fmt: skip


def test_a_new_surname_with_another_birth_date_is_held(journal: Journal) -> None:
    journal.copies.begin("a", copy("a", "2.25.10"), who(), 1.0)
    other = who(name="Dvořák^Ana", birth_date="19610204")
    with pytest.raises(IdentityConflict) as raised:
        journal.copies.begin("b", copy("b", "2.25.11"), other, 2.0)
    assert raised.value.pseudonym == "P1"
    assert raised.value.said["birth_date"] == "19610204"


def test_a_study_uid_under_another_patient_is_held(journal: Journal) -> None:
    journal.copies.begin("a", copy("a", "2.25.10"), who(), 1.0)
    with pytest.raises(Hold) as raised:
        journal.copies.begin("b", copy("b", "2.25.10"), Identities("k1", {}), 2.0)
    assert raised.value.code is Code.UID_CONFLICT


@pytest.mark.parametrize("pseudonym", ["P1", "A1"])
def test_a_pseudonym_leads_back_to_the_patient_and_her_accession_numbers(
    journal: Journal, pseudonym: str
) -> None:
    journal.copies.begin("a", copy("a", "2.25.10"), who(), 1.0)
    person = journal.people.person(pseudonym)
    assert person is not None
    assert dict(person.values) == ANA
    assert dict(person.accessions) == {"A1": "ACC-7"}
    assert journal.people.person("P2") is None
    assert journal.people.knows("P1", "k1")
    assert not journal.people.knows("P1", "k2")


def test_a_lost_and_an_exchanged_key_are_said_at_start(journal: Journal) -> None:
    first = Key("k1", bytes(32))
    journal.keys.check([first])
    journal.keys.check([Key("k2", bytes(32)), first])
    with pytest.raises(SettingsError) as raised:
        journal.keys.check([Key("k2", bytes(32))])
    assert raised.value.code is Code.KEY_UNKNOWN
    assert "k1" in raised.value.sentence
    with pytest.raises(SettingsError) as raised:
        journal.keys.check([Key("k1", bytes([1]) * 32)])
    assert raised.value.code is Code.KEY_EXCHANGED


def test_a_study_keeps_its_key_once_it_has_a_copy(journal: Journal) -> None:
    journal.studies.pin_key("study-a", "k0")
    journal.copies.begin("a", copy("a", "2.25.10"), who(), 1.0)
    journal.studies.pin_key("study-a", "k9")
    study = journal.studies.get("study-a")
    assert study is not None
    assert study.key_id == "k0"


def test_a_profile_is_found_again_by_its_id(journal: Journal) -> None:
    journal.profiles.enter("2:basic:0", "{}")
    journal.profiles.enter("2:basic:0", "other")
    assert journal.profiles.definition("2:basic:0") == "{}"
    assert journal.profiles.definition("none") is None
