"""Cheap proofs that a merged cluster is disjoint from all clusters of other labels, compiled.

Each cluster carries an anchor, a vector near its centroid. Two clusters that a merge brings together keep the
anchor of the larger one, and the direction between two anchors is the standing separator of two clusters: it needs
no memory of its own, and after a merge only the points of the smaller part have to be looked at.
"""

import numpy as np
from numba import njit

_FLAGS = {"reassoc", "contract", "nsz"}

#: Separations below this share of the squared extent are left to the exact solver.
CLEAR = 1e-13


@njit(cache=True, nogil=True, fastmath=_FLAGS)
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True, fastmath=_FLAGS)
def not_separated(X, cluster_of, rival, anchor, own, u, newcomers, margin):  # type: ignore[no-untyped-def]
    """Clusters that the direction between anchors does not separate from a cluster with anchor ``u``.

    Args:
        X: (n, d) points.
        cluster_of: (n,) cluster of each point, named by one of its points.
        rival: (n,) whether the point's label is in conflict with the cluster's.
        anchor: (n, d) anchor of each cluster.
        own: (n,) product of each point with the anchor of its own cluster.
        u: (d,) anchor of the cluster in question.
        newcomers: points of the cluster that were not checked against this anchor before.
        margin: separation asked for, in products.

    Returns:
        Names of the clusters that are not separated.
    """
    n = X.shape[0]
    highest = np.full(n, -np.inf)
    for r in range(n):
        if rival[r]:
            value = _dot(X[r], u) - own[r]
            if value > highest[cluster_of[r]]:
                highest[cluster_of[r]] = value
    failed = np.empty(n, dtype=np.int64)
    n_failed = 0
    products = np.empty(len(newcomers))
    for t in range(len(newcomers)):
        products[t] = _dot(X[newcomers[t]], u)
    for c in range(n):
        if highest[c] == -np.inf:
            continue
        for t in range(len(newcomers)):
            if products[t] - _dot(X[newcomers[t]], anchor[c]) - highest[c] <= margin:
                failed[n_failed] = c
                n_failed += 1
                break
    return failed[:n_failed].copy()


@njit(cache=True, nogil=True, fastmath=_FLAGS)
def separates(X, normal, inside, outside, margin):  # type: ignore[no-untyped-def]
    """Whether ``normal`` keeps the points ``inside`` above all points ``outside`` by more than ``margin``."""
    highest = -np.inf
    for r in outside:
        highest = max(highest, _dot(X[r], normal))
    for r in inside:  # noqa: SIM110  (numba compiles no generators)
        if _dot(X[r], normal) - highest <= margin:
            return False
    return True


@njit(cache=True, nogil=True, fastmath=_FLAGS)
def set_anchor(X, members, u, own):  # type: ignore[no-untyped-def]
    """Renew the products of the members with the anchor of their cluster."""
    for r in members:
        own[r] = _dot(X[r], u)
