from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import UID

from router.deid import pseudonyms
from router.deid.pseudonyms import Key
from router.records.errors import Code, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

DIGITS = "00112233445566778899aabbccddeeff" * 2
KEY = Key.parse(f"2026:{DIGITS}")
OTHER_KEY = Key("2026", bytes(32))

VALUES = ["", "1", "PAT-1", "ACC 7", "a" * 300, "Žofie", "1.2.840.113619.2.55.3"]
KINDS: dict[str, Callable[[Key, str], str]] = {
    "patient": lambda key, value: pseudonyms.patient(key, "ISSUER", value),
    "accession": pseudonyms.accession,
    "study_id": pseudonyms.study_id,
    "uid": pseudonyms.uid,
    "alias": pseudonyms.alias,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_value_always_gets_the_same_pseudonym(kind: str) -> None:
    make = KINDS[kind]
    again = Key.parse(f"2026:{DIGITS}")
    assert [make(KEY, value) for value in VALUES] == [make(again, value) for value in VALUES]


@pytest.mark.parametrize("kind", KINDS)
def test_different_values_get_different_pseudonyms(kind: str) -> None:
    assert len({KINDS[kind](KEY, str(number)) for number in range(500)}) == 500


@pytest.mark.parametrize("kind", KINDS)
def test_another_key_gives_another_pseudonym(kind: str) -> None:
    make = KINDS[kind]
    assert all(make(KEY, value) != make(OTHER_KEY, value) for value in VALUES)


def test_the_key_s_id_is_no_part_of_a_pseudonym() -> None:
    renamed = Key("2027", KEY.secret)
    assert pseudonyms.patient(renamed, "", "1") == pseudonyms.patient(KEY, "", "1")


def test_kinds_never_share_digits() -> None:
    labels = ("patient", "accession", "study-id", "uid", "alias")
    assert len({KEY.digest(label, "same") for label in labels}) == len(labels)
    tails = {
        pseudonyms.patient(KEY, "", "same")[1:],
        pseudonyms.accession(KEY, "same")[1:],
        pseudonyms.study_id(KEY, "same")[1:],
    }
    assert len(tails) == 3


def test_where_one_value_ends_and_the_next_begins_matters() -> None:
    assert KEY.digest("l", "ab", "c") != KEY.digest("l", "a", "bc")
    assert KEY.digest("l", "a|1|b") != KEY.digest("l", "a", "b")
    assert KEY.digest("l", "") != KEY.digest("l")
    assert pseudonyms.patient(KEY, "ab", "c") != pseudonyms.patient(KEY, "a", "bc")


def test_a_patient_of_another_issuer_is_another_patient() -> None:
    assert pseudonyms.patient(KEY, "A", "1") != pseudonyms.patient(KEY, "B", "1")


def test_spaces_around_an_identifier_do_not_make_another_patient() -> None:
    assert pseudonyms.patient(KEY, " A ", " 1 ") == pseudonyms.patient(KEY, "A", "1")
    assert pseudonyms.accession(KEY, " 1") == pseudonyms.accession(KEY, "1")
    assert pseudonyms.study_id(KEY, "1 ") == pseudonyms.study_id(KEY, "1")


@pytest.mark.parametrize("value", VALUES)
def test_pseudonyms_fit_the_shortest_vr_they_are_written_to(value: str) -> None:
    for make, letter in (
        (KINDS["patient"], "P"),
        (pseudonyms.accession, "A"),
        (pseudonyms.study_id, "S"),
    ):
        # VR SH: 16 characters, LO: 64; without a backslash, and no component of a name.
        assert re.fullmatch(letter + "[A-Z2-7]{15}", make(KEY, value))


@pytest.mark.parametrize("value", VALUES)
def test_a_uid_is_valid_and_fits_its_vr(value: str) -> None:
    made = pseudonyms.uid(KEY, value)
    assert UID(made).is_valid
    assert made.startswith("2.25.")
    assert len(made) <= 44


def test_an_alias_is_twelve_hexadecimal_digits() -> None:
    assert re.fullmatch("[0-9a-f]{12}", pseudonyms.alias(KEY, "a0b1-c2d3"))


def test_pseudonyms_stay_as_they_were_in_earlier_versions() -> None:
    # Next round's images must join the same patient: computed here from the documented formula.
    def digest(text: bytes) -> bytes:
        return hmac.new(bytes.fromhex(DIGITS), text, hashlib.sha256).digest()

    token = base64.b32encode(digest(b"patient|v1|3|ISS|5|PAT-1")).decode()
    assert pseudonyms.patient(KEY, "ISS", "PAT-1") == "P" + token[:15]
    number = int.from_bytes(digest(b"uid|v1|7|1.2.3.4")[:16], "big")
    assert pseudonyms.uid(KEY, "1.2.3.4") == f"2.25.{number}"


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "2026", f"2026 {DIGITS}", f":{DIGITS}", "2026:", f"2026:{DIGITS[:-2]}",
        f"2026:{DIGITS}00", f"2026:{DIGITS[:-1]}g", f"2026:{DIGITS[:-1]}", DIGITS,
    ],
)  # fmt: skip
def test_a_malformed_key_says_what_its_file_must_hold(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Key.parse(text)
    assert raised.value.code is Code.KEY_MALFORMED
    assert "<id>:<64 hexadecimal digits>" in raised.value.sentence
    assert DIGITS[:-2] not in str(raised.value)


def test_a_key_file_may_end_with_a_line_break() -> None:
    assert Key.parse(f"2026:{DIGITS}\n") == KEY


def test_a_key_never_prints_its_secret() -> None:
    for printed in (repr(KEY), str(KEY), f"{KEY}"):
        assert "2026" in printed
        assert DIGITS[:8] not in printed
        assert repr(KEY.secret)[2:-1] not in printed
