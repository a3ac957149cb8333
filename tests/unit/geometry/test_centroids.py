import numpy as np
import pandas as pd
import pytest

from closerlook.geometry.centroids import direction_spread, label_centroids, own_displacement
from closerlook.geometry.validation import UndefinedMeasureError


def test_centroids_are_those_of_pandas(oracle, labelled):
    X, y = labelled
    found = label_centroids(X, y)
    expected = pd.DataFrame(X).groupby(y).mean()
    oracle("label centroids: pandas", found.centroids, expected.to_numpy())
    assert found.classes.tolist() == expected.index.tolist()


def test_half_precision_is_summed_in_double(rng):
    X = (rng.normal(size=(5000, 3)) + 100).astype(np.float16)
    centroid = label_centroids(X, np.zeros(5000, dtype=int)).centroids[0]
    np.testing.assert_allclose(centroid, X.astype(np.float64).mean(axis=0), rtol=1e-12)


def test_own_displacement_of_known_moves(oracle, labelled):
    X, y = labelled
    moves = np.eye(6)[:5] * np.arange(1, 6)[:, None]
    codes = np.unique(y, return_inverse=True)[1]
    expected = np.linalg.norm(moves - moves.mean(axis=0), axis=1)
    oracle("displacement, own", own_displacement(X, X + moves[codes], codes, 5), expected)
    common = X + np.array([3, 4, 0, 0, 0, 0])
    oracle("displacement, own: a common shift is none", own_displacement(X, common, codes, 5), np.zeros(5))


def test_centroids_refuse(labelled):
    X, y = labelled
    with pytest.raises(ValueError, match="one label per row"):
        label_centroids(X, y[:-1])
    with pytest.raises(ValueError, match="missing labels"):
        label_centroids(X, np.where(y == "a", None, y))


@pytest.mark.parametrize("k", [2, 3, 7])
def test_orthogonal_directions_have_the_closed_form(oracle, k):
    found = direction_spread(np.eye(9)[:k] * 2.5)
    oracle("direction spread: 1 - 1/sqrt(k)", found.spread, 1 - 1 / np.sqrt(k))
    oracle("number of directions", found.n_directions, k)


def test_spread_follows_from_the_mean_cosine_over_pairs(oracle, rng):
    v = rng.normal(size=(7, 4))
    unit = v / np.linalg.norm(v, axis=1, keepdims=True)
    found = direction_spread(np.vstack([v, np.zeros(4)]))
    mean_cosine = (unit @ unit.T)[np.triu_indices(7, 1)].mean()
    oracle("direction spread: cosines over pairs", found.spread, 1 - np.sqrt((1 + 6 * mean_cosine) / 7))
    assert found.n_moved == 7
    same = direction_spread(np.outer([1, 2, 3], [1.0, 2]))
    assert (same.spread, same.n_directions) == pytest.approx((0, 1))
    with pytest.raises(UndefinedMeasureError, match="1 labels moved"):
        direction_spread(np.array([[0.0, 0], [1, 0]]))
