"""Do train and test sets have the same geometry? Similarity at equal sizes, with a split-half ceiling.

The paper (E1) correlates the label distances of the whole training set with those of the test set. Hulls grow
with the number of points, so the two are not on one footing, and even two halves of one training set do not
correlate at 1. Here both are on the same number of points per label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from closerlook.geometry.confidence import Interval, prediction_interval
from closerlook.geometry.similarity import spatial_similarity
from closerlook.geometry.validation import FloatArray, IntArray, RandomState, check_labels, check_space

Distances = Callable[[FloatArray, NDArray[Any]], ArrayLike]
"""Takes (X, y), returns the (n_classes, n_classes) label distances in sorted order of the labels."""


@dataclass(frozen=True)
class OverDraws:
    """A number over draws.

    Attributes:
        value: mean over the draws; NaN where undefined.
        low: lower end of where a further draw lies with 95 %: the chance of drawing, not of collecting new data.
        high: upper end.
    """

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan


@dataclass(frozen=True)
class TrainTestSimilarity:
    """Similarity of label distances of train and test at equal sizes, and its ceiling.

    Attributes:
        matched: correlation of a training draw with a test draw of the same sizes.
        ceiling: the same for two disjoint training draws of those sizes: what no shift at all would give.
        gap: ceiling - matched of the same draw; above 0 means a shift beyond sampling.
        n_draws: draws on which both are defined.
        n_labels: labels in the draws.
        n_points: points in each draw.
        reason: why all are NaN; empty otherwise.
    """

    matched: OverDraws = OverDraws()
    ceiling: OverDraws = OverDraws()
    gap: OverDraws = OverDraws()
    n_draws: int = 0
    n_labels: int = 0
    n_points: int = 0
    reason: str = ""


def train_test_similarity(
    X_train: ArrayLike,
    y_train: ArrayLike,
    X_test: ArrayLike,
    y_test: ArrayLike,
    distances: Distances,
    *,
    n_draws: int = 10,
    random_state: RandomState = 0,
) -> TrainTestSimilarity:
    """Correlate label distances of train and test, at equal sizes and beside a split-half ceiling.

    A draw takes m = min(n_test, n_train // 2) points of each label, twice from train (disjoint) and once from
    test; labels with m = 0 are left out of the draws.

    Args:
        X_train: (n_train, n_features).
        y_train: (n_train,) labels.
        X_test: (n_test, n_features) of the same space.
        y_test: (n_test,) labels; they may be a part of the training labels.
        distances: gives label distances; for instance ``lambda X, y: DirectProbe().fit(X, y).label_distances_``.
        n_draws: draws; each costs three calls of ``distances``, or two where the test draw is the whole set.
        random_state: seed or generator.

    Returns:
        The similarities; NaN with a reason where undefined.

    Raises:
        ValueError: if an input is not finite, or the lengths or numbers of features differ.

    Source:
        Zhou & Srikumar 2022 (2106.14282), E1, prints the correlation of the whole sets; matching and ceiling are ours.
    """
    train, test = check_space(X_train, "X_train"), check_space(X_test, "X_test")
    if train.shape[1] != test.shape[1]:
        raise ValueError(f"X_train has {train.shape[1]} features and X_test {test.shape[1]}, expected one space")
    classes_a, codes_a = check_labels(y_train, len(train))
    classes_b, codes_b = check_labels(y_test, len(test))
    sampler = _Sampler(train, classes_a[codes_a], test, classes_b[codes_b])
    n_labels = len(sampler.rows)
    if n_labels < 3:
        reason = f"{n_labels} labels have 2 training points and a test point, draws need at least 3"
        return TrainTestSimilarity(n_labels=n_labels, reason=reason)
    pairs = sampler.run(distances, n_draws, np.random.default_rng(random_state))
    matched, ceiling = pairs[np.isfinite(pairs).all(axis=1)].T
    if len(matched) == 0:
        reason = "no draw leaves 3 pairs of labels defined on both sides"
        return TrainTestSimilarity(n_labels=n_labels, n_points=sampler.n_points, reason=reason)
    return TrainTestSimilarity(
        matched=_over_draws(matched, 1),
        ceiling=_over_draws(ceiling, 1),
        gap=_over_draws(ceiling - matched, 2),
        n_draws=len(matched),
        n_labels=n_labels,
        n_points=sampler.n_points,
    )


class _Label(NamedTuple):
    train: IntArray
    test: IntArray
    size: int


class _Sampler:
    """Draws of equal size per label from train (twice, disjoint) and from test."""

    def __init__(self, train: FloatArray, y_train: NDArray[Any], test: FloatArray, y_test: NDArray[Any]):
        self.train, self.test, self.y_train, self.y_test = train, test, y_train, y_test
        self.rows: list[_Label] = []
        for label in np.intersect1d(y_train, y_test):
            rows_a, rows_b = np.flatnonzero(y_train == label), np.flatnonzero(y_test == label)
            size = min(len(rows_b), len(rows_a) // 2)
            if size:
                self.rows.append(_Label(rows_a, rows_b, size))
        self.n_points = sum(label.size for label in self.rows)
        self.whole_test = all(len(label.test) == label.size for label in self.rows)

    def run(self, distances: Distances, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Return (n_draws, 2): similarity of train with test, and of train with train."""
        out = np.full((n_draws, 2), np.nan)
        of_test = None
        for draw in range(n_draws):
            parts = [(rng.permutation(a)[: 2 * m], rng.permutation(b)[:m], m) for a, b, m in self.rows]
            first = np.concatenate([a[:m] for a, _, m in parts])
            second = np.concatenate([a[m:] for a, _, m in parts])
            of_first = distances(self.train[first], self.y_train[first])
            of_second = distances(self.train[second], self.y_train[second])
            if of_test is None or not self.whole_test:
                rows = np.concatenate([b for _, b, _ in parts])
                of_test = distances(self.test[rows], self.y_test[rows])
            for column, other in enumerate((of_test, of_second)):
                out[draw, column] = spatial_similarity(of_first, other, n_permutations=0).value
        return out


def _over_draws(values: FloatArray, bound: float) -> OverDraws:
    """Mean and where a further draw lies, inside -bound ... bound."""
    low, high = Interval(*np.clip(prediction_interval(values), -bound, bound))
    return OverDraws(float(values.mean()), float(low), float(high))
