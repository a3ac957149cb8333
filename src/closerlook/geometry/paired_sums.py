"""Sums over the examples of two spaces, from which CKA, Procrustes and the change split follow.

Everything is one pass over the rows with memory n_features^2, sums of parts add up (groups of a jackknife), and
nothing grows with n_samples^2.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from closerlook.geometry.validation import FloatArray, IntArray, UndefinedMeasureError


@dataclass(frozen=True)
class PairedSums:
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
    def of(cls, X: FloatArray, Y: FloatArray) -> PairedSums:
        """Sum over the rows of ``X`` (n, p) and ``Y`` (n, q); centre them roughly first for precision."""
        k, l = np.einsum("ij,ij->i", X, X), np.einsum("ij,ij->i", Y, Y)  # noqa: E741
        return cls(
            n=float(len(X)),
            sx=X.sum(axis=0),
            sy=Y.sum(axis=0),
            xx=X.T @ X,
            yy=Y.T @ Y,
            xy=X.T @ Y,
            kx=k @ X,
            lx=l @ X,
            ky=k @ Y,
            ly=l @ Y,
            kk=float(k @ k),
            ll=float(l @ l),
            kl=float(k @ l),
        )

    def __add__(self, other: PairedSums) -> PairedSums:
        """Sums over the rows of both."""
        return PairedSums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: PairedSums) -> PairedSums:
        """Sums without the rows of ``other``."""
        return PairedSums(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    @cached_property
    def centred(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The centred cross-products (p, p), (q, q) and (p, q)."""
        return (
            self.xx - np.outer(self.sx, self.sx) / self.n,
            self.yy - np.outer(self.sy, self.sy) / self.n,
            self.xy - np.outer(self.sx, self.sy) / self.n,
        )

    @cached_property
    def sizes(self) -> tuple[float, float]:
        """Summed squared distances from the mean, before and after."""
        xx, yy, _ = self.centred
        return float(np.trace(xx)), float(np.trace(yy))

    @cached_property
    def nuclear_norm(self) -> float:
        """Nuclear norm of the centred cross-product, the fit of the best orthogonal map; one SVD, kept."""
        return float(np.linalg.svd(self.centred[2], compute_uv=False).sum())

    def linear_cka(self) -> float:
        """Linear CKA, ||Y'X||^2 / (||X'X|| ||Y'Y||) of the centred spaces, in [0, 1].

        Raises:
            UndefinedMeasureError: with fewer than 2 points, or if all points of a space are the same.

        Source:
            Kornblith et al. 2019 (1905.00414). Trap: biased upwards when n is not far above p and q (unrelated
            Gaussian spaces of n = p score about 0.5); a few directions of large variance decide it.
        """
        if self.n < 2:
            raise UndefinedMeasureError(f"{self.n:.0f} points, CKA needs at least 2")
        xx, yy, xy = self.centred
        # A constant space leaves rounding of its own size behind, not an exact zero.
        if self.sizes[0] <= 1e-13 * np.trace(self.xx) or self.sizes[1] <= 1e-13 * np.trace(self.yy):
            raise UndefinedMeasureError("all points of a space are the same, so CKA is 0 / 0")
        return min(float(np.sum(xy * xy)) / float(np.linalg.norm(xx) * np.linalg.norm(yy)), 1.0)

    def debiased_cka(self) -> float:
        """Linear CKA from the unbiased estimate of HSIC; may be slightly negative, a clamp would bias means.

        Raises:
            UndefinedMeasureError: with fewer than 4 points, or if a space's own HSIC is not positive.

        Source:
            Song et al. 2012 (unbiased HSIC); Nguyen et al. 2021 (2010.15327). Memory p^2 + q^2, not n^2.
        """
        if self.n < 4:
            raise UndefinedMeasureError(f"{self.n:.0f} points, debiased CKA needs at least 4")
        tx, ty = float(np.trace(self.xx)), float(np.trace(self.yy))
        x, y = _Side(self.sx, tx), _Side(self.sy, ty)
        xx = _hsic(self.n, x, x, self.xx, self.kx, self.kx, self.kk)
        yy = _hsic(self.n, y, y, self.yy, self.ly, self.ly, self.ll)
        xy = _hsic(self.n, x, y, self.xy, self.lx, self.ky, self.kl)
        if xx <= 1e-13 * (tx / self.n) ** 2 or yy <= 1e-13 * (ty / self.n) ** 2:
            raise UndefinedMeasureError("the debiased HSIC of a space with itself is not positive: too few points")
        return xy / float(np.sqrt(xx * yy))

    def procrustes_angle(self) -> float:
        """Angular Procrustes shape distance in [0, pi / 2]; 0 = equal up to shift, one factor and rotation.

        Raises:
            UndefinedMeasureError: with fewer than 2 points, or if all points of a space are the same.

        Source:
            Williams et al. 2021 (2110.14739), a metric. Trap: with n below p any two spaces can be turned towards
            each other, so read it beside the shuffled control.
        """
        if self.n < 2 or min(self.sizes) <= 0:
            raise UndefinedMeasureError("all points of a space are the same, so it has no shape")
        cosine = min(self.nuclear_norm / float(np.sqrt(self.sizes[0] * self.sizes[1])), 1.0)
        # arccos loses half of the digits near 1; 2 arcsin of half the chord is the same angle without that loss
        return float(2 * np.arcsin(np.sqrt(max(1 - cosine, 0.0) / 2)))


@dataclass(frozen=True)
class _Side:
    """One space in the HSIC: the sum of its rows, and of their squared lengths."""

    total: FloatArray
    trace: float


def _hsic(n: float, a: _Side, b: _Side, ab: FloatArray, b_a: FloatArray, a_b: FloatArray, q: float) -> float:
    """Unbiased HSIC of two linear kernels (Song et al. 2012) from sums instead of n x n kernels.

    With K~ the kernel whose diagonal is 0: tr(K~ L~) = |ab|^2 - q, 1'K~1 = |sum a|^2 - trace a, and 1'K~L~1
    expands into the sums below. ``b_a`` sums (squared length in b) times a, ``a_b`` the reverse, ``q`` the
    products of squared lengths.
    """
    product = float(np.sum(ab * ab)) - q
    ones = (float(a.total @ a.total) - a.trace) * (float(b.total @ b.total) - b.trace)
    cross = float(a.total @ ab @ b.total - a.total @ b_a - b.total @ a_b) + q
    return float((product + ones / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)) / (n * (n - 3)))


def random_groups(n_samples: int, n_groups: int, rng: np.random.Generator) -> list[IntArray]:
    """Split the row numbers at random into at most ``n_groups`` groups of equal size (give or take one)."""
    return list(np.array_split(rng.permutation(n_samples), max(1, min(n_groups, n_samples))))
