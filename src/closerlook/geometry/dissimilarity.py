"""Representational similarity analysis: do pairs of examples keep their order of dissimilarity?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from closerlook.geometry.confidence import jackknife_interval
from closerlook.geometry.neighbours import sample_rows
from closerlook.geometry.paired_sums import random_groups
from closerlook.geometry.validation import FloatArray, IntArray, UndefinedMeasureError


@dataclass(frozen=True)
class RSAResult:
    """Correlation of two dissimilarity matrices.

    Attributes:
        value: Spearman correlation in [-1, 1].
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
    X: FloatArray, Y: FloatArray, *, max_points: int = 1000, n_groups: int = 10, random_state: int = 0
) -> RSAResult:
    """Rank correlation of the pairwise dissimilarities (1 - Pearson over features) of the same stimuli.

    Args:
        X: (n_samples, p) checked.
        Y: (n_samples, q), the same rows. The dissimilarity changes when one vector is added to all rows; centre
            both spaces first for a value that does not.
        max_points: the most stimuli used; memory is about 60 bytes times max_points^2 / 2.
        n_groups: groups of the jackknife interval.
        random_state: seed of the draw of stimuli, the groups and the control.

    Returns:
        The correlation, an interval over stimuli and a shuffled control.

    Raises:
        UndefinedMeasureError: with fewer than 3 stimuli, if a row is constant over its features, or if one space
            has all dissimilarities equal.

    Source:
        Kriegeskorte et al. 2008; for fine-tuning Merchant et al. 2020 (2004.14448). Trap: O(n^2) in the
        stimuli, hence the fixed subsample; ranks for the interval are those of the full subsample.
    """
    if len(X) < 3:
        raise UndefinedMeasureError(f"X has {len(X)} points, the measure needs at least 3")
    rng = np.random.default_rng(random_state)
    rows = sample_rows(len(X), max_points, rng)
    a, b = _ranked_dissimilarities(X[rows]), _ranked_dissimilarities(Y[rows])
    order, upper = rng.permutation(len(rows)), np.triu_indices(len(rows), 1)
    control = _pearson(a[upper], b[np.ix_(order, order)][upper])
    value = _pearson(a[upper], b[upper])
    leave_out = _leave_groups_out(a, b, random_groups(len(rows), n_groups, rng))
    return RSAResult(value, *jackknife_interval(value, leave_out), control=control, n_points=len(rows))


def _ranked_dissimilarities(X: FloatArray) -> FloatArray:
    """(n, n) ranks of 1 - Pearson over features of each pair of rows; the diagonal is 0."""
    rows = X - X.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1)
    if (norms <= 1e-12 * np.linalg.norm(X, axis=1)).any():
        raise UndefinedMeasureError("a row is constant over its features, so its correlation is undefined")
    unit = rows / norms[:, None]
    out, upper = np.zeros((len(X), len(X))), np.triu_indices(len(X), 1)
    out[upper] = rankdata(1 - (unit @ unit.T)[upper])
    return out + out.T


def _pearson(a: FloatArray, b: FloatArray) -> float:
    x, y = a - a.mean(), b - b.mean()
    scale = np.sqrt(float(x @ x) * float(y @ y))
    if scale <= 1e-13 * np.sqrt(float(a @ a) * float(b @ b)):
        raise UndefinedMeasureError("all dissimilarities of a space are equal, so RSA is 0 / 0")
    return float(np.clip(float(x @ y) / scale, -1.0, 1.0))


def _leave_groups_out(a: FloatArray, b: FloatArray, groups: list[IntArray]) -> FloatArray:
    """Pearson without each group of stimuli, from five sums over the matrices, whose diagonals are 0."""
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
