"""Label centroids: how far they move, along which paths, in how many directions (E4, E7, E8 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from closerlook.geometry.validation import (
    FloatArray,
    IntArray,
    UndefinedMeasureError,
    check_labels,
    check_pair,
    check_space,
)


@dataclass(frozen=True)
class LabelCentroids:
    """Mean vector of each label.

    Attributes:
        classes: (n_classes,) sorted labels.
        centroids: (n_classes, n_features) float64.
        counts: (n_classes,) examples of each label, at least 1.
    """

    classes: NDArray[Any]
    centroids: FloatArray
    counts: IntArray


@dataclass(frozen=True)
class Displacement:
    """How far the centroid of each label moved between two spaces with the same rows.

    Attributes:
        classes: (n_classes,) sorted labels.
        vectors: (n_classes, n_features) centroid after - centroid before.
        norms: (n_classes,) Euclidean lengths, in the unit of the space, at least 0.
        relative: (n_classes,) norms over ``mean_norm``.
        own: (n_classes,) lengths after the mean displacement of all labels is taken away: the part that moves
            labels against each other; a common shift changes nothing for a classifier.
        mean_norm: mean length of the vectors before.
    """

    classes: NDArray[Any]
    vectors: FloatArray
    norms: FloatArray
    relative: FloatArray
    own: FloatArray
    mean_norm: float


@dataclass(frozen=True)
class CentroidPath:
    """Lengths of the paths of the centroids over snapshots.

    Attributes:
        lengths: (n_classes,) sum of the steps, in the unit of the space; grows with the number of snapshots.
        net: (n_classes,) distance from the first to the last snapshot.
        straightness: (n_classes,) net / lengths in [0, 1], 1 = straight; NaN for a centroid that never moved.
    """

    lengths: FloatArray
    net: FloatArray
    straightness: FloatArray


@dataclass(frozen=True)
class DirectionSpread:
    """In how many directions the labels moved.

    Attributes:
        spread: 1 - length of the mean unit vector, in [0, 1]; 0 = all labels moved the same way.
        mean_cosine: mean cosine over pairs of labels, in [-1, 1].
        n_directions: participation ratio of the displacement vectors, from 1 to n_moved; long ones weigh more.
        n_moved: labels that moved at all.
    """

    spread: float
    mean_cosine: float
    n_directions: float
    n_moved: int


def one_hot(codes: IntArray, n_classes: int) -> csr_array:
    """Return the (n_classes, n_samples) sparse indicator of the classes; its product with X sums each label."""
    n = len(codes)
    return csr_array((np.ones(n), (codes, np.arange(n))), shape=(n_classes, n))


def label_means(X: FloatArray, codes: IntArray, n_classes: int) -> tuple[FloatArray, FloatArray]:
    """Return ``(means (n_classes, n_features), counts (n_classes,))`` of checked arrays."""
    counts = np.bincount(codes, minlength=n_classes).astype(np.float64)
    return np.asarray(one_hot(codes, n_classes) @ X) / counts[:, None], counts


def label_centroids(X: ArrayLike, y: ArrayLike) -> LabelCentroids:
    """Return the mean vector of each label.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.

    Returns:
        The centroids in sorted order of the labels.

    Raises:
        ValueError: if X is not finite or the lengths differ.
    """
    space = check_space(X)
    classes, codes = check_labels(y, len(space))
    means, counts = label_means(space, codes, len(classes))
    return LabelCentroids(classes, means, counts.astype(np.intp))


def centroid_displacement(X_before: ArrayLike, X_after: ArrayLike, y: ArrayLike) -> Displacement:
    """Return how far the centroid of each label moved.

    Args:
        X_before: (n_samples, n_features).
        X_after: (n_samples, n_features), the same rows.
        y: (n_samples,) labels.

    Returns:
        The displacement vectors and their lengths, also over the mean length of the vectors before.

    Raises:
        ValueError: if the spaces differ in rows, or are not finite.
        UndefinedMeasureError: if they differ in features, or every vector before is zero.

    Source:
        Zhou & Srikumar 2022 (2106.14282), E7 and E8. Trap: lengths of two layers or models compare only over the
        mean norm, and a shift that all labels share shows in ``norms`` but not in ``own``.
    """
    before, after = check_pair(X_before, X_after, min_points=1)
    if before.shape != after.shape:
        raise UndefinedMeasureError(
            f"the spaces have {before.shape[1]} and {after.shape[1]} features; only spaces of one width subtract"
        )
    classes, codes = check_labels(y, len(before))
    mean_norm = float(np.linalg.norm(before, axis=1).mean())
    if mean_norm == 0:
        raise UndefinedMeasureError("every vector before is zero, so there is no mean norm to divide by")
    vectors, _ = label_means(after - before, codes, len(classes))
    norms = np.linalg.norm(vectors, axis=1)
    own = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
    return Displacement(classes, vectors, norms, norms / mean_norm, own, mean_norm)


def path_length(paths: ArrayLike) -> CentroidPath:
    """Return the length of each centroid's path over snapshots.

    Args:
        paths: (n_snapshots, n_classes, n_features), at least 2 snapshots.

    Returns:
        Path lengths, net displacements and straightness.

    Raises:
        ValueError: if paths is not three-dimensional, not finite, or holds fewer than 2 snapshots.

    Source:
        E4. Trap: steps of noise add up, so compare paths only at the same snapshots.
    """
    steps = np.linalg.norm(np.diff(_checked_paths(paths), axis=0), axis=2)
    lengths = steps.sum(axis=0)
    first, last = np.asarray(paths)[0], np.asarray(paths)[-1]
    net = np.linalg.norm(last.astype(np.float64) - first, axis=1)
    ratio = np.divide(net, lengths, out=np.full_like(net, np.nan), where=lengths > 0)
    return CentroidPath(lengths, net, np.minimum(ratio, 1.0))


def _checked_paths(paths: ArrayLike) -> FloatArray:
    array = np.asarray(paths, dtype=np.float64)
    if array.ndim != 3 or len(array) < 2 or array.size == 0:
        raise ValueError(f"paths has shape {array.shape}, expected (n_snapshots >= 2, n_classes, n_features)")
    if not np.isfinite(array).all():
        raise ValueError("paths holds NaN or infinite values, expected a centroid per label and snapshot")
    return array


def direction_spread(vectors: ArrayLike) -> DirectionSpread:
    """Tell whether the labels moved one way or many ways.

    Args:
        vectors: (n_classes, n_features) displacement vectors; labels that did not move are left out.

    Returns:
        Spread, mean cosine and number of directions.

    Raises:
        ValueError: if vectors is not a finite matrix.
        UndefinedMeasureError: if fewer than 2 labels moved.

    Source:
        Mean resultant length: Mardia & Jupp 2000, section 9.2; E7 of the paper shows it as arrows.
        Trap: a few labels in many dimensions are nearly orthogonal by chance, so spread is never near 1
        for few labels: k orthogonal directions give 1 - 1 / sqrt(k).
    """
    moved = check_space(vectors, "vectors")
    norms = np.linalg.norm(moved, axis=1)
    moved, norms = moved[norms > 0], norms[norms > 0]
    count = len(moved)
    if count < 2:
        raise UndefinedMeasureError(f"{count} labels moved, a spread of directions needs at least 2")
    resultant = float(np.linalg.norm((moved / norms[:, None]).mean(axis=0)))
    mean_cosine = (count * resultant**2 - 1) / (count - 1)
    gram = moved @ moved.T
    n_directions = float(np.trace(gram) ** 2 / np.sum(gram * gram))
    return DirectionSpread(1 - min(resultant, 1.0), mean_cosine, n_directions, count)
