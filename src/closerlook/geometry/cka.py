"""Centred kernel alignment of two spaces: invariant to rotation, shift and one scale factor, not to more."""

from __future__ import annotations

from numpy.typing import ArrayLike

from closerlook.geometry.moments import PairedMoments
from closerlook.geometry.validation import centre, check_pair


def linear_cka(X: ArrayLike, Y: ArrayLike) -> float:
    """Linear CKA, ||Y'X||^2 / (||X'X|| ||Y'Y||) of the centred spaces.

    Args:
        X: (n_samples, p).
        Y: (n_samples, q), the same rows.

    Returns:
        Similarity in [0, 1]; 1 = equal up to rotation, shift and scale.

    Raises:
        ValueError: if the rows differ in number or are not finite.
        UndefinedMeasureError: if all points of a space are the same.

    Source:
        Kornblith et al. 2019 (1905.00414). Trap: biased upwards when n is not far above p and q
        (unrelated Gaussian spaces of n = p score about 0.5); a few directions of large variance decide it.
    """
    x, y = check_pair(X, Y)
    return min(PairedMoments.of(centre(x), centre(y)).linear_cka(), 1.0)


def debiased_cka(X: ArrayLike, Y: ArrayLike) -> float:
    """Linear CKA from the unbiased estimate of HSIC.

    Args:
        X: (n_samples, p), at least 4 rows.
        Y: (n_samples, q), the same rows.

    Returns:
        Similarity, about 0 for unrelated spaces and 1 for equal ones. It may be slightly negative and is not
        clamped: a clamp would bias means over layers and seeds.

    Raises:
        ValueError: if the rows differ in number or are not finite.
        UndefinedMeasureError: with fewer than 4 points, or if a space's own HSIC is not positive.

    Source:
        Song et al. 2012 (unbiased HSIC); Nguyen et al. 2021 (2010.15327). Memory p^2 + q^2, not n^2.
    """
    x, y = check_pair(X, Y)
    return PairedMoments.of(centre(x), centre(y)).debiased_cka()
