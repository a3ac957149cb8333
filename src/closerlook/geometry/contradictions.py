"""Equal inputs, or equal vectors, that carry different labels: what no encoder or classifier can put right."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.validation import FloatArray, IntArray, check_labels, check_space


@dataclass(frozen=True)
class Contradiction:
    """One group of equal inputs or vectors with more than one label.

    Attributes:
        indices: row numbers, ascending.
        labels: the label of each of these rows.
    """

    indices: tuple[int, ...]
    labels: tuple[Any, ...]


@dataclass(frozen=True)
class Contradictions:
    """All of them.

    Attributes:
        groups: in order of their first row.
        n_groups: how many.
        n_points: rows in them.
        n_duplicates: rows equal to an earlier row, whatever their labels.
        min_clusters: DirectProbe finds at least this many clusters: every row of a contradiction stays alone
            (its hull holds a point of another label), and every label with other rows needs one more.
        max_accuracy: no classifier of this input can be right on a larger share of the rows.
    """

    groups: tuple[Contradiction, ...]
    n_groups: int
    n_points: int
    n_duplicates: int
    min_clusters: int
    max_accuracy: float


def vector_contradictions(X: ArrayLike, y: ArrayLike, *, decimals: int | None = None) -> Contradictions:
    """Find identical vectors with different labels.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.
        decimals: round to this many decimals first; by default rows must be equal bit for bit (-0.0 is 0.0),
            since an encoder that gives equal inputs different vectors is a fault to be seen, not to be hidden.

    Returns:
        The contradictions; any at all make the task non-linear in this space.

    Raises:
        ValueError: if X is not finite or the lengths differ.

    Source:
        PAPER.md of the study: TREC-50 holds one question twice with two labels. Rows are compared in memory
        n log n, never pairwise.
    """
    space = check_space(X)
    classes, codes = check_labels(y, len(space))
    return _find(row_groups(space if decimals is None else space.round(decimals)), classes[codes], codes)


def input_contradictions(keys: Sequence[Hashable], y: ArrayLike) -> Contradictions:
    """Find identical inputs with different labels.

    Args:
        keys: (n_samples,) what identifies an input: the text of a sentence, (sentence, position) of a word, ...
        y: (n_samples,) labels.

    Returns:
        The contradictions: they are there whatever the encoder does.

    Raises:
        ValueError: if there are no keys, or the lengths differ.
    """
    if len(keys) == 0:
        raise ValueError("keys is empty, expected one per example")
    classes, codes = check_labels(y, len(keys))
    numbers: dict[Hashable, int] = {}
    groups = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
    return _find(groups, classes[codes], codes)


def row_groups(X: FloatArray) -> IntArray:
    """Return (n_samples,) numbers that are equal exactly where rows are."""
    rows = np.ascontiguousarray(X + 0.0)  # + 0.0 turns -0.0 into 0.0, which is the same point
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.unique(as_bytes, return_inverse=True)[1].astype(np.intp)


def _find(groups: IntArray, labels: FloatArray, codes: IntArray) -> Contradictions:
    cells, counts = np.unique(np.stack([groups, codes]), axis=1, return_counts=True)
    n_labels = np.bincount(cells[0])
    best = np.zeros(len(n_labels), dtype=np.intp)
    np.maximum.at(best, cells[0], counts)
    inside = (n_labels > 1)[groups]
    found = []
    order = np.flatnonzero(inside)
    for group in dict.fromkeys(groups[order].tolist()):
        rows = order[groups[order] == group]
        found.append(Contradiction(tuple(rows.tolist()), tuple(labels[rows].tolist())))
    return Contradictions(
        groups=tuple(found),
        n_groups=len(found),
        n_points=int(inside.sum()),
        n_duplicates=len(groups) - len(n_labels),
        min_clusters=int(inside.sum()) + len(np.unique(codes[~inside])),
        max_accuracy=float(best.sum() / len(groups)),
    )
