"""A second look at hulls on which the solver runs out of digits: the same points along their principal axes.

Whether two hulls meet does not depend on the coordinates, as long as they are affine, and distances survive a
rotation. Encoders leave spaces that are almost flat in a direction or two (a layer norm takes one away, up to the
rounding of float32): the products that the solver lives on then differ in digits that float64 does not hold.
Stretched to one extent along every axis (whitened), the points are as plain to the solver as any others; what it
finds there is carried back, and each bound is measured on the points as they were given.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from closerlook.probing import _active_set
from closerlook.probing._active_set import DISJOINT, MEET, MEET_TOLERANCE, ROUNDING, UNDECIDED

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Answer(NamedTuple):
    """What the solver returns; see `_active_set.solve_pair`.

    Attributes:
        verdict: its code.
        upper: upper bound of the distance.
        lower: lower bound of the distance.
        support: positions in the first set, then its length + positions in the second.
        weights: of the support.
        shortest: vector from the second hull to the first.
        steps: number of steps.
        stretched: whether it took whitened points to find it.
    """

    verdict: int
    upper: float
    lower: float
    support: IntArray
    weights: FloatArray
    shortest: FloatArray
    steps: int
    stretched: bool = False


class Start(NamedTuple):
    """A support to start from, with its weights, as in `Answer`; ``stretched`` if only whitened points will do."""

    support: IntArray
    weights: FloatArray
    stretched: bool


#: The axes' extents are raised to these powers: from whitened points (0) back to the points themselves (1), each
#: answer being where the next solve starts. In few steps: the answers hardly differ from one to the next.
_WAY_BACK = (0.0, 0.25, 0.5, 0.75, 1.0)

#: Extents below this share of the largest make points flat.
FLAT = 1e-6

#: No factor, centre and weight of an earlier call to go on from.
_FRESH = np.empty((0, 0)), np.empty(0), 1.0


class PrincipalAxes(NamedTuple):
    """Principal axes of a set of points.

    Attributes:
        points: (n, r) coordinates along the axes; axes in which nothing but rounding is left are not among them.
        directions: (d, r) the axes, unit vectors.
        extent: (r,) root mean square of the coordinates along each axis.
        reach: the largest distance of a point from their mean.
    """

    points: FloatArray
    directions: FloatArray
    extent: FloatArray
    reach: float

    @classmethod
    def of(cls, X: FloatArray) -> "PrincipalAxes":
        """Find the axes of points X (n, d)."""
        centred = X - X.mean(axis=0)
        _, extent, axes = np.linalg.svd(np.linalg.qr(centred, mode="r"), full_matrices=False)
        kept = extent > extent[0] * max(X.shape) * np.finfo(np.float64).eps
        kept[0] = True  # points that all coincide have one axis, of extent 0
        directions = np.ascontiguousarray(axes[kept].T)
        points = np.ascontiguousarray(centred @ directions)
        reach = float(np.sqrt((centred**2).sum(axis=1).max()))
        return cls(points, directions, extent[kept] / np.sqrt(len(X)), reach)

    def stretched(self, power: float) -> tuple[FloatArray, FloatArray]:
        """The points with axes scaled to extents ``extent**power``; and (d, r) what takes normals back."""
        factor = np.where(self.extent > 0, self.extent, 1.0) ** (power - 1)
        return self.points * factor, self.directions * factor


def is_flat(X: FloatArray) -> bool:
    """Whether points X (n, d) may be so flat in a direction that a verdict depends on rounding there."""
    squares = np.linalg.eigvalsh(X.T @ X)
    if squares[0] > FLAT**2 * squares[-1]:
        return False
    extent = PrincipalAxes.of(X).extent
    return bool(extent[-1] < FLAT * extent[0])


def solve(
    X: FloatArray, a: IntArray, b: IntArray, tol: float, enough: float, max_iter: int, start: Start | None = None
) -> Answer:
    """Nearest points of the hulls of X[a] and X[b]; see `_active_set.solve_pair`, whose answer it is if it has one.

    Args:
        X: (n, d) points.
        a: rows of the first set.
        b: rows of the second set.
        tol: relative duality gap at which to stop.
        enough: stop as soon as the hulls are known to be farther apart than this.
        max_iter: number of steps allowed; negative for a limit that is far above what is needed.
        start: where to start from; what it leads to is proved like any answer.

    Returns:
        The answer. Disjoint hulls that are still not solved to ``tol`` come with their two bounds; the verdict is
        "undecided" only if whitened points gave neither a hyperplane nor a common point.
    """
    answer = None
    if start is not None:
        answer = _look_again_at(X, a, b, start, tol, enough) if start.stretched else _resumed(X, a, b, tol, *start[:2])
    if answer is None or not _settled(answer, tol, enough):
        answer = Answer(*_active_set.solve_pair(X, a, b, tol, enough, max_iter))
    if answer.stretched or answer.verdict == DISJOINT or max_iter >= 0:
        return answer
    if answer.verdict == MEET:
        points = X[np.concatenate([a, b])]
        reach = float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).max()))
        if answer.upper <= ROUNDING * reach:
            return answer
    again = _look_again_at(X, a, b, Start(answer.support, answer.weights, stretched=True), tol, enough)
    return answer if again.verdict == UNDECIDED else again._replace(steps=again.steps + answer.steps)


def _look_again_at(X: FloatArray, a: IntArray, b: IntArray, start: Start, tol: float, enough: float) -> Answer:
    axes = PrincipalAxes.of(X[np.concatenate([a, b])])
    rows = np.arange(len(a) + len(b))
    return look_again(axes, rows[: len(a)], rows[len(a) :], start.support, start.weights, tol, enough)


def look_again(
    axes: PrincipalAxes, a: IntArray, b: IntArray, support: IntArray, weights: FloatArray, tol: float, enough: float
) -> Answer:
    """Nearest points from whitened points, and from there back to the points themselves.

    Args:
        axes: of all points.
        a: rows of the first set.
        b: rows of the second set.
        support: where the solver gave up, as positions in a, then len(a) + positions in b.
        weights: of the support.
        tol: relative duality gap at which to stop.
        enough: stop as soon as the hulls are known to be farther apart than this.

    Returns:
        What `solve_pair` returns, with bounds that were measured on the points themselves.
    """
    points, _ = axes.stretched(0.0)
    verdict, _, _, support, weights, _, steps, _ = _resumed(points, a, b, 0.0, support, weights)
    if verdict == UNDECIDED:  # the support was a bad one
        verdict, _, _, support, weights, _, more = _active_set.solve_pair(points, a, b, tol, 0.0, -1)
        steps += more
    best: Answer | None = None
    for power in _WAY_BACK:
        points, back = axes.stretched(power)
        _, _, _, support, weights, shortest, more, _ = _resumed(points, a, b, tol, support, weights)
        steps += more
        best = _tighter(best, _measured(axes, a, b, support, weights, back @ shortest, steps))
        if _settled(best, tol, enough):
            break
    assert best is not None  # noqa: S101  (for the type checker: there is a way back)
    return best


def _resumed(
    points: FloatArray, a: IntArray, b: IntArray, tol: float, support: IntArray, weights: FloatArray
) -> Answer:
    """Solve to ``tol``, from a support and its weights; 0 asks for a verdict only."""
    enough = np.inf if tol else 0.0
    found = _active_set.nearest_points(points, a, b, tol, enough, -1, support, weights, *_FRESH)
    return Answer(*found[:7])


def _settled(answer: Answer, tol: float, enough: float) -> bool:
    close = answer.lower > enough or answer.upper - answer.lower <= tol * answer.upper
    return answer.verdict == MEET or (answer.verdict == DISJOINT and close)


def _measured(
    axes: PrincipalAxes,
    a: IntArray,
    b: IntArray,
    support: IntArray,
    weights: FloatArray,
    normal: FloatArray,
    steps: int,
) -> Answer:
    """Bounds on the points themselves (rotated): of the weights from above, of the normal from below."""
    held, sign = axes.points[np.concatenate([a, b])[support]], np.where(support < len(a), 1.0, -1.0)
    upper = float(np.linalg.norm((weights * sign) @ held))
    length = np.linalg.norm(normal)
    normal = normal / length if length > 0 else normal
    along = axes.directions.T @ normal
    lower = float((axes.points[a] @ along).min() - (axes.points[b] @ along).max())
    if lower > ROUNDING * axes.reach:
        return Answer(DISJOINT, max(upper, lower), lower, support, weights, normal, steps, stretched=True)
    if upper <= MEET_TOLERANCE * axes.reach:
        return Answer(MEET, upper, 0.0, support, weights, normal, steps, stretched=True)
    return Answer(UNDECIDED, upper, lower, support, weights, normal, steps, stretched=True)


def _tighter(one: Answer | None, other: Answer) -> Answer:
    """The better bound of each kind."""
    if one is None:
        return other
    low, high = (other if other.lower > one.lower else one), (other if other.upper < one.upper else one)
    verdict = DISJOINT if low.verdict == DISJOINT else high.verdict  # a hyperplane or a common point: both are proof
    upper = max(high.upper, low.lower)
    return Answer(verdict, upper, low.lower, high.support, high.weights, low.shortest, other.steps, stretched=True)
