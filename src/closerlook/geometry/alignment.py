"""Label-free comparison of two spaces with the same rows: RSA and the Procrustes shape distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from closerlook.geometry.intervals import jackknife_interval
from closerlook.geometry.moments import random_groups
from closerlook.geometry.validation import (
    FloatArray,
    IntArray,
    RandomState,
    UndefinedMeasureError,
    centre,
    check_pair,
)

Dissimilarity = Literal["correlation", "cosine", "euclidean"]


@dataclass(frozen=True)
class RSAResult:
    """Correlation of two dissimilarity matrices.

    Attributes:
        value: correlation in [-1, 1].
        low: lower end of the group-jackknife interval over stimuli; NaN with fewer than 3 groups.
        high: upper end.
        control: the same with the stimuli of one space shuffled; near 0.
        n_points: stimuli used, drawn without replacement where there are more than ``max_points``.
    """

    value: float
    low: float
    high: float
    control: float
    n_points: int


def rsa(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    dissimilarity: Dissimilarity = "correlation",
    method: Literal["spearman", "pearson"] = "spearman",
    max_points: int = 1000,
    n_groups: int = 10,
    random_state: RandomState = 0,
) -> RSAResult:
    """Representational similarity analysis: correlate the pairwise dissimilarities of the same stimuli.

    Args:
        X: (n_samples, p).
        Y: (n_samples, q), the same rows.
        dissimilarity: "correlation" (1 - Pearson over features), "cosine" or "euclidean".
        method: rank correlation as in the source, or Pearson.
        max_points: the most stimuli used; memory is about 60 bytes times max_points^2 / 2.
        n_groups: groups of the jackknife interval.
        random_state: seed or generator, for the draw of stimuli, the groups and the control.

    Returns:
        The correlation, an interval over stimuli and a shuffled control.

    Raises:
        ValueError: if the rows differ in number or are not finite, or an option is unknown.
        UndefinedMeasureError: with fewer than 3 stimuli, or if one space has all dissimilarities equal.

    Source:
        Kriegeskorte et al. 2008; for fine-tuning Merchant et al. 2020 (2004.14448). Trap: O(n^2) in the
        stimuli, hence the fixed subsample; ranks for the interval are those of the full subsample.
    """
    if dissimilarity not in get_args(Dissimilarity) or method not in ("spearman", "pearson"):
        raise ValueError(
            f"got dissimilarity {dissimilarity!r} and method {method!r}, expected one of "
            f"{get_args(Dissimilarity)} and 'spearman' or 'pearson'"
        )
    x, y = check_pair(X, Y, min_points=3)
    rng = np.random.default_rng(random_state)
    if len(x) > max_points:
        rows = rng.choice(len(x), max_points, replace=False)
        x, y = x[rows], y[rows]
    upper = np.triu_indices(len(x), 1)
    a, b = dissimilarities(x, dissimilarity), dissimilarities(y, dissimilarity)
    if method == "spearman":
        a, b = _ranked(a, upper), _ranked(b, upper)
    order = rng.permutation(len(x))
    control = _pearson(a[upper], b[np.ix_(order, order)][upper])
    value = _pearson(a[upper], b[upper])
    leave_out = _leave_groups_out(a, b, random_groups(len(x), n_groups, rng))
    low, high = jackknife_interval(value, leave_out)
    return RSAResult(value, low, high, control, len(x))


def dissimilarities(X: FloatArray, kind: Dissimilarity) -> FloatArray:
    """Return the (n, n) dissimilarities of the rows of ``X``.

    Raises:
        UndefinedMeasureError: for "correlation" and "cosine", if a row has no direction.
    """
    if kind == "euclidean":
        square = np.einsum("ij,ij->i", X, X)
        return np.sqrt(np.maximum(square[:, None] + square[None, :] - 2 * X @ X.T, 0.0))
    rows = X - X.mean(axis=1, keepdims=True) if kind == "correlation" else X
    norms = np.linalg.norm(rows, axis=1)
    if (norms <= 1e-12 * np.linalg.norm(X, axis=1)).any():
        raise UndefinedMeasureError(f"a row is constant over its features, so its {kind} is undefined")
    unit = rows / norms[:, None]
    return 1 - unit @ unit.T


def _ranked(D: FloatArray, upper: tuple[IntArray, IntArray]) -> FloatArray:
    out = np.zeros_like(D)
    out[upper] = rankdata(D[upper])
    return out + out.T


def _pearson(a: FloatArray, b: FloatArray) -> float:
    x, y = a - a.mean(), b - b.mean()
    scale = np.sqrt(float(x @ x) * float(y @ y))
    if scale <= 1e-13 * np.sqrt(float(a @ a) * float(b @ b)):
        raise UndefinedMeasureError("all dissimilarities of a space are equal, so RSA is 0 / 0")
    return float(np.clip(float(x @ y) / scale, -1.0, 1.0))


def _leave_groups_out(a: FloatArray, b: FloatArray, groups: list[IntArray]) -> FloatArray:
    """Pearson without each group of stimuli, from five sums over the matrices with their diagonals at 0."""
    a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
    products = (a, b, a * a, b * b, a * b)
    totals = np.array([p.sum() for p in products])
    columns = [p.sum(axis=1) for p in products]
    out = np.empty(len(groups))
    for k, rows in enumerate(groups):
        inside = np.array([p[np.ix_(rows, rows)].sum() for p in products])
        sums = totals - 2 * np.array([c[rows].sum() for c in columns]) + inside
        n = len(a) - len(rows)
        sa, sb, saa, sbb, sab = sums / max(n * (n - 1), 1)
        spread = (saa - sa * sa) * (sbb - sb * sb)
        out[k] = (sab - sa * sb) / np.sqrt(spread) if spread > 0 else np.nan
    return out


def procrustes_distance(X: ArrayLike, Y: ArrayLike) -> float:
    """Angular Procrustes shape distance of two spaces.

    Args:
        X: (n_samples, p).
        Y: (n_samples, q), the same rows; the narrower space counts as padded with zeros.

    Returns:
        Angle in [0, pi / 2]; 0 = one shape (equal up to shift, one factor and rotation or reflection). It is a
        metric: symmetric, with the triangle inequality.

    Raises:
        ValueError: if the rows differ in number or are not finite.
        UndefinedMeasureError: if all points of a space are the same.

    Source:
        Williams et al. 2021 (2110.14739). Trap: with n below p any two spaces can be turned
        towards each other, so read it beside the shuffled control.
    """
    x, y = check_pair(X, Y)
    x, y = centre(x), centre(y)
    nuclear = float(np.linalg.svd(x.T @ y, compute_uv=False).sum())
    return shape_angle(nuclear, float(np.sum(x * x)), float(np.sum(y * y)))


def shape_angle(nuclear: float, xx: float, yy: float) -> float:
    """Return the angle from the nuclear norm of the centred cross-product and the squared norms of both spaces.

    Raises:
        UndefinedMeasureError: if a norm is 0.
    """
    if xx <= 0 or yy <= 0:
        raise UndefinedMeasureError("all points of a space are the same, so it has no shape")
    cosine = min(nuclear / float(np.sqrt(xx * yy)), 1.0)
    # arccos loses half of the digits near 1; 2 arcsin of half the chord is the same angle without that loss
    return float(2 * np.arcsin(np.sqrt(max(1 - cosine, 0.0) / 2)))
