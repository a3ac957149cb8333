"""Planes of spaces: equal to scikit-learn's PCA, sums that add up, turns that keep every distance."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from closerlook.geometry import planes
from closerlook.geometry.planes import principal_plane, scatter_of


@pytest.fixture
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(300, 8)) * np.arange(8, 0, -1) + 50).astype(np.float32)


def test_the_plane_is_that_of_pca_whatever_the_blocks(X, monkeypatch):
    monkeypatch.setattr(planes, "_BLOCK", 64)
    plane = principal_plane(scatter_of(X))
    pca = PCA(2, svd_solver="full").fit(X.astype(float))
    np.testing.assert_allclose(np.abs(plane.axes), np.abs(pca.components_), atol=1e-6)
    np.testing.assert_allclose(plane.shares, pca.explained_variance_ratio_, rtol=1e-6)
    np.testing.assert_allclose(np.abs(plane.coordinates(X)), np.abs(pca.transform(X.astype(float))), atol=1e-4)


def test_scatters_of_parts_add_up_to_that_of_all(X):
    whole, parts = scatter_of(X), scatter_of(X[:100]) + (scatter_of(X[100:101]) + scatter_of(X[101:]))
    assert parts.n == whole.n
    np.testing.assert_allclose(parts.mean, whole.mean)
    np.testing.assert_allclose(parts.squares, whole.squares, atol=1e-6 * whole.total)


def test_a_turned_plane_undoes_a_rotation_and_a_mirror_and_keeps_distances(X):
    plane = principal_plane(scatter_of(X))
    picture = plane.coordinates(X)
    angle = 1.0
    other = picture @ np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]])
    turned = plane.turned(picture, other)
    np.testing.assert_allclose(turned.coordinates(X), other, atol=1e-8)
    np.testing.assert_allclose(turned.axes @ turned.axes.T, np.eye(2), atol=1e-12)


def test_points_in_one_place_or_on_one_axis_are_no_error():
    same = principal_plane(scatter_of(np.ones((5, 3))))
    assert same.shares.tolist() == [0, 0]
    assert not same.coordinates(np.ones((5, 3))).any()
    line = principal_plane(scatter_of(np.arange(4.0)[:, None]))
    assert line.shares.tolist() == [1, 0]
    assert line.coordinates(np.arange(4.0)[:, None]).tolist() == [[-1.5, 0], [-0.5, 0], [0.5, 0], [1.5, 0]]
