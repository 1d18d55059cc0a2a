"""Plan and gate judge each attribute by rules of their own, and come to the same answer."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from router.deid.gate import expectations
from router.deid.gate.dictionary import is_drawn, is_public_uid, is_undefined
from router.deid.gate.expectations import Expectation, expectation
from router.deid.planning import dictionary, unlisted
from router.deid.planning.actions import Action
from router.deid.planning.rules import rule
from router.deid.profile import BASIC, SCREENING, Profile
from router.deid.standard.e1_1 import TABLE
from router.deid.standard.options import Option
from router.records.errors import Code
from tests.support.deidentified import copy_of, image, passed

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
#: What the standard defines, but for the file header, commands and delimiters.
DEFINED = [n for n in DicomDictionary if n >> 16 >= 8 and n >> 16 < 0xFFFE]
UNLISTED = [number for number in DEFINED if number not in TABLE]
PROFILES = {
    "basic": BASIC,
    "default": Profile.of(SCREENING),
    "all": Profile.of(frozenset(Option)),
    "descriptors": Profile.of(frozenset({Option.CLEAN_DESCRIPTORS})),
}
#: What the gate asks for where the plan acts so.
ALIKE = {
    Action.KEEP: {Expectation.SAME, Expectation.ITEMS},
    Action.UID: {Expectation.UID},
    Action.SHIFT: {Expectation.SHIFTED},
    Action.TIME: {Expectation.TIME},
    Action.TEXT: {Expectation.ALLOWED_TEXT},
    Action.REMOVE: {Expectation.BASIC_PROFILE},
    Action.EMPTY: {Expectation.BASIC_PROFILE},
    Action.DUMMY: {Expectation.BASIC_PROFILE},
}


@pytest.mark.parametrize("chosen", PROFILES.values(), ids=PROFILES)
def test_both_ask_the_same_of_what_the_table_does_not_name(chosen: Profile) -> None:
    differing = []
    for number, sent in product(UNLISTED, (None, "LO", "LT", "UN", "PN")):
        vr = sent or dictionary_VR(number)[:2]
        if sent == "UN" and dictionary_VR(number)[:2] == "UN":
            continue
        action = rule(chosen, number, vr, "image").action
        if expectation(chosen, number, vr, "image") not in ALIKE[action]:
            differing.append((keyword_for_tag(number), vr, action))
    assert not differing


def test_both_know_the_same_tags_and_uids() -> None:
    for number in (*DEFINED, 0x00089999, 0x60003000, 0x50000010, 0x60FE0010, 0x7FE01112):
        tag = BaseTag(number)
        assert is_drawn(number) == dictionary.is_overlay_or_curve(tag)
        assert is_undefined(number) == dictionary.is_unknown(tag)
    for uid in (
        "1.2.840.10008.1.2", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.6.1.9999", "1.2.3", "",
        "1.2.840.10008.6.1.12345", "1.2.840.10008.5.1.4.1.1.2.77", "1.2.840.10008.6.1.", "2.25.1",
    ):  # fmt: skip
        assert is_public_uid(uid) == dictionary.is_of_the_standard(uid)


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("SubstanceAdministrationNotes", "given to Erika Mustermann, Hauptstr. 5, 4020 Linz"),
        ("ImageID", "Mustermann Erika"),
        ("AcquisitionProtocolName", "Chest for Mustermann"),
        ("ContentLabel", "MUSTERMANN_E"),
        ("RouteOfAdmissions", "by Erika Mustermann"),
        ("AssignedLocation", "Mustermann"),
    ],
)
def test_a_third_person_does_not_leave_in_a_text_that_the_table_does_not_name(
    keyword: str, text: str
) -> None:
    nested = Dataset()
    setattr(nested, keyword, text)
    dataset = image(**{keyword: text, "AnatomicRegionSequence": Sequence([nested])})
    copy = passed(dataset)
    assert str(copy.get(keyword, "")) in {"", "ANONYMIZED"}
    assert str(copy.AnatomicRegionSequence[0].get(keyword, "")) in {"", "ANONYMIZED"}


NOTES = {"SubstanceAdministrationNotes": "given to Erika Mustermann", "ImageID": "Mustermann"}


@pytest.fixture
def fresh() -> Iterator[None]:
    """What the two have decided is decided anew, before a test and after it."""
    for forget in (rule.cache_clear, expectation.cache_clear):
        forget()
    yield
    for forget in (rule.cache_clear, expectation.cache_clear):
        forget()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("keyword", NOTES)
@pytest.mark.parametrize("side", ["plan", "gate"])
def test_a_text_that_one_of_the_two_takes_for_a_term_is_found_by_the_other(
    monkeypatch: pytest.MonkeyPatch, keyword: str, side: str
) -> None:
    forgets = (unlisted, "_is_written") if side == "plan" else (expectations, "is_text")
    monkeypatch.setattr(*forgets, lambda *_: False)
    assert copy_of(image(**{keyword: NOTES[keyword]})) is Code.GATE_WRONG_ACTION


@pytest.mark.parametrize("keyword", ["SubstanceAdministrationNotes", "ImageID"])
def test_a_text_of_radiology_s_words_stays(keyword: str) -> None:
    assert passed(image(**{keyword: "CHEST 2"}))[keyword].value == "CHEST 2"


def _every_text(value: str) -> FileDataset:
    dataset = image()
    for number in UNLISTED:
        vr = dictionary_VR(number)
        if vr in TEXTS | {"UR"} and number >> 16 != 0x0010:  # whose values are looked for
            dataset.add_new(BaseTag(number), vr, value)
    return dataset


@pytest.mark.parametrize("value", ["CHEST 2", "Mustermann", "4711 / 12", "", "a\\b"])
@pytest.mark.parametrize("chosen", [BASIC, Profile.of(SCREENING)], ids=["basic", "default"])
def test_a_copy_of_an_object_with_every_unlisted_text_passes(chosen: Profile, value: str) -> None:
    passed(_every_text(value), chosen)
