"""Compiled active-set solver for the nearest points of two convex hulls.

The hulls of A and B are as far apart as the minimum-norm point of their Minkowski difference is from the
origin. With the rows of P being ``a - c`` and ``-(b - c)``, that is

    minimise |x P|^2   subject to   sum(x[A]) = sum(x[B]) = 1,  x >= 0,

which is Wolfe's problem (Math. Programming 11, 1976) with two simplices instead of one. The solver keeps a
support S with positive weights that is optimal on the affine hulls of its points, adds the point that violates
optimality most, and drops points whose weight would turn negative. Each weight vector gives an upper bound
|z| of the distance (z = x P) and, by one matrix-vector product, a lower bound: it is never a guess.

Everything is float64, single-threaded and free of BLAS, so that answers do not depend on the number of threads.
One module holds all that is compiled around the solver: numba's cache of a caller does not notice changes in
another module.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from closerlook.probing._compiling import CACHE

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_EPS = 2.220446049250313e-16
#: Products may be reordered, so that they are vectorised; NaN and infinity keep their meaning. Division by zero
#: gives infinity as in numpy: the checks would cost more than they find.
_COMPILE: dict[str, Any] = {
    "cache": CACHE,
    "nogil": True,
    "fastmath": {"reassoc", "contract", "nsz"},
    "error_model": "numpy",
}

UNDECIDED, DISJOINT, MEET = 0, 1, 2

#: A common point to within this share of the extent settles that hulls meet.
MEET_TOLERANCE = 1e-13
#: Below this share a few steps without halving the distance are enough to call it stalled; below the next, many.
NEAR_TOLERANCE = 1e-10
STALL_TOLERANCE = 1e-8
#: A separation counts from this share of the extent on: below it rounding of the products could fake it.
ROUNDING = 64 * _EPS

_DENSE_ROWS = 192  # pairs with fewer points are priced in full at each step
_BATCH = 40  # points that enter the working set at a full pricing, per side
_AT_ONCE = 8  # points that enter the support at a step: those nearly as bad as the worst one
_NEARLY = 0.7


@njit(**_COMPILE)
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@njit(**_COMPILE)
def _axpy(scale, a, out):  # type: ignore[no-untyped-def]
    for i in range(a.shape[0]):
        out[i] += scale * a[i]


@njit(**_COMPILE)
def _axpy4(scale, a, b, c, d, out):  # type: ignore[no-untyped-def]
    """Add four scaled vectors at once: a quarter of the traffic of four single additions."""
    s, t, u, v = scale
    for i in range(out.shape[0]):
        out[i] += (s * a[i] + t * b[i]) + (u * c[i] + v * d[i])


@njit(**_COMPILE)
def _lower_solve(R, v, k):  # type: ignore[no-untyped-def]
    """Solve R' w = v in place (R upper triangular), four rows at a time."""
    # Loops run over slices: they are vectorised only where numba sees that no index can be negative.
    for top in range(0, k, 4):
        end = min(top + 4, k)
        for c in range(top, end):
            v[c] /= R[c, c]
            for i in range(c + 1, end):
                v[i] -= R[c, i] * v[c]
        if end < k:
            scale = (-v[top], -v[top + 1], -v[top + 2], -v[top + 3])
            _axpy4(scale, R[top, end:k], R[top + 1, end:k], R[top + 2, end:k], R[top + 3, end:k], v[end:k])


@njit(**_COMPILE)
def _upper_solve(R, v, k):  # type: ignore[no-untyped-def]
    """Solve R w = v in place (R upper triangular)."""
    for i in range(k - 1, -1, -1):
        v[i] = (v[i] - _dot(R[i, i + 1 : k], v[i + 1 : k])) / R[i, i]


@njit(**_COMPILE)
def _shift(row):  # type: ignore[no-untyped-def]
    ahead = row[1:]
    for c in range(ahead.shape[0]):
        row[c] = ahead[c]


@njit(**_COMPILE)
def _rotate(top, low, cs, sn):  # type: ignore[no-untyped-def]
    for j in range(top.shape[0]):
        t = top[j]
        top[j] = cs * t + sn * low[j]
        low[j] = cs * low[j] - sn * t


@njit(**_COMPILE)
def _remove_column(R, YA, YB, YG, at, k):  # type: ignore[no-untyped-def]
    """Drop column ``at`` of the k x k factor and make it triangular again; the right-hand sides follow."""
    for r in range(k):
        _shift(R[r, max(at, r - 1) : k])
    for c in range(at, k - 1):
        a, b = R[c, c], R[c + 1, c]
        h = math.sqrt(a * a + b * b)
        cs, sn = a / h, b / h
        _rotate(R[c, c : k - 1], R[c + 1, c : k - 1], cs, sn)
        _rotate(YA[c : c + 1], YA[c + 1 : c + 2], cs, sn)
        _rotate(YB[c : c + 1], YB[c + 1 : c + 2], cs, sn)
        _rotate(YG[c : c + 1], YG[c + 1 : c + 2], cs, sn)


@njit(**_COMPILE)
def _grown(R, capacity):  # type: ignore[no-untyped-def]
    bigger = np.zeros((capacity, capacity))
    k = R.shape[0]
    bigger[:k, :k] = R
    return bigger


@njit(**_COMPILE)
def _add_rows(P, S, x, k, z):  # type: ignore[no-untyped-def]
    """Add sum x_i P[S_i] to z."""
    whole = k - k % 4
    for i in range(0, whole, 4):
        _axpy4((x[i], x[i + 1], x[i + 2], x[i + 3]), P[S[i]], P[S[i + 1]], P[S[i + 2]], P[S[i + 3]], z)
    for i in range(whole, k):
        _axpy(x[i], P[S[i]], z)


@njit(**_COMPILE)
def _combine(P, S, x, k, z):  # type: ignore[no-untyped-def]
    """Write z = sum x_i P[S_i] and return |z|^2."""
    z[:] = 0.0
    _add_rows(P, S, x, k, z)
    return _dot(z, z)


@njit(**_COMPILE)
def _price(P, z, rows, n_rows, g):  # type: ignore[no-untyped-def]
    for i in range(n_rows):
        g[rows[i]] = _dot(P[rows[i]], z)


@njit(**_COMPILE)
def _admit(g, bound, lo, hi, inside, rows, n_rows, batch):  # type: ignore[no-untyped-def]
    """Add to the working set the up to ``batch`` rows of lo..hi with the lowest score below ``bound``."""
    best = np.empty(batch, dtype=np.int64)
    n = 0
    for i in range(lo, hi):
        if inside[i] or g[i] >= bound or (n == batch and g[i] >= g[best[n - 1]]):
            continue
        at = n if n < batch else batch - 1
        while at > 0 and g[best[at - 1]] > g[i]:
            if at < batch:
                best[at] = best[at - 1]
            at -= 1
        best[at] = i
        n = min(n + 1, batch)
    for t in range(n):
        inside[best[t]] = True
        rows[n_rows] = best[t]
        n_rows += 1
    return n_rows


@njit(**_COMPILE)
def _most_violating(g, rows, n_rows, nA, lamA, lamB, least, entering):  # type: ignore[no-untyped-def]
    """Write the rows whose products are lowest below those of the support, the worst first; return their number."""
    n, size = 0, entering.shape[0]
    for i in range(n_rows):
        r = rows[i]
        excess = (lamA if r < nA else lamB) - g[r]
        if excess < least:
            continue
        at = n
        while at > 0 and (lamA if entering[at - 1] < nA else lamB) - g[entering[at - 1]] < excess:
            if at < size:
                entering[at] = entering[at - 1]
            at -= 1
        if at < size:
            entering[at] = r
            n = min(n + 1, size)
    return n


@njit(**_COMPILE)
def _gram_columns(P, S, known, k, points, n, nA, tau, V):  # type: ignore[no-untyped-def]
    """Inner products of rows ``points`` with the support from ``known`` on, plus tau where both are on one side."""
    for i in range(known, k):
        row = P[S[i]]
        for e in range(n):
            V[e, i] = _dot(row, P[points[e]])
            if (S[i] < nA) == (points[e] < nA):
                V[e, i] += tau


@njit(**_COMPILE)
def _pivot(P, S, k, p, nA, tau, R, v, square):  # type: ignore[no-untyped-def]
    """Squared distance of the (augmented) row p to the span of the support; ``v`` holds R^-T of its products."""
    pivot = square - _dot(v[:k], v[:k])
    if pivot > 1e-6 * square:
        return pivot
    # The difference has lost its digits: form the residual itself (corrected semi-normal equations).
    coef = v[:k].copy()
    _upper_solve(R, coef, k)
    rest = P[p].copy()
    _add_rows(P, S, -coef, k, rest)
    onA, onB = (1.0, 0.0) if p < nA else (0.0, 1.0)
    for i in range(k):
        if S[i] < nA:
            onA -= coef[i]
        else:
            onB -= coef[i]
    return _dot(rest, rest) + tau * (onA * onA + onB * onB)


@njit(**_COMPILE)
def _append(P, S, k, p, nA, tau, R, YA, YB, v):  # type: ignore[no-untyped-def]
    """Extend the factor by row p, of products v with the support; False if p adds no direction to it."""
    square = _dot(P[p], P[p]) + tau
    _lower_solve(R, v, k)
    pivot = _pivot(P, S, k, p, nA, tau, R, v, square)
    if pivot <= 1e-30 * square:
        return False
    root = math.sqrt(pivot)
    for i in range(k):
        R[i, k] = v[i]
    R[k, k] = root
    YA[k] = ((1.0 if p < nA else 0.0) - _dot(v[:k], YA[:k])) / root
    YB[k] = ((0.0 if p < nA else 1.0) - _dot(v[:k], YB[:k])) / root
    S[k] = p
    return True


@njit(**_COMPILE)
def _direction(S, x, k, nA, R, YA, YB, YG, move):  # type: ignore[no-untyped-def]
    """Write the change of weights that leads to the optimum on the affine hulls of the support."""
    missA, missB = 1.0, 1.0
    for i in range(k):
        if S[i] < nA:
            missA -= x[i]
        else:
            missB -= x[i]
        move[i] = YG[i]
    yA, yB, m = YA[:k], YB[:k], move[:k]
    aa, ab, bb = _dot(yA, yA), _dot(yA, yB), _dot(yB, yB)
    rA, rB = missA - _dot(yA, m), missB - _dot(yB, m)
    det = aa * bb - ab * ab
    _axpy((rA * bb - rB * ab) / det, yA, m)
    _axpy((rB * aa - rA * ab) / det, yB, m)
    _upper_solve(R, move, k)


@njit(**_COMPILE)
def _descend(P, S, x, k, g, nA, R, YA, YB, YG, z, move, total):  # type: ignore[no-untyped-def]
    """Go to the optimum on the support; at each wall drop the points whose weight is 0 and aim again.

    The way is computed from the products g with the present z, so that each descent also repairs the rounding errors
    of the ones before (iterative refinement). A part t of it leaves 1 - t of what is unequal in g, so that nothing
    but the factor is looked at on the way. z is changed by increments and never summed anew: nearly touching hulls
    have a tiny z, and the rounding of a fresh sum of large terms would turn its direction.
    """
    for i in range(k):
        YG[i], total[i] = -g[S[i]], 0.0
    _lower_solve(R, YG, k)
    while True:
        _direction(S, x, k, nA, R, YA, YB, YG, move)
        t, at = 1.0, -1
        for i in range(k):
            if x[i] + move[i] <= 0.0 and move[i] < 0.0:
                ratio = -x[i] / move[i]
                if ratio <= t:
                    t, at = ratio, i
        for i in range(k):
            x[i] += t * move[i]
            total[i] += t * move[i]
            if i == at or (x[i] <= 0.0 and move[i] < 0.0):
                x[i] = -1.0  # leaves; a point that has just come may still be at 0
        if at < 0:
            _add_rows(P, S, total, k, z)
            return k
        for i in range(k):
            YG[i] *= 1.0 - t
        for i in range(k - 1, -1, -1):
            if x[i] < 0.0:
                _axpy(total[i], P[S[i]], z)
                _remove_column(R, YA, YB, YG, i, k)
                for j in range(i, k - 1):
                    S[j], x[j], total[j] = S[j + 1], x[j + 1], total[j + 1]
                k -= 1


@njit(**_COMPILE)
def _packed(R, YA, YB, k):  # type: ignore[no-untyped-def]
    """The factor and its right-hand sides in one array."""
    packed = np.empty((k, k + 2))
    packed[:, :k] = R[:k, :k]
    packed[:, k] = YA[:k]
    packed[:, k + 1] = YB[:k]
    return packed


@njit(**_COMPILE)
def _middle(X, a, b, z, centre):  # type: ignore[no-untyped-def]
    """Write the difference of the means of X[a] and X[b], and the middle between them."""
    d = X.shape[1]
    z[:] = 0.0
    centre[:] = 0.0
    for i in a:
        _axpy(1.0 / len(a), X[i], z)
    for i in b:
        _axpy(1.0 / len(b), X[i], centre)
    for j in range(d):
        mean_a, mean_b = z[j], centre[j]
        z[j] = mean_a - mean_b
        centre[j] = 0.5 * (mean_a + mean_b)


@njit(**_COMPILE)
def _take(X, a, b, centre, t, P):  # type: ignore[no-untyped-def]
    """Write row t: point t of a, or the negative of point t - len(a) of b, relative to the centre."""
    row, sign = (X[a[t]], 1.0) if t < len(a) else (X[b[t - len(a)]], -1.0)
    for j in range(centre.shape[0]):
        P[t, j] = sign * (row[j] - centre[j])


@njit(**_COMPILE)
def _offset_dot(row, centre, z):  # type: ignore[no-untyped-def]
    """Product of z with a point relative to the centre (the centre's own product would take digits away)."""
    total = 0.0
    for j in range(z.shape[0]):
        total += (row[j] - centre[j]) * z[j]
    return total


@njit(**_COMPILE)
def _distance(z, other):  # type: ignore[no-untyped-def]
    """Distance of two vectors, rounded up."""
    square = 0.0
    for j in range(z.shape[0]):
        square += (z[j] - other[j]) ** 2
    return math.sqrt(square) * (1.0 + 1e-12)


@njit(**_COMPILE)
def _price_others(X, rows, centre, z, drift, norm, inside, sign, lam, g):  # type: ignore[no-untyped-def]
    """Price the rows outside the working set that may be below ``lam``, from the points where they lie.

    ``drift`` is how far z went since they were priced last: the others get the lower bound that follows from it,
    which is above ``lam`` too, so that the lowest product is exact.
    """
    for t in range(len(rows)):
        if inside[t]:
            continue
        bound = g[t] - drift * norm[t]
        g[t] = bound if bound > lam else sign * _offset_dot(X[rows[t]], centre, z)


@njit(**_COMPILE)
def _first_pricing(X, rows, centre, z, sign, g, norm):  # type: ignore[no-untyped-def]
    """Price rows from where they lie; write their distances from the centre and return the largest."""
    largest = 0.0
    for t in range(len(rows)):
        row, square, product = X[rows[t]], 0.0, 0.0
        for j in range(centre.shape[0]):
            value = row[j] - centre[j]
            square += value * value
            product += value * z[j]
        g[t] = sign * product
        norm[t] = math.sqrt(square)
        largest = max(largest, norm[t])
    return largest


@njit(**_COMPILE)
def nearest_points(X, a, b, tol, enough, max_iter, warm, warm_weights, factor, centre, tau):  # type: ignore[no-untyped-def]
    """Nearest points of the hulls of X[a] and X[b]; see `solve_pair` and `decide_pair`.

    It is called from Python only: every compiled caller would be optimised together with all of it again, which
    takes longer than the calls will ever save.
    """
    m, nA, d = len(a) + len(b), len(a), X.shape[1]
    none = int(np.int64(0))  # numba would compile all callees a second time for a literal 0
    P, z, middle = np.empty((m, d)), np.empty(d), np.empty(d)
    k = len(warm)
    room = max(k, d) + 4  # a start from points of more axes may hold more than a basis here
    S, x = np.zeros(room, dtype=np.int64), np.zeros(room)
    S[:k] = warm
    x[:k] = warm_weights
    resumed = k > 0 and factor.shape[0] == k
    if k == 0:
        _middle(X, a, b, z, middle)
    elif resumed:
        middle[:] = centre
    else:
        middle[:] = 0.0
        for i in range(k):
            _axpy(1.0 / k, X[a[S[i]]] if S[i] < nA else X[b[S[i] - nA]], middle)
    if k > 0:
        for i in range(k):
            _take(X, a, b, middle, S[i], P)
        _combine(P, S, x, k, z)
    g, norm, priced = np.empty(m), np.empty(m), z.copy()  # priced: z when the rows outside the working set were priced
    scale = _first_pricing(X, a, middle, z, 1.0, g[:nA], norm[:nA])
    scale = max(scale, _first_pricing(X, b, middle, z, -1.0, g[nA:], norm[nA:]))
    if not resumed:
        tau = scale * scale if scale > 0.0 else 1.0
    if max_iter < 0:
        max_iter = 50 * (d + 20) + 2 * m
    inside = np.zeros(m, dtype=np.bool_)
    rows = np.arange(m)
    n_rows = m
    dense = m <= _DENSE_ROWS
    iA = np.argmin(g[:nA])
    iB = nA + np.argmin(g[nA:])
    if not dense:
        n_rows = _admit(g, np.inf, none, nA, inside, rows, none, _BATCH)
        n_rows = _admit(g, np.inf, nA, m, inside, rows, n_rows, _BATCH)
    for i in range(n_rows):
        _take(X, a, b, middle, rows[i], P)
    capacity = min(64, room)
    YA, YB = np.zeros(room), np.zeros(room)
    YG, v, total, fresh = np.empty(room), np.empty(room), np.empty(room), np.empty(d)
    V, entering = np.empty((_AT_ONCE, room)), np.empty(_AT_ONCE, dtype=np.int64)
    if k == 0:
        S[0], S[1], x[0], x[1], k = iA, iB, 1.0, 1.0, 2
    while capacity <= k:
        capacity = min(2 * capacity, room)
    R = np.zeros((capacity, capacity))
    kept = none
    for i in range(k):
        if resumed:
            R[i, i:k] = factor[i, i:k]
            YA[i], YB[i] = factor[i, k], factor[i, k + 1]
            kept = i + 1
        else:
            entering[0] = S[i]
            _gram_columns(P, S, none, kept, entering, 1, nA, tau, V)
            if _append(P, S, kept, S[i], nA, tau, R, YA, YB, V[0]):
                x[kept] = x[i]  # (S[kept] was written by _append)
                kept += 1
        if not dense and not inside[S[i]]:
            inside[S[i]] = True
            rows[n_rows] = S[i]
            n_rows += 1
    if kept < k:  # points that add no direction left: the others' weights are convex again
        sums = np.zeros(2)
        for i in range(kept):
            sums[0 if S[i] < nA else 1] += x[i]
        for i in range(kept):
            x[i] /= sums[0 if S[i] < nA else 1]
    k = kept
    zz = _combine(P, S, x, k, z)
    lower, full_violation = -np.inf, np.inf
    since_progress, best = 0, np.inf
    clear_at = ROUNDING * scale
    near_at, stall_at = NEAR_TOLERANCE * scale, STALL_TOLERANCE * scale
    enough = max(enough, clear_at)

    step, verdict, upper = 0, UNDECIDED, np.inf
    while step < max_iter:
        step += 1
        upper = math.sqrt(zz)
        full = dense
        _price(P, z, rows, n_rows, g)
        while True:
            lamA, lamB = 0.0, 0.0
            lowA, lowB = np.inf, np.inf
            for i in range(k):
                if S[i] < nA:
                    lamA += x[i] * g[S[i]]
                else:
                    lamB += x[i] * g[S[i]]
            for i in range(n_rows):
                r = rows[i]
                if r < nA:
                    if g[r] < lowA:
                        lowA, iA = g[r], r
                elif g[r] < lowB:
                    lowB, iB = g[r], r
            violation = zz - (lowA + lowB)
            if full:
                lower = (lowA + lowB) / upper if upper > 0.0 else -np.inf
                full_violation = violation
                break
            # Solved well enough on the working set: price all rows and let the worst ones in.
            lower = -np.inf
            solved = violation <= max(0.2 * full_violation, 0.3 * tol * zz) or upper <= clear_at
            if not solved and (violation > 0.5 * zz or upper <= 1.5 * enough):
                break
            drift = _distance(z, priced)
            _price_others(X, a, middle, z, drift, norm[:nA], inside[:nA], 1.0, lamA, g[:nA])
            _price_others(X, b, middle, z, drift, norm[nA:], inside[nA:], -1.0, lamB, g[nA:])
            priced[:] = z
            n_known = n_rows
            n_rows = _admit(g, lamA, none, nA, inside, rows, n_rows, _BATCH)
            n_rows = _admit(g, lamB, nA, m, inside, rows, n_rows, _BATCH)
            for i in range(n_known, n_rows):
                _take(X, a, b, middle, rows[i], P)
            full = True
        if lower > clear_at and (lower > enough or upper - lower <= tol * upper):
            verdict = DISJOINT
            upper = max(math.sqrt(_combine(P, S, x, k, fresh)), lower)
            break
        if upper <= clear_at and lower <= clear_at:
            break

        # The support must be balanced (equal products on each side) before a new point means anything.
        spread = 0.0
        for i in range(k):
            spread = max(spread, abs(g[S[i]] - (lamA if S[i] < nA else lamB)))
        if spread < 0.1 * violation or (step == 1 and len(warm) == 0):
            least = max(_NEARLY * max(lamA - lowA, lamB - lowB), 0.15 * violation)  # above the spread of the support
            n_new = _most_violating(g, rows, n_rows, nA, lamA, lamB, least, entering)
            if k + n_new >= capacity:
                capacity = min(2 * capacity, room)
                R = _grown(R, capacity)
            _gram_columns(P, S, none, k, entering, n_new, nA, tau, V)
            before = k
            for e in range(n_new):
                if k >= d + 2:
                    break  # a basis: what comes beside is rounding
                _gram_columns(P, S, before, k, entering[e:], 1, nA, tau, V[e:])
                if _append(P, S, k, entering[e], nA, tau, R, YA, YB, V[e]):
                    x[k] = 0.0
                    k += 1
            if k == before:
                break
        k = _descend(P, S, x, k, g, nA, R, YA, YB, YG, z, v, total)
        zz = _dot(z, z)
        since_progress += 1
        if zz < best * (0.5 if zz <= stall_at * stall_at else 1.0 - 1e-12):
            since_progress, best = 0, zz
        if since_progress > (6 if zz <= near_at * near_at else 60 + 2 * d):
            break
    if verdict == UNDECIDED:
        # A common point, or out of digits or steps: an answer only if it is proved within rounding.
        inside[:] = False
        _price_others(X, a, middle, z, np.inf, norm[:nA], inside[:nA], 1.0, np.inf, g[:nA])
        _price_others(X, b, middle, z, np.inf, norm[nA:], inside[nA:], -1.0, np.inf, g[nA:])
        upper = math.sqrt(_dot(z, z))
        lower = (np.min(g[:nA]) + np.min(g[nA:])) / upper if upper > 0.0 else 0.0
        upper = math.sqrt(_combine(P, S, x, k, fresh))
        if lower > clear_at and (lower > enough or upper - lower <= tol * upper):
            verdict = DISJOINT
        elif upper <= MEET_TOLERANCE * scale and lower <= clear_at:
            verdict, lower = MEET, 0.0
    return verdict, upper, lower, S[:k].copy(), x[:k].copy(), z, step, _packed(R, YA, YB, k), middle, tau


_COLD = np.empty(0, dtype=np.int64), np.empty(0), np.empty((0, 0)), np.empty(0), 1.0


def solve_pair(
    X: FloatArray, a: IntArray, b: IntArray, tol: float, enough: float, max_iter: int
) -> tuple[int, float, float, IntArray, FloatArray, FloatArray, int]:
    """Nearest points of the hulls of X[a] and X[b].

    Args:
        X: (n, d) points.
        a: rows of the first set.
        b: rows of the second set.
        tol: relative duality gap at which to stop.
        enough: stop as soon as the hulls are known to be farther apart than this; 0 asks for a verdict only,
            infinity for the distance.
        max_iter: number of steps allowed; negative for a limit that is far above what is needed.

    Returns:
        verdict code, upper bound, lower bound, support (positions in a, then len(a) + positions in b), its
        weights, the shortest vector from b to a, number of steps.
    """
    return nearest_points(X, a, b, tol, enough, max_iter, *_COLD)[:7]
