"""Neural collapse: do labels shrink to points, and do these points stand apart evenly?

Labels are imbalanced here, and there may be more of them than features: CDNV and the generalised NC2 are the
ones to read; NC1 and NC2 are those of the balanced case, with every label weighing the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.centroids import label_means
from closerlook.geometry.label_moments import LabelMoments, squared_distances
from closerlook.geometry.validation import (
    FloatArray,
    UndefinedMeasureError,
    centre,
    check_labels,
    check_several_labels,
    check_space,
)


@dataclass(frozen=True)
class CentroidSimplex:
    """How far the centred label means are from a regular simplex; all four are 0 for one.

    Attributes:
        equinorm: standard deviation over mean of their lengths, at least 0.
        equiangle: standard deviation of their pairwise cosines, at least 0.
        max_angle: mean of |cosine + 1 / (n_classes - 1)|, at least 0.
        uniformity: generalised NC2: coefficient of variation over pairs of log(1 / distance of unit means).
    """

    equinorm: float
    equiangle: float
    max_angle: float
    uniformity: float


def within_between(X: ArrayLike, y: ArrayLike) -> float:
    """NC1, tr(S_W pinv(S_B)) / n_classes, with every label weighing the same.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.

    Returns:
        At least 0; 0 = every label is a point.

    Raises:
        ValueError: if X is not finite or the lengths differ.
        UndefinedMeasureError: with one label, one point per label, or coinciding centroids.

    Source:
        Papyan, Han & Donoho 2020, measure NC1. Deviation: S_W is the mean of the labels' covariances (theirs
        are balanced, where it is the same). Trap: the pseudo-inverse weighs the weakest between-label
        direction most, so one pair of close labels can rule it; read CDNV beside it.
    """
    space = check_space(X)
    classes, codes = check_labels(y, len(space))
    check_several_labels(classes, len(space))
    means, counts = label_means(space, codes, len(classes))
    centred = means - means.mean(axis=0)
    # S_B = M'M / C lives in the span of the means: work there, in at most n_classes dimensions.
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    kept = singular > 1e-10 * np.linalg.norm(space - space.mean(axis=0), axis=1).max()
    if not kept.any():
        raise UndefinedMeasureError("all centroids coincide, so NC1 is infinite")
    inside = (space - means[codes]) @ axes[kept].T
    weights = 1 / (counts[codes] * len(classes))
    scatter = weights @ inside**2
    return float(np.sum(scatter * len(classes) / singular[kept] ** 2) / len(classes))


def centroid_simplex(X: ArrayLike, y: ArrayLike) -> CentroidSimplex:
    """NC2 and its generalisation: are the centred label means of one length, and evenly spread?

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels; the mean of the label means is the centre, so frequency plays no part.

    Returns:
        The four deviations.

    Raises:
        ValueError: if X is not finite or the lengths differ.
        UndefinedMeasureError: with fewer than 3 labels, or if a centroid lies on the centre or two coincide.

    Source:
        Papyan et al. 2020, NC2; Wu & Papyan 2024 (2405.17767), GNC2 by hyperspherical uniformity with the
        logarithmic kernel. Trap: n_classes > n_features + 1 admits no simplex; only ``uniformity`` is left.
    """
    space = check_space(X)
    classes, codes = check_labels(y, len(space))
    if len(classes) < 3:
        raise UndefinedMeasureError(f"the data has {len(classes)} labels, NC2 compares pairs and needs 3")
    means, _ = label_means(space, codes, len(classes))
    centred = means - means.mean(axis=0)
    norms = np.linalg.norm(centred, axis=1)
    if norms.min() <= 1e-12 * max(norms.max(), 1e-300):
        raise UndefinedMeasureError(f"the centroid of {classes[norms.argmin()]} lies on the centre of the means")
    unit = centred / norms[:, None]
    upper = np.triu_indices(len(classes), 1)
    cosines = (unit @ unit.T)[upper]
    square = squared_distances(unit)[upper]
    if square.min() <= 0:
        raise UndefinedMeasureError("two label means point the same way, so their log distance is infinite")
    kernel = -0.5 * np.log(square)
    spread, mean = float(kernel.std()), abs(float(kernel.mean()))
    return CentroidSimplex(
        equinorm=float(norms.std() / norms.mean()),
        equiangle=float(cosines.std()),
        max_angle=float(np.abs(cosines + 1 / (len(classes) - 1)).mean()),
        uniformity=spread / mean if mean > 0 else np.nan,
    )


def self_duality(weights: ArrayLike, centroids: ArrayLike) -> float:
    """NC3, the distance between the classifier's weights and the centred label means, both of unit size.

    Args:
        weights: (n_classes, n_features) of the linear classifier, rows in the order of the centroids.
        centroids: (n_classes, n_features) label means.

    Returns:
        Frobenius distance in [0, 2]; 0 = parallel, sqrt(2) = unrelated.

    Raises:
        ValueError: if the shapes differ or values are not finite.
        UndefinedMeasureError: if either is constant over the classes.

    Source:
        Papyan et al. 2020, NC3. The mean weight over classes is taken away too: softmax does not see it.
    """
    w, m = check_space(weights, "weights"), check_space(centroids, "centroids")
    if w.shape != m.shape:
        raise ValueError(f"weights have shape {w.shape} and centroids {m.shape}, expected the same")
    w, m = w - w.mean(axis=0), m - m.mean(axis=0)
    norm_w, norm_m = np.linalg.norm(w), np.linalg.norm(m)
    if norm_w == 0 or norm_m == 0:
        raise UndefinedMeasureError("weights or centroids are the same for all classes")
    return float(np.linalg.norm(w / norm_w - m / norm_m))


def nearest_centroid(X: ArrayLike, centroids: ArrayLike) -> FloatArray:
    """Return (n_samples,) the row number of the nearest centroid (ties: the first).

    Args:
        X: (n_samples, n_features).
        centroids: (n_classes, n_features).

    Raises:
        ValueError: if values are not finite or the numbers of features differ.
    """
    space, means = check_space(X), check_space(centroids, "centroids")
    if space.shape[1] != means.shape[1]:
        raise ValueError(f"X has {space.shape[1]} features and centroids {means.shape[1]}, expected the same")
    centre = means.mean(axis=0)
    x, m = space - centre, means - centre
    return np.argmin(np.sum(m * m, axis=1) - 2 * x @ m.T, axis=1)


def nearest_centroid_agreement(X: ArrayLike, y: ArrayLike, predictions: ArrayLike | None = None) -> float:
    """NC4: on how many points does the nearest centroid agree with a classifier (or with the labels)?

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels; they define the centroids.
        predictions: (n_samples,) the classifier's labels; by default y, which gives the training accuracy of
            the nearest-centroid rule.

    Returns:
        Share in [0, 1].

    Raises:
        ValueError: if X is not finite or the lengths differ.
        UndefinedMeasureError: with one label.

    Source:
        Papyan et al. 2020, NC4 (theirs is the disagreement). Trap: centroids and points are the same data, so
        with few points per label it is optimistic.
    """
    space = check_space(X)
    classes, codes = check_labels(y, len(space))
    check_several_labels(classes)
    means, _ = label_means(space, codes, len(classes))
    answers = np.asarray(y if predictions is None else predictions)
    if answers.shape != (len(space),):
        raise ValueError(f"predictions have shape {answers.shape}, expected ({len(space)},)")
    return float(np.mean(classes[nearest_centroid(space, means)] == answers))


def cdnv(X: ArrayLike, y: ArrayLike, *, min_count: int = 2) -> float:
    """Class-distance normalised variance, the mean over pairs of (v_i + v_j) / (2 |m_i - m_j|^2).

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.
        min_count: labels with fewer points are left out, since one point has no variance.

    Returns:
        At least 0; 0 = collapsed labels. Unchanged by scaling.

    Raises:
        ValueError: if X is not finite or the lengths differ.
        UndefinedMeasureError: with fewer than 2 labels of min_count points, or two equal centroids.

    Source:
        Galanti et al. 2021 (2112.15121). Trap: variances have divisor n as there, so labels
        with few points look tighter than they are.
    """
    return _moments(X, y).cdnv(min_count)


def cdnv_matrix(X: ArrayLike, y: ArrayLike, *, min_count: int = 2) -> FloatArray:
    """Return (n_classes, n_classes) CDNV per pair: NaN on the diagonal and for labels under min_count.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.
        min_count: labels with fewer points are NaN.

    Raises:
        ValueError: if X is not finite or the lengths differ.
        UndefinedMeasureError: with one label or one point per label.
    """
    return _moments(X, y).cdnv_matrix(min_count)


def _moments(X: ArrayLike, y: ArrayLike) -> LabelMoments:
    space = check_space(X)
    classes, codes = check_labels(y, len(space))
    check_several_labels(classes, len(space))
    return LabelMoments.of(centre(space), codes, len(classes))
