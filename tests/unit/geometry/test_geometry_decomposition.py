import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import minimize
from scipy.spatial.distance import pdist, squareform
from sklearn.neighbors import NearestCentroid

from closerlook.geometry.decomposition import decompose_change, distances_over_scatter, label_scatter
from closerlook.geometry.validation import UndefinedMeasureError


def shares(result):
    return [result.translation, result.rotation, result.scale, result.rest]


def test_pure_changes_have_pure_shares(oracle, labelled, rotation):
    X, _ = labelled
    mean, R = X.mean(axis=0), rotation(6)
    oracle("change split: pure translation", shares(decompose_change(X, X + 2)), [1, 0, 0, 0])
    oracle("change split: pure rotation", shares(decompose_change(X, (X - mean) @ R + mean)), [0, 1, 0, 0])
    oracle("change split: pure scale", shares(decompose_change(X, (X - mean) * 3 + mean)), [0, 0, 1, 0])
    assert decompose_change(X, (X - mean) @ R * 0.25).scale_factor == pytest.approx(0.25)


def test_shares_follow_scipys_procrustes(oracle, rng):
    for _ in range(5):
        X, Y = rng.normal(size=(40, 5)) + 1, rng.normal(size=(40, 5)) * 2
        Y += X
        x, y = X - X.mean(axis=0), Y - Y.mean(axis=0)
        R, _ = orthogonal_procrustes(x, y)
        slope = np.sum((x @ R) * y) / np.sum(x * x)
        steps = [np.sum((Y - X) ** 2), np.sum((y - x) ** 2), np.sum((y - x @ R) ** 2), np.sum((y - slope * x @ R) ** 2)]
        found = decompose_change(X, Y)
        oracle("change split: scipy's Procrustes", shares(found), -np.diff([*steps, 0]) / steps[0])
        oracle("scale factor: regression slope", found.scale_factor, slope)
        oracle("mean squared change", found.total, steps[0] / 40)
        assert sum(shares(found)) == pytest.approx(1)


def test_rest_is_what_a_numerical_search_over_similarities_leaves(oracle, rng):
    x, y = rng.normal(size=(15, 2)), rng.normal(size=(15, 2))

    def left(p, flip):
        c, s = np.cos(p[0]), np.sin(p[0])
        turn = np.array([[c, s], [-s, c]]) @ np.diag([1, flip])
        return np.sum((p[1] * x @ turn + p[2:] - y) ** 2)

    starts = [(a, f) for a in np.linspace(0, 2 * np.pi, 7) for f in (1, -1)]
    best = min(minimize(left, [a, 1, 0, 0], args=(f,), tol=1e-14).fun for a, f in starts)
    found = decompose_change(x, y)
    oracle("change split, rest: numerical search", found.rest * found.total * 15, best, atol=1e-6)


def test_change_degenerate(labelled):
    X, _ = labelled
    with pytest.raises(UndefinedMeasureError, match="are equal"):
        decompose_change(X, X)
    with pytest.raises(UndefinedMeasureError, match="no rotation or scale"):
        decompose_change(np.ones_like(X), X)
    with pytest.raises(UndefinedMeasureError, match="6 and 2 features"):
        decompose_change(X, X[:, :2])
    with pytest.raises(UndefinedMeasureError, match="needs at least 2"):
        decompose_change(X[:1], X[:1] + 1)


def test_scatter_is_that_of_a_loop(oracle, labelled):
    X, y = labelled
    found = label_scatter(X, y)
    by_label = [np.sqrt(np.mean(np.sum((X[y == c] - X[y == c].mean(axis=0)) ** 2, axis=1))) for c in "abcde"]
    oracle("label scatter: loop", found.per_label, by_label)
    pairs = [pdist(X[y == c], "sqeuclidean").sum() / np.sum(y == c) for c in "abcde"]
    oracle("label scatter, pooled: pairwise distances", found.pooled, np.sqrt(sum(pairs) / len(X)))
    assert label_scatter(X[:1], y[:1]).pooled == 0


def test_distances_over_scatter_tell_apart_from_scaled_up(labelled):
    X, y = labelled
    D = squareform(pdist(NearestCentroid().fit(X, y).centroids_))
    for pairwise in (False, True):
        plain = distances_over_scatter(D, X, y, pairwise=pairwise)
        np.testing.assert_allclose(distances_over_scatter(7 * D, 7 * X, y, pairwise=pairwise), plain)
    np.testing.assert_allclose(plain[0, 1], D[0, 1] / np.sqrt(np.mean(label_scatter(X, y).per_label[:2] ** 2)))


def test_distances_over_scatter_degenerate(labelled):
    X, y = labelled
    one_each = [0, 60, 90, 105, 115]
    with pytest.raises(UndefinedMeasureError, match="single point"):
        distances_over_scatter(np.ones((5, 5)), X[one_each], y[one_each])
    with pytest.raises(UndefinedMeasureError, match="scatter is zero"):
        distances_over_scatter(np.ones((2, 2)), np.repeat([[1.0], [2.0]], 2, axis=0), list("aabb"))
    with pytest.raises(UndefinedMeasureError, match="1 label"):
        distances_over_scatter(np.ones((1, 1)), X[:9], y[:9])
    with pytest.raises(ValueError, match="D has 4 labels and y has 5"):
        distances_over_scatter(np.ones((4, 4)), X, y)
    mixed = distances_over_scatter(np.ones((3, 3)), [[0.0], [0], [5], [5], [7], [9]], list("aabbcc"), pairwise=True)
    assert np.isnan(mixed[0, 1])
    assert mixed[0, 2] == pytest.approx(np.sqrt(2))
