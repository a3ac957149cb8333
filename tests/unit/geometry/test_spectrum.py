import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from closerlook.geometry import spectrum
from closerlook.geometry.spectrum import centred_directions, dimension_shares, mean_cosine, singular_values
from closerlook.geometry.validation import UndefinedMeasureError, centre


def values_of(X, centred=True):
    X = np.asarray(X, dtype=float)
    return singular_values(centre(X) if centred else X)


def effective_rank(X, centred=True):
    return spectrum.effective_rank(values_of(X, centred))


def stable_rank(X, centred=True):
    return spectrum.stable_rank(values_of(X, centred))


def isoscore(X):
    return spectrum.isoscore(values_of(X), np.shape(X)[1])


@pytest.mark.parametrize("shape", [(50, 6), (6, 50)])
@pytest.mark.parametrize("centred", [True, False])
def test_singular_values_are_those_of_the_svd(oracle, rng, shape, centred):
    X = rng.normal(size=shape) + 2
    Z = X - X.mean(axis=0) if centred else X
    values = np.linalg.svd(Z, compute_uv=False)
    oracle("singular values: SVD", values_of(X, centred), values, atol=1e-6)
    oracle("effective rank: SVD, scipy entropy", effective_rank(X, centred=centred), np.exp(entropy(values)), atol=1e-6)
    expected = np.linalg.norm(Z, "fro") ** 2 / np.linalg.norm(Z, 2) ** 2
    oracle("stable rank: matrix norms", stable_rank(X, centred=centred), expected)


def test_equal_directions_count_fully(oracle):
    X = np.vstack([np.eye(7), -np.eye(7)])
    oracle("effective rank: cross-polytope", effective_rank(X), 7)
    oracle("stable rank: cross-polytope", stable_rank(X), 7)
    oracle("IsoScore: cross-polytope", isoscore(X), 1)
    line = np.outer(np.arange(9.0), [1, 2, 3])
    oracle("effective rank: line", effective_rank(line), 1, atol=1e-6)
    oracle("IsoScore: line", isoscore(line), 0)


def test_a_mean_direction_lowers_the_raw_rank_only(rng):
    X = rng.normal(size=(400, 10))
    assert effective_rank(X + 50, centred=True) == pytest.approx(effective_rank(X, centred=True))
    assert stable_rank(X + 50, centred=False) < 1.01
    assert effective_rank(X + 50, centred=False) < 7


def test_isoscore_is_a_line_of_the_participation_ratio(oracle, rng):
    """The published steps reduce to (PR - 1) / (d - 1): an oracle that shares no step with them."""
    for scale in (np.ones(8), np.arange(1, 9), np.geomspace(1, 1e-3, 8)):
        X = rng.normal(size=(100, 8)) * scale
        variances = np.linalg.eigvalsh(np.cov(X.T))
        ratio = variances.sum() ** 2 / np.sum(variances**2)
        oracle("IsoScore: participation ratio", isoscore(X), (ratio - 1) / 7)


@pytest.mark.parametrize("centred", [True, False])
def test_mean_cosine_is_that_over_pairs(oracle, rng, centred):
    X = rng.normal(size=(40, 5)) + 0.5
    Z = X - X.mean(axis=0) if centred else X
    unit = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    found = mean_cosine(centred_directions(X) if centred else X)
    oracle("mean cosine: loop over pairs", found.value, (unit @ unit.T)[np.triu_indices(40, 1)].mean())


def test_a_rogue_dimension_is_named(rng):
    X = rng.normal(size=(300, 50))
    X[:, 7] += 40
    raw = mean_cosine(X)
    assert raw.value > 0.9
    assert raw.top_share > 0.95
    assert abs(mean_cosine(centred_directions(X)).value) < 0.01
    zero = mean_cosine(np.vstack([X, np.zeros((2, 50))]))
    assert zero.n_points == 300
    assert zero.value == pytest.approx(raw.value)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 30), st.integers(2, 8), st.floats(1e-3, 1e3))
def test_invariance_to_rotation_and_scale(seed, n, d, factor):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 1
    moved = factor * X @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    for centred in (True, False):
        for measure in (effective_rank, stable_rank):
            value = measure(X, centred=centred)
            assert measure(moved, centred=centred) == pytest.approx(value, abs=1e-6)
            assert 1 - 1e-9 <= value <= min(n, d) + 1e-9
    assert isoscore(moved) == pytest.approx(isoscore(X), abs=1e-9)
    assert 0 <= isoscore(X) <= 1
    assert mean_cosine(moved).value == pytest.approx(mean_cosine(X).value, abs=1e-9)


def test_spectrum_degenerate():
    constant = np.full((5, 3), 0.1)
    for measure in (effective_rank, stable_rank, isoscore):
        with pytest.raises(UndefinedMeasureError, match="all points are the same"):
            measure(constant)
    with pytest.raises(UndefinedMeasureError, match="one feature"):
        isoscore([[1.0], [2]])
    with pytest.raises(UndefinedMeasureError, match="0 rows have a direction"):
        mean_cosine(centred_directions(constant))
    assert effective_rank(constant, centred=False) == pytest.approx(1)
    assert mean_cosine(constant).value == pytest.approx(1)
    with pytest.raises(UndefinedMeasureError, match="no variance to share"):
        dimension_shares(centre(constant))


def test_dimension_shares_are_numpys_variances(oracle, rng):
    X = rng.normal(size=(200, 12)) * np.arange(1, 13) + 5
    X[:, 3] *= 300
    found = dimension_shares(centre(X))
    oracle("dimension shares: numpy's variances", found, X.var(axis=0) / X.var(axis=0).sum())
    assert found.argmax() == 3
    assert found[3] > 0.99
