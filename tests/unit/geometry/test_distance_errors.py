import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import confusion_matrix

from closerlook.geometry.distance_errors import (
    closest_pairs_error_share,
    distance_error_correlation,
    expected_confusion,
)
from closerlook.geometry.validation import UndefinedMeasureError


@pytest.fixture
def answers(rng):
    y = rng.choice(list("abcdef"), 500, p=[0.4, 0.2, 0.15, 0.1, 0.1, 0.05])
    return y, np.where(rng.random(500) < 0.3, rng.choice(list("abcdef"), 500), y)


def distances(rng, n=6):
    D = rng.uniform(1, 5, size=(n, n))
    return np.triu(D, 1) + np.triu(D, 1).T


def test_expected_confusion_is_the_mean_of_random_errors(rng, answers):
    counts = confusion_matrix(*answers)
    sizes, wrong = counts.sum(axis=1), counts.sum(axis=1) - np.diag(counts)
    drawn = np.zeros((6, 6))
    for i in range(6):
        p = np.where(np.arange(6) == i, 0, sizes) / (500 - sizes[i])
        drawn[i] = rng.multinomial(wrong[i], p, size=4000).mean(axis=0)
    np.testing.assert_allclose(expected_confusion(counts), drawn, atol=0.25)


def test_correlation_is_spearman_of_rates(oracle, rng, answers):
    D, counts = distances(rng), confusion_matrix(*answers)
    sizes = counts.sum(axis=1)
    rate = (counts + counts.T) / (sizes[:, None] + sizes[None, :])
    upper = np.triu_indices(6, 1)
    found = distance_error_correlation(D, counts)
    oracle("distance-error correlation: scipy", found.value, spearmanr(D[upper], rate[upper]).statistic)
    assert found.n_pairs == 15


def test_errors_on_close_pairs_are_found(rng):
    points = rng.normal(size=(14, 2))
    D = np.linalg.norm(points[:, None] - points[None], axis=2)
    counts = rng.poisson(40 * np.exp(-2 * D))
    np.fill_diagonal(counts, 200)
    found = distance_error_correlation(D, counts)
    assert found.value < -0.5
    assert found.p_value < 0.01
    assert found.high < 0
    share = closest_pairs_error_share(D, counts)
    assert share.value > 0.6 > share.control


def test_share_by_hand(oracle):
    D = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0.0]])
    counts = np.array([[10, 4, 1], [2, 10, 0], [0, 3, 10]])
    found = closest_pairs_error_share(D, counts)
    oracle("error share: by hand", found.value, 6 / 10)
    # errors 5, 2, 3 of sizes 15, 12, 13; on the pair (0, 1): 5 * 12 / 25 + 2 * 15 / 28
    oracle("error share, control: by hand", found.control, (5 * 12 / 25 + 2 * 15 / 28) / 10)
    tied = closest_pairs_error_share(np.ones((3, 3)), counts)
    oracle("error share, ties: by hand", tied.value, 1 / 3)


def test_missing_distances_are_counted_apart():
    D = np.array([[0, 1, np.nan], [1, 0, 3], [np.nan, 3, 0.0]])
    counts = np.array([[10, 4, 1], [2, 10, 0], [0, 3, 10]])
    found = closest_pairs_error_share(D, counts)
    assert (found.n_pairs, found.n_errors) == (2, 9)


def test_degenerate(rng):
    D = distances(rng)
    perfect = np.diag([5, 5, 5, 5, 5, 5])
    with pytest.raises(UndefinedMeasureError, match="no error"):
        closest_pairs_error_share(D, perfect)
    assert "same distance" in distance_error_correlation(D, perfect).reason
    with pytest.raises(ValueError, match="expected the same"):
        closest_pairs_error_share(D[:5, :5], perfect)
