"""Neighbourhoods: do points keep their neighbours, and do neighbours share the label?

Queries are subsampled, the reference set never is: a subsampled reference would change the scale on which
neighbours are looked for, and rare labels would vanish from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

from closerlook.geometry.validation import FloatArray, IntArray, RandomState, UndefinedMeasureError


@dataclass(frozen=True)
class LabelOverlap:
    """Share of a point's nearest neighbours that carry its label.

    Attributes:
        shares: (n_points,) of each query point that is not alone with its label, in [0, 1].
        chance: the mean share that random neighbours would have.
    """

    shares: FloatArray
    chance: float


def sample_rows(n_samples: int, max_points: int, random_state: RandomState) -> IntArray:
    """Return the sorted numbers of at most ``max_points`` rows drawn without replacement."""
    if n_samples <= max_points:
        return np.arange(n_samples)
    return np.sort(np.random.default_rng(random_state).choice(n_samples, max_points, replace=False))


def nearest_neighbours(X: FloatArray, k: int, queries: IntArray) -> IntArray:
    """Return the ``k`` nearest other rows of each query row, nearest first.

    Args:
        X: (n_samples, n_features), checked; k at most n_samples - 1.
        k: neighbours.
        queries: (n_queries,) row numbers.

    Returns:
        (n_queries, k) row numbers, never the query itself. Equidistant rows come in an arbitrary order.
    """
    # Centring changes no distance and keeps digits in the |a|^2 - 2ab + |b|^2 of brute force.
    space = X - X.mean(axis=0)
    search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(space)
    found = search.kneighbors(space[queries], return_distance=False)
    is_self = found == queries[:, None]
    is_self[~is_self.any(axis=1), -1] = True  # more duplicates than k + 1 hid the point: drop the last one
    return np.asarray(found[~is_self].reshape(len(queries), k))


def shared_neighbours(first: IntArray, second: IntArray) -> FloatArray:
    """Return (n_queries,) shares of the k neighbours in each row of ``first`` that ``second`` has in that row.

    Source:
        Doimo et al. 2020 (2007.03506); Huh et al. 2024 (2405.07987). Chance is k / (n_samples - 1). Trap: it sees
        the smallest scale only, and duplicates order their neighbours arbitrarily.
    """
    return np.asarray((first[:, :, None] == second[:, None, :]).any(axis=2).mean(axis=1))


def label_overlap(neighbours: IntArray, queries: IntArray, codes: IntArray) -> LabelOverlap:
    """Return the share of each query's neighbours that carry its label.

    Args:
        neighbours: (n_queries, k) row numbers, nearest first. A point of a label with m points looks at
            min(k, m - 1) of them, so 1 can be reached by rare labels too.
        queries: (n_queries,) row numbers; those that are alone with their label are left out.
        codes: (n_samples,) class numbers.

    Returns:
        The shares; chance is the mean over queries of (m - 1) / (n_samples - 1).

    Raises:
        UndefinedMeasureError: if no query has another point of its label.

    Source:
        Doimo et al. 2020 (2007.03506), "overlap with the ground truth". Trap: frequent labels rule the mean.
    """
    others = np.bincount(codes)[codes[queries]] - 1
    kept = others > 0
    if not kept.any():
        raise UndefinedMeasureError("no query point has another point of its label")
    same = codes[neighbours[kept]] == codes[queries[kept], None]
    reach = np.minimum(others[kept], neighbours.shape[1])
    within = np.arange(neighbours.shape[1])[None, :] < reach[:, None]
    return LabelOverlap((same & within).sum(axis=1) / reach, float(others[kept].mean() / (len(codes) - 1)))
