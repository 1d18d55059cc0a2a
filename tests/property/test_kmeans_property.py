from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from router.imaging.analysis.kmeans import optimal_cuts

if TYPE_CHECKING:
    from collections.abc import Sequence

    Histogram = dict[int, int]

SMALL = st.dictionaries(
    st.integers(-2_000, 2_000), st.integers(1, 1_000), min_size=5, max_size=11
).map(lambda counts: dict(sorted(counts.items())))
#: Close together and of equal weight: many cuts are equally good, or nearly.
TIED = st.sets(st.integers(0, 14), min_size=5, max_size=11).map(
    lambda values: dict.fromkeys(sorted(values), 1)
)


def cuts_of(histogram: Histogram, k: int) -> list[int]:
    values = np.array(list(histogram), dtype=np.int64)
    return optimal_cuts(values, np.array(list(histogram.values()), dtype=np.int64), k)


def cost(histogram: Histogram, cuts: Sequence[int]) -> Fraction:
    """The squares within the clusters, without rounding."""
    total = Fraction(0)
    entries = list(histogram.items())
    for first, end in itertools.pairwise([0, *cuts, len(entries)]):
        number = sum(count for _, count in entries[first:end])
        mean = Fraction(sum(value * count for value, count in entries[first:end]), number)
        total += sum((value - mean) ** 2 * count for value, count in entries[first:end])
    return total


@given(histogram=SMALL | TIED, k=st.integers(2, 5))
@settings(deadline=None, max_examples=150)
def test_no_other_cuts_are_better(histogram: Histogram, k: int) -> None:
    cuts = cuts_of(histogram, k)
    assert len(cuts) == k - 1
    assert cuts == sorted(set(cuts))
    every = itertools.combinations(range(1, len(histogram)), k - 1)
    assert cost(histogram, cuts) == min(cost(histogram, other) for other in every)


@given(histogram=SMALL, k=st.integers(2, 4))
@settings(deadline=None, max_examples=60)
def test_another_cluster_never_makes_it_worse(histogram: Histogram, k: int) -> None:
    assert cost(histogram, cuts_of(histogram, k + 1)) < cost(histogram, cuts_of(histogram, k))


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 5), spread=st.sampled_from([8, 300, 4_000]))
@settings(deadline=None, max_examples=25)
def test_scikit_learn_never_finds_better_clusters(seed: int, k: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, spread, 400) + rng.choice([0, 0, 900, 2_500], 400)
    values, counts = np.unique(pixels, return_counts=True)
    histogram = dict(zip(values.tolist(), counts.tolist(), strict=True))
    theirs = KMeans(k, n_init=3, random_state=seed % 1_000).fit(pixels.reshape(-1, 1))
    # Its inertia is a sum of 400 rounded squares.
    assert float(cost(histogram, cuts_of(histogram, k))) <= theirs.inertia_ * (1 + 1e-9)
