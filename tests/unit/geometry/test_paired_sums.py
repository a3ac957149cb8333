import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes

from closerlook.geometry.paired_sums import PairedSums, random_groups
from closerlook.geometry.validation import UndefinedMeasureError, centre


def linear_cka(X, Y):
    return PairedSums.of(centre(X), centre(Y)).linear_cka()


def debiased_cka(X, Y):
    return PairedSums.of(centre(X), centre(Y)).debiased_cka()


def procrustes_distance(X, Y):
    return PairedSums.of(centre(X), centre(Y)).procrustes_angle()


def hsic_by_kernels(K, L):
    n = len(K)
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    ones = np.ones(n)
    parts = (
        np.trace(K @ L)
        + (ones @ K @ ones) * (ones @ L @ ones) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (ones @ K @ L @ ones)
    )
    return parts / (n * (n - 3))


def hsic_by_quadruples(K, L):
    """The definition of U-statistic HSIC: a mean over ordered quadruples of different points."""
    n, total, count = len(K), 0.0, 0
    for i in range(n):
        for j in range(n):
            for q in range(n):
                for r in range(n):
                    if len({i, j, q, r}) == 4:
                        total += K[i, j] * (L[i, j] + L[q, r] - 2 * L[i, q])
                        count += 1
    return total / count


def unrelated(rng, n, p, q):
    return rng.normal(size=(n, p)), rng.normal(size=(n, q))


@pytest.mark.parametrize(("n", "p", "q"), [(30, 4, 6), (8, 12, 5), (200, 3, 3)])
def test_linear_cka_is_that_of_centred_kernels(oracle, rng, n, p, q):
    X, Y = unrelated(rng, n, p, q)
    Y[:, 0] += X[:, 0] + 5
    H = np.eye(n) - 1 / n
    K, L = H @ X @ X.T @ H, H @ Y @ Y.T @ H
    expected = np.sum(K * L) / np.sqrt(np.sum(K * K) * np.sum(L * L))
    oracle("linear CKA: n x n kernels", linear_cka(X, Y), expected)


@pytest.mark.parametrize(("n", "p", "q"), [(30, 4, 6), (8, 12, 5), (200, 3, 3)])
def test_debiased_cka_is_that_of_kernels(oracle, rng, n, p, q):
    X, Y = unrelated(rng, n, p, q)
    Y[:, 0] += X[:, 0] + 5
    K, L = X @ X.T, Y @ Y.T
    expected = hsic_by_kernels(K, L) / np.sqrt(hsic_by_kernels(K, K) * hsic_by_kernels(L, L))
    oracle("debiased CKA: n x n kernels", debiased_cka(X, Y), expected)


def test_debiased_cka_is_the_u_statistic(oracle, rng):
    X, Y = unrelated(rng, 7, 3, 2)
    Y += X[:, :2]
    K, L = X @ X.T, Y @ Y.T
    expected = hsic_by_quadruples(K, L) / np.sqrt(hsic_by_quadruples(K, K) * hsic_by_quadruples(L, L))
    oracle("debiased CKA: mean over quadruples", debiased_cka(X, Y), expected)


def test_closed_form_of_a_scaled_feature(oracle, rng):
    """X of orthonormal columns, Y = X diag(s): CKA = sum s^2 / (sqrt(p) |s^2|)."""
    Q, _ = np.linalg.qr(rng.normal(size=(50, 5)) - rng.normal(size=(50, 5)).mean(axis=0))
    Q, _ = np.linalg.qr(Q - Q.mean(axis=0))
    s = np.array([1.0, 2, 3, 4, 5])
    oracle("linear CKA: closed form", linear_cka(Q, Q * s), np.sum(s**2) / np.sqrt(5 * np.sum(s**4)))


def test_plain_cka_is_biased_with_few_points_and_debiased_is_not(rng):
    plain, debiased = np.transpose(
        [(linear_cka(X, Y), debiased_cka(X, Y)) for X, Y in (unrelated(rng, 40, 40, 40) for _ in range(60))]
    )
    assert plain.mean() > 0.4
    assert abs(debiased.mean()) < 3 * debiased.std() / np.sqrt(60)
    assert debiased.min() < 0  # not clamped


def test_sums_over_groups_are_the_whole(oracle, rng):
    X, Y = unrelated(rng, 31, 4, 3)
    groups = random_groups(31, 5, rng)
    assert sorted(np.concatenate(groups)) == list(range(31))
    parts = [PairedSums.of(X[rows], Y[rows]) for rows in groups]
    total = parts[0] + parts[1] + parts[2] + parts[3] + parts[4]
    oracle("CKA: sum of groups", total.debiased_cka(), PairedSums.of(X, Y).debiased_cka())
    rest = np.concatenate(groups[1:])
    oracle("CKA: group taken out", (total - parts[0]).linear_cka(), linear_cka(X[rest], Y[rest]))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(6, 40), st.integers(2, 8), st.floats(1e-2, 1e2), st.floats(-50, 50))
def test_invariances(seed, n, d, factor, shift):
    rng = np.random.default_rng(seed)
    X, Y = unrelated(rng, n, d, d + 1)
    Y[:, :d] += X
    moved = factor * X @ np.linalg.qr(rng.normal(size=(d, d)))[0] + shift
    order = rng.permutation(n)
    for measure in (linear_cka, debiased_cka, procrustes_distance):
        try:
            value = measure(X, Y)
        except UndefinedMeasureError:
            continue  # too few points for the debiased denominator
        assert measure(moved, Y) == pytest.approx(value, abs=1e-7)
        assert measure(Y, X) == pytest.approx(value, abs=1e-9)
        assert measure(X[order], Y[order]) == pytest.approx(value, abs=1e-9)
    assert linear_cka(X, moved) == pytest.approx(1)
    assert procrustes_distance(X, moved) == pytest.approx(0, abs=1e-6)
    assert 0 <= linear_cka(X, Y) <= 1
    assert 0 <= procrustes_distance(X, Y) <= np.pi / 2


@pytest.mark.parametrize(("p", "q"), [(4, 4), (6, 3), (3, 6)])
def test_procrustes_angle_is_scipys(oracle, rng, p, q):
    X, Y = unrelated(rng, 25, p, q)
    width = max(p, q)
    x, y = (np.pad(Z - Z.mean(axis=0), ((0, 0), (0, width - Z.shape[1]))) for Z in (X, Y))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    R, _ = orthogonal_procrustes(x, y)
    oracle("Procrustes angle: scipy", procrustes_distance(X, Y), np.arccos(np.sum(x @ R * y)))


def test_procrustes_angle_obeys_the_triangle_inequality(rng):
    for _ in range(30):
        X, Y, Z = (rng.normal(size=(10, 3)) for _ in range(3))
        assert procrustes_distance(X, Z) <= procrustes_distance(X, Y) + procrustes_distance(Y, Z) + 1e-12


def test_degenerate_spaces(rng):
    X = rng.normal(size=(10, 3))
    constant = np.full((10, 3), 1 / 3)
    for measure in (linear_cka, debiased_cka, procrustes_distance):
        with pytest.raises(UndefinedMeasureError, match=r"all points of a space|is not positive"):
            measure(X, constant)
    with pytest.raises(UndefinedMeasureError, match="at least 4"):
        debiased_cka(X[:3], X[:3])
    for measure, least in ((linear_cka, "at least 2"), (procrustes_distance, "no shape")):
        with pytest.raises(UndefinedMeasureError, match=least):
            measure(X[:1], X[:1])
