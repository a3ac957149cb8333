import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, rankdata, spearmanr
from scipy.stats import t as student_t

from closerlook.geometry.dissimilarity import rsa
from closerlook.geometry.paired_sums import random_groups
from closerlook.geometry.validation import UndefinedMeasureError


@pytest.fixture
def spaces(rng):
    X = rng.normal(size=(40, 5))
    return X, np.hstack([X, np.zeros((40, 2))]) + rng.normal(size=(40, 7))


def test_it_is_scipys(oracle, spaces):
    X, Y = spaces
    found = rsa(X, Y)
    oracle("RSA: scipy", found.value, spearmanr(pdist(X, "correlation"), pdist(Y, "correlation")).statistic)
    assert found.n_points == 40
    assert found.low < found.value < found.high


def test_interval_is_a_brute_force_jackknife_of_the_ranks(oracle, spaces):
    X, Y = spaces
    found = rsa(X, Y, n_groups=6, random_state=1)
    stream = np.random.default_rng(1)
    stream.permutation(40)  # the control draws first
    ranks = [np.zeros((40, 40)) for _ in range(2)]
    upper = np.triu_indices(40, 1)
    for matrix, space in zip(ranks, (X, Y), strict=True):
        matrix[upper] = rankdata(pdist(space, "correlation"))
    left = []
    for rows in random_groups(40, 6, stream):
        kept = np.setdiff1d(np.arange(40), rows)
        inside = np.triu_indices(len(kept), 1)
        left.append(pearsonr(*(matrix[np.ix_(kept, kept)][inside] for matrix in ranks)).statistic)
    half = student_t.ppf(0.975, 5) * np.sqrt(5 / 6 * np.sum((np.array(left) - np.mean(left)) ** 2))
    oracle("RSA interval: jackknife in a loop", [found.low, found.high], [found.value - half, found.value + half])


def test_subsample_is_bounded_and_close(rng):
    X = rng.normal(size=(600, 5))
    Y = X + 0.5 * rng.normal(size=(600, 5))
    part, whole = rsa(X, Y, max_points=200), rsa(X, Y)
    assert part.n_points == 200
    assert abs(part.value - whole.value) < 0.05
    assert abs(part.control) < 0.1 < part.value
    assert rsa(X, Y, max_points=200) == part


def test_a_common_shift_changes_it_by_its_definition_unless_centred(spaces):
    X, Y = spaces
    shifted = Y + np.array([1e5, 0, 0, 0, 0, 0, 0])
    assert abs(rsa(X, shifted).value - rsa(X, Y).value) > 0.2 * rsa(X, Y).value
    plain, moved = (rsa(X - X.mean(axis=0), Z - Z.mean(axis=0)).value for Z in (Y, shifted))
    assert moved == pytest.approx(plain, abs=1e-6)


def test_degenerate(rng):
    X = rng.normal(size=(10, 3))
    with pytest.raises(UndefinedMeasureError, match="constant over its features"):
        rsa(X, np.full((10, 3), 1 / 3))
    with pytest.raises(UndefinedMeasureError, match="all dissimilarities"):
        rsa(X, np.tile([1.0, 2, 3], (10, 1)))
    with pytest.raises(UndefinedMeasureError, match="at least 3"):
        rsa(X[:2], X[:2])
