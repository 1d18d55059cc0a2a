"""What of a machine's own words leaves the truck in metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.deid.pseudonyms import Key
from router.imaging.quality import Device
from router.imaging.quality.public_names import public

DIGEST = Key("key", b"k" * 32).digest
DEVICE = Device("MG-1", "MG", "GE MEDICAL SYSTEMS", "SENOGRAPHE PRISTINA", "ADS_54.10", 1, 0.0)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("SENOGRAPHE PRISTINA", "Senographe Pristina"),
        ("SENOGRAPHE ESSENTIAL VERSION ADS", "Senographe Essential VERSION ADS_54.10"),
        ("SOMATOM GO UP", "SOMATOM go.Up"),
        ("", ""),
    ],
)
def test_a_known_model_is_shown_as_its_maker_calls_it(said: str, shown: str) -> None:
    assert public(replace(DEVICE, model=said), DIGEST).model.startswith(shown[:32])


def test_a_name_and_a_birth_date_typed_as_a_model_stay_on_the_truck() -> None:
    typed = replace(
        DEVICE, manufacturer="MUELLER ANNA", model="MUELLER ANNA 19610304", software="04.03.1961"
    )
    shown = public(typed, DIGEST)
    for value in (shown.manufacturer, shown.model, shown.software):
        assert "MUELLER" not in value
        assert "1961" not in value


def test_the_same_words_are_the_same_digest_on_each_truck_and_nobody_without_the_key_tries_them() -> (
    None
):
    typed = replace(DEVICE, model="A NEW MODEL")
    assert public(typed, DIGEST) == public(typed, Key("other name", b"k" * 32).digest)
    assert public(typed, DIGEST) != public(typed, Key("key", b"x" * 32).digest)
    assert public(typed, DIGEST) != public(replace(DEVICE, model="ANOTHER MODEL"), DIGEST)


@given(st.text(min_size=4, max_size=32), st.text(min_size=4, max_size=32))
def test_no_label_holds_what_no_list_holds(model: str, software: str) -> None:
    shown = public(replace(DEVICE, model=model, software=software), DIGEST)
    known = public(replace(DEVICE, model=shown.model), DIGEST).model == shown.model
    assert known or shown.model.startswith("model-")
    assert shown.software.startswith("software-")
    assert len(shown.software) == len("software-") + 8
