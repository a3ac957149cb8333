"""Exact distance between two convex hulls, with a certificate for each answer."""

import warnings
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

Verdict = Literal["disjoint", "meet", "undecided"]
FloatArray = NDArray[np.float64]

#: Beyond these scales squares leave float64: points are brought back by a power of two, or refused.
SMALLEST, LARGEST = 1e-75, 1e75

_VERDICTS: tuple[Verdict, ...] = ("undecided", "disjoint", "meet")


@dataclass(frozen=True, eq=False)
class HullDistance:
    """Distance between the convex hulls of A (n_a, d) and B (n_b, d), and the proof of it.

    Attributes:
        verdict: "disjoint" (a hyperplane separates the hulls with a positive gap), "meet" (they have a common
            point; touching counts), or "undecided" (the solver ran out of steps; there is no answer).
        distance: the distance, in the unit of the points; 0 where the hulls meet, NaN where undecided. Where
            `converged` is False it is an upper bound only.
        gap: duality gap, same unit: the true distance lies in [bound, bound + gap].
        bound: proved lower bound of the distance.
        converged: the verdict is known and, for disjoint hulls, the gap is at most `tol` times the distance.
        normal: (d,) unit vector from B to A with ``min(A @ normal) - max(B @ normal) == bound``; None unless
            the hulls are disjoint.
        weights: convex weights (n_a,) and (n_b,) with ``weights[0] @ A == weights[1] @ B``; None unless the
            hulls meet.
        n_steps: steps the solver took.
    """

    verdict: Verdict
    distance: float
    gap: float
    bound: float
    converged: bool
    normal: FloatArray | None
    weights: tuple[FloatArray, FloatArray] | None
    n_steps: int

    @property
    def meets(self) -> bool:
        """Whether the hulls have a common point; False where undecided."""
        return self.verdict == "meet"

    @property
    def disjoint(self) -> bool:
        """Whether a hyperplane separates the hulls; False where undecided."""
        return self.verdict == "disjoint"

    def verify(self, A: ArrayLike, B: ArrayLike, *, rtol: float = 1e-9) -> bool:
        """Check the certificate against the points, without the solver: one matrix product.

        Args:
            A: (n_a, d) the points that the answer is about.
            B: (n_b, d) the points that the answer is about.
            rtol: allowance for rounding, as a share of the extent of the points.

        Returns:
            True if the normal separates A from B by `bound` (disjoint), or the weights are convex and give a
            common point (meet). An undecided answer has nothing to verify: False.
        """
        a, b = _as_points(A, "A"), _as_points(B, "B")
        centre = (a.mean(axis=0) + b.mean(axis=0)) / 2
        a, b = a - centre, b - centre
        slack = rtol * max(np.abs(a).max(), np.abs(b).max())
        if self.normal is not None:
            width = (a @ self.normal).min() - (b @ self.normal).max()
            unit = abs(np.linalg.norm(self.normal) - 1) <= 1e-9
            return bool(unit and width > 0 and abs(width - self.bound) <= slack)
        if self.weights is None:
            return False
        convex = all(w.min() >= 0 and abs(w.sum() - 1) <= 1e-9 for w in self.weights)
        apart = np.linalg.norm(self.weights[0] @ a - self.weights[1] @ b)
        return bool(convex and apart <= slack)


def hull_distance(A: ArrayLike, B: ArrayLike, *, tol: float = 1e-6, max_iter: int | None = None) -> HullDistance:
    """Distance between the convex hulls of two point sets: the margin width of a hard-margin linear SVM.

    Solves for the minimum-norm point of the Minkowski difference (Wolfe 1976) in float64, after centring.
    Hulls that come within 1e-13 of their extent without a hyperplane between them count as meeting. Where float64
    keeps the solver from an answer, it looks again along the principal axes of the points.

    Args:
        A: (n_a, d) points, any real type.
        B: (n_b, d) points, any real type.
        tol: duality gap to reach, relative to the distance.
        max_iter: steps allowed; None for a limit that is far above what is needed.

    Returns:
        The distance and its certificate.

    Raises:
        ValueError: if a set is empty, not two-dimensional, not finite, or the dimensions differ.

    Warns:
        ConvergenceWarning: if the gap was not reached. The answer then says so (`converged`), and its bounds
            hold; it is never turned into 0.
    """
    points_a, points_b = _as_points(A, "A"), _as_points(B, "B")
    if points_a.shape[1] != points_b.shape[1]:
        msg = f"Expected A and B of one dimension, got {points_a.shape[1]} and {points_b.shape[1]} columns."
        raise ValueError(msg)
    result = _solve(points_a, points_b, tol, max_iter)
    if not result.converged:
        warnings.warn(
            f"Hull distance not converged after {result.n_steps} steps: it lies between {result.bound:.6g} and "
            f"{result.bound + result.gap:.6g}. Raise max_iter, or tol (now {tol:g}).",
            ConvergenceWarning,
            stacklevel=2,
        )
    return result


def _as_points(points: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(points)
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] == 0:
        msg = f"Expected {name} of shape (n_points, n_features), none of them 0; got {array.shape}."
        raise ValueError(msg)
    if np.iscomplexobj(array):
        msg = f"Expected {name} to be real, got {array.dtype}."
        raise ValueError(msg)
    array = np.ascontiguousarray(array, dtype=np.float64)
    if not np.isfinite(array).all():
        msg = f"{name} contains NaN or infinite values; remove or replace these rows."
        raise ValueError(msg)
    return array


def _solve(A: FloatArray, B: FloatArray, tol: float, max_iter: int | None) -> HullDistance:
    from closerlook.probing._axes import solve  # compiled code: loaded on first use

    points = np.concatenate([A, B])
    exponent = _exponent(points)
    points = np.ldexp(points, -exponent)
    rows = np.arange(len(points))
    answer = solve(points, rows[: len(A)], rows[len(A) :], tol, np.inf, -1 if max_iter is None else max_iter)
    found = from_support(len(A), len(B), *answer[:7], tol)
    distance, gap, bound = np.ldexp([found.distance, found.gap, found.bound], exponent).tolist()
    return replace(found, distance=distance, gap=gap, bound=bound)


def _exponent(points: FloatArray) -> int:
    """Power of two that brings points of extreme scale near 1 (exactly); 0 for any others."""
    largest = float(np.abs(points).max())
    return 0 if largest == 0 or SMALLEST < largest < LARGEST else int(np.frexp(largest)[1])


def from_support(
    n_a: int,
    n_b: int,
    verdict: int,
    upper: float,
    lower: float,
    support: NDArray[np.int64],
    weights: FloatArray,
    shortest: FloatArray,
    n_steps: int,
    tol: float,
) -> HullDistance:
    """Make the result out of what the compiled solver returns (weights of rows of A, then of B)."""
    name = _VERDICTS[verdict]
    if name == "meet":
        w = np.zeros(n_a + n_b)
        w[support] = weights
        common = (w[:n_a] / w[:n_a].sum(), w[n_a:] / w[n_a:].sum())
        return HullDistance(name, 0.0, 0.0, 0.0, True, None, common, n_steps)
    bound = max(lower, 0.0)
    if name == "undecided":
        return HullDistance(name, np.nan, upper - bound, bound, False, None, None, n_steps)
    normal = shortest / np.linalg.norm(shortest)
    converged = upper - bound <= tol * upper
    return HullDistance(name, upper, upper - bound, bound, converged, normal, None, n_steps)
