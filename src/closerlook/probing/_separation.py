"""Cheap proofs that clusters of different labels are disjoint.

Each cluster carries an anchor, the centroid it had when it was half its size or more, and the direction between two
anchors is the standing separator of two clusters: it needs no memory of its own. The products of all points with all
anchors are one matrix product in single precision; two clusters are apart if the products say so by a margin that
rounding cannot cross. The rest is left to double precision.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from closerlook.probing._compiling import CACHE
from closerlook.probing.hulls import FloatArray

IntArray = NDArray[np.int64]
_FLAGS = {"reassoc", "contract", "nsz"}

#: Share of the squared extent that single precision may lose in a difference of products, with room to spare.
_SINGLE = 1e-5


@njit(cache=CACHE, nogil=True, fastmath=_FLAGS)
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@njit(cache=CACHE, nogil=True, fastmath=_FLAGS)
def lowest(X, rows, normal):  # type: ignore[no-untyped-def]
    """Smallest product of the points ``rows`` with a direction."""
    value = np.inf
    for r in rows:
        value = min(value, _dot(X[r], normal))
    return value


@njit(cache=CACHE, nogil=True, fastmath=_FLAGS)
def highest(X, rows, normal):  # type: ignore[no-untyped-def]
    """Largest product of the points ``rows`` with a direction."""
    value = -np.inf
    for r in rows:
        value = max(value, _dot(X[r], normal))
    return value


@njit(cache=CACHE, nogil=True, fastmath=_FLAGS)
def between_means(X, rows, others):  # type: ignore[no-untyped-def]
    """Mean of the points ``rows`` less the mean of ``others``."""
    normal = np.zeros(X.shape[1])
    for part, share in ((rows, 1.0 / len(rows)), (others, -1.0 / len(others))):
        for r in part:
            for j in range(normal.shape[0]):
                normal[j] += share * X[r, j]
    return normal


@njit(cache=CACHE, nogil=True, fastmath=_FLAGS)
def lengths(normal, factor):  # type: ignore[no-untyped-def]
    """Lengths of a direction as it is, and with each coordinate times its factor."""
    square, other = 0.0, 0.0
    for j in range(normal.shape[0]):
        square += normal[j] ** 2
        other += (normal[j] * factor[j]) ** 2
    return np.sqrt(square), np.sqrt(other)


class Anchors:
    """Directions between the anchors of clusters, and which pairs of clusters they separate.

    Args:
        X: (n, d) points.
        members: the points of each cluster; points of no cluster take no part.
        margin: separation asked for, in products (rounding in single precision is added to it).
    """

    def __init__(self, X: FloatArray, members: list[IntArray], margin: float) -> None:
        self._X = X.astype(np.float32)
        scale = float((self._X**2).sum(axis=1).max())
        self._margin = np.float32(margin + _SINGLE * scale)
        self._size = np.array([len(rows) for rows in members])
        order = np.concatenate(members)
        starts = np.cumsum([0, *self._size[:-1]])
        anchors = np.add.reduceat(X[order], starts, axis=0) / self._size[:, None]
        self._products = self._X @ anchors.astype(np.float32).T
        self._own = np.empty(len(X), dtype=np.float32)
        self._own[order] = self._products[order, np.repeat(np.arange(len(members)), self._size)]
        excess = self._products[order]
        excess -= self._own[order, None]
        #: how far the points of cluster c reach towards the anchor of cluster e (its own anchor is at 0): at [c, e]
        self._reach = np.maximum.reduceat(excess, starts, axis=0)

    def all_apart(self) -> NDArray[np.bool_]:
        """(n_clusters, n_clusters) which pairs of clusters are separated."""
        separated: NDArray[np.bool_] = self._reach + self._reach.T < -self._margin
        return separated

    def apart_with(self, big: int, small: IntArray) -> NDArray[np.bool_]:
        """Which clusters would still be separated from ``big`` if it had the points ``small`` too."""
        grown = np.maximum(self._reach[big], self._excess(small, big))
        separated: NDArray[np.bool_] = grown + self._reach[:, big] < -self._margin
        return separated

    def _excess(self, rows: IntArray, anchor: int) -> NDArray[np.float32]:
        products = self._products[rows]
        highest: NDArray[np.float32] = (products - products[:, anchor, None]).max(axis=0)
        return highest

    def merge(self, kept: int, big: int, small: IntArray, members: list[IntArray]) -> None:
        """Follow a merge: cluster ``kept`` has the anchor of ``big`` now, or a new one if it grew too far.

        Args:
            kept: the cluster that stays.
            big: whose anchor goes on.
            small: points of the other.
            members: the points of each cluster, the merge done.
        """
        self._reach[kept] = np.maximum(self._reach[big], self._excess(small, big))
        self._reach[:, kept] = self._reach[:, big]
        self._products[:, kept] = self._products[:, big]
        self._size[kept] = self._size[big]
        self._own[small] = self._products[small, kept]
        if len(members[kept]) > 2 * self._size[kept]:
            self._renew(kept, members)

    def _renew(self, c: int, members: list[IntArray]) -> None:
        rows = members[c]
        self._size[c] = len(rows)
        self._products[:, c] = self._X @ self._X[rows].mean(axis=0, dtype=np.float64).astype(np.float32)
        self._own[rows] = self._products[rows, c]
        self._reach[c] = self._excess(rows, c)
        others = [e for e, points in enumerate(members) if len(points) and e != c]
        order = np.concatenate([members[e] for e in others])
        starts = np.cumsum([0, *(len(members[e]) for e in others[:-1])])
        self._reach[others, c] = np.maximum.reduceat(self._products[order, c] - self._own[order], starts)
