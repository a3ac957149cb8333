"""Sums over the examples of two spaces, from which CKA, Procrustes and the change split follow.

Everything is one pass over the rows with memory n_features^2, sums of parts add up (minibatches, groups of a
jackknife), and nothing grows with n_samples^2.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from closerlook.geometry.validation import FloatArray, IntArray, UndefinedMeasureError


@dataclass(frozen=True)
class PairedMoments:
    """Sums over paired rows x_i, y_i; ``k_i = |x_i|^2`` and ``l_i = |y_i|^2``.

    Attributes:
        n: number of rows.
        sx: (p,) sum of x_i.
        sy: (q,) sum of y_i.
        xx: (p, p) sum of x_i x_i'.
        yy: (q, q) sum of y_i y_i'.
        xy: (p, q) sum of x_i y_i'.
        kx: (p,) sum of k_i x_i.
        lx: (p,) sum of l_i x_i.
        ky: (q,) sum of k_i y_i.
        ly: (q,) sum of l_i y_i.
        kk: sum of k_i^2.
        ll: sum of l_i^2.
        kl: sum of k_i l_i.
    """

    n: float
    sx: FloatArray
    sy: FloatArray
    xx: FloatArray
    yy: FloatArray
    xy: FloatArray
    kx: FloatArray
    lx: FloatArray
    ky: FloatArray
    ly: FloatArray
    kk: float
    ll: float
    kl: float

    @classmethod
    def of(cls, X: FloatArray, Y: FloatArray) -> PairedMoments:
        """Sum over the rows of ``X`` (n, p) and ``Y`` (n, q); centre them roughly first for precision."""
        k, l = np.einsum("ij,ij->i", X, X), np.einsum("ij,ij->i", Y, Y)  # noqa: E741
        return cls(
            float(len(X)), X.sum(axis=0), Y.sum(axis=0), X.T @ X, Y.T @ Y, X.T @ Y,
            k @ X, l @ X, k @ Y, l @ Y, float(k @ k), float(l @ l), float(k @ l),
        )  # fmt: skip

    def __add__(self, other: PairedMoments) -> PairedMoments:
        """Moments of the rows of both."""
        return PairedMoments(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: PairedMoments) -> PairedMoments:
        """Moments without the rows of ``other``."""
        return PairedMoments(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    def centred(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the centred cross-products (p, p), (q, q) and (p, q)."""
        return (
            self.xx - np.outer(self.sx, self.sx) / self.n,
            self.yy - np.outer(self.sy, self.sy) / self.n,
            self.xy - np.outer(self.sx, self.sy) / self.n,
        )

    @cached_property
    def nuclear_norm(self) -> float:
        """Nuclear norm of the centred cross-product, the fit of the best orthogonal map; one SVD, kept."""
        return float(np.linalg.svd(self.centred()[2], compute_uv=False).sum())

    def linear_cka(self) -> float:
        """Linear CKA, see :func:`closerlook.geometry.cka.linear_cka`."""
        if self.n < 2:
            raise UndefinedMeasureError(f"{self.n:.0f} points, CKA needs at least 2")
        xx, yy, xy = self.centred()
        norm = float(np.linalg.norm(xx) * np.linalg.norm(yy))
        # A constant space leaves rounding of its own size behind, not an exact zero.
        if np.trace(xx) <= 1e-13 * np.trace(self.xx) or np.trace(yy) <= 1e-13 * np.trace(self.yy):
            raise UndefinedMeasureError("all points of a space are the same, so CKA is 0 / 0")
        return float(np.sum(xy * xy)) / norm

    def debiased_cka(self) -> float:
        """Debiased CKA, see :func:`closerlook.geometry.cka.debiased_cka`."""
        if self.n < 4:
            raise UndefinedMeasureError(f"{self.n:.0f} points, debiased CKA needs at least 4")
        n, tx, ty = self.n, float(np.trace(self.xx)), float(np.trace(self.yy))
        xx = _hsic(n, self.sx, self.sx, self.xx, self.kx, self.kx, tx, tx, self.kk)
        yy = _hsic(n, self.sy, self.sy, self.yy, self.ly, self.ly, ty, ty, self.ll)
        xy = _hsic(n, self.sx, self.sy, self.xy, self.lx, self.ky, tx, ty, self.kl)
        if xx <= 1e-13 * (tx / n) ** 2 or yy <= 1e-13 * (ty / n) ** 2:
            raise UndefinedMeasureError("the debiased HSIC of a space with itself is not positive: too few points")
        return xy / float(np.sqrt(xx * yy))


def _hsic(
    n: float,
    sa: FloatArray,
    sb: FloatArray,
    ab: FloatArray,
    b_a: FloatArray,
    a_b: FloatArray,
    trace_a: float,
    trace_b: float,
    q: float,
) -> float:
    """Unbiased HSIC of two linear kernels (Song et al. 2012) from sums instead of n x n kernels.

    With K~ the kernel whose diagonal is 0: tr(K~ L~) = |ab|^2 - q, 1'K~1 = |sa|^2 - trace_a, and 1'K~L~1
    expands into the sums below. ``b_a`` sums (squared length in b) times a, ``a_b`` the reverse, ``q`` the
    products of squared lengths.
    """
    product = float(np.sum(ab * ab)) - q
    ones = (float(sa @ sa) - trace_a) * (float(sb @ sb) - trace_b)
    cross = float(sa @ ab @ sb - sa @ b_a - sb @ a_b) + q
    return float((product + ones / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)) / (n * (n - 3)))


def grouped_moments(X: FloatArray, Y: FloatArray, groups: list[IntArray]) -> list[PairedMoments]:
    """Return the moments of each group of rows; their sum is that of all rows, at no extra cost."""
    return [PairedMoments.of(X[rows], Y[rows]) for rows in groups]


def random_groups(n_samples: int, n_groups: int, rng: np.random.Generator) -> list[IntArray]:
    """Split the row numbers at random into at most ``n_groups`` groups of equal size (give or take one)."""
    return list(np.array_split(rng.permutation(n_samples), max(1, min(n_groups, n_samples))))
