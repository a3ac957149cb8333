"""Neighbourhoods: do points keep their neighbours, and do neighbours share the label?

Queries are subsampled, the reference set never is: a subsampled reference would change the scale on which
neighbours are looked for, and rare labels would vanish from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.neighbors import NearestNeighbors

from closerlook.geometry.intervals import bootstrap_interval
from closerlook.geometry.validation import (
    FloatArray,
    IntArray,
    RandomState,
    UndefinedMeasureError,
    check_labels,
    check_pair,
    check_several_labels,
    check_space,
)

Distance = Literal["euclidean", "cosine"]


@dataclass(frozen=True)
class NeighbourOverlap:
    """Mean share of neighbours with a property, over query points.

    Attributes:
        value: mean share in [0, 1].
        low: lower end of the bootstrap interval over query points.
        high: upper end.
        chance: the share that random neighbours would have.
        n_points: query points.
        per_point: (n_points,) share of each query point.
    """

    value: float
    low: float
    high: float
    chance: float
    n_points: int
    per_point: FloatArray


def sample_rows(n_samples: int, max_points: int, random_state: RandomState) -> IntArray:
    """Return the sorted numbers of at most ``max_points`` rows drawn without replacement."""
    if n_samples <= max_points:
        return np.arange(n_samples)
    return np.sort(np.random.default_rng(random_state).choice(n_samples, max_points, replace=False))


def nearest_neighbours(X: FloatArray, k: int, queries: IntArray, metric: Distance = "euclidean") -> IntArray:
    """Return the ``k`` nearest other rows of each query row, nearest first.

    Args:
        X: (n_samples, n_features), checked; k at most n_samples - 1.
        k: neighbours.
        queries: (n_queries,) row numbers.
        metric: "euclidean" or "cosine".

    Returns:
        (n_queries, k) row numbers, never the query itself. Equidistant rows come in an arbitrary order.
    """
    # Centring changes no Euclidean distance and keeps digits in the |a|^2 - 2ab + |b|^2 of brute force.
    space = X - X.mean(axis=0) if metric == "euclidean" else X
    search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute", metric=metric).fit(space)
    found = search.kneighbors(space[queries], return_distance=False)
    is_self = found == queries[:, None]
    is_self[~is_self.any(axis=1), -1] = True  # more duplicates than k + 1 hid the point: drop the last one
    return found[~is_self].reshape(len(queries), k)


def knn_overlap(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    k: int = 10,
    metric: Distance = "euclidean",
    max_points: int = 1000,
    random_state: RandomState = 0,
) -> NeighbourOverlap:
    """Share of the k nearest neighbours that a point keeps from one space to the other.

    Args:
        X: (n_samples, p).
        Y: (n_samples, q), the same rows.
        k: neighbours, at most n_samples - 1.
        metric: "euclidean" or "cosine".
        max_points: query points; neighbours are looked for among all rows.
        random_state: seed or generator.

    Returns:
        The mean overlap; chance is k / (n_samples - 1).

    Raises:
        ValueError: if the rows differ in number or are not finite, or k is out of range.

    Source:
        Doimo et al. 2020 (2007.03506); Huh et al. 2024 (2405.07987). Trap: it tells of
        the smallest scale only, and duplicates order their neighbours arbitrarily.
    """
    x, y = check_pair(X, Y)
    _check_k(k, len(x))
    queries = sample_rows(len(x), max_points, random_state)
    first = nearest_neighbours(x, k, queries, metric)
    second = nearest_neighbours(y, k, queries, metric)
    shares = shared_neighbours(first, second)
    return _overlap(shares, k / (len(x) - 1), random_state)


def shared_neighbours(first: IntArray, second: IntArray) -> FloatArray:
    """Return (n_queries,) shares of the k numbers in each row of ``first`` that ``second`` has in that row."""
    common = (first[:, :, None] == second[:, None, :]).any(axis=2)
    return common.mean(axis=1)


def label_overlap(
    X: ArrayLike,
    y: ArrayLike,
    *,
    k: int = 10,
    metric: Distance = "euclidean",
    max_points: int = 1000,
    random_state: RandomState = 0,
) -> NeighbourOverlap:
    """Share of a point's nearest neighbours that carry its label.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.
        k: neighbours; a point of a label with m points looks at min(k, m - 1) of them, so 1 can be reached by
            rare labels too. Points that are alone with their label are left out.
        metric: "euclidean" or "cosine".
        max_points: query points; neighbours are looked for among all rows.
        random_state: seed or generator.

    Returns:
        The mean overlap; chance is the mean over queries of (m - 1) / (n_samples - 1).

    Raises:
        ValueError: if X is not finite, the lengths differ, or k is out of range.
        UndefinedMeasureError: if there is one label, or no label has two points among the queries.

    Source:
        Doimo et al. 2020 (2007.03506), "overlap with the ground truth". Trap: the mean is ruled by frequent
        labels; average ``per_point`` by label for the others.
    """
    space = check_space(X, min_points=2)
    classes, codes = check_labels(y, len(space))
    check_several_labels(classes, len(space))
    _check_k(k, len(space))
    queries = sample_rows(len(space), max_points, random_state)
    neighbours = nearest_neighbours(space, k, queries, metric)
    return overlap_from_neighbours(neighbours, queries, codes, random_state)


def overlap_from_neighbours(
    neighbours: IntArray, queries: IntArray, codes: IntArray, random_state: RandomState = 0
) -> NeighbourOverlap:
    """Return the label overlap from neighbours that are at hand.

    Args:
        neighbours: (n_queries, k) row numbers, nearest first.
        queries: (n_queries,) row numbers.
        codes: (n_samples,) class numbers.
        random_state: seed or generator of the interval.

    Returns:
        As :func:`label_overlap`.

    Raises:
        UndefinedMeasureError: if no query has another point of its label.
    """
    others = np.bincount(codes)[codes[queries]] - 1
    kept = others > 0
    if not kept.any():
        raise UndefinedMeasureError("no query point has another point of its label")
    same = codes[neighbours[kept]] == codes[queries[kept], None]
    reach = np.minimum(others[kept], neighbours.shape[1])
    within = np.arange(neighbours.shape[1])[None, :] < reach[:, None]
    shares = (same & within).sum(axis=1) / reach
    return _overlap(shares, float(others[kept].mean() / (len(codes) - 1)), random_state)


def _overlap(shares: FloatArray, chance: float, random_state: RandomState) -> NeighbourOverlap:
    low, high = bootstrap_interval(shares, random_state=random_state)
    return NeighbourOverlap(float(shares.mean()), low, high, float(chance), len(shares), shares)


def _check_k(k: int, n_samples: int) -> None:
    if not 1 <= k < n_samples:
        raise ValueError(f"k is {k}, expected 1 to {n_samples - 1} (one less than the points)")
