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
Answer = tuple[int, float, float, IntArray, FloatArray, FloatArray, int]

#: The axes' extents are raised to these powers: from whitened points (0) back to the points themselves (1), each
#: answer being where the next solve starts. In few steps: the answers hardly differ from one to the next.
_WAY_BACK = (0.0, 0.25, 0.5, 0.75, 1.0)

#: Extents below this share of the largest make points flat.
FLAT = 1e-6

_NO_FACTOR = np.empty((0, 0))


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


def solve(X: FloatArray, a: IntArray, b: IntArray, tol: float, enough: float, max_iter: int) -> Answer:
    """Nearest points of the hulls of X[a] and X[b]; see `_active_set.solve_pair`, whose answer it is if it has one.

    Returns:
        What `solve_pair` returns. Disjoint hulls that are still not solved to ``tol`` come with their two bounds;
        the verdict is "undecided" only if whitened points gave neither a hyperplane nor a common point.
    """
    answer = _active_set.solve_pair(X, a, b, tol, enough, max_iter)
    if answer[0] == DISJOINT or max_iter >= 0:
        return answer
    points = X[np.concatenate([a, b])]
    reach = float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).max()))
    if answer[0] == MEET and answer[1] <= ROUNDING * reach:
        return answer
    axes = PrincipalAxes.of(points)
    rows = np.arange(len(points))
    again = look_again(axes, rows[: len(a)], rows[len(a) :], answer[3], answer[4], tol, enough)
    return answer if again[0] == UNDECIDED else (*again[:-1], again[-1] + answer[-1])


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
    verdict, _, _, support, weights, _, steps = _resumed(points, a, b, 0.0, support, weights)
    if verdict == UNDECIDED:  # the support was a bad one
        verdict, _, _, support, weights, _, more = _active_set.solve_pair(points, a, b, tol, 0.0, -1)
        steps += more
    best: Answer | None = None
    for power in _WAY_BACK:
        points, back = axes.stretched(power)
        _, _, _, support, weights, shortest, more = _resumed(points, a, b, tol, support, weights)
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
    centre = (points[a].mean(axis=0) + points[b].mean(axis=0)) / 2
    tau = float(((points[np.concatenate([a, b])] - centre) ** 2).sum(axis=1).max())
    enough = np.inf if tol else 0.0
    answer: Answer = _active_set.nearest_points(
        points, a, b, tol, enough, -1, support, weights, _NO_FACTOR, centre, tau
    )[:7]
    return answer


def _settled(answer: Answer, tol: float, enough: float) -> bool:
    verdict, upper, lower = answer[:3]
    return verdict == MEET or (verdict == DISJOINT and (lower > enough or upper - lower <= tol * upper))


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
    in_a = support < len(a)
    rows = np.where(in_a, a[np.minimum(support, len(a) - 1)], b[np.maximum(support - len(a), 0)])
    upper = float(np.linalg.norm((weights * np.where(in_a, 1.0, -1.0)) @ axes.points[rows]))
    length = np.linalg.norm(normal)
    normal = normal / length if length > 0 else normal
    along = axes.directions.T @ normal
    lower = float((axes.points[a] @ along).min() - (axes.points[b] @ along).max())
    if lower > ROUNDING * axes.reach:
        return DISJOINT, max(upper, lower), lower, support, weights, normal, steps
    if upper <= MEET_TOLERANCE * axes.reach:
        return MEET, upper, 0.0, support, weights, normal, steps
    return UNDECIDED, upper, lower, support, weights, normal, steps


def _tighter(one: Answer | None, other: Answer) -> Answer:
    """The better bound of each kind."""
    if one is None:
        return other
    low, high = (other if other[2] > one[2] else one), (other if other[1] < one[1] else one)
    verdict = DISJOINT if low[0] == DISJOINT else high[0]  # a hyperplane with a gap is proof; so is a common point
    return verdict, max(high[1], low[2]), low[2], high[3], high[4], low[5], other[6]
