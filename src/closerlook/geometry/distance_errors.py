"""Where distance meets error: do a probe's errors fall on the pairs of labels that lie close?

DirectProbe (Zhou & Srikumar 2021, 2104.05904) observes that nearly all errors fall on the closest third of the
pairs. Frequent labels have large hulls, hence small distances, and more errors of any kind: the control here
spreads each label's errors over the other labels by their frequency alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.similarity import SpatialSimilarity, spatial_similarity
from closerlook.geometry.validation import (
    FloatArray,
    IntArray,
    RandomState,
    UndefinedMeasureError,
    check_distances,
)


@dataclass(frozen=True)
class ErrorShare:
    """Share of the errors on the closest third of the pairs of labels.

    Attributes:
        value: share in [0, 1].
        control: the share if each label's errors fell on the other labels by their frequency; NaN where undefined.
        n_pairs: pairs with a distance.
        n_errors: errors on those pairs.
    """

    value: float
    control: float
    n_pairs: int
    n_errors: int


def expected_confusion(counts: IntArray) -> FloatArray:
    """Return (n_classes, n_classes) errors if each label's errors fell on the others by their frequency.

    Args:
        counts: (n_classes, n_classes) confusion counts, row = true label.
    """
    sizes = counts.sum(axis=1).astype(np.float64)
    wrong = sizes - np.diag(counts)
    others = sizes.sum() - sizes
    share = sizes[None, :] / np.where(others > 0, others, 1.0)[:, None]
    expected = wrong[:, None] * share
    np.fill_diagonal(expected, 0.0)
    return expected


def distance_error_correlation(
    distances: ArrayLike, counts: ArrayLike, *, n_permutations: int = 999, random_state: RandomState = 0
) -> SpatialSimilarity:
    """Correlate the distance of a pair of labels with the error rate of a probe on it, by ranks.

    Args:
        distances: (n_classes, n_classes) label distances; NaN where undefined.
        counts: (n_classes, n_classes) confusion counts, row = true label.
        n_permutations: Mantel permutations, one-sided towards "close pairs have errors".
        random_state: seed or generator.

    Returns:
        Spearman correlation in [-1, 1], since rates are skewed and mostly 0; negative = errors fall on close
        pairs. NaN with a reason where undefined, for instance without any error.

    Raises:
        ValueError: if shapes do not fit.

    Source:
        The observation is DirectProbe's (2104.05904); test and interval over labels are ours.
        Trap: distances and errors of the same examples share their noise; use test errors.
    """
    matrix = np.asarray(counts, dtype=np.float64)
    sizes = matrix.sum(axis=1)
    both = sizes[:, None] + sizes[None, :]
    rate = np.divide(matrix + matrix.T, both, out=np.full_like(both, np.nan), where=both > 0)
    np.fill_diagonal(rate, 0.0)
    return spatial_similarity(
        distances, rate, "spearman", alternative="less", n_permutations=n_permutations, random_state=random_state
    )


def closest_pairs_error_share(distances: ArrayLike, counts: ArrayLike) -> ErrorShare:
    """Share of the errors that fall on the closest third of the pairs of labels.

    Args:
        distances: (n_classes, n_classes) label distances; NaN where undefined.
        counts: (n_classes, n_classes) confusion counts, row = true label.

    Returns:
        The share and its control. A part of a pair at the border counts in proportion, and pairs tied there share
        it evenly.

    Raises:
        ValueError: if shapes do not fit.
        UndefinedMeasureError: if there is no error on a pair with a distance.

    Source:
        DirectProbe (2104.05904); the control is ours.
    """
    matrix, table = check_distances(distances), np.asarray(counts, dtype=np.intp)
    if matrix.shape != table.shape:
        raise ValueError(f"distances have shape {matrix.shape} and counts {table.shape}, expected the same")
    upper = np.triu_indices(len(matrix), 1)
    expected = expected_confusion(table)
    d, errors, chance = matrix[upper], (table + table.T)[upper], (expected + expected.T)[upper]
    placed = np.isfinite(d)
    n_errors = int(errors[placed].sum())
    if n_errors == 0:
        raise UndefinedMeasureError("the probe makes no error on a pair of labels with a distance")
    weights = _closeness(d[placed])
    control = float(weights @ chance[placed] / chance[placed].sum()) if chance[placed].sum() > 0 else np.nan
    value = float(weights @ errors[placed] / n_errors)
    return ErrorShare(value, control, n_pairs=int(placed.sum()), n_errors=n_errors)


def _closeness(d: FloatArray) -> FloatArray:
    """Weights in [0, 1] that add up to a third of the pairs: 1 below the border, shared on it."""
    target = len(d) / 3
    border = np.sort(d)[min(int(np.ceil(target)), len(d)) - 1]
    below, on = d < border, d == border
    return below + on * (target - below.sum()) / on.sum()
