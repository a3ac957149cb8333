"""Do train and test sets have the same geometry? Similarity at equal sizes, with a split-half ceiling.

The paper (E1) correlates the label distances of the whole training set with those of the test set. Hulls grow
with the number of points, so the two are not on one footing, and even two halves of one training set do not
correlate at 1. Both are put beside the printed figure here, on the same number of points per label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from closerlook.geometry.correlation import Method
from closerlook.geometry.intervals import percentile_interval
from closerlook.geometry.similarity import spatial_similarity
from closerlook.geometry.validation import FloatArray, IntArray, RandomState, check_labels, check_space

Distances = Callable[[FloatArray, NDArray[Any]], ArrayLike]


@dataclass(frozen=True)
class TrainTestSimilarity:
    """Train-test similarity of label distances, its size-matched value and its ceiling.

    Attributes:
        paper: correlation of all of train with all of test, as printed in the paper; NaN where undefined.
        paper_n_pairs: pairs of labels behind it.
        matched: mean over draws of the correlation of a training draw with a test draw of the same sizes.
        matched_low: lower percentile over the draws (spread of drawing, not of collecting a new test set).
        matched_high: upper percentile.
        ceiling: the same for two disjoint training draws of those sizes: what no shift at all would give.
        ceiling_low: lower percentile over the draws.
        ceiling_high: upper percentile.
        gap: mean over draws of ceiling - matched (same draw in both); above 0 means a shift beyond sampling.
        gap_low: lower percentile over the draws.
        gap_high: upper percentile.
        n_draws: draws on which both are defined.
        n_labels: labels in the draws.
        n_points: points in each draw.
        reason: why a part is NaN; empty otherwise.
    """

    paper: float
    paper_n_pairs: int
    matched: float = np.nan
    matched_low: float = np.nan
    matched_high: float = np.nan
    ceiling: float = np.nan
    ceiling_low: float = np.nan
    ceiling_high: float = np.nan
    gap: float = np.nan
    gap_low: float = np.nan
    gap_high: float = np.nan
    n_draws: int = 0
    n_labels: int = 0
    n_points: int = 0
    reason: str = ""


def align_label_distances(
    A: ArrayLike, classes_a: ArrayLike, B: ArrayLike, classes_b: ArrayLike
) -> tuple[NDArray[Any], FloatArray, FloatArray]:
    """Put two label-distance matrices over the union of their labels.

    Args:
        A: (n_a, n_a) label distances.
        classes_a: (n_a,) their labels.
        B: (n_b, n_b) label distances.
        classes_b: (n_b,) their labels.

    Returns:
        ``classes`` (n,) sorted union, and both matrices as (n, n), NaN for the labels a side does not have.

    Raises:
        ValueError: if a matrix does not fit its labels.
    """
    names_a, names_b = np.asarray(classes_a), np.asarray(classes_b)
    classes = np.union1d(names_a, names_b)
    return classes, _spread(A, names_a, classes), _spread(B, names_b, classes)


def _spread(D: ArrayLike, names: NDArray[Any], classes: NDArray[Any]) -> FloatArray:
    matrix = np.asarray(D, dtype=np.float64)
    if matrix.shape != (len(names), len(names)):
        raise ValueError(f"distances have shape {matrix.shape}, expected {(len(names),) * 2}: one row per label")
    out = np.full((len(classes), len(classes)), np.nan)
    place = np.searchsorted(classes, names)
    out[np.ix_(place, place)] = matrix
    return out


def train_test_similarity(
    X_train: ArrayLike,
    y_train: ArrayLike,
    X_test: ArrayLike,
    y_test: ArrayLike,
    distances: Distances,
    *,
    mode: str = "matched",
    n_draws: int = 10,
    method: Method = "pearson",
    confidence: float = 0.95,
    train_distances: ArrayLike | None = None,
    test_distances: ArrayLike | None = None,
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
        distances: takes (X, y), returns the (n_classes, n_classes) label distances in sorted order of the
            labels; for instance ``lambda X, y: DirectProbe().fit(X, y).label_distances_``.
        mode: "matched" for everything; "paper" for the printed figure alone (one correlation, no control).
        n_draws: draws; each costs three calls of ``distances``, or two where the test draw is the whole set.
        method: kind of correlation.
        confidence: share of the draws between the two ends of an interval.
        train_distances: label distances of the whole training set, if they are at hand.
        test_distances: label distances of the whole test set, if they are at hand.
        random_state: seed or generator.

    Returns:
        The similarities; NaN with a reason where undefined.

    Raises:
        ValueError: if an input is not finite, the lengths or numbers of features differ, or mode is unknown.

    Source:
        Zhou & Srikumar 2022 (2106.14282), E1 ("paper"); the matching and the ceiling are ours.
    """
    if mode not in ("matched", "paper"):
        raise ValueError(f"mode is {mode!r}, expected 'matched' or 'paper'")
    train, test = check_space(X_train, "X_train"), check_space(X_test, "X_test")
    if train.shape[1] != test.shape[1]:
        raise ValueError(f"X_train has {train.shape[1]} features and X_test {test.shape[1]}, expected one space")
    classes_a, codes_a = check_labels(y_train, len(train))
    classes_b, codes_b = check_labels(y_test, len(test))
    whole_a = distances(train, classes_a[codes_a]) if train_distances is None else train_distances
    whole_b = distances(test, classes_b[codes_b]) if test_distances is None else test_distances
    _, full_a, full_b = align_label_distances(whole_a, classes_a, whole_b, classes_b)
    printed = spatial_similarity(full_a, full_b, method=method, n_permutations=0, n_bootstrap=0)
    if mode == "paper":
        return TrainTestSimilarity(printed.value, printed.n_pairs, reason=printed.reason)
    sampler = _Sampler(train, classes_a[codes_a], test, classes_b[codes_b])
    if len(sampler.labels) < 3:
        reason = f"{len(sampler.labels)} labels have 2 training points and a test point, draws need at least 3"
        return TrainTestSimilarity(printed.value, printed.n_pairs, reason=reason)
    pairs = sampler.run(distances, method, n_draws, np.random.default_rng(random_state))
    return _summarise(printed.value, printed.n_pairs, pairs, sampler, confidence)


class _Sampler:
    """Draws of equal size per label from train (twice, disjoint) and from test."""

    def __init__(self, train: FloatArray, y_train: NDArray[Any], test: FloatArray, y_test: NDArray[Any]):
        self.train, self.test, self.y_train, self.y_test = train, test, y_train, y_test
        self.rows: list[tuple[IntArray, IntArray, int]] = []
        labels = []
        for label in np.intersect1d(y_train, y_test):
            rows_a, rows_b = np.flatnonzero(y_train == label), np.flatnonzero(y_test == label)
            size = min(len(rows_b), len(rows_a) // 2)
            if size:
                labels.append(label)
                self.rows.append((rows_a, rows_b, size))
        self.labels = np.array(labels)
        self.n_points = sum(size for _, _, size in self.rows)
        self.whole_test = all(len(rows_b) == size for _, rows_b, size in self.rows)

    def run(self, distances: Distances, method: Method, n_draws: int, rng: np.random.Generator) -> FloatArray:
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
                out[draw, column] = spatial_similarity(
                    of_first, other, method=method, n_permutations=0, n_bootstrap=0
                ).value
        return out


def _summarise(
    printed: float, n_pairs: int, pairs: FloatArray, sampler: _Sampler, confidence: float
) -> TrainTestSimilarity:
    defined = pairs[np.isfinite(pairs).all(axis=1)]
    sizes = {"n_draws": len(defined), "n_labels": len(sampler.labels), "n_points": sampler.n_points}
    if len(defined) == 0:
        reason = "no draw leaves 3 pairs of labels defined on both sides"
        return TrainTestSimilarity(printed, n_pairs, reason=reason, **sizes)
    values: dict[str, float] = {}
    for name, column in (
        ("matched", defined[:, 0]),
        ("ceiling", defined[:, 1]),
        ("gap", defined[:, 1] - defined[:, 0]),
    ):
        low, high = percentile_interval(column, confidence)
        values |= {name: float(column.mean()), f"{name}_low": low, f"{name}_high": high}
    return TrainTestSimilarity(printed, n_pairs, **values, **sizes)  # type: ignore[arg-type]
