"""Two-dimensional pictures of centroids: joint PCA of paths (E4), arrows of displacement (E7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from closerlook.geometry.centroids import _checked_paths
from closerlook.geometry.validation import FloatArray, check_space


@dataclass(frozen=True)
class CentroidPaths:
    """Paths of centroids in one plane fitted to all snapshots together.

    Attributes:
        coordinates: (n_snapshots, n_classes, n_components), in the unit of the space.
        explained_variance_ratio: (n_components,) share of the variance of all centroids at all snapshots.
        components: (n_components, n_features) orthonormal axes; the largest entry of each is positive.
        mean: (n_features,) the origin of the plane.
    """

    coordinates: FloatArray
    explained_variance_ratio: FloatArray
    components: FloatArray
    mean: FloatArray


@dataclass(frozen=True)
class DisplacementPlane:
    """Displacement vectors as arrows from the origin.

    Attributes:
        coordinates: (n_classes, n_components) arrow heads, in the unit of the space.
        explained_ratio: (n_components,) share of the summed squared lengths.
        components: (n_components, n_features) orthonormal axes; the largest entry of each is positive.
    """

    coordinates: FloatArray
    explained_ratio: FloatArray
    components: FloatArray


def joint_pca(paths: ArrayLike, n_components: int = 2) -> CentroidPaths:
    """Project the paths of centroids on the principal plane of all of them together.

    Args:
        paths: (n_snapshots, n_classes, n_features), at least 2 snapshots.
        n_components: axes, at most n_features; axes beyond the rank of the data carry 0.

    Returns:
        The coordinates and what they explain.

    Raises:
        ValueError: if paths is not three-dimensional and finite, or n_components is out of range.

    Source:
        Zhou & Srikumar 2022 (2106.14282), E4. Trap: read distances only beside the explained share.
    """
    array = _checked_paths(paths)
    flat = array.reshape(-1, array.shape[2])
    mean = flat.mean(axis=0)
    components, share = _principal_axes(flat - mean, n_components)
    return CentroidPaths((array - mean) @ components.T, share, components, mean)


def displacement_pca(vectors: ArrayLike, n_components: int = 2) -> DisplacementPlane:
    """Project displacement vectors on their two main directions, without centring.

    Args:
        vectors: (n_classes, n_features), centroid after - centroid before.
        n_components: axes, at most n_features.

    Returns:
        Arrow heads; the origin stands for "did not move".

    Raises:
        ValueError: if vectors is not a finite matrix, or n_components is out of range.

    Source:
        Zhou & Srikumar 2022 (2106.14282), E7. Deviation: the paper says PCA without saying whether it centres; centring
        would take the shift shared by all labels away and move the arrows' origin, so this does not.
    """
    moved = check_space(vectors, "vectors")
    components, share = _principal_axes(moved, n_components)
    return DisplacementPlane(moved @ components.T, share, components)


def _principal_axes(rows: FloatArray, n_components: int) -> tuple[FloatArray, FloatArray]:
    """Return orthonormal axes with a deterministic sign, and their share of the squared sum."""
    if not 1 <= n_components <= rows.shape[1]:
        raise ValueError(f"n_components is {n_components}, expected 1 to the {rows.shape[1]} features")
    if len(rows) < n_components:
        rows = np.vstack([rows, np.zeros((n_components - len(rows), rows.shape[1]))])
    _, singular, axes = np.linalg.svd(rows, full_matrices=False)
    axes = axes[:n_components]
    largest = axes[np.arange(n_components), np.abs(axes).argmax(axis=1)]
    total = float(np.sum(singular**2))
    share = singular[:n_components] ** 2 / total if total > 0 else np.zeros(n_components)
    return axes * np.sign(largest)[:, None], share
