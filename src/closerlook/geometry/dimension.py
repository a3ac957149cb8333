"""Intrinsic dimension from the two nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closerlook.geometry.confidence import percentile_interval
from closerlook.geometry.contradictions import row_groups
from closerlook.geometry.neighbours import nearest_neighbours, sample_rows
from closerlook.geometry.validation import FloatArray, IntArray, UndefinedMeasureError

DISCARD = 0.1
"""Share of the largest ratios left out of the fit, as in the source."""


@dataclass(frozen=True)
class IntrinsicDimension:
    """TwoNN estimate.

    Attributes:
        value: dimension, above 0.
        low: lower end of the bootstrap interval over query points.
        high: upper end.
        n_points: query points behind the fit, before the largest ratios are set aside.
        n_duplicates: rows dropped because an equal row was there already.
    """

    value: float
    low: float
    high: float
    n_points: int
    n_duplicates: int


def two_nn(X: FloatArray, *, max_points: int = 1000, random_state: int = 0) -> IntrinsicDimension:
    """Intrinsic dimension from the ratio of the distances to the second and the first neighbour.

    Args:
        X: (n_samples, n_features) checked.
        max_points: query points; neighbours are looked for among all distinct rows, since thinning those would
            measure the dimension on a coarser scale.
        random_state: seed.

    Returns:
        The estimate; duplicates are dropped first and counted.

    Raises:
        UndefinedMeasureError: with fewer than 3 distinct rows, or if all ratios are 1.

    Source:
        Facco et al. 2017, Scientific Reports 7:12140. Trap: n points cannot
        show a dimension far above log2(n) or so; read it beside a Gaussian of the same covariance.
    """
    _, first_of_group = np.unique(row_groups(X), return_index=True)
    distinct = X if len(first_of_group) == len(X) else X[np.sort(first_of_group)]
    if len(distinct) < 3:
        raise UndefinedMeasureError(f"{len(distinct)} distinct points, TwoNN needs at least 3")
    ratios = _ratios(distinct, sample_rows(len(distinct), max_points, random_state))
    value = float(fit_two_nn(ratios))
    if not np.isfinite(value):
        raise UndefinedMeasureError("the first and second neighbours are equally far, so TwoNN is infinite")
    draws = np.random.default_rng(random_state).integers(len(ratios), size=(200, len(ratios)))
    low, high = percentile_interval(fit_two_nn(ratios[draws]))
    return IntrinsicDimension(value, low, high, len(ratios), len(X) - len(distinct))


def _ratios(space: FloatArray, queries: IntArray) -> FloatArray:
    """Return r2 / r1 of the queries whose nearest neighbour is at a distance above rounding."""
    found = nearest_neighbours(space, min(3, len(space) - 1), queries)
    # Brute force finds the neighbours; their distances are taken again, since it loses digits on close ones.
    exact = np.sort(np.linalg.norm(space[found] - space[queries][:, None, :], axis=2), axis=1)
    nearest, second = exact[:, 0], exact[:, 1]
    usable = nearest > 1e-7 * np.median(second)
    if usable.sum() < 2:
        raise UndefinedMeasureError("fewer than 2 points have a nearest neighbour at a distance above rounding")
    return np.asarray(second[usable] / nearest[usable])


def fit_two_nn(ratios: FloatArray) -> FloatArray:
    """Slope through the origin of -log(1 - F) on log(ratio), F the empirical distribution.

    Args:
        ratios: (..., n_points) ratios r2 / r1, at least 1.

    Returns:
        (...) dimensions; inf where all ratios are 1.
    """
    n = ratios.shape[-1]
    kept = max(1, min(n - 1, int(np.floor(n * (1 - DISCARD)))))
    x = np.log(np.sort(ratios, axis=-1)[..., :kept])
    y = -np.log1p(-np.arange(1, kept + 1) / n)
    square = np.sum(x * x, axis=-1)
    return np.divide(x @ y, square, out=np.full(square.shape, np.inf), where=square > 0)
