"""How many directions a space uses: effective rank, stable rank, mean cosine, IsoScore, largest dimension.

All come from the n_features^2 second moments (or the n^2 ones where there are fewer points), in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closerlook.geometry.validation import FloatArray, UndefinedMeasureError, centre


@dataclass(frozen=True)
class MeanCosine:
    """Mean cosine between two different points.

    Attributes:
        value: in [-1, 1]; near 0 = directions cancel, near 1 = a narrow cone.
        top_share: part of ``value`` that the 3 largest single features contribute, over the value; near 1 (or
            above) says that a few rogue dimensions make it. NaN where value is 0.
        n_points: rows with a direction.
    """

    value: float
    top_share: float
    n_points: int


def singular_values(X: FloatArray) -> FloatArray:
    """Return the (min(n_samples, n_features),) singular values, descending; those at the level of rounding are 0."""
    gram = X.T @ X if X.shape[1] <= X.shape[0] else X @ X.T
    squares = np.linalg.eigvalsh(gram)[::-1]
    floor = len(gram) * np.finfo(np.float64).eps * max(float(squares[0]), 0.0)
    return np.sqrt(np.where(squares > floor, squares, 0.0))


def effective_rank(values: FloatArray) -> float:
    """Effective rank from singular values, exp of the entropy of the values over their sum.

    Args:
        values: of the centred space (the rank of its scatter), or as it is (RankMe).

    Returns:
        From 1 to their number.

    Raises:
        UndefinedMeasureError: if all are 0.

    Source:
        Roy & Vetterli 2007; RankMe: Garrido et al. 2023 (2210.02885). Trap: grows with n until n is several
        times n_features; compare with a Gaussian of the same shape, not with n_features.
    """
    share = _positive(values) / values.sum()
    return float(np.exp(-np.sum(share * np.log(share))))


def stable_rank(values: FloatArray) -> float:
    """Stable rank from descending singular values, the squared Frobenius norm over the squared spectral norm.

    Raises:
        UndefinedMeasureError: if all are 0.

    Source:
        Rudelson & Vershynin 2007. Trap: it sees the largest direction only.
    """
    return float(np.sum(_positive(values) ** 2) / values[0] ** 2)


def _positive(values: FloatArray) -> FloatArray:
    kept = values[values > 0]
    if len(kept) == 0:
        raise UndefinedMeasureError("all points are the same, so every singular value is 0")
    return kept


def isoscore(values: FloatArray, n_features: int) -> float:
    """IsoScore from the singular values of the centred space: how evenly the variance fills the features' space.

    Args:
        values: (min(n_samples, n_features),) singular values.
        n_features: width of the space, at least 2.

    Returns:
        In [0, 1]; 1 = the same variance in all directions, 0 = all in one.

    Raises:
        UndefinedMeasureError: with one feature or no variance.

    Source:
        Rudman et al. 2022 (2108.07344), its algorithm step by step. Trap: biased downwards when n is not far
        above n_features (it cannot pass (n - 2) / (d - 1)); compare with a Gaussian of the same shape.
    """
    if n_features < 2:
        raise UndefinedMeasureError("the space has one feature, IsoScore compares at least 2")
    variances = np.zeros(n_features)
    variances[: len(values)] = values**2
    if variances.sum() == 0:
        raise UndefinedMeasureError("all points are the same, so there is no variance to spread")
    d = float(n_features)
    normalised = np.sqrt(d) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(normalised - 1) / np.sqrt(2 * (d - np.sqrt(d)))
    fraction = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d**2
    return float(np.clip((d * fraction - 1) / (d - 1), 0.0, 1.0))


def mean_cosine(X: FloatArray) -> MeanCosine:
    """Mean cosine over all pairs of different points (anisotropy), exactly and in O(n d).

    Args:
        X: (n_samples, n_features); rows of length 0 are left out.

    Returns:
        The mean and how much of it three features make.

    Raises:
        UndefinedMeasureError: if fewer than 2 rows have a direction.

    Source:
        Ethayarajh 2019 (1909.00512); contributions of features: Timkey & van Schijndel 2021.
        Trap: a few rogue dimensions dominate it, so read it after centring too.
    """
    norms = np.linalg.norm(X, axis=1)
    unit = X[norms > 0] / norms[norms > 0, None]
    n = len(unit)
    if n < 2:
        raise UndefinedMeasureError(f"{n} rows have a direction, a mean cosine needs at least 2")
    parts = (unit.sum(axis=0) ** 2 - np.sum(unit**2, axis=0)) / (n * (n - 1))
    value = float(parts.sum())
    top = float(np.sort(np.abs(parts))[-3:].sum())
    share = top / abs(value) if abs(value) > 1e-12 else np.nan
    return MeanCosine(float(np.clip(value, -1, 1)), share, n)


def centred_directions(X: FloatArray) -> FloatArray:
    """Return ``X`` without its mean; a point that equals the mean becomes 0, for its rounding has no direction."""
    shifted = centre(X)
    tiny = 1e-13 * np.abs(X).max()
    return np.where((np.abs(shifted) > tiny).any(axis=1, keepdims=True), shifted, 0.0)


def dimension_shares(centred: FloatArray) -> FloatArray:
    """Return (n_features,) the share of the variance that each single dimension holds.

    Args:
        centred: (n_samples, n_features) without its mean.

    Raises:
        UndefinedMeasureError: if all points are the same.

    Source:
        "Massive" or rogue dimensions: Timkey & van Schijndel 2021 (2109.04404); Sun et al. 2024 (2402.17762).
    """
    variances = np.einsum("ij,ij->j", centred, centred)
    if not variances.sum() > 0:
        raise UndefinedMeasureError("all points are the same, so there is no variance to share")
    return np.asarray(variances / variances.sum())
