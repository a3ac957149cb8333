from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from scipy.stats import kstest, pearsonr, spearmanr
from scipy.stats import t as student_t

from closerlook.geometry.similarity import spatial_similarity

SCIPY = {"pearson": pearsonr, "spearman": spearmanr}


def distance_pair(rng, n=9, noise=0.7, d=3):
    points = rng.normal(size=(n, d))
    return squareform(pdist(points)), squareform(pdist(points + noise * rng.normal(size=(n, d))))


@pytest.mark.parametrize("method", SCIPY)
@pytest.mark.parametrize("with_missing", [False, True])
def test_value_is_scipys_on_the_common_pairs(oracle, rng, method, with_missing):
    for _ in range(5):
        A, B = distance_pair(rng)
        if with_missing:
            A[1, 2] = A[2, 1] = B[3, 4] = B[4, 3] = np.nan
        a, b = A[np.triu_indices(9, 1)], B[np.triu_indices(9, 1)]
        common = np.isfinite(a) & np.isfinite(b)
        result = spatial_similarity(A, B, method=method, n_permutations=0)
        oracle(f"similarity, {method}: scipy", result.value, SCIPY[method](a[common], b[common]).statistic)
        assert result.n_pairs == common.sum() == (34 if with_missing else 36)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize("with_missing", [False, True])
def test_exact_mantel_p_is_that_of_a_loop_over_all_orders(oracle, rng, method, alternative, with_missing):
    A, B = distance_pair(rng, n=5, noise=1.0)
    if with_missing:
        B[0, 3] = B[3, 0] = np.nan
    upper = np.triu_indices(5, 1)

    def correlate(order):
        a, b = A[upper], B[np.ix_(order, order)][upper]
        common = np.isfinite(a) & np.isfinite(b)
        return SCIPY[method](a[common], b[common]).statistic

    null = np.array([correlate(order) for order in permutations(range(5))])
    seen = null[0]
    side = {"greater": null >= seen - 1e-12, "less": null <= seen + 1e-12}[alternative]
    result = spatial_similarity(A, B, method=method, alternative=alternative)
    assert result.n_permutations == 120
    oracle("Mantel p: loop over all orders", result.p_value, side.mean())
    oracle("Mantel null mean: loop over all orders", result.null_mean, null.mean())


def test_orders_that_leave_too_few_common_pairs_do_not_count(oracle, rng):
    A, B = distance_pair(rng, n=4)
    for D in (A, B):
        D[0, 1] = D[1, 0] = D[2, 3] = D[3, 2] = np.nan
    upper = np.triu_indices(4, 1)
    null = []
    for order in permutations(range(4)):
        a, b = A[upper], B[np.ix_(order, order)][upper]
        common = np.isfinite(a) & np.isfinite(b)
        if common.sum() >= 3:
            null.append(pearsonr(a[common], b[common]).statistic)
    result = spatial_similarity(A, B)
    assert result.n_permutations == len(null) == 8
    oracle("Mantel p: loop over all orders", result.p_value, np.mean(np.array(null) >= null[0] - 1e-12))


def test_random_permutations_approach_the_exact_p(rng):
    A, B = distance_pair(rng, n=7, noise=1.5)
    exact = spatial_similarity(A, B, n_permutations=5039)
    drawn = spatial_similarity(A, B, n_permutations=4000)
    assert exact.n_permutations == 5040
    error = np.sqrt(exact.p_value * (1 - exact.p_value) / 4000)
    assert abs(drawn.p_value - exact.p_value) < 4 * error + 1e-3


def test_p_is_uniform_where_nothing_is_there(rng):
    p = []
    for _ in range(150):
        A, B = squareform(pdist(rng.normal(size=(10, 3)))), squareform(pdist(rng.normal(size=(10, 3))))
        p.append(spatial_similarity(A, B, n_permutations=199, random_state=rng).p_value)
    assert kstest(p, "uniform").pvalue > 0.001


@pytest.mark.parametrize("method", SCIPY)
def test_interval_is_a_jackknife_over_labels_of_fishers_z(oracle, rng, method):
    A, B = distance_pair(rng, n=8)
    z = []
    for i in range(8):
        kept = np.delete(np.arange(8), i)
        upper = np.triu_indices(7, 1)
        z.append(np.arctanh(SCIPY[method](*(D[np.ix_(kept, kept)][upper] for D in (A, B))).statistic))
    found = spatial_similarity(A, B, method, n_permutations=0)
    half = student_t.ppf(0.975, 7) * np.sqrt(7 / 8 * np.sum((np.array(z) - np.mean(z)) ** 2))
    ends = np.tanh(np.arctanh(found.value) + np.array([-half, half]))
    oracle(f"similarity interval, {method}: jackknife in a loop", [found.low, found.high], ends)


def test_three_labels_have_no_interval_and_say_so(rng):
    found = spatial_similarity(*distance_pair(rng, n=3))
    assert np.isfinite(found.value)
    assert np.isnan([found.low, found.high]).all()
    assert "no interval: 3 labels" in found.reason


def test_an_interval_over_pairs_would_be_too_narrow(rng):
    """Why labels are left out and not pairs: the entries of a label move together."""
    A, B = distance_pair(rng, n=40)
    a, b = A[np.triu_indices(40, 1)], B[np.triu_indices(40, 1)]
    draws = rng.integers(len(a), size=(500, len(a)))
    naive = np.ptp(np.quantile([np.corrcoef(a[i], b[i])[0, 1] for i in draws], [0.025, 0.975]))
    result = spatial_similarity(A, B, n_permutations=0)
    assert result.high - result.low > 1.3 * naive


def test_absent_labels_do_not_take_part(rng):
    A, B = distance_pair(rng, n=9)
    C = B.copy()
    C[6:], C[:, 6:] = np.nan, np.nan
    with_absent, without = spatial_similarity(A, C), spatial_similarity(A[:6, :6], B[:6, :6])
    assert with_absent == without
    assert with_absent.n_labels == 6


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 9), st.integers(0, 10**6), st.floats(1e-3, 1e3))
def test_invariances(n, seed, factor):
    rng = np.random.default_rng(seed)
    A, B = distance_pair(rng, n=n)
    order = rng.permutation(n)
    value = spatial_similarity(A, B, n_permutations=0).value
    assert value == pytest.approx(spatial_similarity(B, A, n_permutations=0).value, abs=1e-12)
    moved = spatial_similarity(A[np.ix_(order, order)], factor * B[np.ix_(order, order)], n_permutations=0).value
    assert value == pytest.approx(moved, abs=1e-9)
    assert -1 <= value <= 1


def test_equal_spaces(rng):
    A, _ = distance_pair(rng, n=12)
    result = spatial_similarity(A, 3 * A)
    assert (result.value, result.low, result.high) == pytest.approx((1, 1, 1))
    assert result.p_value == pytest.approx(1 / 1000)


def test_same_seed_same_answer_and_inputs_untouched(rng):
    A, B = distance_pair(rng)
    copies = A.copy(), B.copy()
    assert spatial_similarity(A, B, random_state=3) == spatial_similarity(A, B, random_state=3)
    assert np.array_equal(A, copies[0])
    assert np.array_equal(B, copies[1])


@pytest.mark.parametrize(
    ("D", "reason"),
    [
        (np.zeros((1, 1)), "0 common pairs"),
        (np.array([[0, 1.0], [1.0, 0]]), "1 common pairs"),
        (np.ones((4, 4)), "same distance"),
        (np.full((4, 4), np.nan), "0 common pairs"),
    ],
)
def test_undefined_is_nan_with_a_reason(D, reason):
    result = spatial_similarity(D, D)
    assert np.isnan([result.value, result.p_value, result.low, result.high]).all()
    assert reason in result.reason


def test_wrong_input_is_refused(rng):
    A, B = distance_pair(rng)
    with pytest.raises(ValueError, match="same labels on both sides"):
        spatial_similarity(A, B[:5, :5])
    with pytest.raises(ValueError, match="not symmetric"):
        spatial_similarity(A, np.triu(B))
    with pytest.raises(ValueError, match="square"):
        spatial_similarity(A[:3], B[:3])
    with pytest.raises(ValueError, match="infinite or negative"):
        spatial_similarity(A, -B)
    with pytest.raises(ValueError, match="method is 'cosine', expected one of"):
        spatial_similarity(A, B, method="cosine")
