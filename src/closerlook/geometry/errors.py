"""Where distance meets error: do a probe's errors fall on the pairs of labels that lie close?

DirectProbe (Zhou & Srikumar 2021, 2104.05904) observes that nearly all errors fall on the closest third of the
pairs. Frequent labels have large hulls, hence small distances, and more errors of any kind: the control here
spreads each label's errors over the other labels by their frequency alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from closerlook.geometry.correlation import Method
from closerlook.geometry.similarity import SpatialSimilarity, spatial_similarity
from closerlook.geometry.validation import (
    FloatArray,
    IntArray,
    RandomState,
    UndefinedMeasureError,
    check_distances,
)


@dataclass(frozen=True)
class PairErrors:
    """One entry per pair of labels (a < b in sorted order); arrays of one length, ready for a table.

    Attributes:
        label_a: first label.
        label_b: second label.
        before: distance in the space before; NaN where undefined.
        after: distance in the space after.
        change: after - before.
        a_as_b: examples of a that the probe calls b.
        b_as_a: the reverse.
        errors: both together.
        n_examples: examples of a and of b.
        error_rate: errors / n_examples; NaN where there is no example of either.
        expected: errors on the pair if each error of a label fell on the others by their frequency.
    """

    label_a: NDArray[Any]
    label_b: NDArray[Any]
    before: FloatArray
    after: FloatArray
    change: FloatArray
    a_as_b: IntArray
    b_as_a: IntArray
    errors: IntArray
    n_examples: IntArray
    error_rate: FloatArray
    expected: FloatArray


@dataclass(frozen=True)
class ErrorShare:
    """Share of the errors on the closest pairs of labels.

    Attributes:
        value: share in [0, 1] of the errors that fall on the closest ``fraction`` of the pairs.
        control: the share if each label's errors fell on the other labels by their frequency.
        fraction: part of the pairs that counts as close.
        n_pairs: pairs with a distance.
        n_errors: errors on those pairs.
        n_unplaced: errors on pairs without a distance, in neither number.
    """

    value: float
    control: float
    fraction: float
    n_pairs: int
    n_errors: int
    n_unplaced: int


def confusion_counts(y_true: ArrayLike, y_pred: ArrayLike, classes: ArrayLike) -> IntArray:
    """Return (n_classes, n_classes) counts, row = true label, column = predicted label.

    Args:
        y_true: (n_samples,) labels.
        y_pred: (n_samples,) predicted labels.
        classes: (n_classes,) sorted labels; all of both must be among them.

    Raises:
        ValueError: if the lengths differ, classes is not sorted, or a label is not among them.
    """
    true, predicted, names = np.asarray(y_true), np.asarray(y_pred), np.asarray(classes)
    if true.ndim != 1 or true.shape != predicted.shape:
        raise ValueError(f"y_true has shape {true.shape} and y_pred {predicted.shape}, expected one length")
    if len(names) == 0 or not np.array_equal(np.unique(names), names):
        raise ValueError("classes must be sorted, without repeats and not empty; pass np.unique of the labels")
    unknown = np.setdiff1d(np.concatenate([true, predicted]), names)
    if len(unknown):
        raise ValueError(f"labels {unknown[:5].tolist()} are not among the {len(names)} classes; add them")
    cells = np.searchsorted(names, true) * len(names) + np.searchsorted(names, predicted)
    return np.bincount(cells, minlength=len(names) ** 2).reshape(len(names), len(names)).astype(np.intp)


def pair_errors(
    before: ArrayLike, after: ArrayLike, y_true: ArrayLike, y_pred: ArrayLike, classes: ArrayLike
) -> PairErrors:
    """Put distances before and after and confusion counts side by side, per pair of labels.

    Args:
        before: (n_classes, n_classes) label distances before; NaN where undefined.
        after: the same after.
        y_true: (n_samples,) labels of the examples that the probe answered.
        y_pred: (n_samples,) its answers.
        classes: (n_classes,) sorted labels, in the order of the distances.

    Returns:
        The table, one entry per pair.

    Raises:
        ValueError: if shapes do not fit, or a label is not among the classes.
    """
    names = np.asarray(classes)
    first, second = check_distances(before, "before"), check_distances(after, "after")
    counts = confusion_counts(y_true, y_pred, names)
    if first.shape != counts.shape or second.shape != counts.shape:
        raise ValueError(
            f"distances have shapes {first.shape} and {second.shape}, expected {counts.shape}: one row per class"
        )
    a, b = np.triu_indices(len(names), 1)
    sizes = counts.sum(axis=1)
    both, errors, expected = sizes[a] + sizes[b], counts[a, b] + counts[b, a], expected_confusion(counts)
    rate = np.divide(errors, both, out=np.full(len(a), np.nan), where=both > 0)
    return PairErrors(
        names[a], names[b], first[a, b], second[a, b], second[a, b] - first[a, b],
        counts[a, b], counts[b, a], errors, both, rate, expected[a, b] + expected[b, a],
    )  # fmt: skip


def expected_confusion(counts: IntArray) -> FloatArray:
    """Return (n_classes, n_classes) errors if each label's errors fell on the others by their frequency.

    Args:
        counts: (n_classes, n_classes) confusion counts, row = true label.
    """
    sizes = counts.sum(axis=1).astype(np.float64)
    wrong = sizes - np.diag(counts)
    others = sizes.sum() - sizes
    share = sizes[None, :] / np.where(others > 0, others, 1.0)[:, None]
    expected = wrong[:, None] * share
    np.fill_diagonal(expected, 0.0)
    return expected


def distance_error_correlation(
    distances: ArrayLike,
    counts: ArrayLike,
    *,
    method: Method = "spearman",
    n_permutations: int = 999,
    n_bootstrap: int = 1000,
    random_state: RandomState = 0,
) -> SpatialSimilarity:
    """Correlate the distance of a pair of labels with the error rate of a probe on it.

    Args:
        distances: (n_classes, n_classes) label distances; NaN where undefined.
        counts: (n_classes, n_classes) confusion counts, row = true label.
        method: "spearman" by default: rates are skewed and mostly 0.
        n_permutations: Mantel permutations, one-sided towards "close pairs have errors".
        n_bootstrap: draws of labels for the interval.
        random_state: seed or generator.

    Returns:
        Correlation in [-1, 1]; negative = errors fall on close pairs. NaN with a reason where undefined, for
        instance without any error.

    Raises:
        ValueError: if shapes do not fit.

    Source:
        The observation is DirectProbe's (2104.05904); test and interval over labels are ours.
        Trap: distances and errors of the same examples share their noise; use test errors.
    """
    matrix = np.asarray(counts, dtype=np.float64)
    sizes = matrix.sum(axis=1)
    both = sizes[:, None] + sizes[None, :]
    rate = np.divide(matrix + matrix.T, both, out=np.full_like(both, np.nan), where=both > 0)
    np.fill_diagonal(rate, 0.0)
    return spatial_similarity(
        distances, rate, method=method, alternative="less", n_permutations=n_permutations,
        n_bootstrap=n_bootstrap, random_state=random_state,
    )  # fmt: skip


def closest_pairs_error_share(distances: ArrayLike, counts: ArrayLike, *, fraction: float = 1 / 3) -> ErrorShare:
    """Share of the errors that fall on the closest pairs of labels.

    Args:
        distances: (n_classes, n_classes) label distances; NaN where undefined.
        counts: (n_classes, n_classes) confusion counts, row = true label.
        fraction: part of the pairs that counts as close, in (0, 1); a part of a pair at the border counts in
            proportion, and pairs tied there share it evenly.

    Returns:
        The share and its control.

    Raises:
        ValueError: if shapes do not fit or fraction is out of range.
        UndefinedMeasureError: if there is no error on a pair with a distance.

    Source:
        DirectProbe (2104.05904); the control is ours.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction is {fraction}, expected a number in (0, 1)")
    matrix, table = check_distances(distances), np.asarray(counts, dtype=np.intp)
    if matrix.shape != table.shape:
        raise ValueError(f"distances have shape {matrix.shape} and counts {table.shape}, expected the same")
    upper = np.triu_indices(len(matrix), 1)
    expected = expected_confusion(table)
    d, errors, chance = matrix[upper], (table + table.T)[upper], (expected + expected.T)[upper]
    placed = np.isfinite(d)
    n_errors = int(errors[placed].sum())
    if n_errors == 0:
        raise UndefinedMeasureError("the probe makes no error on a pair of labels with a distance")
    weights = _closeness(d[placed], fraction)
    control = float(weights @ chance[placed] / chance[placed].sum()) if chance[placed].sum() > 0 else np.nan
    return ErrorShare(
        float(weights @ errors[placed] / n_errors), control, fraction, int(placed.sum()), n_errors,
        int(errors[~placed].sum()),
    )  # fmt: skip


def _closeness(d: FloatArray, fraction: float) -> FloatArray:
    """Weights in [0, 1] that add up to ``fraction`` of the pairs: 1 below the border, shared on it."""
    target = fraction * len(d)
    border = np.sort(d)[min(int(np.ceil(target)), len(d)) - 1]
    below, on = d < border, d == border
    return below + on * (target - below.sum()) / on.sum()
