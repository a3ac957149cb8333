"""Solvers of another kind that the hull tests compare with: an interior-point QP, and an LP for the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import clarabel
import highspy
import numpy as np
from exact_proofs import CLOSEST, hull_gap, width
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial.distance import cdist

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


def prove_partition(X: FloatArray, y: NDArray[np.generic], probe: object) -> int:
    """Prove that a fitted probe's clusters are the exact greedy ones, without asking its solver for anything.

    Merges that were done are allowed because the final hulls, which contain all earlier ones, are separated (its
    certificates, checked by one product each). Merges that were refused show a common point with a cluster of that
    moment. Both are proved in extended precision: flat spaces have gaps of 1e-12 that decide. The order is replayed
    here with plain distance matrices. Labels without a refusal need no order.

    Returns:
        The number of refusals checked.
    """
    given = np.asarray(X)
    X = given.astype(np.float64) - given.mean(axis=0, dtype=np.float64)
    closest = CLOSEST * np.linalg.norm(X, axis=1).max()
    _check_separations(given, probe, closest)
    refusals = {frozenset(r.merged.tolist()): r for r in probe.refusals_}
    assert len(refusals) == len(probe.refusals_)
    involved = {label for r in probe.refusals_ for label in (y[r.merged[0]], y[r.rival[0]])}
    alone = {int(i) for group in probe.contradictions_ for i in group}
    clusters = {int(i): {int(i)} for i in np.flatnonzero(np.isin(y, list(involved)))}
    labels = [_Replay(X, [i for i in clusters if y[i] == label and i not in alone]) for label in sorted(involved)]
    checked = 0
    while True:
        heads = [(*head, label) for label in labels if (head := label.closest()) is not None]
        if not heads:
            break
        nearest = min(head[0] for head in heads)
        _, i, j, label = min((0, *head[1:3], head[3]) for head in heads if head[0] <= nearest + 1e-12)
        refusal = refusals.get(frozenset(clusters[i] | clusters[j]))
        if refusal is None:
            clusters[i] |= clusters.pop(j)
            label.merge(i, j, X[sorted(clusters[i])].mean(axis=0))
            continue
        _check_refusal(given, refusal, clusters, closest)
        label.refuse(i, j)
        checked += 1
    assert checked == len(refusals)
    assert all(len(set(probe.labels_[sorted(members)])) == 1 for members in clusters.values())
    assert len(clusters) == np.isin(probe.cluster_labels_, list(involved)).sum()
    return checked


def _check_separations(X: FloatArray, probe: object, closest: float) -> None:
    members = [np.flatnonzero(probe.labels_ == k) for k in range(probe.n_clusters_)]
    for (i, j), certificate in probe.certificates_.items():
        assert probe.certificates_.verify((i, j))
        if certificate.disjoint:
            assert width(X[members[i]], X[members[j]], certificate.normal) > closest
        else:  # identical points with different labels
            assert certificate.meets


def _check_refusal(X: FloatArray, refusal: object, clusters: dict[int, set[int]], closest: float) -> None:
    assert clusters.get(int(refusal.rival.min())) == set(refusal.rival.tolist())
    inside = np.isin(refusal.support, refusal.merged)
    assert np.isin(refusal.support[~inside], refusal.rival).all()
    sides = [(X[refusal.support[side]], refusal.weights[side]) for side in (inside, ~inside)]
    assert all(weights.min() >= 0 and abs(weights.sum() - 1) < 1e-9 for _, weights in sides)
    (A, u), (B, v) = sides
    assert hull_gap(A, B, u, v, closest) <= closest


class _Replay:
    """Closest pairs of one label by a full matrix of centroid distances; named by their smallest members."""

    def __init__(self, X: FloatArray, points: list[int]) -> None:
        self.names = np.array(points, dtype=np.int64)
        self.centroids = X[self.names].copy()
        self.distances = cdist(self.centroids, self.centroids)
        np.fill_diagonal(self.distances, np.inf)
        self.refused = np.zeros(self.distances.shape, dtype=bool)
        self.lowest = self.distances.min(axis=1, initial=np.inf)

    def __lt__(self, other: object) -> bool:
        return False  # heads are compared by their pairs; this only lets min() carry the label along

    def closest(self) -> tuple[float, int, int] | None:
        if not len(self.names) or not np.isfinite(self.lowest.min()):
            return None
        row = int(np.flatnonzero(self.lowest <= self.lowest.min() + 1e-12)[0])
        column = int(np.flatnonzero(self.distances[row] <= self.lowest.min() + 1e-12)[0])
        return float(self.lowest[row]), int(self.names[row]), int(self.names[column])

    def merge(self, i: int, j: int, centroid: FloatArray) -> None:
        a, b = np.searchsorted(self.names, [i, j])
        self.centroids[a] = centroid
        gone = np.isinf(self.distances[a]) & ~self.refused[a]
        self.refused[a] |= self.refused[b]
        self.refused[:, a] = self.refused[a]
        fresh = np.linalg.norm(self.centroids - centroid, axis=1)
        fresh[gone | self.refused[a]] = np.inf
        self._set(a, fresh)
        self._set(b, np.full(len(self.names), np.inf))

    def refuse(self, i: int, j: int) -> None:
        a, b = np.searchsorted(self.names, [i, j])
        self.refused[a, b] = self.refused[b, a] = True
        row = self.distances[a].copy()
        row[b] = np.inf
        self._set(a, row)

    def _set(self, at: int, row: FloatArray) -> None:
        row[at] = np.inf
        lost = self.distances[:, at] <= self.lowest
        self.distances[at] = self.distances[:, at] = row
        self.lowest = np.minimum(self.lowest, row)
        self.lowest[at] = row.min(initial=np.inf)
        stale = np.flatnonzero(lost & (row > self.lowest))
        self.lowest[stale] = self.distances[stale].min(axis=1, initial=np.inf)
