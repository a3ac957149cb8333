"""Two-dimensional pictures of centroids: joint PCA of paths (E4), arrows of displacement (E7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.validation import FloatArray, check_space


@dataclass(frozen=True)
class Picture:
    """Points of a plane.

    Attributes:
        coordinates: (..., 2) in the unit of the space; the largest entry of each axis is positive.
        explained: (2,) share of the summed squares that each axis holds.
    """

    coordinates: FloatArray
    explained: FloatArray


def joint_pca(paths: ArrayLike) -> Picture:
    """Project the paths of centroids on the principal plane of all of them together.

    Args:
        paths: (n_snapshots, n_classes, n_features), at least 2 snapshots.

    Returns:
        (n_snapshots, n_classes, 2) coordinates, and the share of the variance of all centroids at all snapshots.

    Raises:
        ValueError: if paths is not three-dimensional and finite.

    Source:
        Zhou & Srikumar 2022 (2106.14282), E4. Trap: read distances only beside the explained share.
    """
    array = np.asarray(paths, dtype=np.float64)
    if array.ndim != 3 or len(array) < 2 or array.size == 0:
        raise ValueError(f"paths has shape {array.shape}, expected (n_snapshots >= 2, n_classes, n_features)")
    if not np.isfinite(array).all():
        raise ValueError("paths holds NaN or infinite values, expected a centroid per label and snapshot")
    flat = array.reshape(-1, array.shape[2])
    picture = _principal_plane(flat - flat.mean(axis=0))
    return Picture(picture.coordinates.reshape(*array.shape[:2], 2), picture.explained)


def displacement_pca(vectors: ArrayLike) -> Picture:
    """Project displacement vectors on their two main directions, without centring.

    Args:
        vectors: (n_classes, n_features), centroid after - centroid before.

    Returns:
        (n_classes, 2) arrow heads; the origin stands for "did not move".

    Raises:
        ValueError: if vectors is not a finite matrix.

    Source:
        Zhou & Srikumar 2022 (2106.14282), E7. Deviation: the paper says PCA without saying whether it centres; centring
        would take the shift shared by all labels away and move the arrows' origin, so this does not.
    """
    return _principal_plane(check_space(vectors, "vectors"))


def _principal_plane(rows: FloatArray) -> Picture:
    """Coordinates on the two axes that hold most of the squares; axes beyond the rank of the data carry 0."""
    _, singular, axes = np.linalg.svd(rows, full_matrices=False)
    axes, singular = axes[:2], singular[:2]
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    missing = 2 - len(axes)
    coordinates = np.pad(rows @ (axes * np.sign(largest)[:, None]).T, ((0, 0), (0, missing)))
    total = float(np.sum(rows**2))
    share = singular**2 / total if total > 0 else np.zeros(len(singular))
    return Picture(coordinates, np.pad(share, (0, missing)))
