import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import minimize

from closerlook.geometry.decomposition import change_shares
from closerlook.geometry.paired_sums import PairedSums
from closerlook.geometry.validation import UndefinedMeasureError, centre


def decompose_change(X, Y):
    return change_shares(PairedSums.of(centre(X), centre(Y)), Y.mean(axis=0) - X.mean(axis=0))


def shares(result):
    return list(result[:4])


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
        first = np.sum(x * y) / np.sum(x * x)
        taken_first = (steps[1] - np.sum((y - first * x) ** 2)) / steps[0]
        oracle("share of scale, taken first: regression", found.scale_share_taken_first, taken_first)
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
    oracle("change split, rest: numerical search", found.rest_share * np.sum((y - x) ** 2), best, atol=1e-6)


def test_change_degenerate(labelled):
    X, _ = labelled
    with pytest.raises(UndefinedMeasureError, match="are equal"):
        decompose_change(X, X)
    with pytest.raises(UndefinedMeasureError, match="no rotation or scale"):
        decompose_change(np.ones_like(X), X)
