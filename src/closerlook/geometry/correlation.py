"""Correlations of many rows at once, over the entries that both rows have."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.stats import rankdata

from closerlook.geometry.validation import BoolArray, FloatArray, IntArray

Method = Literal["pearson", "spearman"]
_CHUNK = 4_000_000  # entries per block: about 32 MB per temporary


def take_pairs(D: FloatArray, orders: IntArray | None = None) -> FloatArray:
    """Return the upper triangle of a label-distance matrix, under relabellings if given.

    Args:
        D: (n, n) symmetric.
        orders: (n_orders, m) label numbers; row r reads D[orders[r, i], orders[r, j]] for i < j.

    Returns:
        (n (n - 1) / 2,) or (n_orders, m (m - 1) / 2), pairs in row-major order of the upper triangle.
    """
    if orders is None:
        return D[np.triu_indices(len(D), 1)]
    rows, columns = np.triu_indices(orders.shape[1], 1)
    return D[orders[:, rows], orders[:, columns]]


def rank_matrix(D: FloatArray) -> FloatArray:
    """Replace the off-diagonal entries of a symmetric matrix by their average ranks (diagonal: 0)."""
    ranks = np.zeros_like(D)
    rows, columns = np.triu_indices(len(D), 1)
    ranks[rows, columns] = ranks[columns, rows] = rankdata(D[rows, columns])
    return ranks


def correlate_rows(a: FloatArray, b: FloatArray, method: Method = "pearson") -> FloatArray:
    """Correlate each row of ``a`` with that of ``b`` over the entries that are finite in both.

    Args:
        a: (n_rows, n_entries) or (n_entries,), which stands for every row.
        b: (n_rows, n_entries).
        method: kind of correlation.

    Returns:
        (n_rows,) in [-1, 1]; NaN where fewer than 3 entries are common or one side is constant.
    """
    out = np.empty(len(b))
    step = max(1, _CHUNK // max(1, b.shape[1]))
    for start in range(0, len(b), step):
        part = slice(start, start + step)
        out[part] = _correlate_block(np.broadcast_to(a, b.shape)[part], b[part], method)
    return out


def _correlate_block(a: FloatArray, b: FloatArray, method: Method) -> FloatArray:
    mask = np.isfinite(a) & np.isfinite(b)
    if method == "spearman":
        a = rankdata(np.where(mask, a, np.nan), axis=1, nan_policy="omit")
        b = rankdata(np.where(mask, b, np.nan), axis=1, nan_policy="omit")
    return _pearson(a, b, mask)


def _pearson(a: FloatArray, b: FloatArray, mask: BoolArray) -> FloatArray:
    n = mask.sum(axis=1)
    x, y = _centred(a, mask, n), _centred(b, mask, n)
    xx, yy, xy = (x * x).sum(axis=1), (y * y).sum(axis=1), (x * y).sum(axis=1)
    # A row counts as constant when its spread is at the level of rounding beside its size.
    flat = (xx <= 1e-26 * _size(a, mask)) | (yy <= 1e-26 * _size(b, mask)) | (n < 3)
    r = xy / np.where(flat, 1.0, np.sqrt(xx * yy))
    return np.where(flat, np.nan, np.clip(r, -1.0, 1.0))


def _centred(a: FloatArray, mask: BoolArray, n: IntArray) -> FloatArray:
    mean = np.where(mask, a, 0.0).sum(axis=1) / np.maximum(n, 1)
    return np.where(mask, a - mean[:, None], 0.0)


def _size(a: FloatArray, mask: BoolArray) -> FloatArray:
    return (np.where(mask, a, 0.0) ** 2).sum(axis=1)
