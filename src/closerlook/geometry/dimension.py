"""Intrinsic dimension from the two nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.contradictions import row_groups
from closerlook.geometry.intervals import bootstrap_interval
from closerlook.geometry.neighbours import nearest_neighbours, sample_rows
from closerlook.geometry.validation import FloatArray, IntArray, RandomState, UndefinedMeasureError, check_space


@dataclass(frozen=True)
class IntrinsicDimension:
    """TwoNN estimate.

    Attributes:
        value: dimension, above 0.
        low: lower end of the bootstrap interval over query points.
        high: upper end.
        n_points: query points behind the fit, before the largest ratios are set aside.
        n_duplicates: rows dropped because an equal row was there already.
        n_zero: query points dropped because their nearest neighbour is at a distance of rounding size.
    """

    value: float
    low: float
    high: float
    n_points: int
    n_duplicates: int
    n_zero: int


def two_nn(
    X: ArrayLike, *, discard: float = 0.1, max_points: int = 1000, random_state: RandomState = 0
) -> IntrinsicDimension:
    """Intrinsic dimension from the ratio of the distances to the second and the first neighbour.

    Args:
        X: (n_samples, n_features).
        discard: share of the largest ratios left out of the fit, in [0, 1).
        max_points: query points; neighbours are looked for among all distinct rows, since thinning those would
            measure the dimension on a coarser scale.
        random_state: seed or generator.

    Returns:
        The estimate; duplicates are dropped first and counted.

    Raises:
        ValueError: if X is not finite or discard is out of range.
        UndefinedMeasureError: with fewer than 3 distinct rows, or if all ratios are 1.

    Source:
        Facco et al. 2017, Scientific Reports 7:12140. Trap: n points cannot
        show a dimension far above log2(n) or so; read it beside a Gaussian of the same covariance.
    """
    if not 0 <= discard < 1:
        raise ValueError(f"discard is {discard}, expected a share in [0, 1)")
    space = check_space(X)
    _, first_of_group = np.unique(row_groups(space), return_index=True)
    distinct = space if len(first_of_group) == len(space) else space[np.sort(first_of_group)]
    if len(distinct) < 3:
        raise UndefinedMeasureError(f"{len(distinct)} distinct points, TwoNN needs at least 3")
    queries = sample_rows(len(distinct), max_points, random_state)
    ratios, n_zero = _ratios(distinct, queries)
    value = float(fit_two_nn(ratios[None], discard)[0])
    if not np.isfinite(value):
        raise UndefinedMeasureError("the first and second neighbours are equally far, so TwoNN is infinite")
    low, high = bootstrap_interval(
        ratios, lambda draws: fit_two_nn(draws, discard), n_bootstrap=200, random_state=random_state
    )
    return IntrinsicDimension(value, low, high, len(ratios), len(space) - len(distinct), n_zero)


def _ratios(space: FloatArray, queries: IntArray) -> tuple[FloatArray, int]:
    """Return r2 / r1 of the queries, and how many had no usable r1."""
    found = nearest_neighbours(space, min(3, len(space) - 1), queries)
    # Brute force finds the neighbours; their distances are taken again, since it loses digits on close ones.
    exact = np.sort(np.linalg.norm(space[found] - space[queries][:, None, :], axis=2), axis=1)
    nearest, second = exact[:, 0], exact[:, 1]
    usable = nearest > 1e-7 * np.median(second)
    if usable.sum() < 2:
        raise UndefinedMeasureError("fewer than 2 points have a nearest neighbour at a distance above rounding")
    return second[usable] / nearest[usable], int((~usable).sum())


def fit_two_nn(ratios: FloatArray, discard: float = 0.1) -> FloatArray:
    """Slope through the origin of -log(1 - F) on log(ratio), F the empirical distribution.

    Args:
        ratios: (n_fits, n_points) ratios r2 / r1, at least 1.
        discard: share of the largest ratios left out.

    Returns:
        (n_fits,) dimensions; inf where all ratios are 1.
    """
    n = ratios.shape[1]
    kept = max(1, min(n - 1, int(np.floor(n * (1 - discard)))))
    x = np.log(np.sort(ratios, axis=1)[:, :kept])
    y = -np.log1p(-np.arange(1, kept + 1) / n)
    square = np.sum(x * x, axis=1)
    return np.divide(x @ y, square, out=np.full(len(ratios), np.inf), where=square > 0)
