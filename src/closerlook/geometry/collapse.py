"""Neural collapse: do labels shrink to points, and do these points stand apart evenly?

Labels are imbalanced here, and there may be more of them than features: CDNV and the generalised NC2 are the
ones to read; NC1 and NC2 are those of the balanced case, with every label weighing the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from closerlook.geometry.centroids import label_means
from closerlook.geometry.label_sums import squared_distances
from closerlook.geometry.validation import FloatArray, IntArray, UndefinedMeasureError


class WithinBetween(NamedTuple):
    """NC1, tr(S_W pinv(S_B)) / n_classes; 0 = every label is a point.

    Attributes:
        nc1: S_W the mean of the labels' covariances: every label weighs the same.
        nc1_pooled: S_W the covariance of all points around their centroids: every point weighs the same, as in the
            source, whose labels are balanced.
    """

    nc1: float
    nc1_pooled: float


class CentroidSimplex(NamedTuple):
    """How far the centred label means are from a regular simplex; all are 0 for one.

    Attributes:
        nc2_equinorm: standard deviation (divisor n_classes) over mean of their lengths, at least 0.
        nc2_equinorm_sample: the same with divisor n_classes - 1, as torch.std in the source's code.
        nc2_equiangle: standard deviation of their pairwise cosines, at least 0.
        nc2_max_angle: mean of |cosine + 1 / (n_classes - 1)|, at least 0.
        gnc2_uniformity: generalised NC2: coefficient of variation over pairs of log(1 / distance of unit means).
    """

    nc2_equinorm: float
    nc2_equinorm_sample: float
    nc2_equiangle: float
    nc2_max_angle: float
    gnc2_uniformity: float


def within_between(X: FloatArray, codes: IntArray) -> WithinBetween:
    """NC1 in two forms.

    Args:
        X: (n_samples, n_features) without its mean.
        codes: (n_samples,) class numbers, all from 0 on in use.

    Returns:
        At least 0.

    Raises:
        UndefinedMeasureError: if all centroids coincide.

    Source:
        Papyan, Han & Donoho 2020, measure NC1. Trap: the pseudo-inverse weighs the weakest between-label
        direction most, so one pair of close labels can rule it; read CDNV beside it.
    """
    n_classes = int(codes.max()) + 1
    means, counts = label_means(X, codes, n_classes), np.bincount(codes).astype(np.float64)
    # S_B = M'M / C lives in the span of the means: work there, in at most n_classes dimensions.
    _, singular, axes = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    kept = singular > 1e-10 * np.linalg.norm(X, axis=1).max()
    if not kept.any():
        raise UndefinedMeasureError("all centroids coincide, so NC1 is infinite")
    inside = ((X - means[codes]) @ axes[kept].T) ** 2 / singular[kept] ** 2
    return WithinBetween(
        nc1=float(np.sum((1 / counts[codes]) @ inside) / n_classes), nc1_pooled=float(inside.sum() / len(X))
    )


def centroid_simplex(X: FloatArray, codes: IntArray) -> CentroidSimplex:
    """NC2 and its generalisation: are the centred label means of one length, and evenly spread?

    Args:
        X: (n_samples, n_features).
        codes: (n_samples,) class numbers, all from 0 on in use; the mean of the label means is the centre, so
            frequency plays no part.

    Returns:
        The deviations.

    Raises:
        UndefinedMeasureError: with fewer than 3 labels, or if a centroid lies on the centre or two coincide.

    Source:
        Papyan et al. 2020, NC2; Wu & Papyan 2024 (2405.17767), GNC2 by hyperspherical uniformity with the
        logarithmic kernel. Trap: n_classes > n_features + 1 admits no simplex; only the uniformity is left.
    """
    n_classes = int(codes.max()) + 1
    if n_classes < 3:
        raise UndefinedMeasureError(f"the data has {n_classes} labels, NC2 compares pairs and needs 3")
    means = label_means(X, codes, n_classes)
    centred = means - means.mean(axis=0)
    norms = np.linalg.norm(centred, axis=1)
    if norms.min() <= 1e-12 * max(norms.max(), 1e-300):
        raise UndefinedMeasureError("the centroid of a label lies on the centre of the means")
    unit = centred / norms[:, None]
    upper = np.triu_indices(n_classes, 1)
    cosines, square = (unit @ unit.T)[upper], squared_distances(unit)[upper]
    if square.min() <= 0:
        raise UndefinedMeasureError("two label means point the same way, so their log distance is infinite")
    kernel = -0.5 * np.log(square)
    spread, mean = float(kernel.std()), abs(float(kernel.mean()))
    return CentroidSimplex(
        nc2_equinorm=float(norms.std() / norms.mean()),
        nc2_equinorm_sample=float(norms.std(ddof=1) / norms.mean()),
        nc2_equiangle=float(cosines.std()),
        nc2_max_angle=float(np.abs(cosines + 1 / (n_classes - 1)).mean()),
        gnc2_uniformity=spread / mean if mean > 0 else np.nan,
    )


def self_duality(weights: FloatArray, centroids: FloatArray) -> float:
    """NC3, the distance between the classifier's weights and the centred label means, both of unit size.

    Args:
        weights: (n_classes, n_features) of the linear classifier, rows in the order of the centroids.
        centroids: (n_classes, n_features) label means.

    Returns:
        Frobenius distance in [0, 2]; 0 = parallel, sqrt(2) = unrelated. The source squares it.

    Raises:
        UndefinedMeasureError: if either is constant over the classes.

    Source:
        Papyan et al. 2020, NC3. The mean weight over classes is taken away too: softmax does not see it.
    """
    w, m = weights - weights.mean(axis=0), centroids - centroids.mean(axis=0)
    norm_w, norm_m = np.linalg.norm(w), np.linalg.norm(m)
    if norm_w == 0 or norm_m == 0:
        raise UndefinedMeasureError("weights or centroids are the same for all classes")
    return float(np.linalg.norm(w / norm_w - m / norm_m))


def nearest_centroid(X: FloatArray, centroids: FloatArray) -> IntArray:
    """Return (n_samples,) the row number of the nearest of the (n_classes, n_features) centroids (ties: the first)."""
    centre = centroids.mean(axis=0)
    x, m = X - centre, centroids - centre
    return np.argmin(np.sum(m * m, axis=1) - 2 * x @ m.T, axis=1)


def nearest_centroid_agreement(X: FloatArray, codes: IntArray, answers: IntArray) -> float:
    """NC4: on which share of the points does the nearest centroid agree with a classifier (or with the labels)?

    Args:
        X: (n_samples, n_features).
        codes: (n_samples,) class numbers, all from 0 on in use; they define the centroids.
        answers: (n_samples,) the classifier's class numbers; the codes themselves give the training accuracy of the
            nearest-centroid rule.

    Returns:
        Share in [0, 1].

    Source:
        Papyan et al. 2020, NC4 (theirs is the disagreement). Trap: centroids and points are the same data, so
        with few points per label it is optimistic.
    """
    means = label_means(X, codes, int(codes.max()) + 1)
    return float(np.mean(nearest_centroid(X, means) == answers))
