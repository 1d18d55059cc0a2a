"""Who gave a patient her number: one issuer in many writings, two that share numbers, and none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from router.deid import issuers, pseudonyms
from router.deid.issuers import NO_TABLE
from router.deid.pseudonyms import Key
from router.deid.same_patient import Likeness, compare
from router.journal import Identities, Journal, Pin
from router.journal.identities import IdentityConflict, PatientChanged
from router.pipeline.patient_key import PatientKeys
from router.records.copies import Copy
from router.records.errors import Code, Hold, SettingsError
from router.records.instance import Arrival
from router.truck.orthanc import instance_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.records.instance import Instance

TABLE = issuers.read(
    """
absent = "HOSPA"
[[issuer]]
name = "HOSPA"
also = ["HOSP_A", "1.2.840.99.1", "Hospital  A"]
scanners = ["MAMMO1"]
[[issuer]]
name = "HOSPB"
scanners = ["MAMMO2", "B-*"]
""",
    "issuers.toml",
)
KEY = Key("k1", bytes(range(32)), TABLE)
PLAIN = Key("k1", bytes(range(32)))


@pytest.mark.parametrize(
    "writing",
    [
        "HOSPA", " hospa ", "Hosp_A", "HOSPITAL A", "hospital\tA", "HOSP_A^1.2.840.99.1^ISO",
        "hosp_a&1.2.840.99.1&ISO", "^1.2.840.99.1^ISO", "1.2.840.99.1", "urn:oid:1.2.840.99.1",
        "Anything^1.2.840.99.1^ISO",
    ],
)  # fmt: skip
def test_one_issuer_in_many_writings_gives_one_pseudonym(writing: str) -> None:
    assert TABLE.name(writing) == "HOSPA"
    known_before = pseudonyms.patient(PLAIN, "", "17")
    assert pseudonyms.patient(KEY, writing, "17") == known_before


@pytest.mark.parametrize("writing", ["HOSPB", "HOSPC", "HOSPA^9.9.9^ISO", "1.2.840.99"])
def test_another_issuer_is_another_patient(writing: str) -> None:
    assert pseudonyms.patient(KEY, writing, "17") != pseudonyms.patient(KEY, "HOSPA", "17")
    assert not TABLE.are_same(writing, "HOSPA")


def test_scanners_stand_for_their_hospital() -> None:
    assert [TABLE.of_scanner(a) for a in ("MAMMO1", "mammo2", "B-7", "CT")] == [
        "HOSPA", "HOSPB", "HOSPB", "",
    ]  # fmt: skip


def test_without_a_table_a_pseudonym_stays_what_it_was() -> None:
    assert pseudonyms.patient(PLAIN, " HospA ", "17") == pseudonyms.patient(PLAIN, "HospA", "17")
    assert pseudonyms.patient(PLAIN, "HospA", "17") != pseudonyms.patient(PLAIN, "HOSPA", "17")
    # … and yet these are one issuer where they meet in one study.
    assert NO_TABLE.are_same(" hospa", "HOSPA^1.2.3^ISO")


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=30))
def test_a_name_has_itself_as_name_and_the_table_survives_the_journal(text: str) -> None:
    for table in (TABLE, NO_TABLE):
        assert table.name(table.name(text)) == table.name(text)
        assert table.are_same(text, table.name(text))
    again = issuers.from_json(TABLE.to_json())
    assert again.to_json() == TABLE.to_json()
    assert again.in_pseudonym(text) == TABLE.in_pseudonym(text)


@pytest.mark.parametrize(
    "text",
    [
        "absent = 'X'\n[[issuer]]\nname='A'",
        "[[issuer]]\nname='A'\n[[issuer]]\nname='B'\nalso=['a']",
        "[[issuer]]\nname='A'\nscanner=['B']",
        "[[issuer]]\nname=' '",
        "[[issuer]]\nalso=['A']",
        "issuer = []",
        "name = 'A'",
        "[[issuer",
    ],
)
def test_a_wrong_table_is_said(text: str) -> None:
    with pytest.raises(SettingsError, match=r"issuers\.toml"):
        issuers.read(text, "issuers.toml")


# --- a study has one patient --------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.db")
    arrivals = [Arrival(name, "study", "MAMMO1") for name in "abc"]
    arrivals.append(Arrival("d", "other", "CT"))
    pins = {study: Pin(study.ljust(12, "0"), "k1", "p") for study in ("study", "other")}
    journal.arrivals.take_in(arrivals, [], pins, None, 1.0)
    yield journal
    journal.close()


def image(issuer: str = "", number: str = "17") -> Dataset:
    dataset = Dataset()
    dataset.PatientID = number
    if issuer:
        dataset.IssuerOfPatientID = issuer
    return dataset


def instance_of(journal: Journal, name: str) -> Instance:
    study = "other" if name == "d" else "study"
    return next(i for i in journal.instances.of_study(study) if i.orthanc_id == name)


def copy_of(name: str, patient: str) -> Copy:
    uids = ("2.25.11" if name == "d" else "2.25.10", "2.25.2", f"2.25.{ord(name)}")
    return Copy(
        orthanc_id=instance_id(patient, *uids), study_uid=uids[0], series_uid=uids[1], sop_uid=uids[2],
        sop_class="1", modality="CT", transfer_syntax="1", instance_number=1, digest="d", md5="m",
        size=1,
    )  # fmt: skip


def make(
    journal: Journal, whose: PatientKeys, name: str, dataset: Dataset, key: Key = KEY,
    *, accepted: bool = False,
) -> str:  # fmt: skip
    """What the step does with an image, but for its file; its pseudonym."""
    instance = instance_of(journal, name)
    key = whose.key(instance, dataset, key)
    raw = str(dataset.get("IssuerOfPatientID", ""))
    pseudonym = pseudonyms.patient(key, raw, dataset.PatientID)
    values = {
        "issuer": raw, "issuer_used": key.issuer(raw), "patient_id": dataset.PatientID,
        "name": "A^B", "birth_date": "", "sex": "",
    }  # fmt: skip
    named = key.issuers.name(raw) or key.issuers.of_scanner(instance.origin)
    identities = Identities(
        "k1", {("patient", pseudonym): values}, pseudonym, key.issuer(raw), named, key.issuers
    )
    journal.copies.begin(name, copy_of(name, pseudonym), identities, 1.0, same_person=accepted)
    journal.copies.finish(name)
    return pseudonym


@pytest.mark.parametrize("key", [PLAIN, KEY], ids=["no table", "table"])
@pytest.mark.parametrize(
    "said", [["", "HOSPA"], ["HOSPA", ""], ["HOSPA", " hospa^1.2.840.99.1^ISO"]]
)
def test_one_study_is_one_patient_whoever_of_it_names_the_issuer(
    journal: Journal, key: Key, said: list[str]
) -> None:
    whose = PatientKeys(journal, {"k1": key})
    found = {make(journal, whose, n, image(s), key) for n, s in zip("ab", said, strict=True)}
    assert len(found) == 1
    again = PatientKeys(journal, {"k1": key})  # a router that was started anew
    assert make(journal, again, "c", image(), key) in found


@pytest.mark.parametrize("key", [PLAIN, KEY], ids=["no table", "table"])
def test_two_issuers_in_one_study_are_held_until_a_person_says_that_they_are_one(
    journal: Journal, key: Key
) -> None:
    whose = PatientKeys(journal, {"k1": key})
    first = make(journal, whose, "a", image(), key)
    make(journal, whose, "b", image("HOSPA"), key)
    with pytest.raises(IdentityConflict) as raised:
        make(journal, whose, "c", image("HOSPB"), key)
    assert (raised.value.code, raised.value.field) == (Code.IDENTITY_CONFLICT, "issuer")
    assert raised.value.said["issuer"] == "HOSPB"
    assert [i.orthanc_id for i in journal.copies.not_begun("study")] == ["a", "b"]
    assert make(journal, whose, "c", image("HOSPB"), key, accepted=True) == first


def test_what_was_answered_for_is_not_held_for_a_late_image(journal: Journal) -> None:
    whose = PatientKeys(journal, {"k1": KEY})
    make(journal, whose, "a", image("HOSPA"))
    journal.instances.hold("a", Code.IDENTITY_CONFLICT, "", 2.0)
    journal.decisions.release("a", 3.0, "identity-checked")
    make(journal, whose, "a", image("HOSPA"), accepted=True)
    assert journal.copies.not_begun("study") == []


def test_the_first_that_is_known_decides_and_not_the_first_that_was_looked_at(
    journal: Journal,
) -> None:
    whose = PatientKeys(journal, {"k1": KEY})
    looked_at = whose.key(instance_of(journal, "a"), image("HOSPB"), KEY)
    assert looked_at.issuer("") == "HOSPB"
    silent = whose.key(instance_of(journal, "c"), image(), KEY)
    known = make(journal, whose, "b", image("HOSPA"))  # "a" is still under way
    with pytest.raises(IdentityConflict):
        make(journal, whose, "a", image("HOSPB"))
    stale = pseudonyms.patient(silent, "", "17")
    values = {"issuer": "", "name": "", "birth_date": "", "sex": ""}
    with pytest.raises(PatientChanged):
        journal.copies.begin(
            "c", copy_of("c", stale),
            Identities("k1", {("patient", stale): values}, stale, silent.issuer(""), "", TABLE), 1.0,
        )  # fmt: skip
    assert make(journal, whose, "c", image()) == known


@pytest.mark.parametrize("before", ["", "HOSPA", "hospa"])
def test_a_study_that_was_begun_before_keeps_its_pseudonym(journal: Journal, before: str) -> None:
    """Its copies say under which issuer they were made: their ids are of the pseudonym."""
    old = pseudonyms.patient(PLAIN, before, "17")
    row = {"issuer": before, "patient_id": "17", "name": "A^B", "birth_date": "", "sex": ""}
    journal.copies.begin("a", copy_of("a", old), Identities("k1", {("patient", old): row}), 1.0)
    assert journal.people.of_study("study") is None
    whose = PatientKeys(journal, {"k1": PLAIN})
    assert make(journal, whose, "b", image("HOSPB"), PLAIN) == old


def test_an_image_of_another_study_that_disagrees_is_held_for_itself(journal: Journal) -> None:
    whose = PatientKeys(journal, {"k1": KEY})
    one = make(journal, whose, "a", image())
    row = {"issuer": "", "name": "C^D", "birth_date": "", "sex": ""}
    identities = Identities("k1", {("patient", one): row}, one, "", "", TABLE)
    with pytest.raises(Hold) as raised:
        journal.copies.begin("d", copy_of("d", one), identities, 2.0)
    assert raised.value.code is Code.IDENTITY_CONFLICT
    assert compare({"name": "A^B"}, row).likeness is Likeness.OTHER


# --- the table is one for ever ------------------------------------------------------------------


def test_a_table_that_would_make_others_of_known_patients_is_refused(journal: Journal) -> None:
    whose = PatientKeys(journal, {"k1": PLAIN})
    make(journal, whose, "a", image(), PLAIN)  # of MAMMO1, without an issuer
    make(journal, whose, "d", image("HospC", "18"), PLAIN)
    plain = "[[issuer]]\nname='HOSPA'\nscanners=['MAMMO1']\n"
    for wrong in (plain, "absent='X'\n[[issuer]]\nname='X'\nalso=['HospC']"):
        with pytest.raises(SettingsError) as raised:
            journal.keys.check_issuers(issuers.read(wrong, "t"))
        assert raised.value.code is Code.ISSUERS_CHANGED
    kept = f"absent='HOSPA'\n{plain}[[issuer]]\nname='HospC'\n"
    journal.keys.check_issuers(issuers.read(kept, "t"))
    more = f"{kept}[[issuer]]\nname='HOSPD'\nscanners=['CT']"
    journal.keys.check_issuers(issuers.read(more, "t"))
    for gone in (NO_TABLE, issuers.read(kept.replace("absent='HOSPA'", ""), "t")):
        if gone is NO_TABLE:
            journal.keys.check_issuers(gone)  # it moves nobody here
            journal.keys.check_issuers(issuers.read(more, "t"))
            continue
        with pytest.raises(SettingsError):
            journal.keys.check_issuers(gone)


def test_a_new_truck_takes_any_table(journal: Journal) -> None:
    journal.keys.check_issuers(TABLE)
    journal.keys.check_issuers(NO_TABLE)
    journal.keys.check_issuers(TABLE)
