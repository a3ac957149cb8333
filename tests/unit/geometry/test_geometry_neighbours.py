import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from closerlook.geometry.neighbours import knn_overlap, label_overlap, nearest_neighbours, sample_rows
from closerlook.geometry.validation import UndefinedMeasureError


def neighbours_by_sorting(X, k, metric="euclidean"):
    D = cdist(X, X, metric)
    np.fill_diagonal(D, np.inf)
    return np.argsort(D, axis=1)[:, :k]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_overlap_is_that_of_sets(oracle, rng, metric):
    X = rng.normal(size=(60, 4))
    Y = X + rng.normal(size=(60, 4))
    a, b = neighbours_by_sorting(X, 7, metric), neighbours_by_sorting(Y, 7, metric)
    expected = [len(set(p) & set(q)) / 7 for p, q in zip(a, b, strict=True)]
    found = knn_overlap(X, Y, k=7, metric=metric)
    oracle("kNN overlap: sets of sorted distances", found.per_point, expected)
    assert found.value == pytest.approx(np.mean(expected))
    assert found.low < found.value < found.high


def test_chance_of_unrelated_spaces(rng):
    found = knn_overlap(rng.normal(size=(800, 5)), rng.normal(size=(800, 5)), k=20)
    assert found.chance == pytest.approx(20 / 799)
    assert abs(found.value - found.chance) < 4 * found.per_point.std() / np.sqrt(800)


def test_label_overlap_is_that_of_a_loop(oracle, labelled):
    X, y = labelled
    near, sizes = neighbours_by_sorting(X, 8), {c: np.sum(y == c) for c in "abcde"}
    expected = [np.mean(y[near[i, : min(8, sizes[y[i]] - 1)]] == y[i]) for i in range(120)]
    found = label_overlap(X, y, k=8)
    oracle("label overlap: loop", found.per_point, expected)
    oracle("label overlap, chance: mean over points", found.chance, np.mean([(sizes[c] - 1) / 119 for c in y]))


def test_rare_labels_can_reach_one_and_singletons_are_left_out():
    X = np.array([[0.0], [0.1], [5], [5.1], [5.2], [5.3], [100]])
    found = label_overlap(X, list("aabbbbc"), k=3)
    assert found.value == 1
    assert found.n_points == 6


def test_shuffled_labels_give_chance(rng):
    X, y = rng.normal(size=(900, 4)), rng.choice(3, 900, p=[0.6, 0.3, 0.1])
    found = label_overlap(X, y)
    assert abs(found.value - found.chance) < 0.03


def test_queries_are_sampled_but_the_reference_is_not(rng):
    X, Y = rng.normal(size=(500, 4)), rng.normal(size=(500, 4))
    part, whole = knn_overlap(X, Y, max_points=50, random_state=4), knn_overlap(X, Y)
    rows = sample_rows(500, 50, 4)
    assert part.n_points == 50
    np.testing.assert_array_equal(part.per_point, whole.per_point[rows])


def test_duplicates_never_return_the_point_itself():
    X = np.zeros((8, 2))
    found = nearest_neighbours(X, 3, np.arange(8))
    assert not (found == np.arange(8)[:, None]).any()
    assert all(len(set(row)) == 3 for row in found.tolist())
    assert label_overlap(X, [0, 0, 0, 0, 1, 1, 1, 1], k=3).n_points == 8


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_invariance_to_rotation_shift_and_scale(seed, factor):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(30, 3)), rng.choice(2, 30)
    moved = factor * X @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + 4
    assert knn_overlap(X, moved, k=5).value == 1
    assert label_overlap(X, y, k=5).value == pytest.approx(label_overlap(moved, y, k=5).value)


def test_degenerate(labelled):
    X, _ = labelled
    with pytest.raises(ValueError, match="k is 120, expected 1 to 119"):
        knn_overlap(X, X, k=120)
    with pytest.raises(UndefinedMeasureError, match="1 label"):
        label_overlap(X, np.zeros(120))
    with pytest.raises(UndefinedMeasureError, match="single point"):
        label_overlap(X, np.arange(120))
    with pytest.raises(ValueError, match="NaN"):
        knn_overlap(np.full((5, 2), np.inf), np.ones((5, 2)), k=1)
