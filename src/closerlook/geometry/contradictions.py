"""Equal vectors that carry different labels: what no classifier of this space can put right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.validation import FloatArray, IntArray, check_labels, check_space


@dataclass(frozen=True)
class Contradictions:
    """Groups of identical vectors with more than one label.

    Attributes:
        n_groups: how many.
        n_points: rows in them.
        n_duplicates: rows equal to an earlier row, whatever their labels.
        min_clusters: DirectProbe finds at least this many clusters: every row of a contradiction stays alone
            (its hull holds a point of another label), and every label with other rows needs one more.
        max_accuracy: no classifier of this space can be right on a larger share of the rows.
    """

    n_groups: int
    n_points: int
    n_duplicates: int
    min_clusters: int
    max_accuracy: float

    @property
    def note(self) -> str:
        """What follows from them, in one line; empty where there are none."""
        if not self.n_groups:
            return ""
        return (
            f"{self.n_points} examples in them; at least {self.min_clusters} clusters; "
            f"accuracy at most {self.max_accuracy:.4f}"
        )


def vector_contradictions(X: ArrayLike, y: ArrayLike) -> Contradictions:
    """Find identical vectors with different labels.

    Args:
        X: (n_samples, n_features). Rows must be equal bit for bit (-0.0 is 0.0), since an encoder that gives equal
            inputs different vectors is a fault to be seen, not to be hidden.
        y: (n_samples,) labels.

    Returns:
        The contradictions; any at all make the task non-linear in this space.

    Raises:
        ValueError: if X is not finite or the lengths differ.

    Source:
        TREC-50 holds one question twice with two labels. Rows are compared in n log n.
    """
    space = check_space(X)
    _, codes = check_labels(y, len(space))
    groups = row_groups(space)
    cells, counts = np.unique(np.stack([groups, codes]), axis=1, return_counts=True)
    n_labels = np.bincount(cells[0])
    best = np.zeros(len(n_labels), dtype=np.intp)
    np.maximum.at(best, cells[0], counts)
    inside = (n_labels > 1)[groups]
    return Contradictions(
        n_groups=int((n_labels > 1).sum()),
        n_points=int(inside.sum()),
        n_duplicates=len(groups) - len(n_labels),
        min_clusters=int(inside.sum()) + len(np.unique(codes[~inside])),
        max_accuracy=float(best.sum() / len(groups)),
    )


def row_groups(X: FloatArray) -> IntArray:
    """Return (n_samples,) numbers that are equal exactly where rows are."""
    rows = np.ascontiguousarray(X + 0.0)  # + 0.0 turns -0.0 into 0.0, which is the same point
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.unique(as_bytes, return_inverse=True)[1].astype(np.intp)
