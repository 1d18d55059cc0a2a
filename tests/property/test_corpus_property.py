"""What holds for every file of a corpus, whatever its seed: the same answer, once and for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.deid import pseudonyms
from router.deid.planning import plan
from router.deid.profile import SCREENING, Profile
from router.records.errors import EdgeRouterError
from tests.corpus import people
from tests.corpus.maker import Corpus
from tests.corpus.score import Scorer
from tests.support import apply_plan

if TYPE_CHECKING:
    from tests.corpus.maker import Made

KEY = pseudonyms.Key("test", bytes(range(32)))
STATION = "TRUCK1"
PROFILE = Profile.of(SCREENING)

_few = settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
_seeds = st.integers(min_value=0, max_value=10**6).map(str)


def finished(made: Made) -> bytes | None:
    """The copy that a faultless Orthanc makes; ``None``: there is no plan for it."""
    try:
        body = plan.make(apply_plan.read(made.file), KEY, STATION, PROFILE)
    except EdgeRouterError:
        return None
    return apply_plan.apply(made.file, body)


@_few
@given(_seeds)
def test_the_same_file_always_becomes_the_same_bytes(seed: str) -> None:
    for made in Corpus(seed, 6):
        assert finished(made) == finished(made)


@_few
@given(_seeds, st.integers(0, 1000))
def test_the_order_of_arrival_does_not_matter(seed: str, order: int) -> None:
    corpus = list(Corpus(seed, 6))
    first = {made.name: finished(made) for made in corpus}
    people.dice(order).shuffle(corpus)
    assert {made.name: finished(made) for made in corpus} == first
    scorer = Scorer()
    for made in corpus:
        if copy := first[made.name]:
            scorer.sent(made, copy)
    assert not scorer.close().inconsistent


@_few
@given(_seeds)
def test_a_finished_copy_keeps_its_attributes_when_it_is_taken_for_an_original(seed: str) -> None:
    """Nothing is left for the rules to remove: only pseudonyms and dates move on."""
    for made in Corpus(seed, 6):
        if copy := finished(made):
            again = plan.make(apply_plan.read(copy), KEY, STATION, PROFILE)
            assert not again.remove
