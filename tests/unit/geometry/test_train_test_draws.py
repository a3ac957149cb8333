from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from closerlook.geometry.centroids import label_centroids
from closerlook.geometry.similarity import align_label_distances, spatial_similarity
from closerlook.geometry.train_test_draws import train_test_similarity


def centroid_distances(X, y):
    return squareform(pdist(label_centroids(X, y).centroids))


def draw(rng, sizes, centres, noise=1.0):
    y = np.repeat([f"l{i}" for i in range(len(sizes))], sizes)
    return centres[np.repeat(np.arange(len(sizes)), sizes)] + noise * rng.normal(size=(len(y), centres.shape[1])), y


@pytest.fixture
def sets(rng):
    centres = rng.normal(size=(8, 4)) * 2
    train = draw(rng, [60, 50, 40, 30, 20, 11, 5, 1], centres)
    return centres, train, draw(rng, [20, 20, 10, 10, 9, 9, 3, 2], centres)


def test_draws_have_one_size_and_disjoint_halves(sets):
    _, (X, y), (X_test, y_test) = sets
    calls = []

    def spy(rows, labels):
        calls.append((rows, labels))
        return centroid_distances(rows, labels)

    result = train_test_similarity(X, y, X_test, y_test, spy, n_draws=3)
    drawn = calls
    # l7 has one training point, l5 only 11 // 2 = 5 a half: the test side is drawn anew each time
    sizes = {"l0": 20, "l1": 20, "l2": 10, "l3": 10, "l4": 9, "l5": 5, "l6": 2}
    assert len(drawn) == 9
    assert all(Counter(labels) == sizes for _, labels in drawn)
    assert (result.n_labels, result.n_points, result.n_draws) == (7, 76, 3)
    train_rows = {row.tobytes() for row in X}
    for first, second, test in zip(*[iter(rows for rows, _ in drawn)] * 3, strict=True):
        a, b = ({row.tobytes() for row in half} for half in (first, second))
        assert a <= train_rows
        assert b <= train_rows
        assert not a & b
        assert not train_rows & {row.tobytes() for row in test}


def test_no_shift_has_no_gap_though_the_whole_sets_are_little_alike(rng):
    centres = rng.normal(size=(12, 4)) * 0.5
    gaps, whole = [], []
    for _ in range(6):
        train, test = draw(rng, [40] * 12, centres, 2.0), draw(rng, [8] * 12, centres, 2.0)
        result = train_test_similarity(*train, *test, centroid_distances, random_state=rng)
        gaps.append(result.gap.value)
        of_both = [centroid_distances(*part) for part in (train, test)]
        whole.append(spatial_similarity(*of_both, n_permutations=0).value)
    assert np.mean(whole) < 0.6  # sampling alone
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(6) + 0.05


def test_a_shift_shows_as_a_gap(rng, sets):
    centres, (X, y), _ = sets
    other = draw(rng, [20] * 8, centres[rng.permutation(8)])
    result = train_test_similarity(X, y, *other, centroid_distances)
    assert result.ceiling.low > result.matched.high
    assert result.gap.low > 0
    assert result.gap.value == pytest.approx(result.ceiling.value - result.matched.value)


def test_align_over_the_union():
    A, B = np.array([[0, 1.0], [1, 0]]), np.array([[0, 2.0], [2, 0]])
    classes, first, second = align_label_distances(A, ["a", "c"], B, ["b", "c"])
    assert classes.tolist() == ["a", "b", "c"]
    assert first[0, 2] == 1
    assert np.isnan(first[1]).all()
    assert second[1, 2] == 2
    with pytest.raises(ValueError, match="one row per label"):
        align_label_distances(A, ["a"], B, ["b", "c"])


def test_degenerate_inputs(sets, rng):
    _, (X, y), (X_test, y_test) = sets
    few = np.isin(y_test, ["l0", "l1", "l7"])
    result = train_test_similarity(X, y, X_test[few], y_test[few], centroid_distances)
    assert np.isnan([result.matched.value, result.ceiling.value, result.gap.value]).all()
    assert "2 labels have 2 training points" in result.reason
    with pytest.raises(ValueError, match="expected one space"):
        train_test_similarity(X, y, X_test[:, :2], y_test, centroid_distances)
    X_nan = X.copy()
    X_nan[3, 0] = np.nan
    with pytest.raises(ValueError, match=r"X_train holds NaN or infinite values \(first in row 3\)"):
        train_test_similarity(X_nan, y, X_test, y_test, centroid_distances)


def test_ends_stay_in_the_range_of_a_correlation(rng):
    train, test = (draw(rng, [8] * 3, rng.normal(size=(3, 4)), 3.0) for _ in range(2))
    result = train_test_similarity(*train, *test, centroid_distances, n_draws=3)
    assert -1 <= result.matched.low <= result.matched.value <= result.matched.high <= 1
    assert -2 <= result.gap.low <= result.gap.high <= 2
