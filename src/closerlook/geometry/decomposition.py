"""What kind of change: translation, rotation, scale, and the rest that alone changes relative positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.centroids import label_means
from closerlook.geometry.validation import (
    FloatArray,
    UndefinedMeasureError,
    centre,
    check_distances,
    check_labels,
    check_pair,
    check_several_labels,
    check_space,
)


@dataclass(frozen=True)
class ChangeDecomposition:
    """Shares of the summed squared change of all points; the four shares add up to 1.

    Attributes:
        translation: share removed by moving the mean, in [0, 1].
        rotation: share that an orthogonal map (rotation or reflection) then removes, in [0, 1].
        scale: share that one factor then removes, in [0, 1].
        rest: share that is left, in [0, 1]: the only part that changes relative positions.
        scale_factor: the factor, at least 0; above 1 the space grew.
        total: mean squared distance that a point moved, in squared units of the space.
    """

    translation: float
    rotation: float
    scale: float
    rest: float
    scale_factor: float
    total: float


@dataclass(frozen=True)
class LabelScatter:
    """Root mean squared distance of the points to the centroid of their label, in the unit of the space.

    Attributes:
        per_label: (n_classes,) at least 0; 0 for a label with one point.
        pooled: over all points.
    """

    per_label: FloatArray
    pooled: float


def decompose_change(X_before: ArrayLike, X_after: ArrayLike) -> ChangeDecomposition:
    """Split the change between two spaces into translation, rotation, scale and rest.

    Args:
        X_before: (n_samples, n_features).
        X_after: (n_samples, n_features), the same rows.

    Returns:
        The shares, taken in this order: mean, orthogonal Procrustes, one factor.

    Raises:
        ValueError: if the spaces differ in rows or are not finite.
        UndefinedMeasureError: if they differ in features, nothing changed, or a space is a single repeated point.

    Source:
        Schoenemann 1966; Gower & Dijksterhuis 2004, chapter 4. Trap: with fewer points than features an
        orthogonal map fits much by chance; compare with shuffled rows (the control in the report).
    """
    before, after = check_pair(X_before, X_after)
    if before.shape != after.shape:
        raise UndefinedMeasureError(
            f"the spaces have {before.shape[1]} and {after.shape[1]} features; only spaces of one width subtract"
        )
    if np.array_equal(before, after):
        raise UndefinedMeasureError("the two spaces are equal, so there is no change to split")
    shift = after.mean(axis=0) - before.mean(axis=0)
    x, y = centre(before), centre(after)
    nuclear = float(np.linalg.svd(x.T @ y, compute_uv=False).sum())
    return split_change(
        float(shift @ shift) * len(x), float(np.sum(x * x)), float(np.sum(y * y)), float(np.sum(x * y)), nuclear, len(x)
    )


def split_change(
    translation: float, xx: float, yy: float, xy: float, nuclear: float, n_samples: int
) -> ChangeDecomposition:
    """Return the decomposition from sums over centred spaces.

    Args:
        translation: n times the squared shift of the mean.
        xx: squared Frobenius norm of the centred space before.
        yy: the same after.
        xy: inner product of the two centred spaces.
        nuclear: nuclear norm of their cross-product.
        n_samples: number of points.

    Returns:
        The shares.

    Raises:
        UndefinedMeasureError: if nothing changed, or a space is a single repeated point.
    """
    if xx <= 0 or yy <= 0:
        raise UndefinedMeasureError("all points of a space are the same, so no rotation or scale is defined")
    moved = max(xx + yy - 2 * xy, 0.0)
    total = translation + moved
    if total <= 0:
        raise UndefinedMeasureError("the two spaces are equal, so there is no change to split")
    turned = min(max(xx + yy - 2 * nuclear, 0.0), moved)
    rest = min(max(yy - nuclear**2 / xx, 0.0), turned)
    parts = (translation, moved - turned, turned - rest, rest)
    moved_by, turned_by, grown_by, left = (part / total for part in parts)
    return ChangeDecomposition(moved_by, turned_by, grown_by, left, scale_factor=nuclear / xx, total=total / n_samples)


def label_scatter(X: ArrayLike, y: ArrayLike) -> LabelScatter:
    """Return how far points lie from the centroid of their label.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.

    Returns:
        Root mean squared distances per label and over all points.

    Raises:
        ValueError: if X is not finite or the lengths differ.
    """
    space = check_space(X)
    classes, codes = check_labels(y, len(space))
    means, counts = label_means(space, codes, len(classes))
    squares = np.sum((space - means[codes]) ** 2, axis=1)
    per_label = np.sqrt(np.bincount(codes, squares, len(classes)) / counts)
    return LabelScatter(per_label, float(np.sqrt(squares.mean())))


def distances_over_scatter(D: ArrayLike, X: ArrayLike, y: ArrayLike, *, pairwise: bool = False) -> FloatArray:
    """Divide label distances by the within-label scatter, to tell "pushed apart" from "scaled up".

    Args:
        D: (n_classes, n_classes) label distances in sorted order of the labels; NaN where undefined.
        X: (n_samples, n_features) the space they were taken in.
        y: (n_samples,) labels.
        pairwise: divide the pair (i, j) by sqrt((s_i^2 + s_j^2) / 2) instead of the pooled scatter.

    Returns:
        (n_classes, n_classes) without unit; unchanged when the whole space is scaled. A pair of labels without
        scatter is NaN in pairwise mode.

    Raises:
        ValueError: if D does not fit the labels.
        UndefinedMeasureError: if there is one label, or no scatter within any label.
    """
    matrix = check_distances(D)
    space = check_space(X)
    classes, _ = check_labels(y, len(space))
    if len(matrix) != len(classes):
        raise ValueError(f"D has {len(matrix)} labels and y has {len(classes)}, expected the same")
    check_several_labels(classes, len(space))
    scatter = label_scatter(space, y)
    if scatter.pooled == 0:
        raise UndefinedMeasureError("the within-label scatter is zero: each label is one repeated point")
    if not pairwise:
        return matrix / scatter.pooled
    square = scatter.per_label**2
    pair = np.sqrt((square[:, None] + square[None, :]) / 2)
    return np.divide(matrix, pair, out=np.full_like(matrix, np.nan), where=pair > 0)
