import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import confusion_matrix

from closerlook.geometry.errors import (
    closest_pairs_error_share,
    confusion_counts,
    distance_error_correlation,
    expected_confusion,
    pair_errors,
)
from closerlook.geometry.validation import UndefinedMeasureError


@pytest.fixture
def answers(rng):
    y = rng.choice(list("abcdef"), 500, p=[0.4, 0.2, 0.15, 0.1, 0.1, 0.05])
    return y, np.where(rng.random(500) < 0.3, rng.choice(list("abcdef"), 500), y)


def distances(rng, n=6):
    D = rng.uniform(1, 5, size=(n, n))
    return np.triu(D, 1) + np.triu(D, 1).T


def test_counts_are_sklearns(oracle, answers):
    oracle("confusion counts: sklearn", confusion_counts(*answers, list("abcdef")), confusion_matrix(*answers))


def test_table_is_that_of_pandas(oracle, rng, answers):
    before, after = distances(rng), distances(rng)
    before[0, 2] = before[2, 0] = np.nan
    table = pair_errors(before, after, *answers, list("abcdef"))
    frame = pd.crosstab(*answers)
    assert len(table.label_a) == 15
    for k, (a, b) in enumerate(zip(table.label_a, table.label_b, strict=True)):
        i, j = "abcdef".index(a), "abcdef".index(b)
        assert i < j
        counts = [frame.loc[a, b], frame.loc[b, a], frame.loc[a, b] + frame.loc[b, a]]
        oracle("pair errors: pandas crosstab", [table.a_as_b[k], table.b_as_a[k], table.errors[k]], counts)
        assert table.n_examples[k] == (answers[0] == a).sum() + (answers[0] == b).sum()
        assert table.error_rate[k] == table.errors[k] / table.n_examples[k]
        np.testing.assert_equal(table.change[k], after[i, j] - before[i, j])
    assert table.errors.sum() == (answers[0] != answers[1]).sum()
    assert table.expected.sum() == pytest.approx(table.errors.sum())


def test_expected_confusion_is_the_mean_of_random_errors(rng, answers):
    counts = confusion_counts(*answers, list("abcdef"))
    sizes, wrong = counts.sum(axis=1), counts.sum(axis=1) - np.diag(counts)
    drawn = np.zeros((6, 6))
    for i in range(6):
        p = np.where(np.arange(6) == i, 0, sizes) / (500 - sizes[i])
        drawn[i] = rng.multinomial(wrong[i], p, size=4000).mean(axis=0)
    np.testing.assert_allclose(expected_confusion(counts), drawn, atol=0.25)


def test_correlation_is_spearman_of_rates(oracle, rng, answers):
    D, counts = distances(rng), confusion_counts(*answers, list("abcdef"))
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
    half = closest_pairs_error_share(D, counts, fraction=0.5)
    oracle("error share, half a pair: by hand", half.value, (6 + 0.5 * 1) / 10)
    tied = closest_pairs_error_share(np.ones((3, 3)), counts)
    oracle("error share, ties: by hand", tied.value, 1 / 3)


def test_missing_distances_are_counted_apart():
    D = np.array([[0, 1, np.nan], [1, 0, 3], [np.nan, 3, 0.0]])
    counts = np.array([[10, 4, 1], [2, 10, 0], [0, 3, 10]])
    found = closest_pairs_error_share(D, counts)
    assert (found.n_pairs, found.n_errors, found.n_unplaced) == (2, 9, 1)


def test_degenerate(rng, answers):
    D = distances(rng)
    perfect = np.diag([5, 5, 5, 5, 5, 5])
    with pytest.raises(UndefinedMeasureError, match="no error"):
        closest_pairs_error_share(D, perfect)
    assert "same distance" in distance_error_correlation(D, perfect).reason
    with pytest.raises(ValueError, match=r"\['f'\] are not among the 5 classes"):
        confusion_counts(*answers, list("abcde"))
    with pytest.raises(ValueError, match="must be sorted"):
        confusion_counts(*answers, list("fabcde"))
    with pytest.raises(ValueError, match="one row per class"):
        pair_errors(D[:5, :5], D, *answers, list("abcdef"))
    with pytest.raises(ValueError, match="fraction is 0"):
        closest_pairs_error_share(D, perfect, fraction=0)
    with pytest.raises(ValueError, match="one length"):
        confusion_counts(answers[0], answers[1][:4], list("abcdef"))
