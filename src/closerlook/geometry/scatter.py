"""How well the labels stand apart from one another: ratios of scatter and the silhouette."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import davies_bouldin_score, euclidean_distances

from closerlook.geometry.centroids import label_means, one_hot
from closerlook.geometry.intervals import bootstrap_interval
from closerlook.geometry.label_moments import LabelMoments
from closerlook.geometry.neighbours import sample_rows
from closerlook.geometry.validation import (
    FloatArray,
    IntArray,
    RandomState,
    UndefinedMeasureError,
    centre,
    check_labels,
    check_several_labels,
    check_space,
)


@dataclass(frozen=True)
class Silhouette:
    """Mean silhouette over query points.

    Attributes:
        value: in [-1, 1]; above 0 = closer to its own label than to the nearest other.
        low: lower end of the bootstrap interval over query points.
        high: upper end.
        control: the value with labels shuffled over the points.
        n_points: query points; distances are taken to all points.
    """

    value: float
    low: float
    high: float
    control: float
    n_points: int


def fisher_ratio(X: ArrayLike, y: ArrayLike) -> float:
    """Fisher ratio tr(S_B) / tr(S_W), scatter between labels over scatter within.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.

    Returns:
        At least 0; higher = labels stand apart. Unchanged by rotation, shift and scaling.

    Raises:
        ValueError: if X is not finite or the lengths differ.
        UndefinedMeasureError: with one label, one point per label, or no scatter within labels.

    Source:
        Fisher 1936, Fukunaga 1990 section 10.2 (J4). Trap: shuffled labels give (C - 1) / (n - C), not 0.
    """
    space, codes, n_classes = _labelled(X, y)
    return LabelMoments.of(centre(space), codes, n_classes).fisher_ratio()


def chance_fisher_ratio(n_samples: int, n_classes: int) -> float:
    """Return the ratio of the expected scatters under shuffled labels, (C - 1) / (n - C).

    Raises:
        UndefinedMeasureError: with as many labels as points.
    """
    if n_samples <= n_classes:
        raise UndefinedMeasureError("every label has a single point, so there is no within-label scatter")
    return (n_classes - 1) / (n_samples - n_classes)


def calinski_harabasz(X: ArrayLike, y: ArrayLike) -> float:
    """Calinski-Harabasz index, the Fisher ratio over what shuffled labels give.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.

    Returns:
        At least 0; about 1 = no better than shuffled labels.

    Raises:
        ValueError: if X is not finite or the lengths differ.
        UndefinedMeasureError: as :func:`fisher_ratio`. Deviation: scikit-learn answers 1.0 where there is no
            scatter within labels.

    Source:
        Calinski & Harabasz 1974. Trap: grows in proportion to n, so it compares only sets of one size.
    """
    space, codes, n_classes = _labelled(X, y)
    ratio = LabelMoments.of(centre(space), codes, n_classes).fisher_ratio()
    return ratio / chance_fisher_ratio(len(space), n_classes)


def davies_bouldin(X: ArrayLike, y: ArrayLike) -> float:
    """Davies-Bouldin index, the mean over labels of the worst (s_i + s_j) / |m_i - m_j|.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.

    Returns:
        At least 0; lower = labels stand apart.

    Raises:
        ValueError: if X is not finite or the lengths differ.
        UndefinedMeasureError: with one label, one point per label, or two equal centroids. Deviation:
            scikit-learn answers 0.0, the best value, where all centroids coincide.

    Source:
        Davies & Bouldin 1979, by scikit-learn. Trap: a label with one point has s = 0 and looks perfect.
    """
    space, codes, n_classes = _labelled(X, y)
    means, _ = label_means(space, codes, n_classes)
    distances = euclidean_distances(means - means.mean(axis=0))[np.triu_indices(n_classes, 1)]
    if distances.min() <= 1e-9 * np.linalg.norm(space - space.mean(axis=0), axis=1).max():
        raise UndefinedMeasureError("two labels have the same centroid, so the Davies-Bouldin index is infinite")
    return float(davies_bouldin_score(space, codes))


def silhouette(X: ArrayLike, y: ArrayLike, *, max_points: int = 1000, random_state: RandomState = 0) -> Silhouette:
    """Mean silhouette of a sample of the points, with distances to all points.

    Args:
        X: (n_samples, n_features).
        y: (n_samples,) labels.
        max_points: query points; the full O(n^2) value where there are no more points than this.
        random_state: seed or generator of the draw, the interval and the shuffled control.

    Returns:
        The silhouette, its interval over query points and its control.

    Raises:
        ValueError: if X is not finite or the lengths differ.
        UndefinedMeasureError: with one label or one point per label.

    Source:
        Rousseeuw 1987. Own code because scikit-learn's ``sample_size`` thins the labels as well, which turns
        rare ones into singletons (silhouette 0); with all points it is the same number. A point alone with
        its label has 0, as in the source.
    """
    space, codes, n_classes = _labelled(X, y)
    rng = np.random.default_rng(random_state)
    queries = sample_rows(len(space), max_points, rng)
    shuffled = rng.permutation(codes)
    widths, control = [], []
    centred = space - space.mean(axis=0)
    for part in np.array_split(queries, max(1, len(queries) * len(space) // 20_000_000)):
        distances = euclidean_distances(centred[part], centred)
        distances[np.arange(len(part)), part] = 0.0  # rounding of the expansion
        widths.append(_widths(distances, part, codes, n_classes))
        control.append(_widths(distances, part, shuffled, n_classes))
    values = np.concatenate(widths)
    low, high = bootstrap_interval(values, random_state=rng)
    return Silhouette(float(values.mean()), low, high, float(np.concatenate(control).mean()), len(queries))


def _widths(distances: FloatArray, queries: IntArray, codes: IntArray, n_classes: int) -> FloatArray:
    """Silhouettes of query points from their (n_queries, n_samples) distances to all points."""
    sums = np.asarray((one_hot(codes, n_classes) @ distances.T).T)
    counts = np.bincount(codes, minlength=n_classes).astype(np.float64)
    own, rows = codes[queries], np.arange(len(queries))
    alone = counts[own] == 1
    inside = sums[rows, own] / np.maximum(counts[own] - 1, 1)
    means = sums / counts
    means[rows, own] = np.inf
    outside = means.min(axis=1)
    larger = np.maximum(inside, outside)
    return np.divide(outside - inside, larger, out=np.zeros(len(rows)), where=(larger > 0) & ~alone)


def _labelled(X: ArrayLike, y: ArrayLike) -> tuple[FloatArray, IntArray, int]:
    space = check_space(X)
    classes, codes = check_labels(y, len(space))
    check_several_labels(classes, len(space))
    return space, codes, len(classes)
