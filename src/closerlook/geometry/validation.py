"""Checks on the arrays that every measure takes, and the error of a measure that has no value here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]
RandomState = int | np.random.Generator | None


class UndefinedMeasureError(ValueError):
    """The input is valid, yet the measure has no finite value on it (one label, zero variance, ...).

    The message is the reason; reports keep it beside a NaN.
    """


def check_space(X: ArrayLike, name: str = "X") -> FloatArray:
    """Return ``X`` as a finite float64 matrix.

    Args:
        X: (n_samples, n_features), any real dtype.
        name: how the error calls it.

    Returns:
        (n_samples, n_features) float64; the input itself where it already is that, so never write to it.

    Raises:
        ValueError: if X is not two-dimensional, is empty or holds NaN or infinite values.
    """
    space = np.asarray(X, dtype=np.float64)
    if space.ndim != 2 or space.size == 0:
        raise ValueError(
            f"{name} has shape {space.shape}, expected a non-empty (n_samples, n_features); pass one row per example"
        )
    if not np.isfinite(space).all():
        row = int(np.argmin(np.isfinite(space).all(axis=1)))
        raise ValueError(
            f"{name} holds NaN or infinite values (first in row {row}), expected finite numbers; "
            "drop those rows or look for an overflow in half precision"
        )
    return space


def centre(X: FloatArray) -> FloatArray:
    """Return ``X`` minus the mean of its rows, exactly 0 where all rows are the same up to rounding.

    Without that, a constant space has a spread of rounding size, and ratios of such spreads look like results.
    """
    centred = X - X.mean(axis=0)
    if np.abs(centred).max() <= 1e-13 * np.abs(X).max():
        return np.zeros_like(centred)
    return centred


def check_labels(y: ArrayLike, n_samples: int) -> tuple[NDArray[Any], IntArray]:
    """Return the sorted classes and the class number of each example.

    Args:
        y: (n_samples,) labels of any sortable kind.
        n_samples: the length expected.

    Returns:
        ``classes`` (n_classes,) sorted, and ``codes`` (n_samples,) with ``classes[codes] == y``.

    Raises:
        ValueError: if y is not one-dimensional, has another length, or holds NaN or None.
    """
    labels = np.asarray(y)
    if labels.ndim != 1 or len(labels) != n_samples:
        raise ValueError(f"y has shape {labels.shape}, expected ({n_samples},): one label per row of X")
    missing = labels.dtype.kind == "f" and bool(np.isnan(labels).any())
    if missing or (labels.dtype.kind == "O" and any(label is None for label in labels)):
        raise ValueError("y holds missing labels (NaN or None), expected a label per row; drop those rows")
    classes, codes = np.unique(labels, return_inverse=True)
    return classes, codes.astype(np.intp)


def check_several_labels(classes: NDArray[Any], n_samples: int | None = None) -> None:
    """Raise unless there are two labels, and some label has two points where ``n_samples`` is given.

    Raises:
        UndefinedMeasureError: with the reason.
    """
    if len(classes) < 2:
        raise UndefinedMeasureError(f"the data has {len(classes)} label, the measure needs at least 2")
    if n_samples is not None and n_samples <= len(classes):
        raise UndefinedMeasureError("every label has a single point, so there is no within-label scatter")


def check_distances(D: ArrayLike, name: str = "distances") -> FloatArray:
    """Return a label-distance matrix as float64 after checking that it is one.

    Args:
        D: (n_classes, n_classes) symmetric; NaN marks an undefined pair; the diagonal is never read.
        name: how the error calls it.

    Returns:
        (n_classes, n_classes) float64.

    Raises:
        ValueError: if D is not square or not symmetric, or holds infinite or negative values.
    """
    matrix = np.asarray(D, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise ValueError(f"{name} has shape {matrix.shape}, expected a square (n_classes, n_classes) matrix")
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    if np.isinf(off).any() or (off < 0).any():
        raise ValueError(f"{name} holds infinite or negative values, expected distances; NaN marks a missing pair")
    if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-9, equal_nan=True):
        raise ValueError(f"{name} is not symmetric, expected the distance of (i, j) to be that of (j, i)")
    return matrix
