import numpy as np
import pytest

from closerlook.geometry.intervals import (
    bootstrap_interval,
    jackknife_interval,
    newcombe_interval,
    wilson_interval,
)
from closerlook.geometry.memorisation import memorisation_curve, memorisation_gap, subtrain_subtest

# Newcombe 1998, Statistics in Medicine 17:873, table II, method 10
PUBLISHED = [
    ((56, 70, 48, 80), (0.0524, 0.3339)),
    ((9, 10, 3, 10), (0.1705, 0.8090)),
    ((6, 7, 2, 7), (0.0582, 0.8062)),
    ((5, 56, 0, 29), (-0.0381, 0.1926)),
    ((0, 10, 0, 20), (-0.1611, 0.2775)),
    ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ((10, 10, 0, 20), (0.6791, 1.0)),
    ((10, 10, 0, 10), (0.6075, 1.0)),
]


@pytest.mark.parametrize(("counts", "published"), PUBLISHED)
def test_interval_is_the_published_one(oracle, counts, published):
    oracle("Newcombe interval: published table (4 digits)", newcombe_interval(*counts), published, atol=5.1e-5)


def test_wilson_ends_solve_their_equation(oracle):
    """At each end the score test is exactly at its limit."""
    for k, n in ((3, 20), (0, 7), (7, 7), (50, 90)):
        for end in wilson_interval(k, n):
            if 0 < end < 1:
                oracle(
                    "Wilson interval: score equation",
                    abs(k / n - end) / np.sqrt(end * (1 - end) / n),
                    1.959963984540054,
                )
    with pytest.raises(ValueError, match="got 3 successes of 2"):
        wilson_interval(3, 2)


def test_jackknife_of_a_mean_is_the_t_interval(oracle, rng):
    from scipy.stats import t

    x = rng.normal(size=12)
    left = [(x.sum() - v) / 11 for v in x]
    expected = t.interval(0.95, 11, loc=x.mean(), scale=x.std(ddof=1) / np.sqrt(12))
    oracle("jackknife: t interval of a mean", jackknife_interval(x.mean(), left), expected)
    assert np.isnan(jackknife_interval(1.0, [1.0, 2.0])).all()
    assert np.isnan(jackknife_interval(1.0, [1.0, 2.0, np.nan])).all()


def test_bootstrap_of_a_mean_is_close_to_normal(rng):
    x = rng.normal(size=400)
    low, high = bootstrap_interval(x, n_bootstrap=4000)
    assert [low, high] == pytest.approx(x.mean() + np.array([-1.96, 1.96]) * x.std() / 20, abs=0.01)
    assert np.isnan(bootstrap_interval([1.0])).all()


def test_gap_by_hand():
    found = memorisation_gap(np.repeat([True, False], [56, 14]), np.repeat([True, False], [48, 32]))
    assert (found.subtest_accuracy, found.test_accuracy) == (0.8, 0.6)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_curve_measures_from_the_first_snapshot(rng):
    subtest = rng.random((3, 800)) < np.array([[0.7], [0.85], [0.99]])
    test = rng.random((3, 400)) < np.array([[0.6], [0.62], [0.65]])
    curve = memorisation_curve(subtest, test)
    assert [g.excess for g in curve] == pytest.approx([g.value - curve[0].value for g in curve])
    assert (curve[0].excess_low, curve[0].excess_high) == (0, 0)
    assert curve[2].excess_low > 0
    assert curve[2].excess_low < 0.24 < curve[2].excess_high + 0.1


def test_excess_interval_covers(rng):
    """Two snapshots whose errors are shared: the paired interval covers the true excess and is not too wide."""
    covered, widths = [], []
    for _ in range(100):
        hard = rng.random(300)
        subtest = np.stack([hard < 0.7, hard < 0.8])
        test = np.stack([(other := rng.random(200)) < 0.7, other < 0.72])
        last = memorisation_curve(subtest, test, n_bootstrap=300, random_state=rng)[1]
        covered.append(last.excess_low <= 0.08 <= last.excess_high)
        widths.append(last.excess_high - last.excess_low)
    assert 0.86 <= np.mean(covered) <= 1
    assert np.mean(widths) < 0.12  # four independent proportions would give about 0.25


def test_split_keeps_every_label_in_subtrain(rng):
    y = np.repeat(list("abcd"), [100, 10, 2, 1])
    subtrain, subtest = subtrain_subtest(y, random_state=1)
    assert sorted([*subtrain, *subtest]) == list(range(113))
    assert {label: int((y[subtest] == label).sum()) for label in "abcd"} == {"a": 20, "b": 2, "c": 0, "d": 0}
    assert np.array_equal(subtrain_subtest(y, random_state=1)[1], subtest)
    assert not np.array_equal(subtrain_subtest(y, random_state=2)[1], subtest)
    with pytest.raises(ValueError, match="subtest_size is 1"):
        subtrain_subtest(y, subtest_size=1)


def test_a_large_subtest_still_leaves_an_example_of_each_label():
    y = np.repeat(list("abc"), [9, 2, 1])
    subtrain, _ = subtrain_subtest(y, subtest_size=0.95)
    assert sorted(y[subtrain]) == ["a", "b", "c"]


def test_refusals():
    with pytest.raises(ValueError, match="booleans"):
        memorisation_gap([0.5, 1], [1, 0])
    with pytest.raises(ValueError, match="non-empty"):
        memorisation_gap([], [1, 0])
    with pytest.raises(ValueError, match="n_snapshots, n_examples"):
        memorisation_curve(np.ones((2, 5)), np.ones((3, 5)))
