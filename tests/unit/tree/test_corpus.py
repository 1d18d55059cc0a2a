"""The corpus itself: what stands in it, and that its scorer finds what is wrong."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from pydicom.tag import BaseTag, Tag
from pydicom.uid import JPEGLSLossless

from tests.corpus import iods, leaks, planting, standard
from tests.corpus.key import Action, Verdict
from tests.corpus.maker import Corpus, Made
from tests.corpus.score import Scorer


@pytest.fixture(scope="module")
def corpus() -> list[Made]:
    return list(Corpus("unit"))


def test_a_corpus_has_500_files_of_every_kind_and_script(corpus: list[Made]) -> None:
    assert len(corpus) >= 500
    assert {made.kind for made in corpus} == set(iods.CLASSES)
    assert len({made.person.script for made in corpus}) == 9
    assert {made.verdict for made in corpus} == set(Verdict)
    assert sum(made.clean and made.verdict is Verdict.FLOWS for made in corpus) >= 100
    assert len({made.name for made in corpus}) == len(corpus)


def test_the_same_seed_makes_the_same_bytes() -> None:
    one, same, other = (list(Corpus(seed, 30)) for seed in ("a", "a", "b"))
    assert [made.file for made in one] == [made.file for made in same]
    assert not {made.file for made in one} & {made.file for made in other}


def test_every_attribute_of_the_table_is_planted_at_the_top_and_nested(corpus: list[Made]) -> None:
    top: set[BaseTag] = set()
    nested: set[BaseTag] = set()
    for made in corpus:
        for check in made.checks:
            (nested if len(check.path) > 1 else top).add(check.path[-1][0])
            for tag, _ in check.path[:-1]:
                (nested if len(check.path) > 2 else top).add(tag)
    # Those of the header come with every file; the sequence's own items are its key.
    missing = set(planting.plantable()) - top - {Tag("TimezoneOffsetFromUTC")}
    assert not {standard.TABLE[tag].name for tag in missing}
    assert len(nested) > 500


def test_every_action_is_asked_for(corpus: list[Made]) -> None:
    asked = Counter(check.action for made in corpus for check in made.checks)
    asked[Action.PIXELS_HIDDEN] = sum(made.verdict is Verdict.HELD for made in corpus)
    assert all(asked[action] >= 50 for action in Action)


def test_a_file_that_is_sent_as_it_is_leaks_and_is_wrong(corpus: list[Made]) -> None:
    scorer = Scorer()
    for made in corpus[:40]:
        scorer.sent(made, made.file)
    score = scorer.close()
    assert score.right[Action.UID_CHANGED] == 0
    assert score.right[Action.DATE_SHIFTED] == 0
    assert score.rate < 60
    assert len(score.leaking) == 40


@pytest.mark.parametrize("changed", [False, True])
def test_compressed_pixels_are_judged_by_what_they_decode_to(
    corpus: list[Made], *, changed: bool
) -> None:
    made = next(made for made in corpus if made.kind == "CT" and made.clean)
    copy = made.dataset()
    if changed:
        copy.PixelData = bytes([copy.PixelData[0] ^ 1]) + copy.PixelData[1:]
    copy.compress(JPEGLSLossless, generate_instance_uid=False)
    buffer = io.BytesIO()
    copy.save_as(buffer)
    scorer = Scorer()
    scorer.sent(made, buffer.getvalue())
    assert scorer.score.asked[Action.PIXELS_RETAINED] == 1
    assert scorer.score.right[Action.PIXELS_RETAINED] == (not changed)


def test_every_planted_trace_is_found_in_its_file(corpus: list[Made]) -> None:
    for made in corpus[:60]:
        found = set(leaks.found(made.file, made.traces))
        assert made.person.patient_id in found
        assert made.visit.accession in found
        assert len(found) > len(made.traces) / 2


@pytest.mark.parametrize(
    ("trace", "text"),
    [
        ("Müller", "seen: MULLER"),
        ("Nováková", "NOVAKOVA Jana"),
        ("山田", "山田太郎"),
        ("Петрова", "ПЕТРОВА"),
        ("MRN-12345678", "mrn 12345678"),
    ],
)
def test_a_trace_is_found_in_another_writing(trace: str, text: str) -> None:
    dataset = next(iter(Corpus("writing", 1))).dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageComments = text
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert leaks.found(buffer.getvalue(), [trace]) == [trace]
