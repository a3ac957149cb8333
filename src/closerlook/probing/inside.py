"""How large a cluster is: mean and maximum distance between the points inside it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import pairwise_distances_chunked

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class InsideDistances:
    """Euclidean distances between the points of a cluster, over all pairs of two different points.

    Attributes:
        cluster_mean: (n_clusters,) mean distance; NaN for a cluster of one point, which has no pair.
        cluster_max: (n_clusters,) largest distance; NaN likewise.
        label_mean: (n_labels,) mean over the label's clusters of their means; NaN if none has a pair.
        label_max: (n_labels,) maximum over the label's clusters; NaN likewise.
    """

    cluster_mean: FloatArray
    cluster_max: FloatArray
    label_mean: FloatArray
    label_max: FloatArray


def inside_distances(
    X: ArrayLike, clusters: ArrayLike, cluster_labels: ArrayLike, *, min_cluster_size: int = 1
) -> InsideDistances:
    """Measure the clusters of a space, without a matrix of all distances in memory.

    Args:
        X: (n_samples, n_features) points.
        clusters: (n_samples,) cluster of each point, 0..n_clusters-1 (`DirectProbe.labels_`).
        cluster_labels: (n_clusters,) label of each cluster (`DirectProbe.cluster_labels_`).
        min_cluster_size: clusters with fewer points are left out of the labels' figures. The released code
            leaves out clusters of 5 points or fewer: 6 reproduces it.

    Returns:
        Mean and maximum per cluster and per label (labels sorted, as `DirectProbe.classes_`).

    Raises:
        ValueError: if the lengths differ or a cluster has no point.
    """
    points, member_of, labels = np.asarray(X, dtype=np.float64), np.asarray(clusters), np.asarray(cluster_labels)
    if len(points) != len(member_of):
        msg = f"Expected one cluster per row of X, got {len(member_of)} for {len(points)} rows."
        raise ValueError(msg)
    sizes = np.bincount(member_of, minlength=len(labels))
    if len(sizes) > len(labels) or not sizes.all():
        msg = f"Expected points in each of the {len(labels)} clusters of cluster_labels, got sizes {sizes}."
        raise ValueError(msg)
    order = np.split(np.argsort(member_of, kind="stable"), np.cumsum(sizes)[:-1])
    mean, largest = np.array([_spread(points[part]) for part in order]).T
    names = np.unique(labels)
    with_pairs = (sizes >= max(min_cluster_size, 2))[None, :] & (labels[None, :] == names[:, None])
    label_mean = np.array([mean[kept].mean() if kept.any() else np.nan for kept in with_pairs])
    label_max = np.array([largest[kept].max() if kept.any() else np.nan for kept in with_pairs])
    return InsideDistances(mean, largest, label_mean, label_max)


def _spread(points: FloatArray) -> tuple[float, float]:
    """Mean and largest distance of all pairs."""
    n = len(points)
    if n < 2:
        return np.nan, np.nan
    total, largest = 0.0, 0.0
    # Centring keeps the expanded squares of scikit-learn accurate; 64 MB of distances at a time.
    for block in pairwise_distances_chunked(points - points.mean(axis=0), working_memory=64):
        total += float(block.sum())
        largest = max(largest, float(block.max()))
    return total / (n * (n - 1)), largest
