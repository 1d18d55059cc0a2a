"""How many kinds of scanner a fleet has, and which is of which kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from fleet_qc import robust

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fleet_qc.records import Floats

#: More kinds of one modality and view than this are not looked for.
MOST = 6
#: A cluster of fewer is a group of outliers, not a kind of scanner.
_SMALLEST = 5
_SMALLEST_SHARE = 0.05
#: Single broken scanners must not become clusters: they are drawn in to so many deviations.
_WINSOR = 8.0
_REFERENCES = 12
#: Standard errors by which a split must beat the same split of one cluster.
_GAP_ERRORS = 4.0
_LEAST_SILHOUETTE = 0.25
_SEED = 1
#: The silhouette compares all pairs; so many rows tell enough.
_MOST_COMPARED = 2000


@dataclass(frozen=True)
class Split:
    """``labels`` (rows,) number the clusters by size, the largest 0."""

    labels: NDArray[np.int64]
    number: int
    silhouette: float
    reason: str


def standardised(values: Floats) -> Floats:
    """Scores of each column in standard deviations of its densest part.

    Constant columns and NaN become 0.
    """
    scale = np.array([robust.mode_width(column) for column in values.T])
    flat = ~(scale > 0)
    scores = (values - robust.median(values, axis=0)) / np.where(flat, 1.0, scale)
    found: Floats = np.where(np.isfinite(scores) & ~flat, scores, 0.0)
    return found


def split(scores: Floats) -> Split:
    """Groups rows of standard scores by K-Means, or leaves them one group.

    A number of clusters k is believed where its within-cluster dispersion is smaller than that of
    the same k on samples of ONE normal distribution with the data's covariance (the gap statistic
    of Tibshirani, Walther and Hastie, J R Stat Soc B 63:411, 2001, with the null hypothesis of
    Liu et al., JASA 103:1281, 2008), where the silhouette is not poor, and where no cluster is a
    handful of outliers. Among those believed the best silhouette counts.
    """
    rows = len(scores)
    fewest = max(_SMALLEST, int(np.ceil(_SMALLEST_SHARE * rows)))
    one = np.zeros(rows, np.int64)
    if rows < 2 * fewest:
        return Split(one, 1, float("nan"), f"{rows} streams are too few to be split")
    drawn_in = np.clip(scores, -_WINSOR, _WINSOR)
    best = Split(one, 1, float("nan"), "no split is better than that of a single cluster")
    draw = np.random.default_rng(_SEED)
    with threadpool_limits(1):
        references = _references(drawn_in, draw)
        for number in range(2, min(MOST, len(np.unique(drawn_in, axis=0)) - 1) + 1):
            model = _kmeans(drawn_in, number)
            labels = np.asarray(model.labels_, np.int64)
            if np.bincount(labels, minlength=number).min() < fewest:
                continue
            expected = [np.log(_kmeans(r, number).inertia_) for r in references]
            error = float(np.std(expected)) * np.sqrt(1 + 1 / len(expected))
            gap = float(np.mean(expected) - np.log(max(model.inertia_, 1e-300)))
            if gap <= _GAP_ERRORS * error:
                continue
            sample = min(rows, _MOST_COMPARED)
            sample = min(rows, _MOST_COMPARED)
            quality = float(
                silhouette_score(drawn_in, labels, sample_size=sample, random_state=_SEED)
            )
            if quality >= _LEAST_SILHOUETTE and not quality <= best.silhouette:
                reason = (
                    f"gap {gap:.2f} ± {error:.2f} against one cluster, silhouette {quality:.2f}"
                )
                best = Split(_by_size(labels), number, quality, reason)
    return best


def _references(scores: Floats, draw: np.random.Generator) -> list[Floats]:
    covariance = np.atleast_2d(np.cov(scores, rowvar=False))
    centre = scores.mean(axis=0)
    return [
        np.clip(draw.multivariate_normal(centre, covariance, len(scores)), -_WINSOR, _WINSOR)
        for _ in range(_REFERENCES)
    ]


def _kmeans(scores: Floats, number: int) -> KMeans:
    return KMeans(number, n_init=3, random_state=_SEED).fit(scores)


def _by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(-np.bincount(labels), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    renamed: NDArray[np.int64] = rank[labels].astype(np.int64)
    return renamed
