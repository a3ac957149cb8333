"""Planes that show the examples of many snapshots: one for all of them, or one each, turned to fit the one before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, orthogonal_procrustes

from closerlook.geometry.validation import FloatArray

_BLOCK = 8192


@dataclass(frozen=True)
class Scatter:
    """Sums that a PCA needs; those of several spaces add up without their vectors.

    Attributes:
        n: Number of vectors.
        mean: (n_features,).
        squares: (n_features, n_features) sum of the outer products of the centred vectors.
    """

    n: int
    mean: FloatArray
    squares: FloatArray

    @property
    def total(self) -> float:
        """Sum of the squared distances from the mean."""
        return float(np.trace(self.squares))

    def __add__(self, other: Scatter) -> Scatter:
        """The scatter of both sets of vectors together (Chan, Golub & LeVeque 1983)."""
        n, apart = self.n + other.n, other.mean - self.mean
        between = np.outer(apart, apart) * (self.n * other.n / n)
        return Scatter(n, self.mean + apart * (other.n / n), self.squares + other.squares + between)


@dataclass(frozen=True)
class Plane:
    """The two directions in which vectors vary most.

    Attributes:
        mean: (n_features,) the origin.
        axes: (2, n_features) orthonormal; the largest entry of each is positive. Zeros beyond the rank of the data.
        shares: (2,) share of the variance along each principal axis, whatever way the axes were turned.
    """

    mean: FloatArray
    axes: FloatArray
    shares: FloatArray

    def coordinates(self, X: np.ndarray) -> FloatArray:
        """(n_samples, 2) float64, read block by block: ``X`` may be a memory map."""
        return np.concatenate([(block - self.mean) @ self.axes.T for block in _blocks(X)])

    def turned(self, picture: FloatArray, before: FloatArray) -> Plane:
        """The plane with its axes turned (and mirrored, if that fits better) so that its picture fits the one before.

        Args:
            picture: (n_samples, 2) coordinates in this plane.
            before: (n_samples, 2) earlier coordinates of the same examples.

        Source:
            Orthogonal Procrustes (Schönemann 1966). No scaling: a space that grows is seen to grow.
        """
        turn, _ = orthogonal_procrustes(picture, before)
        return Plane(self.mean, turn.T @ self.axes, self.shares)


def scatter_of(X: np.ndarray) -> Scatter:
    """The scatter of (n_samples, n_features) vectors, read block by block."""
    mean = np.sum([block.sum(axis=0) for block in _blocks(X)], axis=0) / len(X)
    squares = np.zeros((X.shape[1], X.shape[1]))
    for block in _blocks(X):
        centred = block - mean
        squares += centred.T @ centred
    return Scatter(len(X), mean, squares)


def principal_plane(scatter: Scatter) -> Plane:
    """PCA on the two main directions of what the scatter is of.

    Source:
        Principal components as eigenvectors of the covariance matrix (Jolliffe 2002), by LAPACK through scipy: exact
        whatever the number of vectors, in the memory of one matrix of n_features squared.
    """
    d = len(scatter.mean)
    if scatter.total <= 0:
        return Plane(scatter.mean, np.zeros((2, d)), np.zeros(2))
    values, vectors = eigh(scatter.squares, subset_by_index=[max(d - 2, 0), d - 1])
    axes = vectors.T[::-1]
    axes = axes * np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
    shares = np.clip(values[::-1], 0, None) / scatter.total
    missing = 2 - len(axes)
    return Plane(scatter.mean, np.pad(axes, ((0, missing), (0, 0))), np.pad(shares, (0, missing)))


def _blocks(X: np.ndarray) -> Iterator[FloatArray]:
    for start in range(0, len(X), _BLOCK):
        yield np.asarray(X[start : start + _BLOCK], dtype=np.float64)
