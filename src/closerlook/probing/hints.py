"""What one fit of DirectProbe can hand on to the next, about the same examples somewhere else in space.

The snapshots of one layer differ little from one to the next, and so do the points that hold two hulls apart. A hint
is where the solver stopped. The next solve starts there, and its answer is proved like any other: a wrong hint costs
time and changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from closerlook.probing._axes import Start
from closerlook.probing.hulls import FloatArray

IntArray = NDArray[np.int64]


class Support(NamedTuple):
    """Examples of two sets whose weighted means were the nearest points of the hulls, or a common point.

    Attributes:
        rows: indices of the examples.
        first: which of them are of the first set.
        weights: their weights, of the two sets likewise.
        stretched: whether it took a second look along principal axes to find them.
    """

    rows: IntArray
    first: NDArray[np.bool_]
    weights: FloatArray
    stretched: bool


class Hints(NamedTuple):
    """Supports between labels, and between clusters where labels have several."""

    labels: tuple[Support, ...] = ()
    clusters: tuple[Support, ...] = ()


def supports(sets: Sequence[IntArray], stops: Mapping[tuple[int, int], Start]) -> tuple[Support, ...]:
    """Where the solver stopped, by example instead of by position in the two sets."""
    found = []
    for (i, j), stop in stops.items():
        first = stop.support < len(sets[i])
        rows = np.concatenate([sets[i], sets[j]])[stop.support]
        found.append(Support(rows, first, stop.weights, stop.stretched))
    return tuple(found)


def starts(sets: Sequence[IntArray], shape: tuple[int, int], hints: Sequence[Support]) -> dict[tuple[int, int], Start]:
    """Starts for pairs of sets, out of the hints that fit them: each side must lie within one set.

    Args:
        sets: indices of the examples of each set.
        shape: number of examples and of features.
        hints: supports of an earlier fit.
    """
    member_of, position = np.full(shape[0], -1), np.zeros(shape[0], dtype=np.int64)
    for k, rows in enumerate(sets):
        member_of[rows], position[rows] = k, np.arange(len(rows))
    found = {}
    for hint in hints:
        if not _is_sound(hint, *shape):
            continue
        sides = [member_of[hint.rows[side]] for side in (hint.first, ~hint.first)]
        i, j = int(sides[0][0]), int(sides[1][0])
        if i < 0 or j < 0 or i == j or (sides[0] != i).any() or (sides[1] != j).any():
            continue
        first = hint.first if i < j else ~hint.first
        low, high = min(i, j), max(i, j)
        order = np.argsort(~first, kind="stable")
        support = position[hint.rows] + np.where(first, 0, len(sets[low]))
        weights = hint.weights / np.where(first, hint.weights[first].sum(), hint.weights[~first].sum())
        found[low, high] = Start(support[order], weights[order], bool(hint.stretched))
    return found


def _is_sound(hint: Support, n_examples: int, n_features: int) -> bool:
    """Whether a hint names examples that exist, each once and no more than a support has, and weights of both sides."""
    rows, first, weights = (np.asarray(part) for part in hint[:3])
    if not 0 < len(rows) == len(first) == len(weights) <= n_features + 2:
        return False
    if rows.dtype.kind != "i" or first.dtype != np.bool_ or not first.any() or first.all():
        return False
    exists = rows.min() >= 0 and rows.max() < n_examples and len(np.unique(rows)) == len(rows)
    return bool(exists and np.isfinite(weights).all() and weights.min() > 0)
