"""Clusters against brute force (one pair at a time, an LP for each verdict), their order, and their proofs."""

import warnings

import numpy as np
import pytest
from exact_proofs import hull_gap, width
from hull_oracles import brute_force_clusters, lp_meets, prove_partition, rotation, small_sets
from sklearn.exceptions import ConvergenceWarning

from closerlook.probing import DirectProbe, hull_distance
from closerlook.probing.clustering import _refuse_beyond_memory


def partition(probe: DirectProbe) -> list[list[int]]:
    return sorted(np.flatnonzero(probe.labels_ == k).tolist() for k in range(probe.n_clusters_))


@pytest.mark.parametrize("seed", range(3))
def test_the_clusters_are_those_of_brute_force(seed):
    split = 0
    for X, y in small_sets(20, seed):
        probe = DirectProbe().fit(X, y)
        assert partition(probe) == brute_force_clusters(X, y)
        split += not probe.is_linear_
    assert split >= 4  # most of these sets must be hard ones


def test_larger_overlapping_sets_against_brute_force():
    rng = np.random.default_rng(5)
    for n, d, labels in ((40, 2, 3), (36, 4, 2)):
        X, y = rng.normal(size=(n, d)), rng.integers(0, labels, n)
        probe = DirectProbe().fit(X, y)
        assert partition(probe) == brute_force_clusters(X, y)
        assert probe.solve_counts_.refusals > 3


def test_no_cluster_meets_another_label_and_nothing_can_be_merged():
    rng = np.random.default_rng(8)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    probe = DirectProbe().fit(X, y)
    members = partition(probe)
    for i, a in enumerate(members):
        for b in members[:i]:
            if y[a[0]] != y[b[0]]:
                assert not lp_meets(X[a], X[b])
            else:
                rivals = [c for c in members if y[c[0]] != y[a[0]]]
                assert any(lp_meets(X[a + b], X[c]) for c in rivals)


def test_every_refusal_shows_a_common_point():
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(150, 4)).astype(np.float32), rng.integers(0, 3, 150)
    probe = DirectProbe().fit(X, y)
    assert len(probe.refusals_) == probe.solve_counts_.refusals > 10
    points = X.astype(np.float64)
    for refusal in probe.refusals_:
        inside = np.isin(refusal.support, refusal.merged)
        assert np.isin(refusal.support[~inside], refusal.rival).all()
        assert len(set(y[refusal.merged])) == len(set(y[refusal.rival])) == 1
        assert refusal.weights.min() >= 0
        assert refusal.weights[inside].sum() == pytest.approx(1)
        assert refusal.weights[~inside].sum() == pytest.approx(1)
        common = refusal.weights[inside] @ points[refusal.support[inside]]
        other = refusal.weights[~inside] @ points[refusal.support[~inside]]
        assert common == pytest.approx(other, abs=1e-9)


def test_ties_go_to_the_smallest_members():
    # Four points of one label, all neighbours 1 apart; the other label forbids every merge across the middle.
    X = np.array([[0.0, 0], [1, 0], [2, 0], [3, 0], [1.5, 0]])
    y = np.array(["a", "a", "a", "a", "b"])
    assert partition(DirectProbe().fit(X, y)) == [[0, 1], [2, 3], [4]]
    # 1-2 is refused; of the ties (0, 1), (2, 3) the first wins either way round.
    assert partition(DirectProbe().fit(X[[1, 0, 3, 2, 4]], y)) == [[0, 1], [2, 3], [4]]


def test_the_order_of_ties_decides_the_outcome():
    # 1 may join 0 or 2 but the three together meet b: the pair of the smaller members wins.
    X = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.5], [1.0, -0.5]])
    y = np.array([0, 0, 0, 1, 1, 1, 1])
    assert partition(DirectProbe().fit(X, y)) == brute_force_clusters(X, y)


def test_identical_points_with_different_labels_stay_alone():
    X = np.array([[0.0, 0], [1, 0], [2, 0], [5, 5], [6, 5], [1, 0], [1, 0]])
    y = np.array(["a", "a", "a", "b", "b", "b", "a"])
    probe = DirectProbe().fit(X, y)
    assert [group.tolist() for group in probe.contradictions_] == [[1, 5, 6]]
    clusters = partition(probe)
    assert [1] in clusters
    assert [5] in clusters
    assert [6] in clusters
    assert [3, 4] in clusters
    assert clusters == brute_force_clusters(X, y)
    assert not probe.is_linear_


def test_a_sign_of_zero_makes_no_difference_to_a_contradiction():
    probe = DirectProbe().fit([[0.0, 1], [-0.0, 1], [3, 3]], [0, 1, 1])
    assert [group.tolist() for group in probe.contradictions_] == [[0, 1]]


def test_a_label_without_conflict_is_one_cluster_at_once():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(60, 3)), rng.normal(size=(30, 3)) + 50])
    y = np.repeat([0, 1, 2], 30)
    probe = DirectProbe().fit(X, y)
    assert (probe.cluster_labels_ == 2).sum() == 1
    assert probe.solve_counts_.merges < 60


def test_scaling_and_turning_leave_the_clusters_alone():
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(80, 4)), rng.integers(0, 3, 80)
    base = DirectProbe().fit(X, y)
    for other in (X * 1e-5, X * 1e5, X + 1e3, X @ rotation(4, rng)):
        assert partition(DirectProbe().fit(other, y)) == partition(base)
    order = rng.permutation(80)
    shuffled = DirectProbe().fit(X[order], y[order])
    assert partition(base) == sorted(sorted(order[part].tolist()) for part in partition(shuffled))


def test_clusters_are_separated_by_their_certificates():
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    probe = DirectProbe().fit(X, y)
    members = partition(probe)
    assert len(probe.certificates_) > 20
    for i, j in probe.certificates_:
        assert probe.certificates_.verify((i, j))
        again = hull_distance(X[members[i]], X[members[j]])
        assert probe.cluster_distances_[i, j] == pytest.approx(again.distance, rel=2e-6)


def test_a_larger_partition_is_proved_by_its_certificates_and_a_replay():
    rng = np.random.default_rng(9)
    for d, labels in ((5, 3), (12, 2)):
        X, y = rng.normal(size=(400, d)), rng.integers(0, labels, 400)
        X[7], y[7], y[9] = X[9], 0, 1
        probe = DirectProbe().fit(X, y)
        assert len(probe.contradictions_) == 1
        assert prove_partition(X, y, probe) > 20


def test_a_wrong_partition_cannot_be_proved():
    rng = np.random.default_rng(9)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    probe = DirectProbe().fit(X, y)
    probe.refusals_ = probe.refusals_[:-1]
    with pytest.raises(AssertionError):
        prove_partition(X, y, probe)


@pytest.mark.parametrize("gap", [1e-6, 1e-9])
def test_labels_that_are_apart_in_an_almost_flat_direction(gap: float) -> None:
    """A layer norm's space: labels over one another but for a direction that rounding fills. C crosses into B."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(450, 30))
    y = np.repeat(["a", "b", "c"], 150)
    X[:, -1] = np.where(y == "a", gap, -gap)
    X[y == "c", -1] += rng.choice([0.0, 2 * gap], size=150, p=[0.9, 0.1])
    X = X @ np.linalg.qr(rng.normal(size=(30, 30)))[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # gaps at the rounding of the points
        probe = DirectProbe().fit(X, y)
        alone = DirectProbe().fit(X[y != "c"], y[y != "c"])
        assert prove_partition(X, y, probe) > 0
    assert alone.is_linear_
    assert alone.label_distances_[0, 1] == pytest.approx(2 * gap, rel=1e-4)
    assert not probe.is_linear_


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", [0, 1])
def test_a_space_whose_last_digits_decide_is_proved_in_extended_precision(seed: int) -> None:
    """As an encoder leaves it: float32, one feature of rounding only, one that is constant but for nothing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(260, 9)).astype(np.float32)
    y = np.repeat(["a", "b", "c"], [120, 100, 40])
    X[:, 3] = 3e-9 * rng.normal(size=260) + 4e-9 * (y == "b")
    X[:, 5] = 2.0 + 1e-32 * rng.normal(size=260)
    assert prove_partition(X, y, DirectProbe().fit(X, y)) > 20


def test_hulls_a_hair_apart_have_no_common_point():
    A, B = np.eye(6)[:4], np.eye(6)[:4] + 1e-11 * np.eye(6)[5]
    even = np.full(4, 0.25)
    assert hull_gap(A, B, even, even) == pytest.approx(1e-11, rel=1e-3)
    triangle, needle = np.eye(3) * [1, 1, 0], np.array([[0.3, 0.3, -1e-9], [0.3, 0.3, 2e-9]])
    rough = np.array([0.6, 0.4]), np.array([0.4, 0.3, 0.3])  # they miss by 1e-1; refined, they do not
    assert hull_gap(needle, triangle, *rough) < 1e-17
    assert width(B, A, np.eye(6)[5] - 1e-3 * np.eye(6)[0]) < 0


def test_a_label_whose_distances_do_not_fit_into_memory_is_refused_with_a_way_out() -> None:
    _refuse_beyond_memory(1_000)
    with pytest.raises(ValueError, match=r"a label of 10,000,000 points .*800000 GB .*snapshot\.max_examples"):
        _refuse_beyond_memory(10_000_000)
