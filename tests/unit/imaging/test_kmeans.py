from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from router.imaging.analysis.kmeans import optimal_cuts


def cuts_of(values: list[int], counts: list[int], k: int) -> list[int]:
    return optimal_cuts(np.array(values, dtype=np.int64), np.array(counts, dtype=np.int64), k)


def cost(values: list[int], counts: list[int], cuts: tuple[int, ...] | list[int]) -> Fraction:
    """The squares within the clusters, without rounding."""
    total = Fraction(0)
    for first, end in itertools.pairwise([0, *cuts, len(values)]):
        weighted = list(zip(values[first:end], counts[first:end], strict=True))
        number = sum(count for _, count in weighted)
        mean = Fraction(sum(value * count for value, count in weighted), number)
        total += sum((value - mean) ** 2 * count for value, count in weighted)
    return total


def test_three_heaps_are_cut_between_them() -> None:
    values = [0, 1, 2, 50, 51, 52, 90, 91]
    assert cuts_of(values, [3, 9, 3, 1, 1, 1, 40, 40], 3) == [3, 6]


def test_as_many_clusters_as_values_gives_each_its_own() -> None:
    assert cuts_of([-5, 0, 7, 8], [1, 2, 3, 4], 4) == [1, 2, 3]
    assert cuts_of([3, 4], [10, 1], 2) == [1]


def test_a_heavy_value_outweighs_the_distance_of_a_light_one() -> None:
    # Cut by distance, 10 would stand alone; by weight, the crowd at 0 and 4 is split.
    assert cuts_of([0, 4, 10], [1, 1, 1], 2) == [2]
    assert cuts_of([0, 4, 10], [1_000, 1_000, 1], 2) == [1]


def test_the_place_of_the_scale_does_not_matter() -> None:
    values, counts = [0, 3, 4, 9, 20, 21, 40], [5, 1, 8, 2, 2, 9, 1]
    here = cuts_of(values, counts, 3)
    for shift in (-40_000, 30_000, 2**31):
        assert cuts_of([value + shift for value in values], counts, 3) == here


def test_a_mirrored_histogram_is_cut_at_the_same_cost() -> None:
    values, counts = [0, 2, 3, 9, 11, 30], [4, 4, 1, 7, 2, 2]
    mirrored = [-value for value in reversed(values)]
    cuts = cuts_of(values, counts, 3)
    assert cuts_of(mirrored, counts[::-1], 3) == sorted(len(values) - cut for cut in cuts)


def test_of_equally_good_cuts_the_answer_is_always_the_same() -> None:
    values, counts = [0, 1, 2], [1, 1, 1]
    assert cost(values, counts, [1]) == cost(values, counts, [2])
    assert {tuple(cuts_of(values, counts, 2)) for _ in range(5)} == {(1,)}


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_every_cut_of_a_whole_scale_is_the_best_one(k: int) -> None:
    values, counts = [0, 1, 5, 6, 7, 30, 31, 90, 91, 95], [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
    best = min(cost(values, counts, cuts) for cuts in itertools.combinations(range(1, 10), k - 1))
    assert cost(values, counts, cuts_of(values, counts, k)) == best


def test_the_histogram_of_a_large_image_is_cut_exactly() -> None:
    # 16 bits and 10⁸ pixels: sums far beyond 32 bits.
    values = [0, 1, 30_000, 30_001, 65_534, 65_535]
    counts = [20_000_000, 30_000_000, 10_000_000, 10_000_000, 15_000_000, 15_000_000]
    assert cuts_of(values, counts, 3) == [2, 4]


@pytest.mark.parametrize(("count", "k"), [(0, 2), (1, 2), (2, 3), (4, 5), (10, 1), (10, 0)])
def test_too_few_values_or_clusters_are_refused(count: int, k: int) -> None:
    with pytest.raises(ValueError, match=f"{count} distinct values"):
        cuts_of(list(range(count)), [1] * count, k)
