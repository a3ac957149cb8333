"""Centroid linkage that takes "no" for an answer: the order in which clusters of one label are merged.

Clusters are numbered by their smallest member, so that the order of ties needs no bookkeeping. Squared distances of
centroids are kept and renewed by the Lance-Williams formula. Rounding adds up in it, so that it only says which pairs
may be closest; those are measured anew from the difference of their centroids, and that decides, ties included.
A pair that was refused is infinitely far, and the formula hands this on to every cluster that contains it.
"""

import math

import numpy as np
from numba import njit

from closerlook.probing._compiling import CACHE

_FLAGS = {"reassoc", "contract", "nsz"}

#: Distances that differ by less than this share of the extent are ties (rounding decides nothing).
TIE_TOLERANCE = 1e-13
#: Kept distances this close, as a share of the squared extent, are measured anew. Each renewal may lose some 1e-15.
_DOUBT = 1e-10


@njit(cache=CACHE, nogil=True, fastmath=_FLAGS)
def tie_slack(square, scale):  # type: ignore[no-untyped-def]
    """Difference of squared distances that counts as a tie."""
    delta = TIE_TOLERANCE * scale
    return 2.0 * delta * math.sqrt(square) + delta * delta


@njit(cache=CACHE, nogil=True, fastmath=_FLAGS)
def _squared_distance(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(a.shape[0]):
        diff = a[i] - b[i]
        total += diff * diff
    return total


@njit(cache=CACHE, nogil=True)
def _look(C, kept, i, scale, near, far):  # type: ignore[no-untyped-def]
    """Find the nearest cluster j > i that row i may merge with (the smallest j among ties)."""
    row = kept[i, i + 1 :]
    lowest = np.inf
    for t in range(row.shape[0]):
        lowest = min(lowest, row[t])
    near[i], far[i] = -1, np.inf
    if lowest == np.inf:
        return
    limit = np.inf
    for t in range(row.shape[0]):
        if row[t] <= lowest + _DOUBT * scale * scale:
            square = _squared_distance(C[i], C[i + 1 + t])
            if square < limit:
                near[i], far[i] = i + 1 + t, square
                limit = square - tie_slack(square, scale)


@njit(cache=CACHE, nogil=True)
def look_all(C, kept, scale, near, far):  # type: ignore[no-untyped-def]
    """Find the nearest cluster of every row."""
    for i in range(C.shape[0]):
        _look(C, kept, i, scale, near, far)


@njit(cache=CACHE, nogil=True)
def best_pair(near, far, scale):  # type: ignore[no-untyped-def]
    """Return the row of the closest pair, the smallest among ties; -1 if nothing may merge."""
    at, limit = -1, np.inf
    for i in range(far.shape[0]):
        if near[i] >= 0 and far[i] < limit:
            at, limit = i, far[i] - tie_slack(far[i], scale)
    return at


@njit(cache=CACHE, nogil=True)
def _renew(C, size, kept, scale, i, j):  # type: ignore[no-untyped-def]
    """Put the union of i and j in the place of i: centroid, size and kept distances; j is gone."""
    total = size[i] + size[j]
    of_i, of_j = size[i] / total, size[j] / total
    between = of_i * of_j * kept[i, j]
    for f in range(C.shape[1]):
        C[i, f] += (C[j, f] - C[i, f]) * of_j
    size[i], size[j] = total, 0.0
    for r in range(C.shape[0]):
        square = max(of_i * kept[i, r] + of_j * kept[j, r] - between, 0.0)
        kept[i, r] = square
        kept[j, r] = np.inf
    kept[i, i] = kept[i, j] = np.inf
    for r in range(C.shape[0]):
        kept[r, i], kept[r, j] = kept[i, r], np.inf


@njit(cache=CACHE, nogil=True)
def merge(C, size, kept, scale, near, far, i, j):  # type: ignore[no-untyped-def]
    """Merge cluster j into i < j, inherit refusals and mend the neighbours."""
    _renew(C, size, kept, scale, i, j)
    near[j], far[j] = -1, np.inf
    for r in range(j):
        if r == i or near[r] == i or near[r] == j:
            _look(C, kept, r, scale, near, far)
        elif r < i and kept[r, i] <= far[r] + _DOUBT * scale * scale and kept[r, i] < np.inf:
            square = _squared_distance(C[r], C[i])
            slack = tie_slack(far[r], scale) if near[r] >= 0 else 0.0
            if square < far[r] - slack or (square <= far[r] + slack and i < near[r]):
                near[r], far[r] = i, square


@njit(cache=CACHE, nogil=True)
def refuse(C, kept, scale, near, far, i, j):  # type: ignore[no-untyped-def]
    """Bar the pair i < j and look for the next neighbour of i."""
    kept[i, j] = kept[j, i] = np.inf
    _look(C, kept, i, scale, near, far)


@njit(cache=CACHE, nogil=True)
def run(C, size, kept, scale, near, far, pairs, squares):  # type: ignore[no-untyped-def]
    """Merge without asking until nothing is left to merge; write each pair and its distance, return their number."""
    for t in range(len(pairs)):
        i = best_pair(near, far, scale)
        if i < 0:
            return t
        pairs[t, 0], pairs[t, 1], squares[t] = i, near[i], far[i]
        merge(C, size, kept, scale, near, far, i, near[i])
    return len(pairs)
