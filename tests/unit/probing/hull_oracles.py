"""Solvers of another kind that the hull tests compare with: an interior-point QP, and an LP for the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import clarabel
import highspy
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]


def qp_distance(A: FloatArray, B: FloatArray) -> float:
    """Distance of two hulls by clarabel: min |t| with t = A'u - B'v as a constraint."""
    n_a, n_b, d = len(A), len(B), A.shape[1]
    n = n_a + n_b
    P = sparse.block_diag([sparse.csc_matrix((n, n)), sparse.identity(d)], format="csc")
    ones = np.zeros((2, n + d))
    ones[0, :n_a] = 1
    ones[1, n_a:n] = 1
    link = np.hstack([A.T, -B.T, -np.eye(d)])
    positive = np.hstack([-np.eye(n), np.zeros((n, d))])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    solver = clarabel.DefaultSolver(
        P,
        np.zeros(n + d),
        sparse.csc_matrix(np.vstack([ones, link, positive])),
        np.concatenate([[1, 1], np.zeros(d), np.zeros(n)]),
        [clarabel.ZeroConeT(2 + d), clarabel.NonnegativeConeT(n)],
        settings,
    )
    solution = solver.solve()
    assert "Solved" in str(solution.status)
    return float(np.linalg.norm(np.asarray(solution.x)[n:]))


def lp_meets(A: FloatArray, B: FloatArray) -> bool:
    """Whether two hulls have a common point, by the HiGHS simplex: feasibility of A'u = B'v."""
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    solver.setOptionValue("presolve", "off")
    n = len(A) + len(B)
    for _ in range(n):
        solver.addVar(0.0, 1.0)
    scale = max(np.abs(A - A.mean(axis=0)).max(), np.abs(B - A.mean(axis=0)).max(), 1e-300)
    rows = np.vstack([(A - A.mean(axis=0)).T / scale]), np.vstack([(B - A.mean(axis=0)).T / scale])
    index = np.arange(n, dtype=np.int32)
    for a, b in zip(*rows, strict=True):
        solver.addRow(0.0, 0.0, n, index, np.concatenate([a, -b]))
    solver.addRow(1.0, 1.0, len(A), index[: len(A)], np.ones(len(A)))
    solver.addRow(1.0, 1.0, len(B), index[len(A) :], np.ones(len(B)))
    solver.run()
    status = solver.getModelStatus()
    assert status in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible)
    return bool(status == highspy.HighsModelStatus.kOptimal)


def brute_force_clusters(X: FloatArray, y: NDArray[np.generic], *, tie: float = 1e-13) -> list[list[int]]:
    """DirectProbe as the paper tells it: one pair at a time, each checked by LP against every other cluster."""
    X = np.asarray(X, dtype=np.float64)
    scale = np.linalg.norm(X - X.mean(axis=0), axis=1).max()
    clusters = {i: [i] for i in range(len(X))}
    refused: set[tuple[int, int]] = set()
    while True:
        candidates = [
            (float(np.linalg.norm(X[clusters[i]].mean(axis=0) - X[clusters[j]].mean(axis=0))), i, j)
            for i, j in combinations(sorted(clusters), 2)
            if y[i] == y[j] and (i, j) not in refused
        ]
        if not candidates:
            return sorted(clusters.values())
        closest = min(candidates)[0]
        _, i, j = min((0, i, j) for distance, i, j in candidates if distance <= closest + tie * scale)
        merged = clusters[i] + clusters[j]
        rivals = [members for k, members in clusters.items() if y[k] != y[i]]
        if any(lp_meets(X[merged], X[members]) for members in rivals):
            refused.add((i, j))
            continue
        barred = {k for pair in refused for k in pair if i in pair or j in pair} - {i, j}
        del clusters[j]
        clusters[i] = sorted(merged)
        refused = {pair for pair in refused if i not in pair and j not in pair}
        refused |= {(min(i, k), max(i, k)) for k in barred}


def boxes(d: int, gap: float) -> tuple[FloatArray, FloatArray]:
    """Corners of two unit boxes, ``gap`` apart along the first axis."""
    corners = np.array(np.meshgrid(*[[0.0, 1.0]] * d)).reshape(d, -1).T
    return corners, corners + np.eye(d)[0] * (1 + gap)


def simplices(d: int, gap: float) -> tuple[FloatArray, FloatArray]:
    """Two facing simplices, each with d points in a plane and one behind it; the planes are ``gap`` apart."""
    face = np.vstack([np.eye(d - 1), -np.ones((1, d - 1))]) if d > 1 else np.zeros((1, 0))
    near = np.hstack([np.zeros((len(face), 1)), face])
    behind = np.eye(d)[:1]
    return np.vstack([near, -behind]), np.vstack([near + gap * behind, (1 + gap) * behind])


def rotation(d: int, rng: np.random.Generator) -> FloatArray:
    """A random orthogonal matrix."""
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def small_sets(n_sets: int, seed: int = 0) -> Iterator[tuple[FloatArray, NDArray[np.int64]]]:
    """Small labelled sets of many kinds: overlapping, separable, on a grid, with duplicates, flat."""
    rng = np.random.default_rng(seed)
    for t in range(n_sets):
        n, d, labels = int(rng.integers(2, 22)), int(rng.integers(1, 6)), int(rng.integers(1, 5))
        y = rng.integers(0, labels, n)
        X = rng.normal(size=(n, d)) + y[:, None] * rng.choice([0.0, 0.7, 3.0])
        if t % 3 == 1:
            X = rng.integers(0, 4, (n, d)).astype(float)
        if t % 5 == 2 and n > 3:
            X[rng.integers(0, n, 3)] = X[rng.integers(0, n, 3)]
        if t % 7 == 3:
            X = np.hstack([X, X[:, :1] * 2.0])
        yield X, y
