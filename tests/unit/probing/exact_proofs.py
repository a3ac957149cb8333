"""Proofs in extended precision that two hulls meet or are apart: what float64 cannot settle in flat spaces.

Points of float32 or float64 are exact numbers. Weights from the solver are refined against residuals in extended
precision (64-bit mantissa), so that a common point is one to within 1e-18 of the extent, not 1e-9.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Long = np.longdouble
#: Hulls closer than this share of the extent count as meeting: their gap is lost in the rounding of products.
CLOSEST = 64 * float(np.finfo(np.float64).eps)


def width(A: NDArray[np.floating], B: NDArray[np.floating], normal: NDArray[np.floating]) -> float:
    """How far apart a direction holds two sets, of the points as they are."""
    n = normal.astype(Long)
    return float(((A.astype(Long) @ n).min() - (B.astype(Long) @ n).max()) / np.sqrt((n**2).sum()))


def hull_gap(
    A: NDArray[np.floating],
    B: NDArray[np.floating],
    u: NDArray[np.floating],
    v: NDArray[np.floating],
    enough: float = 0.0,
) -> float:
    """Upper bound of the distance of two hulls: 0 to within 1e-18 if their supports have a common point.

    Args:
        A: (k, d) points of the first hull's support.
        B: (l, d) points of the second's.
        u: (k,) weights near the optimum, positive.
        v: (l,) likewise.
        enough: a bound that will do.

    Returns:
        The length of the shortest vector found between convex combinations; infinity if none was convex.
    """
    sign = np.repeat([1.0, -1.0], [len(A), len(B)]).astype(Long)
    both = np.vstack([A, B]).astype(Long)
    both = both - both.mean(axis=0)
    weights, shortest = np.concatenate([u, v]).astype(Long), np.inf
    for found in (weights, *_refined(both, sign, weights)):
        if found.min() >= 0:
            shortest = min(shortest, float(np.sqrt((((found * sign) @ both) ** 2).sum())))
        if shortest <= enough:
            break
    return shortest


def _refined(both, sign, weights):  # type: ignore[no-untyped-def]
    """Weights of a common point, and those of the one vector that is normal to both supports."""
    _, extent, axes = np.linalg.svd(both.astype(np.float64), full_matrices=False)
    back = (axes[extent > 1e-15 * extent[0]] / extent[extent > 1e-15 * extent[0], None]).astype(Long)
    points = both @ back.T  # stretched to one extent along every axis
    sides = np.vstack([(sign > 0).astype(Long), (sign < 0).astype(Long)])
    system = np.vstack([sides, (points * sign[:, None]).T])
    yield _solved(system, np.concatenate([np.ones(2), np.zeros(len(back))]).astype(Long), weights)
    first, second = points[sign > 0], points[sign < 0]
    rows = np.vstack([first[1:] - first[0], second[1:] - second[0], (first[0] - second[0])[None]])
    if rows.shape[0] == rows.shape[1]:  # else the normal is not unique
        normal = _solved(rows, np.eye(len(rows), dtype=Long)[-1], np.zeros(len(rows), dtype=Long)) @ back
        target = back @ (normal / max((normal**2).sum(), Long(1e-300)))
        yield _solved(system, np.concatenate([np.ones(2, dtype=Long), target]), weights)


def _solved(system, right, solution):  # type: ignore[no-untyped-def]
    """Least squares by float64, its residuals in extended precision."""
    wide = system.shape[0] < system.shape[1]  # more points than their affine hull needs: the smallest change
    Q, R = np.linalg.qr((system.T if wide else system).astype(np.float64))
    size = np.abs(np.diag(R))
    if not size.min() > 1e-15 * size.max():
        return solution
    for _ in range(20):
        miss = (right - system @ solution).astype(np.float64)
        solution = solution + (Q @ np.linalg.solve(R.T, miss) if wide else np.linalg.solve(R, Q.T @ miss))
    return solution
