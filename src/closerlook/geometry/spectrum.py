"""How many directions a space uses: effective rank, stable rank, mean cosine, IsoScore.

All come from the n_features^2 second moments (or the n^2 ones where there are fewer points), in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.validation import FloatArray, UndefinedMeasureError, centre, check_space


@dataclass(frozen=True)
class MeanCosine:
    """Mean cosine between two different points.

    Attributes:
        value: in [-1, 1]; near 0 = directions cancel, near 1 = a narrow cone.
        top_share: part of ``value`` that the 3 largest single features contribute, over the value; near 1 (or
            above) says that a few rogue dimensions make it. NaN where value is 0.
        n_zero: rows without direction, left out.
    """

    value: float
    top_share: float
    n_zero: int


def singular_values(X: ArrayLike, *, centred: bool) -> FloatArray:
    """Return the (min(n_samples, n_features),) singular values, descending.

    Args:
        X: (n_samples, n_features).
        centred: take the mean of the rows away first.

    Raises:
        ValueError: if X is not finite.
    """
    space = check_space(X)
    if centred:
        space = centre(space)
    gram = space.T @ space if space.shape[1] <= space.shape[0] else space @ space.T
    return values_of_gram(gram)


def values_of_gram(gram: FloatArray) -> FloatArray:
    """Return descending singular values from X'X; those at the level of rounding are 0."""
    squares = np.linalg.eigvalsh(gram)[::-1]
    floor = len(gram) * np.finfo(np.float64).eps * max(float(squares[0]), 0.0)
    return np.sqrt(np.where(squares > floor, squares, 0.0))


def effective_rank(X: ArrayLike, *, centred: bool = True) -> float:
    """Effective rank, exp of the entropy of the singular values over their sum.

    Args:
        X: (n_samples, n_features).
        centred: take the mean away first (the rank of the scatter). RankMe is the same with False.

    Returns:
        From 1 to min(n_samples, n_features).

    Raises:
        ValueError: if X is not finite.
        UndefinedMeasureError: if all singular values are 0.

    Source:
        Roy & Vetterli 2007; RankMe: Garrido et al. 2023 (2210.02885). Trap: grows with n until n is several
        times n_features; compare with a Gaussian of the same shape, not with n_features.
    """
    return effective_rank_of(singular_values(X, centred=centred))


def effective_rank_of(values: FloatArray) -> float:
    """Effective rank from singular values.

    Raises:
        UndefinedMeasureError: if all are 0.
    """
    share = _positive(values) / values.sum()
    return float(np.exp(-np.sum(share * np.log(share))))


def stable_rank(X: ArrayLike, *, centred: bool = True) -> float:
    """Stable rank, the squared Frobenius norm over the squared spectral norm.

    Args:
        X: (n_samples, n_features).
        centred: take the mean away first; without, one large mean direction makes it about 1.

    Returns:
        From 1 to min(n_samples, n_features).

    Raises:
        ValueError: if X is not finite.
        UndefinedMeasureError: if all singular values are 0.

    Source:
        Rudelson & Vershynin 2007. Trap: it sees the largest direction only.
    """
    return stable_rank_of(singular_values(X, centred=centred))


def stable_rank_of(values: FloatArray) -> float:
    """Stable rank from descending singular values.

    Raises:
        UndefinedMeasureError: if all are 0.
    """
    return float(np.sum(_positive(values) ** 2) / values[0] ** 2)


def _positive(values: FloatArray) -> FloatArray:
    kept = values[values > 0]
    if len(kept) == 0:
        raise UndefinedMeasureError("all points are the same, so every singular value is 0")
    return kept


def mean_cosine(X: ArrayLike, *, centred: bool = False) -> MeanCosine:
    """Mean cosine over all pairs of different points (anisotropy), exactly and in O(n d).

    Args:
        X: (n_samples, n_features).
        centred: take the mean away first: what is left when the common direction is gone.

    Returns:
        The mean and how much of it three features make.

    Raises:
        ValueError: if X is not finite.
        UndefinedMeasureError: if fewer than 2 rows have a direction.

    Source:
        Ethayarajh 2019 (1909.00512); contributions of features: Timkey & van Schijndel 2021.
        Trap: a few rogue dimensions dominate it, so read it after centring too.
    """
    space = check_space(X)
    if centred:
        shifted = centre(space)
        # A point that equals the mean leaves rounding behind, which has no direction of its own.
        tiny = 1e-13 * np.abs(space).max()
        space = np.where((np.abs(shifted) > tiny).any(axis=1, keepdims=True), shifted, 0.0)
    norms = np.linalg.norm(space, axis=1)
    unit = space[norms > 0] / norms[norms > 0, None]
    n = len(unit)
    if n < 2:
        raise UndefinedMeasureError(f"{n} rows have a direction, a mean cosine needs at least 2")
    parts = (unit.sum(axis=0) ** 2 - np.sum(unit**2, axis=0)) / (n * (n - 1))
    value = float(parts.sum())
    top = float(np.sort(np.abs(parts))[-3:].sum())
    share = top / abs(value) if abs(value) > 1e-12 else np.nan
    return MeanCosine(float(np.clip(value, -1, 1)), share, len(space) - n)


def isoscore(X: ArrayLike) -> float:
    """IsoScore: how evenly the variance fills the features' space.

    Args:
        X: (n_samples, n_features), n_features at least 2; it is centred by definition.

    Returns:
        In [0, 1]; 1 = the same variance in all directions, 0 = all in one.

    Raises:
        ValueError: if X is not finite.
        UndefinedMeasureError: with one feature, fewer than 2 points, or no variance.

    Source:
        Rudman et al. 2022 (2108.07344), its algorithm step by step. Trap: biased downwards when n is not far
        above n_features (it cannot pass (n - 2) / (d - 1)); compare with a Gaussian of the same shape.
    """
    space = check_space(X, min_points=2)
    return isoscore_of(singular_values(space, centred=True), space.shape[1])


def isoscore_of(values: FloatArray, n_features: int) -> float:
    """IsoScore from the singular values of the centred space.

    Raises:
        UndefinedMeasureError: with one feature or no variance.
    """
    if n_features < 2:
        raise UndefinedMeasureError("the space has one feature, IsoScore compares at least 2")
    variances = np.zeros(n_features)
    variances[: len(values[:n_features])] = values[:n_features] ** 2
    if variances.sum() == 0:
        raise UndefinedMeasureError("all points are the same, so there is no variance to spread")
    d = float(n_features)
    normalised = np.sqrt(d) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(normalised - 1) / np.sqrt(2 * (d - np.sqrt(d)))
    fraction = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d**2
    return float(np.clip((d * fraction - 1) / (d - 1), 0.0, 1.0))
