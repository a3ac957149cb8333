"""Hull distances of many pairs of sets, on threads (the compiled solver releases the GIL)."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from closerlook.probing import _active_set, _axes
from closerlook.probing.hulls import FloatArray, HullDistance, from_support

IntArray = NDArray[np.int64]

_CERTIFICATE_BYTES = 256 * 2**20  # normals beyond this are not kept but found again when they are asked for


class Solved(NamedTuple):
    """Distance of two sets with its certificate, and where the solver stopped."""

    distance: HullDistance
    stop: _axes.Start


def solve_sets(X: FloatArray, a: IntArray, b: IntArray, tol: float, start: _axes.Start | None = None) -> Solved:
    """Distance of the hulls of X[a] and X[b], with its certificate (weights in the order of a and b).

    Args:
        X: (n, d) float64 points.
        a: indices of the first set.
        b: indices of the second set.
        tol: relative duality gap.
        start: where the solver may start from.
    """
    answer = _axes.solve(X, a, b, tol, np.inf, -1, start)
    distance = from_support(len(a), len(b), *answer[:7], tol)
    return Solved(distance, _axes.Start(answer.support, answer.weights, answer.stretched))


class Certificates(Mapping[tuple[int, int], HullDistance]):
    """Hull distances of pairs of sets with their proofs, by (i, j) in either order.

    The answers are kept while they fit into 256 MB and found again, identically, when they do not.
    """

    def __init__(
        self,
        X: FloatArray,
        sets: Sequence[IntArray],
        pairs: IntArray,
        tol: float,
        n_jobs: int | None,
        known: Mapping[tuple[int, int], HullDistance] | None = None,
        starts: Mapping[tuple[int, int], _axes.Start] | None = None,
    ) -> None:
        self._X, self._sets, self._tol, self._known = X, sets, tol, dict(known or {})
        self._starts = starts or {}
        #: where the solver stopped, of the pairs that were solved and kept
        self.stops: dict[tuple[int, int], _axes.Start] = {}
        self._position = {(int(i), int(j)): at for at, (i, j) in enumerate(pairs)}
        self._kept: dict[tuple[int, int], HullDistance] | None = None
        missing = np.array([key not in self._known for key in self._position], dtype=np.bool_)
        self.distances = np.empty(len(pairs))
        if missing.sum() * X.shape[1] * 8 <= _CERTIFICATE_BYTES:
            todo = [key for key in self._position if key not in self._known]
            solved = dict(zip(todo, self._solve_with_proof(pairs[missing], n_jobs), strict=True))
            self.stops = {key: found.stop for key, found in solved.items()}
            self._kept = {key: self._known.get(key) or solved[key].distance for key in self._position}
            self.distances[:] = [answer.distance for answer in self._kept.values()]
            n_open = sum(not answer.converged for answer in self._kept.values())
        else:
            bounds = _solve_bounds(X, sets, pairs[missing], tol, n_jobs)
            self.distances[missing], n_open = _read_bounds(bounds, tol)
            self.distances[~missing] = [self._known[key].distance for key in self._position if key in self._known]
        if n_open:
            warnings.warn(
                f"{n_open} of {len(pairs)} hull distances did not reach a relative gap of {tol:g}; "
                "`certificates_` holds the bounds of each.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _solve(self, i: int, j: int) -> Solved:
        return solve_sets(self._X, self._sets[i], self._sets[j], self._tol, self._starts.get((i, j)))

    def _solve_with_proof(self, pairs: IntArray, n_jobs: int | None) -> list[Solved]:
        def solve(chunk: IntArray) -> list[Solved]:
            return [self._solve(*pairs[t].tolist()) for t in chunk]

        chunks = _schedule(self._sets, pairs)
        solved = Parallel(n_jobs=n_jobs, require="sharedmem")(delayed(solve)(chunk) for chunk in chunks)
        found = {t: one for chunk, part in zip(chunks, solved, strict=True) for t, one in zip(chunk, part, strict=True)}
        return [found[t] for t in range(len(pairs))]

    def __getitem__(self, key: tuple[int, int]) -> HullDistance:
        """Answer for sets i and j; the normal points from set max(i, j) to set min(i, j)."""
        pair = min(key), max(key)
        if self._kept is not None:
            return self._kept[pair]
        if pair not in self._position:
            raise KeyError(key)
        return self._known.get(pair) or self._solve(*pair).distance

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._position)

    def __len__(self) -> int:
        return len(self._position)

    def meets(self, i: int, j: int) -> bool:
        """Whether hulls i and j meet.

        Raises:
            ArithmeticError: if the solver could not decide it.
        """
        distance = self.distances[self._position[min(i, j), max(i, j)]]
        if np.isnan(distance):
            msg = (
                f"Could not decide whether the hulls of {len(self._sets[i])} and {len(self._sets[j])} points "
                "meet: refusing to guess. Scale the features to one range, or remove near-duplicate points."
            )
            raise ArithmeticError(msg)
        return bool(distance == 0.0)

    def verify(self, key: tuple[int, int]) -> bool:
        """Check one certificate against the points it is about, without the solver."""
        i, j = min(key), max(key)
        return self[i, j].verify(self._X[self._sets[i]], self._X[self._sets[j]])


def _schedule(sets: Sequence[IntArray], pairs: IntArray) -> list[IntArray]:
    """Chunks of positions in ``pairs`` of roughly equal work, the heavy pairs first."""
    sizes = np.array([len(s) for s in sets])
    work = sizes[pairs].sum(axis=1) if len(pairs) else np.empty(0)
    order = np.argsort(-work, kind="stable")
    share = max(float(work.sum()) / 256, 1.0)
    chunk = np.floor((np.cumsum(work[order]) - work[order]) / share)
    return [part for part in np.split(order, np.flatnonzero(np.diff(chunk)) + 1) if len(part)]


def _solve_bounds(
    X: FloatArray, sets: Sequence[IntArray], pairs: IntArray, tol: float, n_jobs: int | None
) -> FloatArray:
    bounds = np.empty((len(pairs), 3))

    def solve(chunk: IntArray) -> None:
        for t in chunk:
            bounds[t] = _axes.solve(X, sets[pairs[t, 0]], sets[pairs[t, 1]], tol, np.inf, -1)[:3]

    Parallel(n_jobs=n_jobs, require="sharedmem")(delayed(solve)(chunk) for chunk in _schedule(sets, pairs))
    return bounds


def _read_bounds(bounds: FloatArray, tol: float) -> tuple[FloatArray, int]:
    verdict, upper, lower = bounds.T
    distances = np.where(verdict == _active_set.MEET, 0.0, upper)
    distances[verdict == _active_set.UNDECIDED] = np.nan
    short = (verdict == _active_set.DISJOINT) & (upper - lower > tol * upper)
    return distances, int((verdict == _active_set.UNDECIDED).sum() + short.sum())
