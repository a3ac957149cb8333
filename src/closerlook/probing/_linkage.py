"""Centroid linkage that takes "no" for an answer: the order in which clusters of one label are merged.

Clusters are numbered by their smallest member, so that the order of ties needs no bookkeeping. Each active row i
remembers its nearest cluster j > i. A merge changes one centroid; the rows whose neighbour it was look again.
Distances are formed from differences of centroids, never from an expanded square or an update formula: these
lose the digits that decide ties.
"""

import math

import numpy as np
from numba import njit

_FLAGS = {"reassoc", "contract", "nsz"}
_BLOCK = 32

#: Distances that differ by less than this share of the extent are ties (rounding decides nothing).
TIE_TOLERANCE = 1e-13


@njit(cache=True, nogil=True, fastmath=_FLAGS)
def tie_slack(square, scale):  # type: ignore[no-untyped-def]
    """Difference of squared distances that counts as a tie."""
    delta = TIE_TOLERANCE * scale
    return 2.0 * delta * math.sqrt(square) + delta * delta


@njit(cache=True, nogil=True, fastmath=_FLAGS)
def _squared_distance(a, b, limit):  # type: ignore[no-untyped-def]
    """Squared distance, or some number above ``limit`` as soon as it is clear that it is larger."""
    d = a.shape[0]
    total = 0.0
    for start in range(0, d, _BLOCK):
        part = 0.0
        for i in range(start, min(start + _BLOCK, d)):
            diff = a[i] - b[i]
            part += diff * diff
        total += part
        if total > limit:
            return total
    return total


@njit(cache=True, nogil=True)
def _look(C, active, refused, i, scale, near, far):  # type: ignore[no-untyped-def]
    """Find the nearest cluster j > i that row i may merge with (the smallest j among ties)."""
    best, at = np.inf, -1
    limit = np.inf
    for j in range(i + 1, C.shape[0]):
        if active[j] and not (refused.shape[0] and refused[i, j]):
            square = _squared_distance(C[i], C[j], limit)
            if square < limit:
                best, at = square, j
                limit = best - tie_slack(best, scale)
    near[i], far[i] = at, best


@njit(cache=True, nogil=True)
def look_all(C, active, refused, scale, near, far):  # type: ignore[no-untyped-def]
    """Find the nearest cluster of every active row."""
    for i in range(C.shape[0]):
        if active[i]:
            _look(C, active, refused, i, scale, near, far)


@njit(cache=True, nogil=True)
def best_pair(active, near, far, scale):  # type: ignore[no-untyped-def]
    """Return the row of the closest pair, the smallest among ties; -1 if nothing may merge."""
    best, at = np.inf, -1
    limit = np.inf
    for i in range(far.shape[0]):
        if active[i] and near[i] >= 0 and far[i] < limit:
            best, at = far[i], i
            limit = best - tie_slack(best, scale)
    return at


@njit(cache=True, nogil=True)
def merge(C, size, active, refused, scale, near, far, i, j):  # type: ignore[no-untyped-def]
    """Merge cluster j into i < j, inherit refusals and mend the neighbours."""
    n = C.shape[0]
    total = size[i] + size[j]
    for f in range(C.shape[1]):
        C[i, f] += (C[j, f] - C[i, f]) * (size[j] / total)
    size[i] = total
    active[j] = False
    near[j] = -1
    if refused.shape[0]:
        for r in range(n):
            if refused[j, r]:
                refused[i, r] = True
                refused[r, i] = True
    for r in range(i):
        if not active[r]:
            continue
        lost = near[r] == i or near[r] == j
        square = np.inf
        if not (refused.shape[0] and refused[r, i]):
            limit = far[r] + tie_slack(far[r], scale) if near[r] >= 0 else np.inf
            square = _squared_distance(C[r], C[i], limit)
            slack = tie_slack(far[r], scale) if near[r] >= 0 else 0.0
            if near[r] < 0 or square < far[r] - slack or (not lost and square <= far[r] + slack and i < near[r]):
                near[r], far[r] = i, square
                lost = False
        if lost:
            _look(C, active, refused, r, scale, near, far)
    _look(C, active, refused, i, scale, near, far)
    for r in range(i + 1, j):
        if active[r] and near[r] == j:
            _look(C, active, refused, r, scale, near, far)


@njit(cache=True, nogil=True)
def refuse(C, active, refused, scale, near, far, i, j):  # type: ignore[no-untyped-def]
    """Bar the pair i < j and look for the next neighbour of i."""
    refused[i, j] = True
    refused[j, i] = True
    _look(C, active, refused, i, scale, near, far)


@njit(cache=True, nogil=True)
def run(C, size, active, refused, scale, near, far, limit, pairs, squares):  # type: ignore[no-untyped-def]
    """Merge without asking, at most ``limit`` times; return the number of merges done."""
    for t in range(limit):
        i = best_pair(active, near, far, scale)
        if i < 0:
            return t
        j = near[i]
        pairs[t, 0], pairs[t, 1], squares[t] = i, j, far[i]
        merge(C, size, active, refused, scale, near, far, i, j)
    return limit
