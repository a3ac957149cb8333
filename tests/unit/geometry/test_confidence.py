import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp
from scipy.stats import t as student_t

from closerlook.geometry.confidence import (
    jackknife_interval,
    mean_interval,
    newcombe_interval,
    percentile_interval,
    prediction_interval,
    shared_minimum_groups,
    wilson_interval,
)


def test_few_values_that_stand_alone_have_students_t(oracle, rng):
    values = rng.normal(size=7)
    found = mean_interval([*values, np.nan])
    expected = ttest_1samp(values, 0).confidence_interval()
    oracle("mean interval: scipy's t", found[:2], [expected.low, expected.high])
    assert found.n_independent == 7


def test_a_value_told_twice_counts_once(oracle, rng):
    """All groups of one size are as if each stood once."""
    values = rng.normal(size=12)
    single, twice = mean_interval(values), mean_interval(np.repeat(values, 2), np.repeat(np.arange(12), 2))
    oracle("mean interval: groups of two", twice, single)
    assert mean_interval(np.repeat(values, 2)).high - mean_interval(np.repeat(values, 2)).low < twice.high - twice.low


def test_standard_error_is_unbiased_where_groups_share_their_value(rng):
    """Groups of 1, 2 and 3 members that share a value of variance 1: the mean's variance is known."""
    groups = np.repeat(np.arange(6), [1, 1, 2, 2, 3, 3])
    squared = []
    for _ in range(3000):
        found = mean_interval(rng.normal(size=6)[groups], groups)
        squared.append((found.high - found.low) ** 2)
    quantile = student_t.ppf(0.975, 144 / 28 - 1)
    assert np.mean(squared) / (2 * quantile) ** 2 == pytest.approx(28 / 144, rel=0.08)


def test_many_groups_bootstrap_the_studentised_mean(rng):
    values = rng.lognormal(size=30)
    low, high, n = mean_interval(values)
    assert n == 30
    assert high - values.mean() > 1.2 * (values.mean() - low)  # skewed as the values are
    assert mean_interval(values) == (low, high, n)


def test_degenerate_means():
    assert np.isnan(mean_interval([1.0])[:2]).all()
    assert mean_interval([]).n_independent == 0
    assert np.isnan(mean_interval([1.0, 2.0], [0, 0])[:2]).all()
    assert mean_interval([3.0] * 15)[:2] == (3, 3)


def test_labels_that_are_each_others_nearest_are_one_group():
    D = np.array([[0, 1, 5, 5], [1, 0, 5, 5], [5, 5, 0, 9], [5, 5, 9, 0.0]])
    assert shared_minimum_groups(D).tolist() == [0, 0, 1, 2]  # 2 is nearest to 0, which is nearer to 1
    assert shared_minimum_groups(np.ones((3, 3))).tolist() == [0, 0, 0]
    E = np.full((4, 4), 9.0)
    E[1, 2] = E[2, 1] = 1
    E[3, :], E[:, 3] = np.nan, np.nan
    groups = shared_minimum_groups(D, E).tolist()
    assert groups[0] == groups[1] == groups[2] != groups[3]
    assert len(set(shared_minimum_groups(np.full((3, 3), np.nan)).tolist())) == 3


def test_jackknife_of_a_mean_is_students_t(oracle, rng):
    values = rng.normal(size=9)
    left = [np.delete(values, i).mean() for i in range(9)]
    expected = ttest_1samp(values, 0).confidence_interval()
    oracle("jackknife: scipy's t", jackknife_interval(values.mean(), left), [expected.low, expected.high])
    assert np.isnan(jackknife_interval(1.0, [1.0, 1.1])).all()
    assert np.isnan(jackknife_interval(1.0, [1.0, np.nan, 1.1])).all()


def test_fishers_z_keeps_the_ends_in_range():
    low, high = jackknife_interval(0.98, [0.9, 0.99, 0.97, 0.995], fisher=True)
    assert -1 < low < 0.98 < high < 1
    assert jackknife_interval(1.0, [1.0] * 5, fisher=True) == pytest.approx((1, 1))


def test_proportions_are_those_of_scipy_and_of_the_source(oracle):
    for right, total in ((0, 7), (3, 7), (7, 7), (212, 457)):
        expected = binomtest(right, total).proportion_ci(method="wilson")
        oracle("Wilson: scipy", wilson_interval(right, total), [expected.low, expected.high])
    oracle("Newcombe: the example of his paper", newcombe_interval(56, 70, 48, 80), [0.0524, 0.3339], atol=5e-5)
    with pytest.raises(ValueError, match="got 8 successes of 7"):
        wilson_interval(8, 7)


def test_percentiles_of_draws():
    assert percentile_interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))
    assert np.isnan(percentile_interval([1.0, np.nan, np.nan])).all()
    assert np.isnan(prediction_interval([1.0])).all()
