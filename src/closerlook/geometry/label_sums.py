"""Sums per label, from which the Fisher ratio, CDNV and centroid distances follow; parts add up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from closerlook.geometry.centroids import one_hot
from closerlook.geometry.validation import FloatArray, IntArray, UndefinedMeasureError


@dataclass(frozen=True)
class LabelSums:
    """Sums over the rows of each label.

    Attributes:
        counts: (n_classes,) rows.
        sums: (n_classes, n_features) sum of the rows.
        squares: (n_classes,) sum of squared lengths.
    """

    counts: FloatArray
    sums: FloatArray
    squares: FloatArray

    @classmethod
    def of(cls, X: FloatArray, codes: IntArray, n_classes: int) -> LabelSums:
        """Sum the rows of ``X`` (n, d) by class number; centre X roughly first for precision."""
        sums = np.asarray(one_hot(codes, n_classes) @ X)
        squares = np.bincount(codes, np.einsum("ij,ij->i", X, X), n_classes).astype(np.float64)
        counts = np.bincount(codes, minlength=n_classes).astype(np.float64)
        return cls(counts, sums, squares)

    def __add__(self, other: LabelSums) -> LabelSums:
        """Sums over the rows of both."""
        return LabelSums(self.counts + other.counts, self.sums + other.sums, self.squares + other.squares)

    def __sub__(self, other: LabelSums) -> LabelSums:
        """Sums without the rows of ``other``."""
        return LabelSums(self.counts - other.counts, self.sums - other.sums, self.squares - other.squares)

    def means(self) -> FloatArray:
        """Return the (n_classes, n_features) centroids; NaN for a class without rows."""
        with np.errstate(invalid="ignore"):
            return self.sums / np.where(self.counts > 0, self.counts, np.nan)[:, None]

    def variances(self) -> FloatArray:
        """Return (n_classes,) mean squared distances to the centroid, with divisor n as in the sources."""
        means = self.means()
        square = np.einsum("ij,ij->i", means, means)
        variance = self.squares / np.where(self.counts > 0, self.counts, np.nan) - square
        # The difference of two nearly equal sums is rounding, not scatter.
        return np.where(variance <= 1e-13 * np.maximum(square, 1e-300), 0.0, variance)

    def between_within(self) -> tuple[float, float]:
        """Return tr(S_B) and tr(S_W), the sums of squares between and within labels."""
        present = self.counts > 0
        means, counts = self.means()[present], self.counts[present]
        total = counts @ means / counts.sum()
        between = float(counts @ np.sum((means - total) ** 2, axis=1))
        return between, float(counts @ self.variances()[present])

    def fisher_ratio(self) -> float:
        """Fisher ratio tr(S_B) / tr(S_W), scatter between labels over scatter within: at least 0.

        Raises:
            UndefinedMeasureError: if there is no scatter within labels.

        Source:
            Fisher 1936, Fukunaga 1990 section 10.2 (J4). Trap: shuffled labels give (C - 1) / (n - C), not 0.
        """
        between, within = self.between_within()
        if within <= 0:
            raise UndefinedMeasureError("the within-label scatter is zero: each label is one repeated point")
        return between / within

    def cdnv_matrix(self, min_count: int = 2) -> FloatArray:
        """Return (n_classes, n_classes) CDNV; NaN on the diagonal and for labels with under min_count rows.

        The pair is inf where two centroids coincide and a label has scatter, NaN where neither has.
        """
        kept = self.counts >= min_count
        means = np.where(kept[:, None], self.means(), np.nan)
        variance = np.where(kept, self.variances(), np.nan)
        square = squared_distances(means)
        with np.errstate(divide="ignore", invalid="ignore"):
            out = (variance[:, None] + variance[None, :]) / (2 * square)
        np.fill_diagonal(out, np.nan)
        return out

    def cdnv(self, min_count: int = 2) -> float:
        """Class-distance normalised variance, the mean over pairs of (v_i + v_j) / (2 |m_i - m_j|^2): at least 0.

        Raises:
            UndefinedMeasureError: with fewer than 2 labels of min_count points, or two equal centroids.

        Source:
            Galanti et al. 2021 (2112.15121). Trap: variances have divisor n as there, so labels with few points look
            tighter than they are.
        """
        pairs = self.cdnv_matrix(min_count)[np.triu_indices(len(self.counts), 1)]
        if np.isinf(pairs).any():
            raise UndefinedMeasureError("two labels have the same centroid, so their CDNV is infinite")
        if np.isnan(pairs).all():
            raise UndefinedMeasureError(f"fewer than 2 labels have {min_count} points")
        return float(np.nanmean(pairs))


def squared_distances(points: FloatArray) -> FloatArray:
    """Return (n, n) squared Euclidean distances of centroids; rounding-sized ones are 0, NaN rows stay NaN."""
    centred = points - np.nanmean(points, axis=0) if np.isfinite(points).any() else points
    square = np.einsum("ij,ij->i", centred, centred)
    pair = square[:, None] + square[None, :]
    out = pair - 2 * centred @ centred.T
    return np.where(out <= 1e-13 * pair, 0.0, out)
