import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from closerlook.geometry import neighbours
from closerlook.geometry.neighbours import nearest_neighbours, sample_rows, shared_neighbours
from closerlook.geometry.validation import UndefinedMeasureError


def knn_overlap(X, Y, k, rows=None):
    rows = np.arange(len(X)) if rows is None else rows
    return shared_neighbours(nearest_neighbours(X, k, rows), nearest_neighbours(Y, k, rows))


def label_overlap(X, y, k=10):
    rows, codes = np.arange(len(X)), np.unique(y, return_inverse=True)[1]
    return neighbours.label_overlap(nearest_neighbours(X, k, rows), rows, codes)


def neighbours_by_sorting(X, k):
    D = cdist(X, X)
    np.fill_diagonal(D, np.inf)
    return np.argsort(D, axis=1)[:, :k]


def test_overlap_is_that_of_sets(oracle, rng):
    X = rng.normal(size=(60, 4))
    Y = X + rng.normal(size=(60, 4))
    a, b = neighbours_by_sorting(X, 7), neighbours_by_sorting(Y, 7)
    expected = [len(set(p) & set(q)) / 7 for p, q in zip(a, b, strict=True)]
    oracle("kNN overlap: sets of sorted distances", knn_overlap(X, Y, 7), expected)


def test_chance_of_unrelated_spaces(rng):
    found = knn_overlap(rng.normal(size=(800, 5)), rng.normal(size=(800, 5)), k=20)
    assert abs(found.mean() - 20 / 799) < 4 * found.std() / np.sqrt(800)


def test_label_overlap_is_that_of_a_loop(oracle, labelled):
    X, y = labelled
    near, sizes = neighbours_by_sorting(X, 8), {c: np.sum(y == c) for c in "abcde"}
    expected = [np.mean(y[near[i, : min(8, sizes[y[i]] - 1)]] == y[i]) for i in range(120)]
    found = label_overlap(X, y, k=8)
    oracle("label overlap: loop", found.shares, expected)
    oracle("label overlap, chance: mean over points", found.chance, np.mean([(sizes[c] - 1) / 119 for c in y]))


def test_rare_labels_can_reach_one_and_singletons_are_left_out():
    X = np.array([[0.0], [0.1], [5], [5.1], [5.2], [5.3], [100]])
    found = label_overlap(X, list("aabbbbc"), k=3)
    assert found.shares.tolist() == [1] * 6


def test_shuffled_labels_give_chance(rng):
    X, y = rng.normal(size=(900, 4)), rng.choice(3, 900, p=[0.6, 0.3, 0.1])
    found = label_overlap(X, y)
    assert abs(found.shares.mean() - found.chance) < 0.03


def test_queries_are_sampled_but_the_reference_is_not(rng):
    X, Y = rng.normal(size=(500, 4)), rng.normal(size=(500, 4))
    rows = sample_rows(500, 50, 4)
    assert len(set(rows.tolist())) == 50
    np.testing.assert_array_equal(knn_overlap(X, Y, 10, rows), knn_overlap(X, Y, 10)[rows])


def test_duplicates_never_return_the_point_itself():
    X = np.zeros((8, 2))
    found = nearest_neighbours(X, 3, np.arange(8))
    assert not (found == np.arange(8)[:, None]).any()
    assert all(len(set(row)) == 3 for row in found.tolist())
    assert len(label_overlap(X, [0, 0, 0, 0, 1, 1, 1, 1], k=3).shares) == 8


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_invariance_to_rotation_shift_and_scale(seed, factor):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(30, 3)), rng.choice(2, 30)
    moved = factor * X @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + 4
    assert (knn_overlap(X, moved, k=5) == 1).all()
    np.testing.assert_allclose(label_overlap(X, y, k=5).shares, label_overlap(moved, y, k=5).shares)


def test_degenerate(rng):
    with pytest.raises(UndefinedMeasureError, match="no query point has another"):
        label_overlap(rng.normal(size=(4, 2)), np.arange(4), k=2)
