"""Label centroids: where they are, and in how many directions they move (E4, E7, E8 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from closerlook.geometry.validation import FloatArray, IntArray, UndefinedMeasureError, check_labels, check_space


@dataclass(frozen=True)
class LabelCentroids:
    """Mean vector of each label.

    Attributes:
        classes: (n_classes,) sorted labels.
        centroids: (n_classes, n_features) float64.
    """

    classes: NDArray[Any]
    centroids: FloatArray


@dataclass(frozen=True)
class DirectionSpread:
    """In how many directions the labels moved.

    Attributes:
        spread: 1 - length of the mean unit vector, in [0, 1]; 0 = all labels moved the same way.
        n_directions: participation ratio of the displacement vectors, from 1 to n_moved; long ones weigh more.
        n_moved: labels that moved at all.
    """

    spread: float
    n_directions: float
    n_moved: int


def one_hot(codes: IntArray, n_classes: int) -> csr_array:
    """Return the (n_classes, n_samples) sparse indicator of the classes; its product with X sums each label."""
    n = len(codes)
    return csr_array((np.ones(n), (codes, np.arange(n))), shape=(n_classes, n))


def label_means(X: FloatArray, codes: IntArray, n_classes: int) -> FloatArray:
    """Return the (n_classes, n_features) means of checked arrays."""
    counts = np.bincount(codes, minlength=n_classes).astype(np.float64)
    return np.asarray(one_hot(codes, n_classes) @ X) / counts[:, None]


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
    return LabelCentroids(classes, label_means(space, codes, len(classes)))


def own_displacement(before: FloatArray, after: FloatArray, codes: IntArray, n_classes: int) -> FloatArray:
    """Return (n_classes,) how far each centroid moved beyond the mean displacement of all labels.

    Args:
        before: (n_samples, n_features).
        after: (n_samples, n_features), the same rows.
        codes: (n_samples,) class numbers.
        n_classes: number of classes.
    """
    vectors = label_means(after - before, codes, n_classes)
    return np.asarray(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1))


def direction_spread(vectors: FloatArray) -> DirectionSpread:
    """Say whether the labels moved one way or many ways.

    Args:
        vectors: (n_classes, n_features) displacement vectors; labels that did not move are left out.

    Returns:
        Spread and number of directions.

    Raises:
        UndefinedMeasureError: if fewer than 2 labels moved.

    Source:
        Mean resultant length: Mardia & Jupp 2000, section 9.2; E7 of the paper shows it as arrows.
        Trap: a few labels in many dimensions are nearly orthogonal by chance, so spread is never near 1
        for few labels: k orthogonal directions give 1 - 1 / sqrt(k).
    """
    norms = np.linalg.norm(vectors, axis=1)
    moved, norms = vectors[norms > 0], norms[norms > 0]
    if len(moved) < 2:
        raise UndefinedMeasureError(f"{len(moved)} labels moved, a spread of directions needs at least 2")
    resultant = float(np.linalg.norm((moved / norms[:, None]).mean(axis=0)))
    gram = moved @ moved.T
    n_directions = float(np.trace(gram) ** 2 / np.sum(gram * gram))
    return DirectionSpread(max(1 - resultant, 0.0), n_directions, len(moved))
