"""Nearest convex hull of a point, with bounds that skip the hulls that are far."""

import warnings
from collections.abc import Sequence

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning

from closerlook.probing import _active_set, _axes
from closerlook.probing.hulls import FloatArray
from closerlook.probing.pairwise import IntArray

_TIE = 2e-6  # distances are known to 1e-6 of themselves: hulls within twice that are equally near
_BLOCK = 256  # queries whose products with all points are in memory at a time


def nearest_hulls(
    X: FloatArray, sets: Sequence[IntArray], queries: FloatArray, *, tol: float = 1e-6, n_jobs: int | None = None
) -> tuple[IntArray, FloatArray]:
    """Find the hull nearest to each query; of equally near hulls the first.

    Args:
        X: (n_samples, d) float64 points.
        sets: indices of the points of each hull.
        queries: (n_queries, d) float64 points.
        tol: relative duality gap of a distance.
        n_jobs: threads, in joblib's convention.

    Returns:
        (n_queries,) position of the hull in `sets` and (n_queries,) distance to it, 0 inside.

    Warns:
        ConvergenceWarning: if a distance that matters was not reached; its upper bound is used.
    """
    n = len(X)
    both = np.concatenate([X, queries])
    blocks = [np.arange(at, min(at + _BLOCK, len(both))) for at in range(n, len(both), _BLOCK)]
    parts: list[tuple[IntArray, FloatArray, int]] = []
    for block in blocks:
        lower, upper = _bounds(X, sets, both[block])
        solved = Parallel(n_jobs=n_jobs, require="sharedmem")(
            delayed(_search)(both, sets, block[rows], lower[rows], upper[rows], tol)
            for rows in np.array_split(np.arange(len(block)), min(16, len(block)))
        )
        parts.extend(solved)
    if n_open := sum(part[2] for part in parts):
        warnings.warn(
            f"{n_open} distances did not reach a relative gap of {tol:g}; their upper bounds were compared.",
            ConvergenceWarning,
            stacklevel=3,
        )
    nearest = np.concatenate([np.empty(0, dtype=np.int64), *(part[0] for part in parts)])
    return nearest, np.concatenate([np.empty(0), *(part[1] for part in parts)])


def _bounds(X: FloatArray, sets: Sequence[IntArray], queries: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lower bounds (n_queries, n_sets) from the direction to each centroid, upper bounds (n_queries,)."""
    order = np.concatenate(list(sets))
    start = np.cumsum([0, *(len(s) for s in sets)])[:-1]
    centroids = np.stack([X[s].mean(axis=0) for s in sets])
    own = (X[order] * np.repeat(centroids, [len(s) for s in sets], axis=0)).sum(axis=1)
    products = queries @ X[order].T
    squares = (queries**2).sum(axis=1)
    upper = np.sqrt(np.maximum(squares + ((X[order] ** 2).sum(axis=1) - 2 * products).min(axis=1), 0.0))
    furthest = np.maximum.reduceat(products - own, start, axis=1)
    reach = np.linalg.norm(queries[:, None, :] - centroids[None, :, :], axis=2)
    width = squares[:, None] - queries @ centroids.T - furthest
    lower = np.divide(width, reach, out=np.zeros_like(width), where=reach > 0)
    # Room for rounding of the products: bounds only order and skip the exact solves.
    scale = np.sqrt(max(squares.max(), (X**2).sum(axis=1).max()))
    return np.maximum(lower - 1e-9 * scale, 0.0), upper + 1e-9 * scale


def _search(
    both: FloatArray,
    sets: Sequence[IntArray],
    rows: IntArray,
    lower: FloatArray,
    upper: FloatArray,
    tol: float,
) -> tuple[IntArray, FloatArray, int]:
    nearest, distance, n_open = np.empty(len(rows), dtype=np.int64), np.empty(len(rows)), 0
    for t, row in enumerate(rows):
        best, found = upper[t] * (1 + _TIE), []
        for hull in np.argsort(lower[t], kind="stable"):
            if lower[t, hull] > best:
                break
            verdict, high, low, *_ = _axes.solve(both, np.array([row]), sets[hull], tol, best, -1)
            if low > best:
                continue
            high = 0.0 if verdict == _active_set.MEET else high
            n_open += verdict == _active_set.UNDECIDED or (high > 0 and high - low > tol * high)
            found.append((int(hull), high))
            best = min(best, high * (1 + _TIE))
        nearest[t], distance[t] = min(pair for pair in found if pair[1] <= best)
    return nearest, distance, n_open
