"""A short corpus the whole way, scored by its key, in two orders of arrival."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.corpus import people, way
from tests.corpus.maker import Corpus
from tests.corpus.score import Scorer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.orthancs import Orthanc

pytestmark = pytest.mark.integration
FILES = 60


def test_a_short_corpus_is_right_and_does_not_depend_on_the_order_of_arrival(
    truck: Orthanc, cloud: Orthanc, tmp_path: Path
) -> None:
    corpus = list(Corpus("integration", FILES))
    paths = [tmp_path / f"{made.name}.dcm" for made in corpus]
    for made, path in zip(corpus, paths, strict=True):
        path.write_bytes(made.file)
    first = way.through(truck, cloud, tmp_path / "first", paths)
    assert not first.refused
    people.dice("another order").shuffle(paths)
    second = way.through(truck, cloud, tmp_path / "second", paths)
    assert second.copies == first.copies
    assert second.held == first.held

    scorer = Scorer()
    names = {}
    for made in corpus:
        original = way.original_id(made.dataset())
        names[original] = made
        if original in first.copies:
            scorer.sent(made, first.copies[original])
        else:
            scorer.held(made, first.held[original])
    for source, file in first.beside:
        scorer.sent_beside(names[source], file)
    score = scorer.close()
    assert not score.leaked
    assert not score.inconsistent
    assert not score.duplicates
    assert not first.surplus
    assert not score.falsely_held
    assert not score.overcautious
    assert not score.wrong
    assert first.beside, "nothing was segmented"
