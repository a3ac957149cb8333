"""How well the labels stand apart from one another: scatter, Davies-Bouldin, silhouette."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import euclidean_distances

from closerlook.geometry.centroids import label_means, one_hot
from closerlook.geometry.validation import FloatArray, IntArray, UndefinedMeasureError


@dataclass(frozen=True)
class Silhouette:
    """Silhouettes of query points.

    Attributes:
        widths: (n_queries,) in [-1, 1]; above 0 = closer to its own label than to the nearest other.
        control: their mean with labels shuffled over the points.
    """

    widths: FloatArray
    control: float


def chance_fisher_ratio(n_samples: int, n_classes: int) -> float:
    """Return the ratio of the expected scatters under shuffled labels, (C - 1) / (n - C), below n_samples labels."""
    return (n_classes - 1) / (n_samples - n_classes)


def pooled_scatter(X: FloatArray, codes: IntArray) -> float:
    """Root mean squared distance of all points to the centroid of their label, in the unit of the space."""
    means = label_means(X, codes, int(codes.max()) + 1)
    return float(np.linalg.norm(X - means[codes]) / np.sqrt(len(X)))


def davies_bouldin(X: FloatArray, codes: IntArray) -> float:
    """Davies-Bouldin index, the mean over labels of the worst (s_i + s_j) / |m_i - m_j|.

    Args:
        X: (n_samples, n_features) without its mean.
        codes: (n_samples,) class numbers, all from 0 on in use.

    Returns:
        At least 0; lower = labels stand apart.

    Raises:
        UndefinedMeasureError: with two equal centroids. Deviation: scikit-learn answers 0.0, the best value, where
            all centroids coincide; elsewhere it is the same number, 20 times slower with 46 labels.

    Source:
        Davies & Bouldin 1979. Trap: a label with one point has s = 0 and looks perfect.
    """
    counts = np.bincount(codes)
    means = label_means(X, codes, len(counts))
    spread = np.bincount(codes, np.linalg.norm(X - means[codes], axis=1)) / counts
    distances = squareform(pdist(means))
    np.fill_diagonal(distances, np.inf)
    if distances.min() <= 1e-9 * np.linalg.norm(X, axis=1).max():
        raise UndefinedMeasureError("two labels have the same centroid, so the Davies-Bouldin index is infinite")
    return float(((spread[:, None] + spread[None, :]) / distances).max(axis=1).mean())


def silhouette(X: FloatArray, codes: IntArray, shuffled: IntArray, queries: IntArray) -> Silhouette:
    """Silhouette of a sample of the points, with distances to all points.

    Args:
        X: (n_samples, n_features) without its mean.
        codes: (n_samples,) class numbers, all from 0 on in use.
        shuffled: the same in another order, for the control.
        queries: (n_queries,) row numbers; all of them give the full O(n^2) value.

    Returns:
        The silhouettes of the queries and the mean of the control.

    Source:
        Rousseeuw 1987. Own code because scikit-learn's ``sample_size`` thins the labels as well, which turns
        rare ones into singletons (silhouette 0); with all points it is the same number. A point alone with
        its label has 0, as in the source.
    """
    n_classes = int(codes.max()) + 1
    widths, control = [], []
    for part in np.array_split(queries, max(1, len(queries) * len(X) // 20_000_000)):
        distances = euclidean_distances(X[part], X)
        distances[np.arange(len(part)), part] = 0.0  # rounding of the expansion
        widths.append(_widths(distances, part, codes, n_classes))
        control.append(_widths(distances, part, shuffled, n_classes))
    return Silhouette(np.concatenate(widths), float(np.concatenate(control).mean()))


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
